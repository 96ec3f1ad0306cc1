"""Processes that are held to limits, as `unstuck size` holds its servers."""

import subprocess
from pathlib import Path

import pytest

from unstuck.sizing import held, limits
from unstuck.sizing.limits import Group

MIB = 1 << 20


def test_a_held_process_reserves_no_more() -> None:
    take = "import sys; x = bytearray(400 << 20); print('had it')"
    free = subprocess.run([*held.arguments(), "python3", "-c", take], capture_output=True, text=True, check=False)
    assert free.stdout == "had it\n", free.stderr
    command = [*held.arguments(data_bytes=200 * MIB), "python3", "-c", take]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "MemoryError" in done.stderr


def test_a_held_process_runs_where_it_may() -> None:
    command = [*held.arguments(cpus=[0]), "python3", "-c", "import os; print(os.sched_getaffinity(0))"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "{0}\n"


def test_a_limit_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    command = [*held.arguments(groups=[tmp_path / "nowhere"]), "true"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_real_groups() -> None:
    """Skipped where none may be written; they kill what takes too much, and leave nothing behind."""
    with limits.limits() as group:
        if not isinstance(group, Group):
            pytest.skip(f"held by {group.how}")
        assert group.memory.is_dir()
        command = [*group.hold(0.5, 100 * MIB), "python3", "-c", "x = bytearray(400 << 20)"]
        assert subprocess.run(command, check=False).returncode == -9
        assert group.oom_kills() == 1
        command = [*group.hold(0.5), "python3", "-c", "x = bytearray(400 << 20)"]
        assert subprocess.run(command, check=False).returncode == 0
    assert not group.memory.exists()
    assert group.cpu is None or not group.cpu.exists()
