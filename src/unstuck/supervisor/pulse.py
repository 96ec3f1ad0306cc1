"""A worker's own look at its threads: which of them have stopped to answer, and whether they compute meanwhile."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unstuck.supervisor.silence import TICK_S, Silence, usage_of_thread

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
        self._last = {thread: self._seen(thread, count) for thread, count in progress.items()}
        self._tell("beat", self.stuck())
        if self._turns % 2 == 0:
            self._turns += 1
            self._loop.call_soon_threadsafe(self._turned)

    def _turned(self) -> None:
        self._turns += 1

    def _seen(self, thread: int, count: int) -> "_Seen":
        before = self._last.get(thread)
        if before is None or before.count != count or not before.silence:
            return _Seen(count, Silence(usage_of_thread(thread)) if count % 2 else None)
        before.silence.look(usage_of_thread(thread))
        return before

    def stuck(self) -> dict[str, Any] | None:
        """Which thread has not got on for longest, and whether that is a hang; None while all do."""
        silent = [(thread, each.silence) for thread, each in self._last.items() if each.silence and each.silence.for_s]
        if not silent:
            return None
        thread, silence = max(silent, key=lambda each: each[1].for_s)
        what = "the event loop" if thread == self._loop_thread else "the thread of gRPC"
        return {"what": what, "for_s": silence.for_s, "is_hang": silence.is_hang()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A thread at one of its counts; ``silence`` is None where that is one at which it has nothing to do."""

    count: int
    silence: Silence | None
