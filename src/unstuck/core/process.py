"""What the system says of this process: its memory, and what it may use."""

import resource
from dataclasses import dataclass
from pathlib import Path

from unstuck.core import cgroups
from unstuck.core.cpus import cpu_limit

STATM = Path("/proc/self/statm")
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may use; None where there is no limit, or the system does not say."""

    cpus: float | None
    memory_bytes: int | None


def resident_bytes(pid: int | None = None) -> int:
    """The memory that this process, or ``pid``, occupies; 0 where the system does not say.

    It grows by what a load takes, but also by what else happens meanwhile, and not by what it reuses: approximate.
    """
    try:
        file = STATM if pid is None else Path(f"/proc/{pid}/statm")
        return int(file.read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def limits() -> Limits:
    """The limits of the container; of CPUs also what the process is bound to."""
    return Limits(cpu_limit(), min((each.limit for each in cgroups.memories()), default=None))


def free_bytes() -> int | None:
    """The memory that can still be taken: the machine's, or its container's where that is less; None if unknown."""
    return min((*_machines(), *(max(each.limit - each.used, 0) for each in cgroups.memories())), default=None)


def _machines() -> tuple[int, ...]:
    try:
        lines = [line.split() for line in MEMINFO.read_text().splitlines()]
        return tuple(int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:")
    except (OSError, ValueError, IndexError):
        return ()
