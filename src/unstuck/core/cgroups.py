"""What the control groups of this process allow it, of version 2 and 1, in a container or out of it.

A group is held by the limits of all groups above it. In a container without a namespace of its own for them, the
folder that the process is told to be in does not exist; those above it do, down from the container's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60  # version 1 writes a page-aligned number near 2^63 for no limit


@dataclass(frozen=True, slots=True)
class Memory:
    """One group's limit and what of it is used, in bytes; what the system can drop at once is not counted as used."""

    limit: int
    used: int


def cpu_quotas() -> Iterator[float]:
    """The CPUs that each group which has a quota may use at once, on average."""
    for folder in _folders(""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        yield from _known(cpus_of(number(quota), number(period)))
    for folder in _folders("cpu"):
        files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        yield from _known(cpus_of(*(number(_text(file)) for file in files)))


def memories() -> Iterator[Memory]:
    """The memory of each group that has a limit."""
    for folder in _folders(""):
        yield from _memory(folder, "memory.max", "memory.current", "inactive_file")
    for folder in _folders("memory"):
        yield from _memory(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


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


def _folders(controller: str) -> Iterator[Path]:
    """This process's group and those above it: version 1's of ``controller``, or version 2's if that is empty."""
    for line in _text(MEMBERSHIP).splitlines() or ["0::/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            names = (controllers, controller) if controller else (".", "unified")
            for root in dict.fromkeys(MOUNT / name for name in names):
                group = root / path.strip("/")
                yield from (each for each in (group, *group.parents) if each.is_relative_to(root) and each.is_dir())


def _memory(folder: Path, limit_file: str, used_file: str, dropped: str) -> Iterator[Memory]:
    limit, used = number(_text(folder / limit_file)), number(_text(folder / used_file))
    if limit is not None and limit < UNLIMITED:
        kept = (used or 0) - table(_text(folder / "memory.stat")).get(dropped, 0)
        yield Memory(limit, max(kept, 0))


def _known(cpus: float | None) -> tuple[float, ...]:
    return () if cpus is None else (cpus,)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
