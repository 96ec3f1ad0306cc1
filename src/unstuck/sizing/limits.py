"""The limits of a container, for a child: control groups where they may be written, rlimits otherwise."""

import math
import os
import subprocess
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unstuck.core import cgroups
from unstuck.sizing import held

PERIOD_US = 100_000  # the kernel's and Kubernetes' own
GONE_S = 5.0
TRIAL_S = 10.0
VERSION_2, VERSION_1 = "control groups of version 2", "control groups of version 1"
RLIMITS = "rlimits, as no control group may be written here"


class Limits(Protocol):
    """Of one child at a time.

    Attributes:
        how: what holds the child, in words.
        is_exact: whether memory is held to what it occupies, as a container's is.
    """

    @property
    def how(self) -> str: ...

    @property
    def is_exact(self) -> bool: ...

    def hold(self, cpus: float, memory_bytes: int | None = None, data_bytes: int | None = None) -> list[str]:
        """The beginning of the child's command line.

        Args:
            cpus: that it may use at once, on average.
            memory_bytes: that it may occupy; None for no limit.
            data_bytes: that it may reserve, where what it occupies cannot be limited; None for no limit.
        """
        ...

    def oom_kills(self) -> int:
        """How many processes were killed in it so far because memory ran out."""
        ...


@contextmanager
def limits() -> Generator[Limits]:
    """The most exact ones that can be had here."""
    group = next(_groups(), None)
    if group is None:
        yield Rlimits()
        return
    try:
        yield group
    finally:
        group.remove()


@dataclass(frozen=True, slots=True)
class Group:
    """A control group: one folder in version 2; in version 1 one for memory, and one for the CPU where that may be."""

    how: str
    memory: Path
    cpu: Path | None
    is_exact: bool = True

    def hold(self, cpus: float, memory_bytes: int | None = None, data_bytes: int | None = None) -> list[str]:
        del data_bytes
        quota_us = math.ceil(cpus * PERIOD_US)
        if self.how == VERSION_2:
            _write(self.memory / "memory.max", "max" if memory_bytes is None else memory_bytes)
            _write(self.memory / "cpu.max", f"{quota_us} {PERIOD_US}")
            with suppress(OSError):  # there is no such file where nothing is swapped
                _write(self.memory / "memory.swap.max", 0)
            return held.arguments(groups=[self.memory])
        _write(self.memory / "memory.limit_in_bytes", -1 if memory_bytes is None else memory_bytes)
        with suppress(OSError):
            _write(self.memory / "memory.swappiness", 0)
        if self.cpu is None:
            return held.arguments(groups=[self.memory], cpus=_some_cpus(cpus))
        _write(self.cpu / "cpu.cfs_period_us", PERIOD_US)
        _write(self.cpu / "cpu.cfs_quota_us", quota_us)
        return held.arguments(groups=[self.memory, self.cpu])

    def oom_kills(self) -> int:
        file = "memory.events" if self.how == VERSION_2 else "memory.oom_control"
        return cgroups.table((self.memory / file).read_text()).get("oom_kill", 0)

    def remove(self) -> None:
        """Once its processes have ended: the kernel takes a moment to forget them."""
        for folder in (self.memory, *([self.cpu] if self.cpu else [])):
            until = time.monotonic() + GONE_S
            while folder.is_dir() and time.monotonic() < until:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Rlimits:
    """Whole CPUs, and memory that is reserved for data, touched or not; files that are mapped do not count."""

    how: str = RLIMITS
    is_exact: bool = False

    def hold(self, cpus: float, memory_bytes: int | None = None, data_bytes: int | None = None) -> list[str]:
        del memory_bytes
        return held.arguments(cpus=_some_cpus(cpus), data_bytes=data_bytes)

    def oom_kills(self) -> int:
        return 0


def _groups() -> Iterator[Group]:
    """Groups in which a process has been held, the most exact first."""
    name = f"unstuck-size-{os.getpid()}"
    for parent in cgroups.folders(""):
        yield from _tried(_version_2(parent / name))
    for parent in cgroups.folders("memory"):
        memory = _made(parent / name, "memory.limit_in_bytes")
        cpus = (_made(each / name, "cpu.cfs_quota_us") for each in cgroups.folders("cpu"))
        yield from _tried(Group(VERSION_1, memory, next(filter(None, cpus), None)) if memory else None)


def _version_2(folder: Path) -> Group | None:
    """A group whose memory and CPU can be limited: its parent must hand these down, and may be told to."""
    made = _made(folder, "memory.max", "cpu.max")
    control = folder.parent / "cgroup.subtree_control"
    if made is None and control.is_file():
        with suppress(OSError):
            _write(control, "+memory +cpu")
            made = _made(folder, "memory.max", "cpu.max")
    return Group(VERSION_2, made, None) if made else None


def _made(folder: Path, *files: str) -> Path | None:
    """The folder, if it can be made and has ``files``."""
    with suppress(OSError):
        folder.mkdir()
        if all((folder / file).is_file() for file in files):
            return folder
        folder.rmdir()
    return None


def _tried(group: Group | None) -> Iterator[Group]:
    """The group, if a process can join it."""
    if group is None:
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        command = [*group.hold(1.0), "true"]
        if not subprocess.run(command, capture_output=True, timeout=TRIAL_S, check=False).returncode:
            yield group
            return
    group.remove()


def _some_cpus(cpus: float) -> Sequence[int]:
    """The last of those that this process may use: the first is busiest with other work."""
    return sorted(os.sched_getaffinity(0))[-max(math.ceil(cpus), 1) :]


def _write(file: Path, value: object) -> None:
    file.write_text(str(value))
