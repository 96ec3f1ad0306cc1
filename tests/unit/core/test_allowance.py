import os
import resource

import pytest

from unstuck.core import allowance as module
from unstuck.core import cgroups
from unstuck.core.allowance import Allowance, MemoryBound, allowance, size_text

MEBIBYTE = 1 << 20
MEMINFO = "MemTotal: 4096 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\nHugePages_Total: 0\n"
STATUS = "Name:\tpython\nVmSize:\t  2048 kB\nVmData:\t  512 kB\nThreads:\t3\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes the system's files on a machine of eight CPUs, with resource limits by kind."""

    def write(files=None, membership="0::/app\n", meminfo=MEMINFO, **limits):
        for name, text in (files or {}).items():
            (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(f"{text}\n")
        (tmp_path / "membership").write_text(membership)
        (tmp_path / "meminfo").write_text(meminfo)
        (tmp_path / "status").write_text(STATUS)
        known = {getattr(resource, name): value for name, value in limits.items()}
        monkeypatch.setattr(
            resource, "getrlimit", lambda kind: (known.get(kind, resource.RLIM_INFINITY), resource.RLIM_INFINITY)
        )

    monkeypatch.setattr(cgroups, "MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(module, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(module, "STATUS", tmp_path / "status")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return write


def test_without_limits_it_is_the_machines(system):
    system()
    assert allowance() == Allowance(
        (MemoryBound("the machine", 4096 << 10, 3072 << 10),), 8, "that it is bound to", None
    )
    assert (allowance().memory_limit, allowance().memory_left) == (4096 << 10, 1024 << 10)


def test_the_container_s_limits_of_version_2(system):
    system({"app/memory.max": "1048576", "app/memory.current": "600000", "app/cpu.max": "150000 100000"})
    allowed = allowance()
    assert allowed.memory[0] == MemoryBound("the container", 1048576, 600000, "cgroup v2")
    assert [each.owner for each in allowed.memory] == ["the container", "the machine"]
    assert (allowed.memory_limit, allowed.memory_left) == (1048576, 448576)
    assert (allowed.cpus, allowed.cpus_source) == (1.5, "the container's quota")


def test_the_container_s_limits_of_version_1(system):
    files = {
        "memory/memory.limit_in_bytes": "2097152",
        "memory/memory.usage_in_bytes": "2000000",
        "cpu/cpu.cfs_quota_us": "1600000",
        "cpu/cpu.cfs_period_us": "100000",
    }
    system(files, "4:memory:/docker/a1\n3:cpu:/docker/a1\n")
    allowed = allowance()
    assert allowed.memory[0] == MemoryBound("the container", 2097152, 2000000, "cgroup v1")
    assert (allowed.cpus, allowed.cpus_source) == (8, "that it is bound to"), "which is less than the quota of 16"


def test_resource_limits_count_what_they_count(system):
    system(RLIMIT_AS=3 << 20, RLIMIT_DATA=1 << 20, RLIMIT_NOFILE=256)
    allowed = allowance()
    assert allowed.memory[0] == MemoryBound("RLIMIT_DATA", 1 << 20, 512 << 10)
    assert MemoryBound("RLIMIT_AS", 3 << 20, 2048 << 10) in allowed.memory
    assert allowed.memory_limit == 1 << 20
    assert allowed.open_files == 256


def test_a_system_that_says_nothing(system):
    system(meminfo="")
    assert (allowance().memory, allowance().memory_limit, allowance().memory_left) == ((), None, None)
    assert str(allowance()).startswith("memory: unknown; CPUs: 8 (")


def test_in_words(system):
    system({"app/memory.max": str(1 << 30), "app/memory.current": str(586 << 20)}, meminfo="", RLIMIT_NOFILE=1024)
    assert str(allowance()) == (
        "memory: 438 MiB left of the container's 1 GiB (cgroup v2); CPUs: 8 (that it is bound to); open files: 1,024"
    )
    assert allowance().warnings() == []


def test_what_there_is_little_of(system):
    system({"app/memory.max": str(1 << 30), "app/memory.current": str(1000 << 20)}, RLIMIT_NOFILE=1023)
    files, memory = allowance().warnings()
    assert files.startswith("Only 1,023 files may be open at once")
    assert memory.startswith("Little memory: ")


def test_this_machine_has_memory_and_cpus():
    allowed = allowance()
    assert allowed.memory_left
    assert 0 < allowed.memory_left <= (allowed.memory_limit or 0)
    assert allowed.cpus


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 MiB"), (438 * MEBIBYTE, "438 MiB"), (1 << 30, "1 GiB"), (1288490188, "1.2 GiB"), (24 << 30, "24 GiB")],
)
def test_sizes_in_words(size, text):
    assert size_text(size) == text
