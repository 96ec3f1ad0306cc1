"""Each kind of pipeline step as TensorFlow ops, on a batch: the first dimension counts the rows.

A step that does not take what it is given says so while the graph is built: nothing is converted unasked.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.core.dtypes import named
from unstuck.core.signatures import show_shape
from unstuck.engines.tensorflow.runtime import tf
from unstuck.pipeline import steps
from unstuck.pipeline.document import PipelineError

PUNCTUATION = r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']'  # Keras's TextVectorization strips these


def apply(step: steps.Step, value: Any, folder: Path) -> Any:
    """``value`` changed by ``step``: a tensor, or a RaggedTensor for lists of any length.

    Args:
        step: with its settings.
        value: its first dimension counts the rows.
        folder: where the files are that steps name.

    Raises:
        PipelineError: the value is not what the step takes.
    """
    return _APPLY[type(step)](step, value, folder)


def row_shape(value: Any) -> str:
    """The shape of a row, as messages show it."""
    return show_shape(None if value.shape.rank is None else value.shape.as_list()[1:])


def _strings(value: Any) -> Any:
    if value.dtype != tf.string:
        raise PipelineError(f"it takes text, got {value.dtype.name}")
    return value


def _numbers(value: Any) -> Any:
    if isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes numbers in a fixed shape, got lists of any length", hint="Use pad before it.")
    if not (value.dtype.is_floating or value.dtype.is_integer):
        raise PipelineError(f"it takes numbers, got {value.dtype.name}")
    return value


def _floats(value: Any) -> Any:
    return tf.cast(_numbers(value), tf.float32) if _numbers(value).dtype != tf.float64 else value


def _integers(value: Any) -> Any:
    if not value.dtype.is_integer:
        raise PipelineError(f"it takes integers, got {value.dtype.name}")
    return _numbers(value)


def _comparable(value: Any) -> Any:
    """Floats in their own precision, in which numbers of a file meet them; integers so that few are rounded."""
    return _floats(value) if _numbers(value).dtype.is_floating else tf.cast(value, tf.float64)


def _vectors(value: Any) -> Any:
    """``value``, once its rows have a last dimension: that of the batch itself must never be taken for it."""
    if _numbers(value).shape.rank == 1:
        raise PipelineError("it takes several numbers a row, got one", hint="Use it on a value of shape [n].")
    return value


def _like(number: steps.Numbers, value: Any) -> Any:
    """One number for all, or one for each place of the last dimension."""
    rank = value.shape.rank
    if isinstance(number, list) and (rank == 1 or (rank and value.shape[-1] not in (None, len(number)))):
        raise PipelineError(f"it has {len(number)} numbers, got rows of shape {row_shape(value)}")
    return tf.constant(number, value.dtype)


def _on_values(value: Any, function: Callable[[Any], Any]) -> Any:
    return tf.ragged.map_flat_values(function, value) if isinstance(value, tf.RaggedTensor) else function(value)


def _replace(pattern: str, by: str, value: Any) -> Any:
    return _on_values(_strings(value), lambda text: tf.strings.regex_replace(text, pattern, by))


def _replaced(step: steps.Replace, value: Any, _: Path) -> Any:
    # Tried once, as RE2 leaves a text as it is, or half of it, where ``by`` names a group that there is not.
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tried = session.run(tf.strings.regex_replace("", f"|(?:{step.pattern})", f"<{step.by}>"))
    except tf.errors.InvalidArgumentError:
        raise PipelineError(f"its pattern {step.pattern!r} is not a regular expression of RE2") from None
    if not (tried.startswith(b"<") and tried.endswith(b">")):
        raise PipelineError(f"{step.by!r} names a group that its pattern does not have")
    return _replace(step.pattern, step.by, value)


def _split(step: steps.Split, value: Any, _: Path) -> Any:
    if isinstance(value, tf.RaggedTensor) or value.shape.rank != 1:
        raise PipelineError(f"it takes one text a row, got shape {row_shape(value)}", hint="Its shape must be [].")
    if step.into == "characters":
        return tf.strings.unicode_split(_strings(value), "UTF-8")
    return tf.strings.split(_strings(value), sep=step.separator or None)


def _vocabulary(step: steps.Vocabulary, value: Any, folder: Path) -> Any:
    tokens = step.tokens if step.tokens is not None else _lines(folder / step.file)
    if not tokens:
        raise PipelineError("its vocabulary is empty")
    twice = len(tokens) - len(set(tokens))
    if twice:
        raise PipelineError(f"its vocabulary has {twice} entries twice")
    ids = np.arange(step.first_id, step.first_id + len(tokens), dtype=np.int64)
    entries = tf.lookup.KeyValueTensorInitializer(tf.constant(tokens, tf.string), tf.constant(ids))
    table = tf.lookup.StaticHashTable(entries, step.unknown)
    return _on_values(_strings(value), table.lookup)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"its file {path} cannot be read: {error}") from None
    # Not splitlines, which ends a line at U+2028 and others too, and so shifts the ids of all that follow.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def _pad(step: steps.Pad, value: Any, _: Path) -> Any:
    if not isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes lists of any length, which split gives")
    try:
        filler = tf.constant(step.value, value.dtype)
    except (TypeError, ValueError, OverflowError):
        raise PipelineError(f"its value {step.value!r} is not {value.dtype.name}") from None
    return value.to_tensor(filler, shape=[None, step.length])


def _cast(step: steps.Cast, value: Any, _: Path) -> Any:
    wanted = named(step.dtype)
    if wanted is None or not wanted.is_number:
        raise PipelineError(f"there is no numeric dtype {step.dtype!r}")
    return tf.cast(_numbers(value), tf.as_dtype(wanted.number))


def _z_score(step: steps.ZScore, value: Any, _: Path) -> Any:
    value = _floats(value)
    if 0.0 in np.atleast_1d(step.std):
        raise PipelineError("its std is 0")
    return (value - _like(step.mean, value)) / _like(step.std, value)


def _min_max(step: steps.MinMax, value: Any, _: Path) -> Any:
    value = _floats(value)
    least, most = np.asarray(step.min, float), np.asarray(step.max, float)
    if (most == least).any():
        raise PipelineError("its min and max are equal")
    return (value - _like(step.min, value)) / _like((most - least).tolist(), value)


def _scale(step: steps.Scale, value: Any, _: Path) -> Any:
    value = _floats(value)
    return value * _like(step.factor, value) + _like(step.offset, value)


def _log(step: steps.Log, value: Any, _: Path) -> Any:
    value = _floats(value)
    return tf.math.log(value + _like(step.offset, value))


def _clip(step: steps.Clip, value: Any, _: Path) -> Any:
    if step.min > step.max:
        raise PipelineError("its min is above its max")
    value = _numbers(value)
    if value.dtype.is_integer and not (step.min.is_integer() and step.max.is_integer()):
        raise PipelineError(f"its min and max must be integers, as the value is {value.dtype.name}")
    least, most = step.min, step.max
    if value.dtype.is_integer:  # a bound outside of the dtype's range would wrap around
        least, most = max(int(least), value.dtype.min), min(int(most), value.dtype.max)
        if least > most:
            raise PipelineError(f"no {value.dtype.name} is in its range")
    return tf.clip_by_value(value, tf.constant(least, value.dtype), tf.constant(most, value.dtype))


def _bucketize(step: steps.Bucketize, value: Any, _: Path) -> Any:
    flat = tf.reshape(_comparable(value), [-1])
    found = tf.searchsorted(tf.constant(step.boundaries, flat.dtype), flat, side="right", out_type=tf.int64)
    return tf.reshape(found, tf.shape(value))


def _fill_missing(step: steps.FillMissing, value: Any, _: Path) -> Any:
    if value.dtype == tf.string:
        if not isinstance(step.value, str):
            raise PipelineError(f"its value {step.value!r} is not text")
        filler = tf.constant(step.value)
        return _on_values(value, lambda text: tf.where(tf.equal(text, ""), filler, text))
    if isinstance(step.value, str) or not _numbers(value).dtype.is_floating:
        raise PipelineError(f"it takes floats and a number, got {value.dtype.name} and {step.value!r}")
    return tf.where(tf.math.is_nan(value), _like(step.value, value), value)


def _reshape(step: steps.Reshape, value: Any, _: Path) -> Any:
    if isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes values of a fixed shape, got lists of any length", hint="Use pad before it.")
    have, sizes = value.shape[1:], list(step.shape)
    if have.is_fully_defined():
        count, given = math.prod(have), math.prod(size for size in sizes if size >= 0)
        if -1 in sizes and given:
            sizes[sizes.index(-1)] = count // given
        if math.prod(sizes) != count:
            raise PipelineError(f"a row of shape {row_shape(value)} cannot have the shape {step.shape}")
    # The number of rows is kept, whatever a row holds: values never move from one row to another.
    reshaped = tf.reshape(value, tf.concat([tf.shape(value)[:1], tf.constant(sizes, tf.int32)], 0))
    reshaped.set_shape([None, *(None if size < 0 else size for size in sizes)])
    return reshaped


def _decode_image(step: steps.DecodeImage, value: Any, _: Path) -> Any:
    def decode(content: Any) -> Any:
        pixels = tf.io.decode_image(content, step.channels, expand_animations=False)
        resized = tf.image.resize(pixels, [step.height, step.width], method=step.method)
        return tf.ensure_shape(tf.cast(resized, tf.float32), [step.height, step.width, step.channels])

    if value.shape.rank != 1:
        raise PipelineError(f"it takes one file a row, got shape {row_shape(value)}")
    spec = tf.TensorSpec([step.height, step.width, step.channels], tf.float32)
    return tf.map_fn(decode, _strings(value), fn_output_signature=spec)


def _channels_first(_step: steps.ChannelsFirst, value: Any, _: Path) -> Any:
    if value.shape.rank != 4:
        raise PipelineError(f"it takes [height, width, channels], got shape {row_shape(value)}")
    return tf.transpose(value, [0, 3, 1, 2])


def _labels(step: steps.Labels, value: Any, _: Path) -> Any:
    value = tf.cast(_integers(value), tf.int64)
    inside = (value >= 0) & (value < len(step.names))
    return tf.where(inside, tf.gather(tf.constant(step.names), tf.where(inside, value, 0)), tf.constant(step.unknown))


_APPLY: dict[type[steps.Step], Callable[[Any, Any, Path], Any]] = {
    steps.Lowercase: lambda step, value, _: _on_values(
        _strings(value), lambda x: tf.strings.lower(x, encoding="" if step.ascii_only else "utf-8")
    ),
    steps.Uppercase: lambda _, value, __: _on_values(_strings(value), lambda x: tf.strings.upper(x, encoding="utf-8")),
    steps.Strip: lambda _, value, __: _on_values(_strings(value), tf.strings.strip),
    steps.RemovePunctuation: lambda _, value, __: _replace(PUNCTUATION, "", value),
    steps.Replace: _replaced,
    steps.Split: _split,
    steps.Vocabulary: _vocabulary,
    steps.Hash: lambda step, value, _: _on_values(
        _strings(value), lambda text: tf.strings.to_hash_bucket_fast(text, step.buckets)
    ),
    steps.Pad: _pad,
    steps.Cast: _cast,
    steps.ZScore: _z_score,
    steps.MinMax: _min_max,
    steps.Scale: _scale,
    steps.Log: _log,
    steps.Clip: _clip,
    steps.Bucketize: _bucketize,
    steps.FillMissing: _fill_missing,
    steps.OneHot: lambda step, value, _: tf.one_hot(tf.cast(_integers(value), tf.int64), step.depth, dtype=tf.float32),
    steps.Reshape: _reshape,
    steps.DecodeImage: _decode_image,
    steps.ReverseChannels: lambda _, value, __: tf.reverse(_vectors(value), [-1]),
    steps.ChannelsFirst: _channels_first,
    steps.Softmax: lambda _, value, __: tf.nn.softmax(_floats(_vectors(value))),
    steps.Sigmoid: lambda _, value, __: tf.sigmoid(_floats(value)),
    steps.Argmax: lambda _, value, __: tf.argmax(_vectors(value), axis=-1, output_type=tf.int64),
    steps.Threshold: lambda step, value, _: tf.cast(_comparable(value) >= step.at, tf.int64),
    steps.Labels: _labels,
}
