import os

import pytest

from unstuck.core import process
from unstuck.core.process import Limits, limits, resident_bytes


def test_resident_memory_grows_with_what_is_held():
    before = resident_bytes()
    held = b"x" * (64 << 20)
    assert resident_bytes() - before > 32 << 20
    del held


@pytest.mark.parametrize("statm", ["", "12", "a b c"])
def test_resident_memory_is_zero_where_the_system_does_not_say(statm, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "STATM", tmp_path / "statm")
    assert resident_bytes() == 0
    (tmp_path / "statm").write_text(statm)
    assert resident_bytes() == 0


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, Limits(8, None)),
        ({"cpu.max": "max 100000", "memory.max": "max"}, Limits(8, None)),
        ({"cpu.max": "150000 100000", "memory.max": "1073741824"}, Limits(1.5, 1 << 30)),
        ({"cpu.max": "1600000 100000"}, Limits(8, None)),
        ({"cpu.max": "", "memory.max": ""}, Limits(8, None)),
    ],
)
def test_limits(files, found, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert limits() == found
