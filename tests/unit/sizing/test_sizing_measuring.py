"""How servers are begun to be measured; tests/e2e/test_size_command.py has real ones."""

import os

import pytest
from made_up_sizing import sizing

from unstuck.sizing import measuring


def test_a_pipelines_file_is_for_both_copies() -> None:
    flags = ["--engine=auto", "--pipeline_file=/a/p.yaml", "--pipeline_file=model=/b/q.yaml"]
    assert measuring._of_both(flags) == [
        "--engine=auto",
        "--pipeline_file=model=/a/p.yaml",
        "--pipeline_file=second=/a/p.yaml",
        "--pipeline_file=model=/b/q.yaml",
        "--pipeline_file=second=/b/q.yaml",
    ]


def test_other_work_on_the_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.3, 9.0, 9.0))
    assert measuring._other_work() == []
    monkeypatch.setattr(os, "getloadavg", lambda: (4.25, 0.0, 0.0))
    (said,) = measuring._other_work()
    assert "load 4.2 on 2 CPUs" in said


def test_the_last_trial_is_the_result() -> None:
    found = sizing()
    assert found.needs is found.trials[-1].needs
    assert found.is_proven
