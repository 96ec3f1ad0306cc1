"""The flags of metrics, logs and traces on a server's command line."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from unstuck.testing import models as exports

START_S, STOP_S = 90, 60
THEIR_CONFIG = 'prometheus_config: {\n  enable: true,\n  path: "/monitoring/prometheus/metrics"\n}\n'
PORTS = ("--rest_api_port=auto", "--port=auto", "--host=127.0.0.1")


class Process:
    """A server that runs until the block ends; what it printed is in ``out`` and ``err`` afterwards, too."""

    def __init__(self, folder, *arguments, command=(sys.executable, "-m", "unstuck", "serve")):
        self._files = folder / "stdout", folder / "stderr"
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.process = subprocess.Popen([*command, *map(str, arguments), *PORTS], stdout=out, stderr=err)

    def __enter__(self):
        end = time.monotonic() + START_S
        while "Ready." not in self.out + self.err:
            assert self.process.poll() is None, self.out + self.err
            assert time.monotonic() < end, self.out + self.err
            time.sleep(0.05)
        self.url = re.search(r"REST +(http://[\d.:]+)", self.out + self.err)[1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_S) == 0

    @property
    def out(self):
        return self._files[0].read_text()

    @property
    def err(self):
        return self._files[1].read_text()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m"
    exports.half_plus_two(path)
    return path


def test_tensorflow_servings_own_configuration(tmp_path, model):
    file = tmp_path / "monitoring_config.txt"
    file.write_text(THEIR_CONFIG)
    command = [Path(sys.executable).parent / "tensorflow_model_server"]
    arguments = ["--model_name=m", f"--model_base_path={model}", f"--monitoring_config_file={file}"]
    with Process(tmp_path, *arguments, "--enable_metrics=false", command=command) as server:
        assert httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [1.0]}).status_code == 200
        page = httpx.get(f"{server.url}/monitoring/prometheus/metrics").text
        assert '\n:tensorflow:serving:request_count{model_name="m",status="OK"} 1.0\n' in page
        assert httpx.get(f"{server.url}/metrics").status_code == 404


def test_as_json_all_that_it_says_is_one_object_a_line(tmp_path, model):
    with Process(tmp_path, model, "--log_format=json", "--log_requests=errors") as server:
        assert httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [1.0]}).status_code == 200
        failed = httpx.post(
            f"{server.url}/v1/models/m:predict", content=b"\n{", headers={"x-request-id": "mine", "accept": "*/*"}
        )
        assert (failed.status_code, failed.headers["x-request-id"]) == (400, "mine")
    assert server.out == ""
    lines = [json.loads(line) for line in server.err.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    messages = [line["message"] for line in lines if line["logger"] == "unstuck.console"]
    assert messages[0].startswith("Unstuck ")
    assert messages[-1] == "Stopped."
    (call,) = [line for line in lines if line["logger"] == "unstuck.requests"]
    assert (call["request_id"], call["code"], call["model"], call["api"]) == ("mine", "INVALID_ARGUMENT", "m", "rest")
    assert call["ms"] >= 0


def test_as_json_an_error_at_the_start_is_an_object_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "unstuck", "serve", tmp_path / "none", "--log_format=json", *PORTS],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["level"] == "ERROR"
    assert "none" in line["message"]


def test_all_calls_and_a_collector_that_is_not_there(tmp_path, model):
    """No call may suffer from where its trace cannot go."""
    with Process(tmp_path, model, "--log_requests=all", "--otel_endpoint=http://127.0.0.1:9") as server:
        for _ in range(3):
            assert httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [1.0]}).status_code == 200
    lines = [line for line in server.err.splitlines() if line.startswith("INFO unstuck.requests: call ")]
    assert len(lines) == 3
    assert all(" code=OK " in line and " run_ms=" in line for line in lines)
