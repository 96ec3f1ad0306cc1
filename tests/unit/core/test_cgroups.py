import os
from pathlib import Path

import pytest

from unstuck.core import cgroups, process
from unstuck.core.cgroups import Memory, Pressure, cpu_quotas, memories, memory_pressure, oom_kills, oom_kills_all
from unstuck.core.cpus import cpu_limit, usable_cpus
from unstuck.core.process import Limits, free_bytes, limits

V2 = "0::/app\n"
V1 = "5:memory:/docker/a1\n4:cpu,cpuacct:/docker/a1\n3:cpuset:/docker/a1\n1:name=systemd:/docker/a1\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes the files of /sys/fs/cgroup, and what /proc/self/cgroup says, on a machine of eight CPUs."""

    def write(membership: str, files: dict[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(f"{text}\n")
        if membership:
            (tmp_path / "membership").write_text(membership)
        return tmp_path

    monkeypatch.setattr(cgroups, "MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(process, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return write


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        pytest.param(V2, {}, [], id="nothing is said"),
        pytest.param(V2, {"cpu.max": "max 100000", "app/cpu.max": "150000 100000"}, [1.5], id="v2"),
        pytest.param(V2, {"cpu.max": "50000 100000", "app/cpu.max": "200000 100000"}, [2.0, 0.5], id="v2, a parent's"),
        pytest.param("0::/\n", {"cpu.max": "400000 100000"}, [4.0], id="v2, in a container's namespace"),
        pytest.param("0::/../x\n", {"cpu.max": "400000 100000"}, [4.0], id="v2, out of the namespace"),
        pytest.param("", {"cpu.max": "400000 100000"}, [4.0], id="no /proc"),
        pytest.param(V2, {"app/cpu.max": ""}, [], id="an empty file"),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/docker/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/docker/a1/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/docker/a1/cpu.cfs_period_us": "100000",
            },
            [2.5],
            id="v1",
        ),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
            [3.0],
            id="v1, a container without a namespace",
        ),
        pytest.param("4:cpu:/\n0::/\n", {"unified/cpu.max": "100000 50000"}, [2.0], id="both versions"),
    ],
)
def test_cpu_quotas(membership, files, cpus, system):
    system(membership, files)
    assert list(cpu_quotas()) == cpus


@pytest.mark.parametrize(
    ("files", "limit", "whole"),
    [
        ({}, 8, 8),
        ({"app/cpu.max": "150000 100000"}, 1.5, 2),
        ({"app/cpu.max": "10000 100000"}, 0.1, 1),
        ({"app/cpu.max": "1600000 100000"}, 8, 8),
        ({"app/cpu.max": "300000 100000", "cpu.max": "200000 100000"}, 2, 2),
    ],
)
def test_threads_are_counted_by_the_least_of_quotas_and_binding(files, limit, whole, system):
    system(V2, files)
    assert cpu_limit() == limit
    assert usable_cpus() == whole


def test_memory_of_version_2(system):
    files = {"app/memory.max": "1000", "app/memory.current": "700", "memory.max": "max"}
    folder = system(V2, {**files, "app/memory.stat": "anon 5\ninactive_file 300"})
    (folder / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 2 kB\n")
    assert list(memories()) == [Memory(1000, 400)]
    assert limits() == Limits(8, 1000)
    assert free_bytes() == 600


def test_memory_of_version_1(system):
    files = {"memory/memory.limit_in_bytes": str((1 << 63) - 4096), "memory/docker/a1/memory.limit_in_bytes": "1000"}
    folder = system(V1, {**files, "memory/docker/a1/memory.usage_in_bytes": "2000"})
    (folder / "meminfo").write_text("")
    assert list(memories()) == [Memory(1000, 2000, 1)]
    assert free_bytes() == 0


def test_free_memory_without_limits_is_the_machines(system):
    assert free_bytes() is None
    (system(V2, {}) / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 2 kB\n")
    assert free_bytes() == 2048


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        pytest.param(V2, {"app/memory.events": "low 0\noom 4\noom_kill 3", "memory.events": "oom_kill 9"}, id="v2"),
        pytest.param(
            V1,
            {"memory/docker/a1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3"},
            id="v1",
        ),
    ],
)
def test_how_many_were_killed_for_memory(membership, files, system):
    assert oom_kills() == 0
    system(membership, files)
    assert oom_kills() == 3


@pytest.mark.parametrize(
    ("membership", "prefix", "files"),
    [
        (V2, "", {"app/memory.max": "1000", "app/memory.current": "900"}),
        (
            V1,
            "total_",
            {"memory/docker/a1/memory.limit_in_bytes": "1000", "memory/docker/a1/memory.usage_in_bytes": "900"},
        ),
    ],
    ids=["v2", "v1"],
)
def test_files_can_be_dropped_but_for_a_part_of_those_that_are_mapped(membership, prefix, files, system):
    folder = next(iter(files)).rpartition("/")[0]
    mapped = "file_mapped" if membership == V2 else "total_mapped_file"
    stat = f"{prefix}inactive_file 200\n{prefix}active_file 300\n{mapped} 400"
    system(membership, {**files, f"{folder}/memory.stat": stat})
    (memory,) = memories()
    assert (memory.limit, memory.used) == (1000, 900 - 500 + 100)


STALLS = "some avg10=12.50 avg60=1.00 avg300=0.10 total=123\nfull avg10=3.25 avg60=0.00 avg300=0.00 total=7"


@pytest.mark.parametrize(
    ("membership", "files", "pressure"),
    [
        pytest.param(V2, {"app/memory.pressure": STALLS}, Pressure(12.5, 3.25), id="v2"),
        pytest.param(V1, {"../pressure": STALLS}, Pressure(12.5, 3.25), id="v1, the machine's"),
        pytest.param(V2, {"app/memory.pressure": STALLS.splitlines()[0]}, Pressure(12.5, 0.0), id="without full"),
        pytest.param(V2, {"app/memory.pressure": "nonsense"}, None, id="nonsense"),
        pytest.param(V2, {}, None, id="nothing is said"),
    ],
)
def test_memory_pressure(membership, files, pressure, system, tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "MACHINES_PRESSURE", tmp_path / "pressure")
    (tmp_path / "cgroup").mkdir()
    system(membership, files)
    assert memory_pressure() == pressure


@pytest.mark.parametrize(
    ("files", "all_die"),
    [
        ({}, False),
        ({"app/memory.oom.group": "0"}, False),
        ({"app/memory.oom.group": "1"}, True),
        ({"app/memory.oom.group": "0", "memory.oom.group": "1"}, True),
    ],
)
def test_whether_one_that_is_killed_takes_the_others_with_it(files, all_die, system):
    system(V2, files)
    assert oom_kills_all() is all_die
