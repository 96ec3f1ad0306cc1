"""Where a call runs: on the event loop while it is proven short, on a worker thread otherwise.

A hop to a thread costs more than a small model's run, and a long run on the loop would hold up every other request. So
a kind of call starts on threads, moves to the loop once it has shown that it is short, and goes back as soon as it
computes for long, or waits for long too often.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from time import perf_counter_ns, thread_time_ns
from typing import TypeVar

SHORT_NS = 1_000_000
STILL_SHORT_NS = 2 * SHORT_NS  # on the loop, where calls run together up to the limit, and now and then over it
WAITED_NS = 100_000_000
WINDOW = 128
FIRST_TRIAL = 16
LAST_TRIAL = 8192
LEAST_TOGETHER = 2
MAX_TOGETHER = 64
MAX_KEYS = 4096  # of what is learned; requests choose some of them, and it is soon learned again

Result = TypeVar("Result")


class RunTimes:
    """The latest run times of one kind of call, and what follows from them. Thread-safe.

    What counts is the 99th percentile of the running thread's own CPU time: on the clock, a busy machine or the wait
    for the interpreter lock makes many calls long, and on threads they would cost several times more. The clock guards
    against calls that wait without computing: one in ten must be short to move to the loop; they leave it once more
    than a quarter is not, and the loop has waited WAITED_NS for these.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock: deque[int] = deque(maxlen=WINDOW)
        self._cpu: deque[int] = deque(maxlen=WINDOW)
        self._runs = 0
        self._needed = FIRST_TRIAL
        self.inline = False

    def record(self, clock_ns: int, cpu_ns: int) -> None:
        """Counts one run."""
        with self._lock:
            self._clock.append(clock_ns)
            self._cpu.append(cpu_ns)
            self._runs += 1
            if self.inline:
                if clock_ns >= STILL_SHORT_NS and self._is_long():
                    self._needed = min(self._needed * 4, LAST_TRIAL)  # on trial and failed: more proof each time
                    self._move(inline=False)
            elif self._runs >= self._needed and self._is_short():
                self._move(inline=True)

    def _is_short(self) -> bool:
        return _percentile(self._cpu, 99) < SHORT_NS and _percentile(self._clock, 10) < SHORT_NS

    def _is_long(self) -> bool:
        long = [clock_ns for clock_ns in self._clock if clock_ns >= STILL_SHORT_NS]
        waits = 4 * len(long) > len(self._clock) and sum(long) > WAITED_NS
        return waits or _percentile(self._cpu, 99) >= STILL_SHORT_NS

    def _move(self, *, inline: bool) -> None:
        self.inline = inline
        self._runs = 0
        self._clock.clear()
        self._cpu.clear()


class Placement:
    """Remembers the run times of every kind of call. Thread-safe; one a server."""

    def __init__(self) -> None:
        self._times: dict[Hashable, RunTimes] = {}

    def is_short(self, key: Hashable) -> bool:
        """Whether calls of this kind may run on the event loop."""
        times = self._times.get(key)
        return times is not None and times.inline

    def run(self, key: Hashable, work: Callable[[], Result]) -> Result:
        """Runs in the calling thread, and learns how long calls of this kind take."""
        clock, cpu = perf_counter_ns(), thread_time_ns()
        try:
            return work()
        finally:
            self.learn(key, perf_counter_ns() - clock, thread_time_ns() - cpu)

    def learn(self, key: Hashable, clock_ns: int, cpu_ns: int) -> None:
        """Counts a run of a call of this kind, on the clock and of its thread's CPU time."""
        if len(self._times) >= MAX_KEYS:
            self._times.clear()
        times = self._times.get(key) or self._times.setdefault(key, RunTimes())
        times.record(clock_ns, cpu_ns)


class GroupSizes:
    """How many calls may run together: fewer after a long run, more again after short ones. Not thread-safe."""

    def __init__(self) -> None:
        self._most: dict[Hashable, int] = {}

    def most(self, key: Hashable) -> int:
        """The most calls of this kind that may run together now."""
        return self._most.get(key, MAX_TOGETHER)

    def learn(self, key: Hashable, calls: int, took_ns: int) -> None:
        """Counts a run of ``calls`` calls that took ``took_ns`` of CPU time."""
        most = self.most(key)
        if len(self._most) >= MAX_KEYS:
            self._most.clear()
        if took_ns > SHORT_NS:
            self._most[key] = max(LEAST_TOGETHER, calls // 2)
        elif calls >= most < MAX_TOGETHER:
            self._most[key] = min(MAX_TOGETHER, most * 2)


def _percentile(values: deque[int], percent: int) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
