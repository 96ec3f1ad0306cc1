"""Cgroup folders as the kernel shows them for a container: version 2, and version 1 flat or by controller."""

from collections.abc import Mapping
from pathlib import Path

MIB = 1024 * 1024
NO_LIMIT_V1 = 9223372036854771712  # what an unlimited memory.limit_in_bytes reads, in pages of 4 KiB


def v2(
    folder: Path,
    *,
    limit: int | None = None,
    peak: int = 180 * MIB,
    events: Mapping[str, int] | None = None,
    cpu_quota: float | None = None,
    periods: int = 0,
    throttled: int = 0,
) -> Path:
    """The unified hierarchy's files.

    Args:
        folder: is made.
        limit: memory.max in bytes; None for "max".
        peak: the most memory ever used.
        events: counts for memory.events beside zeros.
        cpu_quota: how many CPUs the container may use; None for as many as there are.
        periods: scheduling periods of 100 ms under the quota.
        throttled: those of them in which the container had to wait.
    """
    counts = {"low": 0, "high": 0, "max": 0, "oom": 0, "oom_kill": 0, "oom_group_kill": 0, **(events or {})}
    busy = periods * 100_000 * (cpu_quota or 0.2)
    times = {"usage_usec": busy, "user_usec": busy * 0.9, "system_usec": busy * 0.1}
    scheduling = {"nr_periods": periods, "nr_throttled": throttled, "throttled_usec": throttled * 71_312}
    return _write(
        folder,
        {
            "memory.max": "max" if limit is None else limit,
            "memory.high": "max",
            "memory.current": int(peak * 0.93),
            "memory.peak": peak,
            "memory.swap.max": 0,
            "memory.events": _table(counts),
            "cpu.max": "max 100000" if cpu_quota is None else f"{int(cpu_quota * 100_000)} 100000",
            "cpu.stat": _table({**times, **scheduling, "nr_bursts": 0, "burst_usec": 0}),
            "pids.max": "max",
            "cgroup.controllers": "cpuset cpu io memory pids",
        },
    )


def v1(
    folder: Path,
    *,
    limit: int = NO_LIMIT_V1,
    peak: int = 180 * MIB,
    failures: int = 0,
    kills: int = 0,
    cpu_quota: float | None = None,
    periods: int = 0,
    throttled: int = 0,
    by_controller: bool = False,
) -> Path:
    """The files of version 1's memory and cpu controllers.

    Args:
        folder: is made.
        limit: memory.limit_in_bytes.
        peak: memory.max_usage_in_bytes.
        failures: memory.failcnt, how often an allocation met the limit.
        kills: the processes that the kernel killed.
        cpu_quota: as for version 2; so are ``periods`` and ``throttled``.
        periods: see there.
        throttled: see there.
        by_controller: ``memory/`` and ``cpu,cpuacct/`` below the folder, as a container sees /sys/fs/cgroup.
    """
    memory = {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": int(peak * 0.93),
        "memory.max_usage_in_bytes": peak,
        "memory.failcnt": failures,
        "memory.oom_control": _table({"oom_kill_disable": 0, "under_oom": 0, "oom_kill": kills}),
    }
    cpu = {
        "cpu.cfs_period_us": 100_000,
        "cpu.cfs_quota_us": -1 if cpu_quota is None else int(cpu_quota * 100_000),
        "cpu.shares": 1024,
        "cpu.stat": _table(
            {"nr_periods": periods, "nr_throttled": throttled, "throttled_time": throttled * 71_312_000}
        ),
    }
    _write(folder / "memory" if by_controller else folder, memory)
    _write(folder / "cpu,cpuacct" if by_controller else folder, cpu)
    return folder


def _table(numbers: Mapping[str, float]) -> str:
    return "\n".join(f"{name} {int(value)}" for name, value in numbers.items())


def _write(folder: Path, files: Mapping[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return folder
