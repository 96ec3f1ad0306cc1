"""Golden rows and the request log as their users run them, on a model that needs no TensorFlow."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unstuck.data.tfrecord import records
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog
from unstuck.testing import onnx_models

UNSTUCK = [sys.executable, "-m", "unstuck"]
PORTS = ["--rest_api_port=auto", "--port=0", "--file_system_poll_wait_seconds=0"]
GOLDEN = "assets.extra/unstuck/golden.jsonl"
TIMEOUT_S = 60


def ended(*command: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def record(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return ended(*UNSTUCK, "record-golden", *arguments)


class Server:
    """``unstuck serve``, ready; what it prints goes to a file."""

    def __init__(self, printed: Path, *arguments: Any) -> None:
        self.printed = printed
        with printed.open("wb") as file:
            command = [*UNSTUCK, "serve", *map(str, arguments), *PORTS]
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        wait_for(lambda: "Ready." in self.output() or self.process.poll() is not None)
        assert self.process.poll() is None, self.output()
        self.port = self.output().partition("http://localhost:")[2].split()[0]

    def output(self) -> str:
        return self.printed.read_text()

    def predict(self, x: Any) -> Any:
        url = f"http://localhost:{self.port}/v1/models/half:predict"
        body = json.dumps({"instances": x}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=TIMEOUT_S) as response:
            return json.load(response)["predictions"]


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """``serve(arguments…)``: a ``Server``."""
    running: list[Server] = []

    def started(*arguments: Any) -> Server:
        running.append(Server(tmp_path / f"printed{len(running)}", *arguments))
        return running[-1]

    yield started
    for server in running:
        server.process.terminate()
        server.process.wait(TIMEOUT_S)


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """y = x / 2 + 2."""
    onnx_models.half_plus_two(tmp_path / "half")
    return tmp_path / "half"


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    file = tmp_path / "requests.jsonl"
    bodies = [{"instances": [[1.0], [2.0]]}, {"inputs": {"x": [[3.0]]}}, {"instances": [["no"]]}]
    file.write_text("\n".join(map(json.dumps, bodies)))
    return file


def test_golden_rows_are_recorded_and_checked_at_each_load(half, requests, serve):
    done = record(half, f"--requests={requests}")
    path = half / "1" / GOLDEN
    assert (done.returncode, done.stdout) == (0, f"Wrote {path}: 3 golden rows.\n")
    assert "1 of 3 requests do not fit and are left out; line 3: " in done.stderr
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"inputs": {"x": [[x]]}, "outputs": {"y": [[x / 2 + 2]]}, "signature_name": "serving_default"}
        for x in (1, 2, 3)
    ]
    server = serve(half)
    assert server.predict([[5.0]]) == [[4.5]]
    assert "golden" not in server.output()

    path.write_text(path.read_text().replace("3.5", "3.75"))
    failed = ended(*UNSTUCK, "serve", half, *PORTS)
    assert failed.returncode == 1
    assert (
        f"unstuck: Model 'half' version 1 cannot be served: 1 of 3 golden rows fail. {path}, line 3: "
        "output 'y'[0, 0]: expected 3.75, got 3.5 (may differ by 0.00039)."
    ) in failed.stderr
    served = serve(half, "--golden_rows=warn")
    assert "version 1 serves all the same: 1 of 3 golden rows fail." in served.output()


def test_the_doctor_knows_the_rows_of_the_model(half, requests):
    record(half, f"--requests={requests}")
    right = ended(*UNSTUCK, "diagnose", f"--model={half}")
    assert "No fault was found." in right.stdout
    path = half / "1" / GOLDEN
    path.write_text(path.read_text().replace('"y":[[', '"y":[[1'))
    wrong = ended(*UNSTUCK, "diagnose", f"--model={half}")
    assert "3 of 3 answers of the model are not the golden ones." in wrong.stdout


def test_rows_that_cannot_catch_a_stuck_model_are_refused(half, requests, tmp_path):
    requests.write_text(json.dumps({"instances": [[1.0], [1.0]]}))
    alike = record(half, f"--requests={requests}")
    assert (alike.returncode, alike.stdout) == (1, "")
    assert "All 2 rows have the same answer, and the requests are all alike: a stuck model gives" in alike.stderr
    assert not (half / "1" / GOLDEN).exists()

    requests.write_text(json.dumps({"instances": [[1e-7], [2e-7]]}))
    forced = record(half, f"--requests={requests}", "--force", f"--output={tmp_path / 'out' / 'rows.jsonl'}")
    assert forced.returncode == 0
    assert "All 2 rows have the same answer" in forced.stderr
    assert (tmp_path / "out" / "rows.jsonl").read_text().count("\n") == 2


def test_what_record_golden_refuses(half, requests, tmp_path):
    record(half, f"--requests={requests}")
    for arguments, says in (
        ([half], "Expected one PATH and --requests=FILE."),
        ([half, f"--requests={requests}"], "is there already. --force overwrites it."),
        ([half, f"--requests={requests}", "--signature=no", "--force"], "has no signature 'no'"),
        ([half, f"--requests={tmp_path / 'none'}", "--force"], "cannot be read"),
        ([tmp_path, f"--requests={requests}"], "version"),
    ):
        done = record(*arguments)
        assert done.returncode == 1
        assert says in done.stderr
        assert done.stderr.startswith("unstuck record-golden: ")
    requests.write_text(json.dumps({"instances": [["no"]]}))
    done = record(half, f"--requests={requests}", "--force")
    assert f"{requests} has no request that fits signature 'serving_default'." in done.stderr


def test_answers_that_are_not_the_same_twice_are_no_golden_rows(tmp_path, requests):
    onnx_models.noise(tmp_path / "noise")
    requests.write_text(json.dumps({"inputs": {"drawn": True, "x": [1.0, 2.0, 3.0]}}))
    done = record(tmp_path / "noise", f"--requests={requests}")
    assert done.returncode == 1
    assert "Asked again, " in done.stderr
    assert not (tmp_path / "noise" / "1" / GOLDEN).exists()


def logged(folder: Path) -> list[PredictionLog]:
    files = sorted(folder.iterdir()) if folder.exists() else []
    return [PredictionLog.FromString(each.data) for file in files for each in records(file)]


def test_a_killed_server_loses_a_second_of_its_log_at_most(half, serve, tmp_path):
    server = serve(half, f"--request_log_file_prefix={tmp_path / 'log' / 'req'}")
    for x in range(20):
        server.predict([[float(x)]])
    time.sleep(1)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(TIMEOUT_S)
    assert len(logged(tmp_path / "log")) == 20
    assert server.process.returncode == -signal.SIGKILL


def test_the_log_is_a_warm_up_file_and_what_diagnose_reads(half, serve, tmp_path):
    server = serve(half, f"--request_log_file_prefix={tmp_path / 'log' / 'req'}", "--request_log_sampling_rate=1")
    for x in range(10):
        server.predict([[float(x)]])
    server.process.terminate()
    server.process.wait(TIMEOUT_S)
    (file,) = (tmp_path / "log").iterdir()
    diagnosed = ended(*UNSTUCK, "diagnose", f"--model={half}", f"--requests={file}")
    assert "constant input" in diagnosed.stdout.partition("Not tested")[0], diagnosed.stderr  # the requests were read
    assert record(half, f"--requests={file}", "--rows=4").stdout.endswith(": 4 golden rows.\n")
    place = half / "1" / "assets.extra" / "tf_serving_warmup_requests"
    place.write_bytes(file.read_bytes())
    assert serve(half, "--num_request_iterations_for_warmup=3").predict([[2.0]]) == [[3.0]]
    place.write_bytes(file.read_bytes()[:-4])
    failed = ended(*UNSTUCK, "serve", half, *PORTS)
    assert failed.returncode == 1
    assert f"Warm-up failed: {place}, record 10: the file ends in it, 4 bytes too early." in failed.stderr
    assert serve(half, "--enable_model_warmup=false").predict([[2.0]]) == [[3.0]]


def test_a_full_disk_hurts_no_call_and_is_said_once(half, serve, tmp_path):
    server = serve(half, f"--request_log_file_prefix={tmp_path / 'log' / 'req'}")
    pid, full = server.process.pid, (4096, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, full)  # what a file may hold, as a disk that is full there
    for x in range(100):
        assert server.predict([[float(x)]]) == [[x / 2 + 2]]
    wait_for(lambda: "cannot be logged" in server.output())
    for x in range(100):
        assert server.predict([[float(x)]]) == [[x / 2 + 2]]
    time.sleep(1)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = len(logged(tmp_path / "log"))
    assert server.predict([[7.0]]) == [[5.5]]
    wait_for(lambda: "are logged again" in server.output())
    assert server.output().count("cannot be logged") == 1
    lost = int(server.output().partition("are logged again; ")[2].split()[0])
    wait_for(lambda: len(logged(tmp_path / "log")) == before + 1)
    assert before + 1 + lost == 201
    assert os.path.getsize(next((tmp_path / "log").iterdir())) <= 4096 + 400
