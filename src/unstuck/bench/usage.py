"""CPU time and memory of the server's processes, where they are on this machine and Linux tells."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"
_UTIME, _STIME = 11, 12  # of /proc/PID/stat, after the name


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a measured time.

    Attributes:
        cpu_s: CPU time spent in it.
        memory_bytes: resident at its end; what several processes have of the same files is counted once.
        peak_bytes: the most that ever was resident, likewise.
    """

    cpu_s: float
    memory_bytes: int
    peak_bytes: int


class Meter:
    """Reads the CPU time and memory of a process from now on, and of those that it has started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._began_s = _cpu_s(pid)

    def read(self) -> Usage | None:
        """None where the process has ended, or cannot be looked at."""
        now_s = _cpu_s(self.pid)
        if now_s is None or self._began_s is None:
            return None
        sizes = [_sizes(pid) for pid in family(self.pid)]
        return Usage(now_s - self._began_s, _together("VmRSS", sizes), _together("VmHWM", sizes))


def family(pid: int) -> list[int]:
    """The process and those that it, or one of them, has started and that still run."""
    found = [pid]
    for each in found:
        for children in (_PROC / str(each) / "task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it ended
    return found


def reserved_bytes(pid: int) -> int:
    """What the largest of the family has reserved for data, most of which it may never touch."""
    return max(_sizes(each).get("VmData", 0) for each in family(pid))


def listening(port: int) -> int | None:
    """The process of this machine that listens on the TCP ``port``; None where none can be seen."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not sockets:
        return None
    for process in _PROC.iterdir():
        if process.name.isdigit() and any(link in sockets for link in _open_files(process)):
            return int(process.name)
    return None


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for file in (process / "fd").iterdir():
            yield os.readlink(file)
    except OSError:
        return  # it ended, or is another user's


def _together(name: str, sizes: list[dict[str, int]]) -> int:
    """The sum of a size, but of what is mapped from files only the largest."""
    files = [each.get("RssFile", 0) + each.get("RssShmem", 0) for each in sizes]
    return sum(each.get(name, 0) for each in sizes) - sum(files) + max(files, default=0)


def _cpu_s(pid: int) -> float | None:
    """Of the whole family; None where ``pid`` has ended."""
    own = _own_cpu_s(pid)
    return None if own is None else own + sum(_own_cpu_s(each) or 0.0 for each in family(pid)[1:])


def _own_cpu_s(pid: int) -> float | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def _sizes(pid: int) -> dict[str, int]:
    """Memory in bytes, by the names of /proc/PID/status."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    return {
        name: int(size.split()[0]) << 10 for name, _, size in (line.partition(":") for line in lines) if "kB" in size
    }
