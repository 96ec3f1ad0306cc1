"""Whether a worker that does not answer is busy or hangs.

Only what does nothing is a hang that can be seen at once: parsing a body of hundreds of megabytes also keeps every
other thread of a process waiting, for seconds, and ends. So a worker that is silent while it computes gets BUSY_S.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICK_S = 0.25  # between two beats of a worker, and between two looks at it
HANG_S = 1.5  # of silence and idleness; what is noticed later than that and a tick would not be within 2 s
BUSY_S = 30.0
IDLE_SHARE = 0.05  # of one CPU: threads that only wait wake up now and then
_TICKS_A_SECOND = 100  # of /proc/PID/stat, which is part of Linux' interface


@dataclass(frozen=True, slots=True)
class Usage:
    """What the system says of a process: its CPU time, and whether its main thread wants a CPU or waits for a disk."""

    cpu_s: float
    wants_to_run: bool


def usage(process: int | str, thread: int | None = None) -> Usage:
    """Of a process, or of one of its threads. It may be gone: then it is idle."""
    folder = f"/proc/{process}" if thread is None else f"/proc/{process}/task/{thread}"
    try:
        # The command's name may have spaces and brackets; nothing after it has.
        fields = Path(f"{folder}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Usage(0.0, False)
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND, fields[0] in "RD")


class Watch:
    """One worker, as long as it serves. Time is counted in looks, as a machine may sleep, and we may be stopped."""

    def __init__(self, usage_now: Callable[[], Usage]) -> None:
        self._usage_now = usage_now
        self._silent_looks = 0
        self._before: Usage | None = None
        self._stuck: dict[str, Any] = {}
        self.silent_s = 0.0

    def beat(self, stuck: dict[str, Any] | None) -> None:
        """It lives; ``stuck`` says for how long one of its threads has not answered, and whether that does nothing."""
        self._silent_looks, self._before = 0, None
        self._stuck = stuck or {}

    def look(self) -> str:
        """Why it is to be killed; empty if it is not. Called every TICK_S."""
        self._silent_looks += 1
        now = self._usage_now()
        self._before = self._before or now
        self.silent_s = (self._silent_looks - 1) * TICK_S
        if self._is_hanging(self.silent_s, self._is_idle(now)):
            return f"did not answer for {self.silent_s:g} s"
        stuck_s = float(self._stuck.get("for_s", 0))
        if self._is_hanging(stuck_s, bool(self._stuck.get("is_idle"))):
            return f"hung: {self._stuck['what']} did not answer for {stuck_s:g} s"
        self.silent_s = max(self.silent_s, stuck_s)
        return ""

    def _is_idle(self, now: Usage) -> bool:
        assert self._before is not None
        return not now.wants_to_run and now.cpu_s - self._before.cpu_s <= IDLE_SHARE * self.silent_s

    @staticmethod
    def _is_hanging(silent_s: float, is_idle: bool) -> bool:
        return silent_s >= (HANG_S if is_idle else BUSY_S)
