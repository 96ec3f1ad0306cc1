"""Batches that wait for further calls, for as long as the batching parameters say: TensorFlow Serving's scheduler.

A fixed number of threads goes round the queues, one batch a turn. A thread with nothing to do sleeps until the first
batch is due.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from unstuck.batching.queue import BatchQueue, Split
from unstuck.core.batching import BatchingParameters
from unstuck.errors import NotReady

Item = TypeVar("Item")

log = logging.getLogger(__name__)


class TimedBatches(Generic[Item]):
    """``Batches`` by time and size. Thread-safe; ``stop`` once."""

    def __init__(
        self,
        run: Callable[[Hashable, list[Item]], None],
        threads: int,
        parameters_of: Callable[[Hashable], BatchingParameters],
        split: Split[Item] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the threads.

        Args:
            run: answers the items of one batch, in the order in which they came; must not raise.
            threads: how many call it at the same time, for all keys together.
            parameters_of: how the items of a key wait.
            split: gives parts of an item with these numbers of rows; without it none is split.
            clock: the time in seconds.
        """
        self._run = run
        self._parameters_of = parameters_of
        self._split = split
        self._clock = clock
        self._queues: dict[Hashable, BatchQueue[Item]] = {}  # of the keys that have something waiting; next one first
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"unstuck-batch-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, key: Hashable, item: Item, rows: int) -> None:
        """See ``Batches``.

        Raises:
            InvalidRequest: it is larger than any batch may be.
            QueueFull: too many wait already.
            NotReady: it was stopped.
        """
        with self._changed:
            if self._stopping:
                raise NotReady("The server is stopping.")
            queue = self._queues.get(key)
            if queue is None:
                queue = BatchQueue(self._parameters_of(key), self._split)
            due = queue.due
            queue.add(item, rows, self._clock())
            self._queues[key] = queue
            if queue.due != due:  # else whoever sleeps knows when to look
                self._changed.notify()

    def stop(self) -> None:
        """Runs what waits, then ends the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while self._run_next():  # a call of its own, so that a sleeping thread refers to no item
            pass

    def _run_next(self) -> bool:
        taken = self._next()
        if taken is None:
            return False
        try:
            self._run(*taken)
        except Exception:
            log.exception("A batch of calls failed")
        return True

    def _next(self) -> tuple[Hashable, list[Item]] | None:
        """The next batch, once there is one; None where the thread is to end."""
        with self._changed:
            while True:
                now = float("inf") if self._stopping else self._clock()
                for key, queue in self._queues.items():
                    batch = queue.take(now)
                    if batch is not None:
                        self._to_the_end(key, queue)
                        return key, batch
                if self._stopping:
                    return None
                due = min((queue.due for queue in self._queues.values() if queue.due is not None), default=None)
                self._changed.wait(None if due is None else max(due - now, 0))

    def _to_the_end(self, key: Hashable, queue: BatchQueue[Item]) -> None:
        del self._queues[key]
        if queue.due is not None:
            self._queues[key] = queue
        if self._queues:
            self._changed.notify()  # this thread is busy now: another must know when the next batch is due
