"""``unstuck size`` as its users run it: real servers, held to real limits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from unstuck.bench.run import Question
from unstuck.cli.bench_progress import Silence
from unstuck.sizing import deciding, measuring
from unstuck.sizing.limits import Group, Limits, limits
from unstuck.sizing.measuring import Asked
from unstuck.testing import faulty_models, models, onnx_models

SIZE = [sys.executable, "-m", "unstuck", "size"]
QUICK = ("--duration=0.3", "--warmup=0.1", "--p99=5000")
TIMEOUT_S = 280
MIB = 1 << 20


def size(*arguments: Any) -> tuple[int, Any, str]:
    """The exit status, the report, and what was said besides."""
    command = [*SIZE, *map(str, arguments), "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def check(report: Any, folder: Path) -> None:
    """What holds whatever the machine does meanwhile."""
    needs, measured, last = report["needs"], report["measured"], report["trials"][-1]
    assert report["proven"], report["verdict"]
    assert measured["highest_rate"] > 0
    assert measured["peak_memory_bytes"] * deciding.HEADROOM <= needs["memory_bytes"]
    assert 0 < last["peak_memory_bytes"] <= needs["memory_bytes"]
    assert (last["failed"], last["oom_kills"], last["needs"]) == (0, 0, needs)
    deployment, _, _ = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    assert deployment["spec"]["replicas"] == needs["replicas"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == f"{needs['memory_bytes'] // MIB}Mi"


@pytest.mark.slow
def test_a_small_model(tmp_path: Path) -> None:
    onnx_models.half_plus_two(tmp_path / "halved")
    status, report, said = size(tmp_path / "halved", "--rate=20", *QUICK, f"--write={tmp_path / 'out'}")
    assert status == 0, report["verdict"]
    assert said.count("Written: ") == 4
    assert report["needs"]["rate"] * report["needs"]["replicas"] == pytest.approx(20)
    check(report, tmp_path / "out")
    assert not list(Path("/sys/fs/cgroup").glob("**/unstuck-size-*"))


@pytest.mark.slow
def test_a_saved_model_in_several_processes(tmp_path: Path) -> None:
    models.mlp(tmp_path / "mlp")
    arguments = ("--workers=2", "--cpus=2", "--api=grpc", "--rate=50", *QUICK, f"--write={tmp_path / 'out'}")
    status, report, _ = size(tmp_path / "mlp", *arguments)
    assert status == 0, report["verdict"]
    assert (report["needs"]["workers"], report["needs"]["cpus"]) == (2, 2.0)
    check(report, tmp_path / "out")
    compose = yaml.safe_load((tmp_path / "out" / "docker-compose.yaml").read_text())
    assert "--workers=2" in compose["services"]["mlp"]["entrypoint"]


@pytest.mark.slow
def test_a_model_that_cannot_be_served(tmp_path: Path) -> None:
    done = subprocess.run([*SIZE, tmp_path], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unstuck size: unstuck serve did not start: " in done.stderr


@pytest.mark.slow
def test_a_target_that_nothing_meets(tmp_path: Path) -> None:
    faulty_models.slow(tmp_path / "slow", busy_s=0.1)
    command = [*SIZE, tmp_path / "slow", "--p99=20", "--duration=0.3", "--warmup=0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No rate that was tried keeps the 99th percentile within 20 ms." in done.stderr
    assert "Allow more with --p99=MS" in done.stderr


@pytest.fixture
def held() -> Iterator[Limits]:
    with limits() as found:
        if not isinstance(found, Group):
            pytest.skip(f"held by {found.how}: memory is not limited to what is occupied")
        yield found


@pytest.mark.slow
def test_too_little_memory_is_noticed_and_more_is_given(held: Limits, tmp_path: Path) -> None:
    models.half_plus_two(tmp_path / "model")
    question = Question("", (), target_p99_s=5.0, duration_s=0.3, warmup_s=0.1)
    runs = measuring._Runs(Asked(str(tmp_path / "model"), question, rate=5.0, cpus=1.0), held, Silence())
    measured, _ = runs.search(0)
    needs = deciding.needs(measured, 5.0)
    starved = runs.attempt(replace(needs, memory_bytes=measured.peak_bytes // 3), measured)
    assert starved.lacks_memory
    assert not starved.passed
    assert deciding.more(starved, 1.0).memory_bytes > starved.needs.memory_bytes
    assert runs.attempt(needs, measured).passed


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    models.half_plus_two(tmp_path / "model")
    command = [*SIZE, tmp_path / "model", "--duration=60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = None
    while child is None or not _listens(child):
        child = next(iter(children.read_text().split()), None)
        assert process.poll() is None
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert not Path(f"/proc/{child}").exists()
    assert not list(Path("/sys/fs/cgroup").glob("**/unstuck-size-*"))


def _listens(pid: str) -> bool:
    """Whether it has become the server, and that has sockets open."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
        links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return "held" not in command and any(link.startswith("socket:") for link in links)
