"""Where limits come from, on folders like those of control groups."""

from pathlib import Path

import pytest

from unstuck.core import cgroups
from unstuck.sizing import held, limits
from unstuck.sizing.limits import RLIMITS, VERSION_1, VERSION_2, Group, Rlimits

MIB = 1 << 20


def written(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_version_2(tmp_path: Path) -> None:
    group = Group(VERSION_2, tmp_path, None)
    assert group.hold(0.5, 300 * MIB) == held.arguments(groups=[tmp_path])
    assert written(tmp_path) == {
        "memory.max": str(300 * MIB),
        "cpu.max": "50000 100000",
        "memory.swap.max": "0",
    }
    group.hold(2.0)
    assert (written(tmp_path)["memory.max"], written(tmp_path)["cpu.max"]) == ("max", "200000 100000")
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2


def test_version_1(tmp_path: Path) -> None:
    memory, cpu = tmp_path / "memory", tmp_path / "cpu"
    memory.mkdir()
    cpu.mkdir()
    group = Group(VERSION_1, memory, cpu)
    assert group.hold(0.25, 300 * MIB) == held.arguments(groups=[memory, cpu])
    assert written(memory)["memory.limit_in_bytes"] == str(300 * MIB)
    assert written(cpu) == {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"}
    group.hold(1.0)
    assert written(memory)["memory.limit_in_bytes"] == "-1"
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert group.oom_kills() == 1


def test_version_1_without_a_group_for_the_cpu_takes_whole_ones(tmp_path: Path) -> None:
    command = Group(VERSION_1, tmp_path, None).hold(0.25)
    assert sum(each.startswith("--cpus=") for each in command) == 1


def test_rlimits_hold_what_is_reserved() -> None:
    command = Rlimits().hold(1.0, memory_bytes=300 * MIB, data_bytes=900 * MIB)
    assert f"--data={900 * MIB}" in command
    assert not any(str(300 * MIB) in each for each in command)
    assert (Rlimits().how, Rlimits().is_exact, Rlimits().oom_kills()) == (RLIMITS, False, 0)


def test_where_no_group_can_be_made_there_are_rlimits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no folder")
    monkeypatch.setattr(cgroups, "folders", lambda controller: [tmp_path / "plain" / controller])
    with limits.limits() as found:
        assert isinstance(found, Rlimits)


def test_a_folder_without_the_controllers_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cgroups, "folders", lambda controller: [tmp_path])
    with limits.limits() as found:
        assert isinstance(found, Rlimits)
    assert not list(tmp_path.iterdir())
