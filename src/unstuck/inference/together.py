"""Runs several prepared calls as one, where that was proven to change no answer."""

from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from time import perf_counter_ns
from typing import cast

import numpy as np

from unstuck.core.observers import Ran
from unstuck.core.servables import AvailableModel
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


def turn_of(key: Hashable) -> Hashable:
    """What the keys of one version's calls have in common: versions take turns, not the shapes of their calls."""
    return cast("tuple[Hashable, ...]", key)[0] if isinstance(key, tuple) else key


def is_key_of(key: Hashable, model: AvailableModel, signature_name: str) -> bool:
    """Whether ``key`` is the ``merge_key`` of calls to a signature of ``model``, whatever their shapes."""
    return isinstance(key, tuple) and key[:2] == (id(model), signature_name)


def answer_together(
    calls: Sequence[PreparedCall], encoders: Sequence[Callable[[dict[str, Tensor]], bytes]]
) -> tuple[Ran, list[bytes]]:
    """How the run of ``run_together`` went, and what each call's encoder makes of its outputs."""
    began_ns = perf_counter_ns()
    runs = run_together(calls)
    ran_ns = perf_counter_ns()
    answers = [encode(outputs) for encode, outputs in zip(encoders, runs, strict=True)]
    model, signature = calls[0].model, calls[0].signature.name
    return Ran(model.name, model.version, signature, began_ns, ran_ns - began_ns, perf_counter_ns() - ran_ns), answers


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
