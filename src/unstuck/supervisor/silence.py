"""Whether what does not answer is busy, hangs, or is not given a CPU.

Only what does nothing is a hang that can be seen at once: parsing a body of hundreds of megabytes also keeps every
other thread of a process waiting, for seconds, and ends. So what is silent while it computes gets BUSY_S. In a
container with a quota, and beside busy neighbours, honest work may use hardly any CPU time, as it is given none: but
then its thread is seen to want a CPU whenever one looks, and that time is not held against it. Threads that wait for
Python's lock wake up 200 times a second, and are seen to want a CPU now and then: but no one of them each time.
"""

import os
from dataclasses import dataclass
from pathlib import Path

TICK_S = 0.25  # between two beats of a worker, and between two looks at it
HANG_S = 1.5  # of silence and idleness; what is noticed later than that and a tick would not be within 2 s
BUSY_S = 30.0
IDLE_SHARE = 0.05  # of one CPU: threads that only wait wake up now and then
_TICKS_A_SECOND = 100  # of /proc/PID/stat, which is part of Linux' interface


@dataclass(frozen=True, slots=True)
class Usage:
    """What the system says of a process or a thread at a moment.

    Attributes:
        cpu_s: the CPU time that it has used.
        wants_cpu: its threads that run, or would if they were given a CPU.
        awaits_disk: those that wait for a disk, or for memory that is to be read from one.
    """

    cpu_s: float
    wants_cpu: frozenset[int] = frozenset()
    awaits_disk: frozenset[int] = frozenset()


class Silence:
    """One of a process or a thread. Time is counted in looks: a machine may sleep, and who looks may be stopped."""

    def __init__(self, first: Usage, looks: int = 0) -> None:
        """Begins with what is ``first`` seen of it, after so many ``looks`` that it did not answer before."""
        self._first = self._last = first
        self._looks = looks
        self._at_work = first.wants_cpu | first.awaits_disk  # threads that were so at every look
        self._busy_s = 0.0  # without the time for which it wanted a CPU and had none

    def look(self, now: Usage) -> None:
        """Called every TICK_S."""
        used_s = max(now.cpu_s - self._last.cpu_s, 0.0)
        self._looks += 1
        self._at_work &= now.wants_cpu | now.awaits_disk
        self._busy_s += min(used_s, TICK_S) if now.wants_cpu else TICK_S
        self._last = now

    @property
    def for_s(self) -> float:
        return self._looks * TICK_S

    def is_hang(self, patience: float = 1.0) -> bool:
        """Whether it has lasted too long; ``patience`` is how many times as long it may last as usual."""
        return self._busy_s >= BUSY_S * patience or (self.for_s >= HANG_S * patience and self._is_idle())

    def _is_idle(self) -> bool:
        return not self._at_work and self._last.cpu_s - self._first.cpu_s <= IDLE_SHARE * self.for_s


def usage_of_process(pid: int) -> Usage:
    """Of all its threads together. It may be gone: then it is idle."""
    # The loop's thread may wait for one that computes and is not given a CPU, so all of them are asked.
    states = {thread: _stat(Path(f"/proc/{pid}/task/{thread}"))[0] for thread in _threads(pid)}
    _, cpu_s = _stat(Path(f"/proc/{pid}"))  # of threads that have ended, too
    return Usage(cpu_s, _those(states, "R"), _those(states, "D"))


def usage_of_thread(thread: int) -> Usage:
    """Of a thread of this process."""
    state, cpu_s = _stat(Path(f"/proc/self/task/{thread}"))
    return Usage(cpu_s, _those({thread: state}, "R"), _those({thread: state}, "D"))


def _those(states: dict[int, str], state: str) -> frozenset[int]:
    return frozenset(thread for thread, each in states.items() if each == state)


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def _stat(folder: Path) -> tuple[str, float]:
    """The state, and the CPU time in seconds; "" and 0 for what is gone."""
    try:
        # The command's name may have spaces and brackets; nothing after it has.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
