"""A worker's own look at its threads: which of them have stopped to answer, and whether they compute meanwhile."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from unstuck.supervisor.watch import IDLE_SHARE, TICK_S, usage

Tell = Callable[[str, object], None]
Batches = Callable[[], Mapping[int, int]]


class Pulse:
    """Beats every TICK_S on a thread of its own. While no thread gets to run, it does not: that is noticed outside."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell, batches: Batches = dict) -> None:
        """To be made on the loop's thread.

        Args:
            loop: what is watched.
            tell: sends the beats.
            batches: of other threads to watch, by their native ids, a number that changes as they get on; odd while
                they work.
        """
        self._loop = loop
        self._tell = tell
        self._batches = batches
        self._loop_thread = threading.get_native_id()
        self._turns = 0  # of the loop that were asked for and happened: odd while one is awaited
        self._last: dict[int, _Seen] = {}

    def start(self) -> None:
        threading.Thread(target=self._run, name="unstuck-pulse", daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                time.sleep(TICK_S)
                self.beat()
        except RuntimeError:  # the loop has ended: so will the process
            return

    def beat(self) -> None:
        """Says how the threads are, and asks the loop for a turn."""
        progress = {self._loop_thread: self._turns, **self._batches()}
        self._last = {thread: _seen(thread, count, self._last.get(thread)) for thread, count in progress.items()}
        self._tell("beat", self.stuck())
        if self._turns % 2 == 0:
            self._turns += 1
            self._loop.call_soon_threadsafe(self._turned)

    def _turned(self) -> None:
        self._turns += 1

    def stuck(self) -> dict[str, Any] | None:
        """Which thread has not got on for longest, and whether it does nothing meanwhile; None while all do."""
        thread, seen = max(self._last.items(), key=lambda item: item[1].beats)
        if not seen.beats:
            return None
        silent_s = seen.beats * TICK_S
        what = "the event loop" if thread == self._loop_thread else "the thread of gRPC"
        return {"what": what, "for_s": silent_s, "is_idle": _cpu_s(thread) - seen.cpu_s <= IDLE_SHARE * silent_s}


class _Seen:
    """A thread at one of its counts: for how many beats, and its CPU time at the first of them."""

    def __init__(self, count: int, cpu_s: float, beats: int) -> None:
        self.count, self.cpu_s, self.beats = count, cpu_s, beats


def _seen(thread: int, count: int, before: _Seen | None) -> _Seen:
    """Counted in beats, not read from a clock: a machine may sleep, and a process be stopped."""
    if before is not None and before.count == count and count % 2:
        return _Seen(count, before.cpu_s, before.beats + 1)
    return _Seen(count, _cpu_s(thread), 0)


def _cpu_s(thread: int) -> float:
    return usage("self", thread).cpu_s
