"""Continuous batching: calls that arrive while a batch runs go together in the next one; nobody waits for a timer."""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Hashable
from time import perf_counter_ns
from typing import Generic, TypeVar

from unstuck.batching.fair import FairThreads
from unstuck.batching.sizes import MOST_ROWS, BatchSize

Item = TypeVar("Item")

MAX_KEYS = 4096  # of what is learned; requests choose some of them, and it is soon learned again

log = logging.getLogger(__name__)


class _Queue(Generic[Item]):
    """The calls of one key."""

    def __init__(self, most_rows: int) -> None:
        self.size = BatchSize(most_rows)
        self.running = 0
        self.waiting: deque[tuple[Item, int]] = deque()

    def has_room(self, rows: int, cpus: int) -> bool:
        """Whether another batch, for a call with so many rows, may begin while those run that do."""
        return not self.size.pays(rows) or self.running < math.ceil(cpus / self.size.gain)

    def take(self) -> tuple[list[Item], int]:
        """The first items that go into one batch, at least one if there is any, and how many rows they are."""
        batch: list[Item] = []
        taken, most = 0, self.size.next()
        while self.waiting and (not batch or taken + self.waiting[0][1] <= most):
            item, rows = self.waiting.popleft()
            batch.append(item)
            taken += rows
        return batch, taken


class ContinuousBatches(Generic[Item]):
    """``Batches`` whose items wait only while others of their key run. Thread-safe.

    Each batch is a task of its own for the threads, on which those who are busy take turns.
    """

    def __init__(
        self,
        run: Callable[[Hashable, list[Item]], None],
        workers: FairThreads,
        *,
        cpus: int,
        most_rows: int = MOST_ROWS,
        turn_of: Callable[[Hashable], Hashable] = lambda key: key,
    ) -> None:
        """Runs batches in ``workers``.

        Args:
            run: answers the items of one batch, in the order in which they came; must not raise.
            workers: the threads that call it.
            cpus: that compute. So many batches of one key run at the same time as answer what that many calls would, if
                each ran alone: the more a batch gains, the fewer.
            turn_of: whose turn it is when a batch of a key runs: who has many keys has no more turns.
            most_rows: of one batch. An item with more runs alone, at once: it would hold up the others.
        """
        self._run = run
        self._workers = workers
        self._cpus = cpus
        self._most_rows = most_rows
        self._turn_of = turn_of
        self._lock = threading.Lock()
        self._queues: dict[Hashable, _Queue[Item]] = {}

    def add(self, key: Hashable, item: Item, rows: int) -> None:
        """See ``Batches``; never raises QueueFull."""
        if rows > self._most_rows:
            self._workers.submit_for(self._turn_of(key), self._run, key, [item])
            return
        with self._lock:
            queue = self._queue(key)
            queue.waiting.append((item, rows))
            if not queue.has_room(rows, self._cpus):
                return
            queue.running += 1
        self._workers.submit_for(self._turn_of(key), self._run_next, key, queue)

    def sizes(self) -> dict[Hashable, BatchSize]:
        """What was learned of each key's batches so far."""
        with self._lock:
            return {key: queue.size for key, queue in self._queues.items()}

    def _queue(self, key: Hashable) -> _Queue[Item]:
        queue = self._queues.get(key)
        if queue is None:
            if len(self._queues) >= MAX_KEYS:
                self._queues = {each: busy for each, busy in self._queues.items() if busy.running}
            queue = self._queues[key] = _Queue(self._most_rows)
        return queue

    def _run_next(self, key: Hashable, queue: _Queue[Item]) -> None:
        with self._lock:  # only now: whoever came while this waited for a thread goes along
            batch, rows = queue.take()
        began_ns = perf_counter_ns()
        try:
            if batch:
                self._run(key, batch)
        except Exception:
            log.exception("A batch of calls failed")
        with self._lock:
            if batch:
                queue.size.learn(len(batch), rows, perf_counter_ns() - began_ns)
            queue.running -= 1
            if not queue.waiting or not queue.has_room(queue.waiting[0][1], self._cpus):
                return
            queue.running += 1
        self._workers.submit_for(self._turn_of(key), self._run_next, key, queue)
