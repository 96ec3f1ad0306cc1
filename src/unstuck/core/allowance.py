"""What this process is allowed to use, how much of it is left, and who says so."""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unstuck.core import cgroups
from unstuck.core.cpus import bound_cpus

MemoryCheck = Literal["refuse", "warn", "off"]  # of a version that will not fit

MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
CONTAINER, MACHINE = "the container", "the machine"
KIBIBYTE, MEBIBYTE, GIBIBYTE = 1 << 10, 1 << 20, 1 << 30
FEW_FILES = 1024  # each connection is one
LITTLE_MEMORY = 256 * MEBIBYTE

# By limit, its name, and the line of /proc/self/status that says what of it is used.
_RLIMITS = {resource.RLIMIT_AS: ("RLIMIT_AS", "VmSize"), resource.RLIMIT_DATA: ("RLIMIT_DATA", "VmData")}


@dataclass(frozen=True, slots=True)
class MemoryBound:
    """A limit of memory, and what of it is used, in bytes.

    Attributes:
        owner: whose limit it is: the container's, the machine's, or RLIMIT_AS.
        limit: all of it.
        used: what of it cannot be taken any more; files that the system can drop from its cache are not counted.
        kind: ``cgroup v2`` or ``cgroup v1``, if it is that.
    """

    owner: str
    limit: int
    used: int
    kind: str = ""

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)

    def __str__(self) -> str:
        return f"{size_text(self.left)} left of {self.owner}'s {size_text(self.limit)}" + (
            self.kind and f" ({self.kind})"
        )


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the process may use.

    Attributes:
        memory: each limit of it, the one with the least left first; empty where the system does not say.
        cpus: that it may use at once; None where the system does not say.
        cpus_source: whose limit that is.
        open_files: how many, connections included; None for any number.
    """

    memory: tuple[MemoryBound, ...]
    cpus: float | None
    cpus_source: str
    open_files: int | None

    @property
    def memory_limit(self) -> int | None:
        """The least of the limits of memory, in bytes."""
        return min((each.limit for each in self.memory), default=None)

    @property
    def memory_left(self) -> int | None:
        """How much memory can still be taken, in bytes."""
        return self.memory[0].left if self.memory else None

    def __str__(self) -> str:
        memory = f"memory: {self.memory[0]}" if self.memory else "memory: unknown"
        cpus = f"CPUs: {self.cpus:g} ({self.cpus_source})" if self.cpus is not None else "CPUs: unknown"
        files = "any number" if self.open_files is None else f"{self.open_files:,}"
        return f"{memory}; {cpus}; open files: {files}"

    def warnings(self) -> list[str]:
        """What is so little that it will be noticed."""
        said: list[str] = []
        if self.open_files is not None and self.open_files < FEW_FILES:
            said.append(
                f"Only {self.open_files:,} files may be open at once, and each connection is one: "
                "raise it (ulimit -n, LimitNOFILE, --ulimit nofile)."
            )
        if self.memory and self.memory[0].left < LITTLE_MEMORY:
            said.append(f"Little memory: {self.memory[0]}.")
        return said


def allowance() -> Allowance:
    """As it is now; reads the system's files, which takes up to a millisecond."""
    memory = sorted([*_containers(), *_rlimits(), *_machines()], key=lambda each: each.left)
    cpus, source = min(_cpus(), default=(None, ""))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Allowance(tuple(memory), cpus, source, None if files == resource.RLIM_INFINITY else files)


def size_text(size: int) -> str:
    """``438 MiB``, or ``1.2 GiB``."""
    if size >= GIBIBYTE:
        return f"{size / GIBIBYTE:.1f}".removesuffix(".0") + " GiB"
    return f"{size / MEBIBYTE:.0f} MiB"


def _containers() -> list[MemoryBound]:
    return [MemoryBound(CONTAINER, each.limit, each.used, f"cgroup v{each.version}") for each in cgroups.memories()]


def _rlimits() -> list[MemoryBound]:
    used = _kibibytes(STATUS)
    soft = {kind: resource.getrlimit(kind)[0] for kind in _RLIMITS}
    return [
        MemoryBound(name, soft[kind], used.get(line, 0))
        for kind, (name, line) in _RLIMITS.items()
        if soft[kind] != resource.RLIM_INFINITY
    ]


def _machines() -> list[MemoryBound]:
    said = _kibibytes(MEMINFO)
    if "MemTotal" not in said or "MemAvailable" not in said:
        return []
    return [MemoryBound(MACHINE, said["MemTotal"], said["MemTotal"] - said["MemAvailable"])]


def _cpus() -> list[tuple[float, str]]:
    bound = bound_cpus()
    machines = [] if bound is None else [(float(bound), "that it is bound to")]
    return machines + [(quota, "the container's quota") for quota in cgroups.cpu_quotas()]


def _kibibytes(file: Path) -> dict[str, int]:
    """In bytes, the numbers by name of a file with lines as ``Name: 12 kB``."""
    try:
        lines = [line.split() for line in file.read_text(errors="replace").splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) * KIBIBYTE for line in lines if line[2:] == ["kB"] and line[1].isdigit()}
