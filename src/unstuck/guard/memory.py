"""Whether memory is so short that new work would bring the kernel to kill the process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from unstuck.core.cgroups import Memory

MOST_USED, ENOUGH_FREE = 0.95, 0.90  # of a control group's limit: short from the first on, until below the second
STALLED, FLUENT = 20.0, 10.0  # percent of the last ten seconds that tasks waited for memory, the same way
MEBIBYTE = 1 << 20


@dataclass(slots=True)
class MemoryWatch:
    """Says why memory is short, if it is; not thread-safe.

    Attributes:
        memories: the control groups that hold this process.
        stalled: PSI's ``some avg10`` of memory, in percent; None where the system does not say.
        shortage: why memory is short, in words; empty where it is not.
    """

    memories: Callable[[], Iterable[Memory]]
    stalled: Callable[[], float | None]
    shortage: str = ""

    def look(self) -> None:
        """Reads both; once memory is short, it is until it is clearly not."""
        most_used, most_stalled = (ENOUGH_FREE, FLUENT) if self.shortage else (MOST_USED, STALLED)
        self.shortage = self._near_limit(most_used) or self._waits(most_stalled)

    def _near_limit(self, most_used: float) -> str:
        for each in self.memories():
            if each.used >= most_used * each.limit:
                return f"{each.used / MEBIBYTE:,.0f} of the container's {each.limit / MEBIBYTE:,.0f} MiB are used"
        return ""

    def _waits(self, most: float) -> str:
        percent = self.stalled() or 0.0
        return f"tasks waited for memory in {percent:.0f}% of the last 10 s" if percent >= most else ""
