"""What the control groups of this process allow it, of version 2 and 1, in a container or out of it.

A group is held by the limits of all groups above it. In a container without a namespace of its own for them, the
folder that the process is told to be in does not exist; those above it do, down from the container's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MACHINES_PRESSURE = Path("/proc/pressure/memory")
MAPPED_AND_NEEDED = 0.25
UNLIMITED = 1 << 60  # version 1 writes a page-aligned number near 2^63 for no limit


@dataclass(frozen=True, slots=True)
class Memory:
    """One group's limit and what of it is used, in bytes; what the system can drop at once is not counted as used."""

    limit: int
    used: int
    version: int = 2


@dataclass(frozen=True, slots=True)
class Pressure:
    """The percentages of the last ten seconds in which some, or all, that wanted to run waited for memory (PSI)."""

    some: float
    full: float


def cpu_quotas() -> Iterator[float]:
    """The CPUs that each group which has a quota may use at once, on average."""
    for folder in folders(""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        yield from _known(cpus_of(number(quota), number(period)))
    for folder in folders("cpu"):
        files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        yield from _known(cpus_of(*(number(_text(file)) for file in files)))


def memories() -> Iterator[Memory]:
    """The memory of each group that has a limit."""
    for folder in folders(""):
        yield from _memory(2, folder, "memory.max", "memory.current", "")
    for folder in folders("memory"):
        yield from _memory(1, folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def memory_pressure() -> Pressure | None:
    """Of this process's own group in version 2, otherwise of the machine; None where the system does not say."""
    files = (*(folder / "memory.pressure" for folder in folders("")), MACHINES_PRESSURE)
    return next((pressure for file in files if (pressure := _pressure(_text(file)))), None)


def oom_kills() -> int:
    """How many processes of this process's own group were ever killed for memory; 0 where the system does not say."""
    files = [folder / "memory.events" for folder in folders("")]
    files += [folder / "memory.oom_control" for folder in folders("memory")]
    counts = (table(_text(file)).get("oom_kill") for file in files)
    return next((count for count in counts if count is not None), 0)


def oom_kills_all() -> bool:
    """Whether the system kills all of this process's group where it kills one of it for memory; version 2 alone may."""
    return any(number(_text(folder / "memory.oom.group")) for folder in folders(""))


def cpus_of(quota: int | None, period: int | None) -> float | None:
    """The CPUs of a quota of microseconds in each period; None for no quota, which version 1 writes as -1."""
    return quota / period if quota is not None and quota > 0 and period else None


def number(text: str | None) -> int | None:
    """The number that a file says; None for ``max``, or where it is empty."""
    try:
        return int((text or "").strip())
    except ValueError:
        return None


def table(text: str) -> dict[str, int]:
    """The numbers by name that a file with a line for each says."""
    pairs = [line.split() for line in text.splitlines()]
    return {pair[0]: value for pair in pairs if len(pair) == 2 and (value := number(pair[1])) is not None}


def folders(controller: str) -> Iterator[Path]:
    """This process's group and those above it: version 1's of ``controller``, or version 2's if that is empty."""
    for line in _text(MEMBERSHIP).splitlines() or ["0::/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            names = (controllers, controller) if controller else (".", "unified")
            for root in dict.fromkeys(MOUNT / name for name in names):
                group = root / path.strip("/")
                yield from (each for each in (group, *group.parents) if each.is_relative_to(root) and each.is_dir())


def _memory(version: int, folder: Path, limit_file: str, used_file: str, prefix: str) -> Iterator[Memory]:
    limit, used = number(_text(folder / limit_file)), number(_text(folder / used_file))
    if limit is not None and limit < UNLIMITED:
        kept = (used or 0) - _droppable(table(_text(folder / "memory.stat")), prefix)
        yield Memory(limit, max(kept, 0), version)


def _droppable(stat: dict[str, int], prefix: str) -> int:
    """The files in the system's cache, but for a part of those that are mapped: code that runs is read again at once.

    A framework maps far more code than calls need: TensorFlow serves with less than a quarter of it in memory.
    """
    inactive, active = (stat.get(f"{prefix}{name}_file", 0) for name in ("inactive", "active"))
    mapped = stat.get("file_mapped", 0) or stat.get(f"{prefix}mapped_file", 0)
    return max(inactive + active - round(mapped * MAPPED_AND_NEEDED), 0)


def _pressure(text: str) -> Pressure | None:
    """Of lines as ``some avg10=0.12 avg60=0.00 avg300=0.00 total=3``."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        kind, *values = line.split()
        for value in values:
            name, _, share = value.partition("=")
            if name == "avg10":
                found[kind] = float(share)
    return Pressure(found["some"], found.get("full", 0.0)) if "some" in found else None


def _known(cpus: float | None) -> tuple[float, ...]:
    return () if cpus is None else (cpus,)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
