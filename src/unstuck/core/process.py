"""What the system says of this process: its memory, and what it may use."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

STATM = Path("/proc/self/statm")
CGROUP = Path("/sys/fs/cgroup")  # of version 2, as a container sees its own


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may use; None where there is no limit, or the system does not say."""

    cpus: float | None
    memory_bytes: int | None


def resident_bytes() -> int:
    """The memory that the process occupies; 0 where the system does not say.

    It grows by what a load takes, but also by what else happens meanwhile, and not by what it reuses: approximate.
    """
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def limits() -> Limits:
    """The limits of the container; of CPUs also what the process is bound to."""
    quota, *period = _words("cpu.max")
    cpus = int(quota) / int(period[0]) if quota.isdigit() and period else None
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        bound = len(affinity(0))
        cpus = bound if cpus is None else min(cpus, bound)
    (memory, *_) = _words("memory.max")
    return Limits(cpus, int(memory) if memory.isdigit() else None)


def _words(name: str) -> list[str]:
    try:
        return (CGROUP / name).read_text().split() or [""]
    except OSError:
        return [""]
