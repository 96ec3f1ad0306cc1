"""Where a call runs: on the event loop while it is proven short, on a worker thread otherwise.

A hop to a thread costs more than a small model's run, and a long run on the loop would hold up every other request. So
a kind of call starts on threads, moves to the loop once it has shown that it is short, and goes back as soon as its
99th percentile is not.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from time import perf_counter_ns, thread_time_ns
from typing import TypeVar

SHORT_NS = 1_000_000
WINDOW = 128
FIRST_TRIAL = 16
LAST_TRIAL = 8192

Result = TypeVar("Result")


class RunTimes:
    """The latest run times of one kind of call, and what follows from them. Thread-safe.

    On a thread, the time on the clock includes waiting for the interpreter lock while the loop is busy. There the
    decision rests on the thread's own CPU time at the 99th percentile, with the median on the clock as a guard against
    calls that wait without computing. On the loop nothing else competes, and the clock decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock: deque[int] = deque(maxlen=WINDOW)
        self._cpu: deque[int] = deque(maxlen=WINDOW)
        self._runs = 0
        self._needed = FIRST_TRIAL
        self.inline = False

    def record(self, clock_ns: int, cpu_ns: int | None) -> None:
        """Counts one run; ``cpu_ns`` is None for a run on the loop."""
        with self._lock:
            self._clock.append(clock_ns)
            self._runs += 1
            if cpu_ns is not None:
                self._cpu.append(cpu_ns)
            if self.inline:
                if clock_ns >= SHORT_NS and _percentile(self._clock, 99) >= SHORT_NS:
                    self._move(inline=False)
            elif self._runs >= self._needed and _percentile(self._cpu, 99) < SHORT_NS > _percentile(self._clock, 50):
                self._move(inline=True)

    def _move(self, *, inline: bool) -> None:
        if not inline:  # it was on trial and failed: ask for more proof each time
            self._needed = min(self._needed * 4, LAST_TRIAL)
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

    def run_inline(self, key: Hashable, run: Callable[[], Result]) -> Result:
        """Runs on the loop, and watches that it stays short."""
        start = perf_counter_ns()
        try:
            return run()
        finally:
            self._times[key].record(perf_counter_ns() - start, None)

    def run_on_thread(self, key: Hashable, run: Callable[[], Result]) -> Result:
        """Runs in the calling worker thread, and learns how long it takes."""
        times = self._times.setdefault(key, RunTimes())
        start, cpu = perf_counter_ns(), thread_time_ns()
        try:
            return run()
        finally:
            times.record(perf_counter_ns() - start, thread_time_ns() - cpu)


def _percentile(values: deque[int], percent: int) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
