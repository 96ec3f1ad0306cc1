"""The calls of one signature that wait, as batches: TensorFlow's queue of a SharedBatchScheduler, without its threads.

Source: tensorflow/core/kernels/batching_util/shared_batch_scheduler.h. The last batch is open, the others are closed;
a batch closes when the next call does not fit, or when its time has come and a thread is free.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from unstuck.core.batching import BatchingParameters
from unstuck.errors import InvalidRequest, QueueFull

Item = TypeVar("Item")
Split = Callable[[Item, Sequence[int]], list[Item]]


class BatchQueue(Generic[Item]):
    """Not thread-safe. Times are seconds of the caller's clock."""

    def __init__(self, parameters: BatchingParameters, split: Split[Item] | None = None) -> None:
        """``split(item, sizes)`` gives parts of ``sizes`` rows; without it no item is split."""
        self.parameters = parameters
        self._split = split if parameters.enable_large_batch_splitting else None
        self._batches: deque[list[Item]] = deque([[]])
        self._open_rows = 0
        self._opened_at = 0.0

    def add(self, item: Item, rows: int, now: float) -> None:
        """Adds one item to the open batch, or begins the next.

        Raises:
            InvalidRequest: it is larger than any batch may be.
            QueueFull: too many wait already.
        """
        self._check(rows)
        free = self.parameters.largest_batch - self._open_rows
        if rows <= free or self._split is None:
            self._append(item, rows, now)
            return
        sizes = _sizes(rows, free, self.parameters.largest_batch)
        for part, size in zip(self._split(item, sizes), sizes, strict=True):
            self._append(part, size, now)

    def take(self, now: float) -> list[Item] | None:
        """The batch that is to be run now, if there is one."""
        if len(self._batches) == 1:
            due = self.due
            if due is None or due > now:
                return None
            self._begin_batch()
        return self._batches.popleft()

    @property
    def due(self) -> float | None:
        """When there is something to be run, if nothing else comes; a time that has passed is now."""
        if len(self._batches) > 1 or self._open_rows >= self.parameters.largest_batch:
            return 0.0
        if not self._batches[-1]:
            return None
        return self._opened_at + self.parameters.batch_timeout_micros / 1e6

    def _check(self, rows: int) -> None:
        most, parameters = self.parameters.max_batch_size, self.parameters
        if rows > most:
            raise InvalidRequest(
                f"The call has {rows} rows, which is larger than the maximum batch size, {most}.",
                hint="Send fewer rows in a request, or raise max_batch_size in the batching parameters.",
            )
        free = parameters.largest_batch - self._open_rows
        further = parameters.max_enqueued_batches - len(self._batches)
        is_full = rows > free + further * parameters.largest_batch if self._split else rows > free and further <= 0
        if is_full:
            raise QueueFull(
                "The batch scheduling queue to which this call was submitted is full: "
                f"{len(self._batches)} batches wait, and max_enqueued_batches is {parameters.max_enqueued_batches}.",
                hint="Try again later, or raise max_enqueued_batches in the batching parameters.",
            )

    def _append(self, item: Item, rows: int, now: float) -> None:
        if self._open_rows + rows > self.parameters.largest_batch:
            self._begin_batch()
        if not self._batches[-1]:
            self._opened_at = now
        self._batches[-1].append(item)
        self._open_rows += rows

    def _begin_batch(self) -> None:
        self._batches.append([])
        self._open_rows = 0


def _sizes(rows: int, free: int, largest: int) -> list[int]:
    """Fills the open batch, then further ones."""
    sizes = [free] if free else []
    rows -= free
    sizes += [largest] * (rows // largest)
    return [*sizes, rows % largest] if rows % largest else sizes
