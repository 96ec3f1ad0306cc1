"""Reads a cgroup's folder, of version 2 or 1; what its files do not say stays unknown."""

from collections.abc import Mapping
from pathlib import Path

from unstuck.core.cgroups import UNLIMITED, cpus_of, number, table
from unstuck.doctor.evidence.server_state import Cgroup
from unstuck.errors import SetupError

_V2 = ("memory.max", "memory.events", "memory.peak", "memory.current", "cpu.max")
_V1 = ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt", "cpu.cfs_quota_us")


def read_cgroup(folder: Path) -> Cgroup:
    """The limits and events in ``folder``, or in its controllers' folders below it.

    Raises:
        SetupError: it is no folder, or has none of a cgroup's files.
    """
    try:
        places = [folder, *sorted(each for each in folder.iterdir() if each.is_dir())]
    except OSError as error:
        raise SetupError(f"The cgroup folder {folder} cannot be read: {error.strerror or error}.") from None
    files: dict[str, str] = {}
    for place in places:
        for file in (*place.glob("memory.*"), *place.glob("cpu.*")):
            if file.name not in files and file.is_file() and (text := _text(file)) is not None:
                files[file.name] = text
    if any(name in files for name in _V1):
        return _version_1(files)
    if any(name in files for name in _V2):
        return _version_2(files)
    raise SetupError(
        f"{folder} is no cgroup folder: it has none of {', '.join(_V2)} (version 2) or {', '.join(_V1)} (version 1).",
        hint="Copy the container's /sys/fs/cgroup.",
    )


def _version_2(files: Mapping[str, str]) -> Cgroup:
    events = table(files.get("memory.events", files.get("memory.events.local", "")))
    scheduling = table(files.get("cpu.stat", ""))
    quota = files.get("cpu.max", "").split()
    return Cgroup(
        version=2,
        memory_limit=number(files.get("memory.max")),
        memory_now=number(files.get("memory.current")),
        memory_peak=number(files.get("memory.peak")),
        limit_hits=events.get("max", 0),
        ooms=events.get("oom", 0),
        oom_kills=max(events.get("oom_kill", 0), events.get("oom_group_kill", 0)),
        cpus=cpus_of(number(quota[0]), number(quota[1])) if len(quota) == 2 else None,
        periods=scheduling.get("nr_periods", 0),
        throttled_periods=scheduling.get("nr_throttled", 0),
        throttled_s=scheduling.get("throttled_usec", 0) / 1e6,
    )


def _version_1(files: Mapping[str, str]) -> Cgroup:
    control = table(files.get("memory.oom_control", ""))
    scheduling = table(files.get("cpu.stat", ""))
    limit = number(files.get("memory.limit_in_bytes"))
    return Cgroup(
        version=1,
        memory_limit=None if limit is None or limit >= UNLIMITED else limit,
        memory_now=number(files.get("memory.usage_in_bytes")),
        memory_peak=number(files.get("memory.max_usage_in_bytes")),
        limit_hits=number(files.get("memory.failcnt")) or 0,
        ooms=control.get("under_oom", 0),
        oom_kills=control.get("oom_kill", 0),
        cpus=cpus_of(number(files.get("cpu.cfs_quota_us")), number(files.get("cpu.cfs_period_us"))),
        periods=scheduling.get("nr_periods", 0),
        throttled_periods=scheduling.get("nr_throttled", 0),
        throttled_s=scheduling.get("throttled_time", 0) / 1e9,
    )


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return None
