"""Each kind of pipeline step as TensorFlow ops, on a batch: the first dimension counts the rows.

A step that does not take what it is given says so while the graph is built: nothing is converted unasked.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from unstuck.core.dtypes import named
from unstuck.engines.tensorflow import date_steps, image_steps, text_steps
from unstuck.engines.tensorflow.files import Files
from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.values import (
    comparable,
    floats,
    integers,
    like,
    numbers,
    on_values,
    row_shape,
    vectors,
)
from unstuck.pipeline import steps
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.statistics import read_statistics


def apply(step: steps.Step, value: Any, files: Files) -> Any:
    """``value`` changed by ``step``: a tensor, or a RaggedTensor for lists of any length.

    Args:
        step: with its settings.
        value: its first dimension counts the rows.
        files: those that steps name.

    Raises:
        PipelineError: the value is not what the step takes.
    """
    return _APPLY[type(step)](step, value, files)


def _cast(step: steps.Cast, value: Any, _: Files) -> Any:
    wanted = named(step.dtype)
    if wanted is None or not wanted.is_number:
        raise PipelineError(f"there is no numeric dtype {step.dtype!r}")
    return tf.cast(numbers(value), tf.as_dtype(wanted.number))


def _z_score(step: steps.ZScore, value: Any, files: Files) -> Any:
    value = floats(value)
    mean, std = _statistics(step, files, "mean", "std")
    if 0.0 in np.atleast_1d(std):
        raise PipelineError("its std is 0")
    return (value - like(mean, value)) / like(std, value)


def _min_max(step: steps.MinMax, value: Any, files: Files) -> Any:
    value = floats(value)
    least, most = _statistics(step, files, "min", "max")
    span = np.asarray(most, float) - np.asarray(least, float)
    if (span == 0).any():
        raise PipelineError("its min and max are equal")
    return (value - like(least, value)) / like(span.tolist(), value)


def _statistics(step: steps.ZScore | steps.MinMax, files: Files, *names: str) -> tuple[steps.Numbers, ...]:
    if step.file:
        return read_statistics(files.folder / step.file, step.feature, names)
    return tuple(getattr(step, name) for name in names)


def _scale(step: steps.Scale, value: Any, _: Files) -> Any:
    value = floats(value)
    return value * like(step.factor, value) + like(step.offset, value)


def _log(step: steps.Log, value: Any, _: Files) -> Any:
    value = floats(value)
    return tf.math.log(value + like(step.offset, value))


def _clip(step: steps.Clip, value: Any, _: Files) -> Any:
    if step.min > step.max:
        raise PipelineError("its min is above its max")
    value = numbers(value)
    if value.dtype.is_integer and not (step.min.is_integer() and step.max.is_integer()):
        raise PipelineError(f"its min and max must be integers, as the value is {value.dtype.name}")
    least, most = step.min, step.max
    if value.dtype.is_integer:  # a bound outside of the dtype's range would wrap around
        least, most = max(int(least), value.dtype.min), min(int(most), value.dtype.max)
        if least > most:
            raise PipelineError(f"no {value.dtype.name} is in its range")
    return tf.clip_by_value(value, tf.constant(least, value.dtype), tf.constant(most, value.dtype))


def _bucketize(step: steps.Bucketize, value: Any, _: Files) -> Any:
    flat = tf.reshape(comparable(value), [-1])
    found = tf.searchsorted(tf.constant(step.boundaries, flat.dtype), flat, side="right", out_type=tf.int64)
    return tf.reshape(found, tf.shape(value))


def _fill_missing(step: steps.FillMissing, value: Any, _: Files) -> Any:
    if value.dtype == tf.string:
        if not isinstance(step.value, str):
            raise PipelineError(f"its value {step.value!r} is not text")
        filler = tf.constant(step.value)
        return on_values(value, lambda text: tf.where(tf.equal(text, ""), filler, text))
    if isinstance(step.value, str) or not numbers(value).dtype.is_floating:
        raise PipelineError(f"it takes floats and a number, got {value.dtype.name} and {step.value!r}")
    return tf.where(tf.math.is_nan(value), like(step.value, value), value)


def _reshape(step: steps.Reshape, value: Any, _: Files) -> Any:
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


def _labels(step: steps.Labels, value: Any, _: Files) -> Any:
    value = tf.cast(integers(value), tf.int64)
    inside = (value >= 0) & (value < len(step.names))
    return tf.where(inside, tf.gather(tf.constant(step.names), tf.where(inside, value, 0)), tf.constant(step.unknown))


def _top_k(step: steps.TopK, value: Any, _: Files) -> Any:
    value = vectors(value)
    if (value.shape[-1] or step.k) < step.k:
        raise PipelineError(f"its k is {step.k}, got rows of shape {row_shape(value)}")
    found = tf.math.top_k(value, step.k)
    return found.values if step.give == "values" else tf.cast(found.indices, tf.int64)


_APPLY: dict[type[steps.Step], Callable[[Any, Any, Files], Any]] = {
    **text_steps.APPLY,
    steps.Cast: _cast,
    steps.ZScore: _z_score,
    steps.MinMax: _min_max,
    steps.Scale: _scale,
    steps.Log: _log,
    steps.Clip: _clip,
    steps.Bucketize: _bucketize,
    steps.FillMissing: _fill_missing,
    steps.Date: date_steps.date,
    steps.Cyclic: date_steps.cyclic,
    steps.OneHot: lambda step, value, _: tf.one_hot(tf.cast(integers(value), tf.int64), step.depth, dtype=tf.float32),
    steps.Reshape: _reshape,
    steps.DecodeImage: image_steps.decode_image,
    steps.Grayscale: image_steps.grayscale,
    steps.ReverseChannels: lambda _, value, __: tf.reverse(vectors(value), [-1]),
    steps.ChannelsFirst: image_steps.channels_first,
    steps.Softmax: lambda _, value, __: tf.nn.softmax(floats(vectors(value))),
    steps.Sigmoid: lambda _, value, __: tf.sigmoid(floats(value)),
    steps.Argmax: lambda _, value, __: tf.argmax(vectors(value), axis=-1, output_type=tf.int64),
    steps.TopK: _top_k,
    steps.Threshold: lambda step, value, _: tf.cast(comparable(value) >= step.at, tf.int64),
    steps.Labels: _labels,
}
