"""The inputs of several calls as those of one batch, padded, and its outputs cut for the calls again.

Source: batching_session.cc and batching_util.cc in tensorflow_serving/batching.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from unstuck.core.batching import BatchingParameters
from unstuck.core.signatures import Tensor, Tensors, show_shape
from unstuck.errors import Code, EngineError, InvalidRequest


def rows_of(inputs: Tensors) -> int:
    """The size of the first dimension, which all ``inputs`` of a call must share.

    Raises:
        InvalidRequest: there are none, one has no dimensions, or they differ.
    """
    if not inputs:
        raise InvalidRequest("A call that is batched must have at least one input.")
    for alias, array in inputs.items():
        if array.ndim == 0:
            raise InvalidRequest(f"Input {alias!r} of a call that is batched must have at least one dimension.")
    sizes = {alias: len(array) for alias, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise InvalidRequest(
            "The inputs of a call that is batched must have equal first dimensions, got "
            f"{', '.join(f'{size} for {alias!r}' for alias, size in sizes.items())}."
        )
    return next(iter(sizes.values()))


def joined(calls: Sequence[Tensors], parameters: BatchingParameters) -> dict[str, Tensor]:
    """The inputs of one batch: the rows of each call, then its padding to the next allowed size.

    Raises:
        EngineError: FAILED_PRECONDITION, as rows have different shapes, and they are not to be padded.
        InvalidRequest: an empty array is to be padded.
    """
    parts = {alias: [call[alias] for call in calls] for alias in calls[0]}
    for alias, arrays in parts.items():
        if len({array.shape[1:] for array in arrays}) > 1:
            if not parameters.pad_variable_length_inputs:
                raise _differing(alias, arrays)
            parts[alias] = _as_the_largest(alias, arrays)
    rows = sum(map(rows_of, calls))
    missing = parameters.padded(rows) - rows
    if len(calls) == 1 and not missing:
        return dict(calls[0])
    return {alias: np.concatenate([*arrays, *_padding(arrays, missing)]) for alias, arrays in parts.items()}


def cut(outputs: Tensors, rows: Sequence[int], padded: int) -> list[dict[str, Tensor]]:
    """The outputs of each call, of those of a batch.

    Args:
        outputs: by alias.
        rows: of each call.
        padded: of the batch.

    Raises:
        EngineError: FAILED_PRECONDITION, as an output has not a row for each row.
    """
    for alias, array in outputs.items():
        if array.ndim == 0 or len(array) != padded:
            raise EngineError(
                f"Output {alias!r} of a batch of {padded} rows has shape {show_shape(array.shape)}: its first "
                "dimension does not equal the sum of the calls' first dimensions.",
                code=Code.FAILED_PRECONDITION,
                hint="Serve this model without batching.",
            )
    ends = list(accumulate(rows))
    spans = zip([0, *ends[:-1]], ends, strict=True)
    return [{alias: array[start:end] for alias, array in outputs.items()} for start, end in spans]


def _padding(arrays: Sequence[Tensor], missing: int) -> list[Tensor]:
    """Rows of a call's own: whatever the model takes, it takes those."""
    row = next((array[:1] for array in reversed(arrays) if len(array)), None)
    return [] if row is None or not missing else [np.repeat(row, missing, axis=0)]


def _as_the_largest(alias: str, arrays: Sequence[Tensor]) -> list[Tensor]:
    shape = tuple(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
    return [_padded_to(alias, array, (len(array), *shape)) for array in arrays]


def _padded_to(alias: str, array: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Padded behind, with its own first value, as TensorFlow Serving does."""
    if array.shape == shape:
        return array
    if array.size == 0:
        raise InvalidRequest(f"Input {alias!r} is empty, {show_shape(array.shape)}, in a batch of others that are not.")
    padded = np.full(shape, array.flat[0], array.dtype)
    padded[tuple(map(slice, array.shape))] = array
    return padded


def _differing(alias: str, arrays: Sequence[Tensor]) -> EngineError:
    shapes = dict.fromkeys(show_shape(array.shape) for array in arrays)
    return EngineError(
        f"Input {alias!r} has different shapes in the calls of one batch, {', '.join(shapes)}, and padding is off.",
        code=Code.FAILED_PRECONDITION,
        hint="Set pad_variable_length_inputs in the batching parameters, or send equal dimensions after the first.",
    )
