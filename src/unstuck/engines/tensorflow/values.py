"""What a step is given: the checks that it makes of it, and the change of each value in lists of any length."""

from collections.abc import Callable
from typing import Any

from unstuck.core.signatures import show_shape
from unstuck.engines.tensorflow.runtime import tf
from unstuck.pipeline import steps
from unstuck.pipeline.document import PipelineError

MOST_SHOWN = 100  # bytes of a text, in a message


def row_shape(value: Any) -> str:
    """The shape of a row, as messages show it."""
    return show_shape(None if value.shape.rank is None else value.shape.as_list()[1:])


def strings(value: Any) -> Any:
    if value.dtype != tf.string:
        raise PipelineError(f"it takes text, got {value.dtype.name}")
    return value


def numbers(value: Any) -> Any:
    if isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes numbers in a fixed shape, got lists of any length", hint="Use pad before it.")
    if not (value.dtype.is_floating or value.dtype.is_integer):
        raise PipelineError(f"it takes numbers, got {value.dtype.name}")
    return value


def floats(value: Any) -> Any:
    return tf.cast(numbers(value), tf.float32) if numbers(value).dtype != tf.float64 else value


def integers(value: Any) -> Any:
    if not value.dtype.is_integer:
        raise PipelineError(f"it takes integers, got {value.dtype.name}")
    return numbers(value)


def comparable(value: Any) -> Any:
    """Floats in their own precision, in which numbers of a file meet them; integers so that few are rounded."""
    return floats(value) if numbers(value).dtype.is_floating else tf.cast(value, tf.float64)


def vectors(value: Any) -> Any:
    """``value``, once its rows have a last dimension: that of the batch itself must never be taken for it."""
    if numbers(value).shape.rank == 1:
        raise PipelineError("it takes several numbers a row, got one", hint="Use it on a value of shape [n].")
    return value


def like(number: steps.Numbers, value: Any) -> Any:
    """One number for all, or one for each place of the last dimension."""
    rank = value.shape.rank
    if isinstance(number, list) and (rank == 1 or (rank and value.shape[-1] not in (None, len(number)))):
        raise PipelineError(f"it has {len(number)} numbers, got rows of shape {row_shape(value)}")
    return tf.constant(number, value.dtype)


def on_values(value: Any, function: Callable[[Any], Any]) -> Any:
    return tf.ragged.map_flat_values(function, value) if isinstance(value, tf.RaggedTensor) else function(value)


def checked(result: Any, valid: Any, values: Any, what: str) -> Any:
    """``result``; a call fails with INVALID_ARGUMENT where ``valid`` is false, showing the first such of ``values``.

    Args:
        result: what is computed of the values.
        valid: bool, in the shape of ``values``.
        values: text or integers.
        what: follows the value in the message.
    """
    wrong = tf.boolean_mask(values, tf.logical_not(valid))[:1]
    shown = tf.strings.reduce_join(wrong if wrong.dtype == tf.string else tf.strings.as_string(wrong))
    # In backquotes, as TensorFlow puts a backslash before the others.
    message = tf.strings.join(["`", tf.strings.substr(shown, 0, MOST_SHOWN), "` ", what])
    with tf.control_dependencies([tf.raw_ops.Assert(condition=tf.reduce_all(valid), data=[message])]):
        return tf.identity(result)
