"""The kinds of steps that make pixels of image files, and change pixels, as TensorFlow ops."""

from typing import Any

from unstuck.engines.tensorflow.files import Files
from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.values import floats, numbers, row_shape, strings
from unstuck.pipeline import steps
from unstuck.pipeline.document import PipelineError

_JPEG, _PNG, _BMP = b"\xff\xd8", b"\x89P", b"BM"
# TensorFlow decodes every format to 3 channels, but only these to others.
_DECODED_TO = {1: (_JPEG, _PNG), 4: (_PNG, _BMP)}


def decode_image(step: steps.DecodeImage, value: Any, _: Files) -> Any:
    """Pixels from 0 to 255, float [rows, height, width, channels]."""

    def decode(content: Any) -> Any:
        pixels = _pixels(content, step.channels)
        resized = tf.cast(tf.image.resize(pixels, [step.height, step.width], method=step.method), tf.float32)
        if step.method in ("bicubic", "lanczos3"):  # beside an edge, they overshoot
            resized = tf.clip_by_value(resized, 0.0, 255.0)
        return tf.ensure_shape(resized, [step.height, step.width, step.channels])

    if value.shape.rank != 1:
        raise PipelineError(f"it takes one file a row, got shape {row_shape(value)}")
    spec = tf.TensorSpec([step.height, step.width, step.channels], tf.float32)
    return tf.map_fn(decode, strings(value), fn_output_signature=spec)


def grayscale(_step: steps.Grayscale, value: Any, _: Files) -> Any:
    """[height, width, 3] to [height, width, 1]."""
    if numbers(value).shape.rank != 4 or value.shape[-1] != 3:
        raise PipelineError(f"it takes [height, width, 3], got shape {row_shape(value)}")
    return tf.image.rgb_to_grayscale(floats(value))


def channels_first(_step: steps.ChannelsFirst, value: Any, _: Files) -> Any:
    """[height, width, channels] to [channels, height, width]."""
    if value.shape.rank != 4:
        raise PipelineError(f"it takes [height, width, channels], got shape {row_shape(value)}")
    return tf.transpose(value, [0, 3, 1, 2])


def _pixels(content: Any, channels: int) -> Any:
    if channels == 3:
        return tf.io.decode_image(content, 3, expand_animations=False)
    first = tf.strings.substr(content, 0, 2)
    return tf.cond(
        tf.reduce_any(tf.equal(first, tf.constant(_DECODED_TO[channels]))),
        lambda: tf.io.decode_image(content, channels, expand_animations=False),
        lambda: _of_colours(tf.io.decode_image(content, 3, expand_animations=False), channels),
    )


def _of_colours(pixels: Any, channels: int) -> Any:
    """Grey, or with an opaque alpha channel."""
    if channels == 1:
        return tf.cast(tf.round(tf.image.rgb_to_grayscale(tf.cast(pixels, tf.float32))), pixels.dtype)
    return tf.concat([pixels, tf.fill(tf.concat([tf.shape(pixels)[:2], [1]], 0), tf.constant(255, pixels.dtype))], -1)
