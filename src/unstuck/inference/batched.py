"""Runs that wait for a batch, as in TensorFlow Serving's BatchingSession: what waits, and what is done with a batch.

Below the calls: a run knows nothing of who asked for it. Source: tensorflow_serving/batching/batching_session.cc.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import accumulate
from time import perf_counter_ns
from typing import Any

import numpy as np

from unstuck.core.batching import BatchingParameters
from unstuck.core.servables import AvailableModel
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.errors import Code, EngineError, UnstuckError
from unstuck.inference.padding import cut, joined, rows_of

Outcome = dict[str, Tensor] | BaseException
Told = Callable[["list[Run]", "Took"], None]


@dataclass(frozen=True, slots=True)
class Took:
    """When a batch began to run, and how long it took."""

    began_ns: int
    run_ns: int


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Runs with equal keys share a queue, hence batches.

    Attributes:
        model: id of the version, which whoever waits keeps loaded.
        signature: its name, and the outputs that are asked for.
        ranks: of the inputs.
        parameters: how they wait.
    """

    model: int
    signature: tuple[str, ...]
    ranks: tuple[int, ...]
    parameters: BatchingParameters = field(compare=False)  # follow from the others, and take long to hash


@dataclass(slots=True, eq=False)
class Run:
    """One run of a signature, which waits for a batch.

    Attributes:
        model: the version.
        signature: of it.
        inputs: by alias, with equal first dimensions.
        told: hears, on the thread of the batch, of the runs that it waits for once they have their outcomes.
        sent: what ``told`` knows it by.
        is_wanted: whether anybody still waits for it.
        outcome: the outputs by alias, or what went wrong; once it has run.
        whole: where it is but a part of a run, that one, and which part.
    """

    model: AvailableModel
    signature: Signature
    inputs: Tensors
    told: "Told"
    sent: Any = None
    is_wanted: Callable[[], bool] = lambda: True
    outcome: Outcome = field(default_factory=dict[str, Tensor])
    whole: "tuple[_Split, int] | None" = None

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def end(self, outcome: Outcome) -> "Run | None":
        """Takes its outcome; returns the run that now has all of its own."""
        self.outcome = outcome
        if self.whole is None:
            return self
        split_run, part = self.whole
        return split_run.end(part, outcome)


@dataclass(slots=True, eq=False)
class _Split:
    """A run whose parts are in several batches, which may run at the same time."""

    run: Run
    outcomes: list[Outcome | None]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self, part: int, outcome: Outcome) -> Run | None:
        with self.lock:
            self.outcomes[part] = outcome
            outcomes = [each for each in self.outcomes if each is not None]
        return self.run.end(_concatenated(outcomes)) if len(outcomes) == len(self.outcomes) else None


def batch_key(model: AvailableModel, signature: Signature, inputs: Tensors) -> BatchKey | None:
    """Which queue a run waits in; None where those of its signature wait for no others."""
    parameters = model.batching.parameters.get(signature.name) if model.batching else None
    if parameters is None:
        return None
    ranks = tuple([array.ndim for array in inputs.values()])
    return BatchKey(id(model), (signature.name, *signature.outputs), ranks, parameters)


def parameters_of(key: Hashable) -> BatchingParameters:
    """How the runs of a ``BatchKey`` wait."""
    assert isinstance(key, BatchKey)
    return key.parameters


def split(run: Run, sizes: Sequence[int]) -> list[Run]:
    """The rows of ``run``, as runs of ``sizes`` rows."""
    whole = _Split(run, [None] * len(sizes))
    parts: list[Run] = []
    for part, (end, size) in enumerate(zip(accumulate(sizes), sizes, strict=True)):
        inputs = {alias: array[end - size : end] for alias, array in run.inputs.items()}
        parts.append(replace(run, inputs=inputs, whole=(whole, part)))
    return parts


def run_batch(key: Hashable, runs: Sequence[Run]) -> None:
    """Runs ``runs``, all with the ``key``, as one, and tells of those that have their outcomes now. Does not raise.

    Where the framework fails, each is run again by itself, so that nobody hears of another's error. An error about the
    batch, whose calls do not fit together, is everybody's, as in TensorFlow Serving.
    """
    wanted = [run for run in runs if run.is_wanted()]
    if not wanted:
        return
    began_ns = perf_counter_ns()
    outcomes = _outcomes(wanted, parameters_of(key))
    took = Took(began_ns, perf_counter_ns() - began_ns)
    by_told: dict[Told, list[Run]] = {}
    for run, outcome in zip(wanted, outcomes, strict=True):
        ended = run.end(outcome)
        if ended is not None:
            by_told.setdefault(ended.told, []).append(ended)
    for told, ended in by_told.items():
        told(ended, took)


def run_all(model: AvailableModel, signatures: Sequence[Signature], tensor: Tensor) -> list[dict[str, Tensor]]:
    """As ``model.servable.run_all``, which the calls to batched signatures go to together with others'.

    Raises:
        EngineError: what the framework said.
        QueueFull, InvalidRequest: too many calls wait, or this one is too large.
    """
    keys = [batch_key(model, each, dict.fromkeys(each.inputs, tensor)) for each in signatures]
    if model.batching is None or None in keys:
        return model.servable.run_all(signatures, tensor)
    waiting: list[Future[dict[str, Tensor]]] = []
    for key, signature in zip(keys, signatures, strict=True):
        future: Future[dict[str, Tensor]] = Future()
        run = Run(model, signature, dict.fromkeys(signature.inputs, tensor), _settle, future)
        model.batching.add(key, run, len(tensor))
        waiting.append(future)
    return [future.result() for future in waiting]


def _settle(runs: Sequence[Run], took: Took) -> None:
    del took
    for run in runs:
        if isinstance(run.outcome, BaseException):
            run.sent.set_exception(run.outcome)
        else:
            run.sent.set_result(run.outcome)


def _outcomes(runs: Sequence[Run], parameters: BatchingParameters) -> Sequence[Outcome]:
    first = runs[0]
    try:
        inputs = joined([run.inputs for run in runs], parameters)
        try:
            outputs = first.model.servable.run(first.signature, inputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            if len(runs) == 1:
                return [error]
            return [outcome for run in runs for outcome in _outcomes([run], parameters)]
        return cut(outputs, [run.rows for run in runs], rows_of(inputs))
    except UnstuckError as error:  # one for each, as each is told of another call
        return [EngineError(error.message, code=error.code, hint=error.hint) for _ in runs]


def _concatenated(outcomes: Sequence[Outcome]) -> Outcome:
    outputs: list[dict[str, Tensor]] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            return outcome
        outputs.append(outcome)
    try:
        return {alias: np.concatenate([each[alias] for each in outputs]) for alias in outputs[0]}
    except ValueError as error:
        message = f"The outputs of a call that was split have rows of different shapes: {error}."
        return EngineError(message, code=Code.INTERNAL, hint="Turn enable_large_batch_splitting off.")
