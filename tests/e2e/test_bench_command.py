"""``unstuck bench`` as its users run it: a process that measures a server, or starts one and stops it again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unstuck.testing import models as exports

BENCH = [sys.executable, "-m", "unstuck", "bench"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUICK = ("--duration=1", "--warmup=0.3")
TIMEOUT_S = 120

pytestmark = pytest.mark.slow


def bench(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "mlp"
    exports.mlp(folder)
    return folder


@pytest.fixture(scope="module")
def running(serve: Any, model: Path) -> Any:
    return serve({"mlp": model})


@pytest.fixture(params=["rest", "grpc"])
def url(request: pytest.FixtureRequest, running: Any) -> str:
    if request.param == "rest":
        return f"{running.url}/v1/models/mlp"
    return f"grpc://{running.grpc_address}/mlp/versions/1"


def test_a_served_model(url: str) -> None:
    done = bench(url, "--concurrency=2,8", "--format=json", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(done.stdout)
    for level in results["levels"]:
        assert level["answered"] == level["calls"] > 50
        assert 0 < level["latency_ms"]["p50"] <= level["latency_ms"]["p99"] <= level["latency_ms"]["max"]
        assert 0 < level["server"]["cpu_ms_per_answer"] < 100
        assert level["server"]["memory_bytes"] > 50 << 20
        assert 0 < level["generator"]["cpu"] < 1.2
    assert results["notes"] == []
    assert done.stderr == ""


def test_it_looks_for_the_highest_rate(running: Any) -> None:
    done = bench(f"{running.url}/v1/models/mlp", "--target-p99=1000", "--duration=0.4", "--warmup=0.1", "--format=json")
    results = json.loads(done.stdout)
    assert done.returncode == (0 if results["fine"] else 1), done.stderr
    assert [level["load"] for level in results["levels"]][:2] == ["closed", "open"]
    met = [level["rate"] for level in results["levels"][1:] if level["meets_target"]]
    assert results["highest_rate"] == max(met)
    assert f"{max(met):,.4g} requests/s keep the 99th percentile within 1000 ms".lower() in results["verdict"].lower()


def test_requests_of_a_file(url: str, tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    rows = np.random.default_rng(0).random((5, 64)).round(3).tolist()
    bad = {"instances": [[1.0, 2.0]]}
    bodies = [*({"instances": [row]} for row in rows), *([bad] if url.startswith("http") else [])]
    file.write_text("\n".join(map(json.dumps, bodies)))
    done = bench(url, f"--requests={file}", "--concurrency=2", "--format=json", *QUICK)
    (level,) = json.loads(done.stdout)["levels"]
    if url.startswith("http"):
        assert done.returncode == 1
        assert level["errors"].keys() == {"HTTP 400"}
        assert level["failed"] == pytest.approx(level["calls"] / 6, rel=0.2)
        assert "2" in level["messages"]["HTTP 400"]
    else:
        assert (done.returncode, level["failed"]) == (0, 0)


def test_a_model_on_disk_is_served_meanwhile(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = bench(model, "--api=grpc", "--concurrency=1,4", "--format=html", f"--output={page}", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"The report is in {page}.\n"
    text = page.read_text()
    assert text.count("<svg") == 4
    assert "grpc://127.0.0.1:" in text


def test_a_model_that_cannot_be_served(tmp_path: Path) -> None:
    done = bench(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("unstuck bench: unstuck serve did not start: unstuck serve: ")
    assert "no version folders" in done.stderr


def test_ctrl_c_reports_and_leaves_no_server_behind(model: Path) -> None:
    command = [*BENCH, str(model), "--concurrency=3", "--duration=60", "--warmup=0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child = _child(process.pid)
    _until_called(child, connections=3)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "3 at a time" in out
    assert "It was interrupted" in out
    assert not Path(f"/proc/{child}").exists()


def _child(pid: int) -> int:
    """The one child of a process, once it has it."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(found[0])
        time.sleep(0.05)
    raise AssertionError("it started no server")


def _until_called(pid: int, connections: int) -> None:
    """Until the server ``pid`` has so many connections."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        established = {f"socket:[{line.split()[9]}]" for line in lines if line.split()[3] == "01"}
        own = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()}
        if len(established & own) >= connections:
            return
        time.sleep(0.05)
    raise AssertionError("nothing connects to the server")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_shows(url: str, tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    done = bench(url, "--concurrency=1,4", "--format=html", f"--output={page}", *QUICK)
    assert done.returncode == 0, done.stderr
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=900,2000", f"--screenshot={picture}"),
        page.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert not [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    blue = (pixels[:, 2] > 150) & (pixels[:, 0] < 120) & (pixels[:, 1] < 160)
    orange = (pixels[:, 0] > 200) & (pixels[:, 1] > 120) & (pixels[:, 2] < 100)
    assert blue.sum() > 300  # a line a load
    assert orange.sum() > 300
