"""Processes with the limits of a container, in control groups of their own, where the machine lets us make some.

    with in_cgroup(memory_bytes=600 << 20, cpus=0.5) as group:
        process = subprocess.Popen(group.command([sys.executable, "-m", "unstuck", "serve", ...]))
        ...
        group.set_memory(900 << 20)

Where none can be made, the test is skipped and says so; ``limited`` takes RLIMIT_DATA for the memory then.
"""

import itertools
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MOUNT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
EMPTY_WITHIN_S = 20.0

_numbers = itertools.count()
_JOIN = 'for group in $GROUPS_TO_JOIN; do echo $$ > "$group/cgroup.procs" || exit 99; done; exec "$@"'


class Group:
    """The folders of one new control group: one in version 2, one for each controller in version 1."""

    def __init__(self, version: int, folders: dict[str, Path]) -> None:
        self.version = version
        self.folders = folders

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """``command``, run in the group with everything that it starts; its pid is that of the process started."""
        joined = " ".join(str(each) for each in dict.fromkeys(self.folders.values()))
        return ["/bin/sh", "-c", _JOIN.replace("$GROUPS_TO_JOIN", joined), "sh", *map(str, command)]

    def set_memory(self, limit: int) -> None:
        """Its memory limit in bytes, swap included, from now on."""
        folder = self.folders["memory"]
        if self.version == 2:
            (folder / "memory.max").write_text(str(limit))
            if (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")
        else:
            (folder / "memory.limit_in_bytes").write_text(str(limit))

    def set_cpus(self, cpus: float) -> None:
        """The CPUs that it may use at once, on average, from now on."""
        folder, quota = self.folders["cpu"], round(cpus * PERIOD_US)
        if self.version == 2:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))

    def used(self) -> int:
        """The memory charged to it, in bytes, with the files that it has in the system's cache."""
        name = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        return int((self.folders["memory"] / name).read_text())

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because of its memory limit."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        lines = (self.folders["memory"] / name).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def pids(self) -> list[int]:
        """The processes that are in it."""
        return sorted(
            {int(pid) for each in self.folders.values() for pid in (each / "cgroup.procs").read_text().split()}
        )

    def remove(self) -> None:
        """Kills what is left in it."""
        end = time.monotonic() + EMPTY_WITHIN_S
        while (pids := self.pids()) and time.monotonic() < end:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for folder in dict.fromkeys(self.folders.values()):
            folder.rmdir()


class RlimitGroup:
    """In the place of a group: RLIMIT_DATA, for each process by itself, as it starts."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes

    def command(self, command: Sequence[str | Path]) -> list[str]:
        return ["prlimit", f"--data={self._memory_bytes}", "--", *map(str, command)]


@contextmanager
def in_cgroup(memory_bytes: int | None = None, cpus: float | None = None) -> Iterator[Group]:
    """A new control group with these limits, which is emptied and removed at the end; skips where none can be made."""
    wanted = {"memory": memory_bytes, "cpu": cpus}
    group = _new_group([name for name, value in wanted.items() if value is not None])
    if group is None:
        pytest.skip("no control group with these limits can be made here: neither version's is writable")
    try:
        if memory_bytes is not None:
            group.set_memory(memory_bytes)
        if cpus is not None:
            group.set_cpus(cpus)
        yield group
    finally:
        group.remove()


@contextmanager
def limited(memory_bytes: int) -> Iterator[Group | RlimitGroup]:
    """A group with this limit, or RLIMIT_DATA; skips where neither can be had."""
    if _new_group_is_possible():
        with in_cgroup(memory_bytes) as group:
            yield group
    elif shutil.which("prlimit"):
        yield RlimitGroup(memory_bytes)
    else:
        pytest.skip("no control group can be made here, and there is no prlimit command")


def _new_group_is_possible() -> bool:
    group = _new_group(["memory"])
    if group is None:
        return False
    group.remove()
    return True


def _new_group(controllers: Sequence[str]) -> Group | None:
    name = f"unstuck-test-{os.getpid()}-{next(_numbers)}"
    folders = {each: folder for each in controllers if (folder := _new_folder(each, name))}
    if len(folders) == len(controllers):
        return Group(1, folders)
    for folder in folders.values():
        folder.rmdir()
    folder = _new_folder("", name, [f"{each}.max" for each in controllers])
    return Group(2, dict.fromkeys(controllers, folder)) if folder else None


def _new_folder(controller: str, name: str, needed: Sequence[str] = ()) -> Path | None:
    """A group below this process's, or beside it or one above it, the nearest that may be made and has ``needed``."""
    for parent in _parents(controller):
        folder = parent / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if all(os.access(folder / each, os.W_OK) for each in ("cgroup.procs", *needed)):
            return folder
        folder.rmdir()
    return None


def _parents(controller: str) -> Iterator[Path]:
    lines = Path("/proc/self/cgroup").read_text().splitlines() if Path("/proc/self/cgroup").exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            for root in (MOUNT / controllers, MOUNT / controller) if controller else (MOUNT, MOUNT / "unified"):
                own = root / path.strip("/")
                yield from (each for each in (own, *own.parents) if each.is_relative_to(root) and each.is_dir())
