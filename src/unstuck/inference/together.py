"""Runs several prepared calls as one, where that was proven to change no answer."""

from collections.abc import Hashable, Sequence
from itertools import accumulate

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.errors import Code, EngineError
from unstuck.inference.batched import batch_key
from unstuck.inference.predict import PreparedCall


def merge_key(call: PreparedCall) -> Hashable | None:
    """Calls with equal keys may run together; None for one that must run alone."""
    if call.model.batching is not None:
        key = batch_key(call.model, call.signature, call.inputs)
        if key is not None:
            return key
    if not call.is_mergeable:
        return None
    shapes = [array.shape for array in call.inputs.values()]
    if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        return None
    return id(call.model), call.signature.name, tuple(call.signature.outputs), tuple([shape[1:] for shape in shapes])


def run_together(calls: Sequence[PreparedCall]) -> list[dict[str, Tensor]]:
    """The outputs of each call, from one run of all their rows. All must have the same ``merge_key``.

    Raises:
        EngineError: the framework failed, for one call's sake or for all's.
    """
    first = calls[0]
    inputs = {alias: np.concatenate([call.inputs[alias] for call in calls]) for alias in first.inputs}
    outputs = first.model.servable.run(first.signature, inputs)
    rows = [len(next(iter(call.inputs.values()))) for call in calls]
    ends = list(accumulate(rows))
    for alias, array in outputs.items():
        if array.ndim == 0 or len(array) != ends[-1]:
            raise EngineError(f"Output {alias!r} has {array.shape} for {ends[-1]} rows.", code=Code.INTERNAL)
    for observer in first.model.observers:
        observer.ran(first.signature, inputs, outputs, rows)
    return [
        {alias: array[start:end] for alias, array in outputs.items()}
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
