"""Merges the calls that arrive in one turn of the event loop into one run. Nobody waits for a timer.

A run of a small model costs about the same for one row as for thirty-two, and each run makes the loop give up and take
back the interpreter lock, which under load costs more than the run. So the first call of a turn schedules a run, the
others of that turn join it.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from time import perf_counter_ns
from typing import Protocol

import numpy as np

from unstuck.core.signatures import Tensor, Tensors
from unstuck.errors import UnstuckError

MAX_ROWS = 256
LONG_NS = 1_000_000

Outputs = dict[str, Tensor]


class MergeableCall(Protocol):
    """A call whose inputs and outputs all have the batch as their first dimension."""

    @property
    def inputs(self) -> Tensors: ...

    @property
    def key(self) -> Hashable: ...

    @property
    def merge_key(self) -> Hashable:
        """Calls with one key run the same signature with rows of the same shape."""
        ...

    def run(self, inputs: Tensors) -> Outputs: ...


class _Waiting:
    __slots__ = ("call", "future", "rows")

    def __init__(self, call: MergeableCall, future: "asyncio.Future[Outputs]") -> None:
        self.call = call
        self.future = future
        self.rows = len(next(iter(call.inputs.values())))


class Merger:
    """Belongs to one event loop; the runs happen on it, so only short calls may be given."""

    def __init__(self, timed: Callable[[MergeableCall, Callable[[], Outputs]], Outputs]) -> None:
        """``timed(call, run)`` performs ``run`` and notes how long it took for calls like ``call``."""
        self._timed = timed
        self._groups: dict[Hashable, list[_Waiting]] = {}
        self._limits: dict[Hashable, int] = {}

    async def run(self, call: MergeableCall) -> Outputs:
        """The outputs of ``call``, run with those that arrive in the same turn. Raises what ``call.run`` does."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(call, loop.create_future())
        key = call.merge_key
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = [waiting]
            loop.call_soon(self._run_group, key)
        else:
            group.append(waiting)
        return await waiting.future

    def _run_group(self, key: Hashable) -> None:
        limit = self._limits.get(key, MAX_ROWS)
        for batch in _batches(self._groups.pop(key), limit):
            start = perf_counter_ns()
            self._run_batch(batch)
            rows = sum(waiting.rows for waiting in batch)
            if perf_counter_ns() - start > LONG_NS and len(batch) > 1:
                limit = max(1, rows // 2)  # the loop must stay free
            elif rows >= limit:
                limit = min(limit * 2, MAX_ROWS)
        self._limits[key] = limit

    def _run_batch(self, batch: Sequence[_Waiting]) -> None:
        if len(batch) == 1:
            self._run_alone(batch[0])
            return
        first = batch[0].call
        try:
            inputs = {
                alias: np.concatenate([waiting.call.inputs[alias] for waiting in batch]) for alias in first.inputs
            }
            outputs = self._timed(first, lambda: first.run(inputs))
        except UnstuckError:
            for waiting in batch:  # one call's values must not fail its neighbours: each answers for itself
                self._run_alone(waiting)
            return
        start = 0
        for waiting in batch:
            end = start + waiting.rows
            if not waiting.future.done():
                waiting.future.set_result({alias: array[start:end] for alias, array in outputs.items()})
            start = end

    def _run_alone(self, waiting: _Waiting) -> None:
        if waiting.future.done():
            return
        try:
            outputs = self._timed(waiting.call, lambda: waiting.call.run(waiting.call.inputs))
            waiting.future.set_result(outputs)
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            waiting.future.set_exception(error)


def _batches(group: list[_Waiting], most_rows: int) -> Iterator[list[_Waiting]]:
    batch: list[_Waiting] = []
    rows = 0
    for waiting in group:
        if batch and rows + waiting.rows > most_rows:
            yield batch
            batch, rows = [], 0
        batch.append(waiting)
        rows += waiting.rows
    yield batch
