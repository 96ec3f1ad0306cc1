"""``unstuck serve --workers=2``: processes that die, hang and stop while others are called; changes; metrics."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

from unstuck import Client
from unstuck.testing import models, onnx_models

TIMEOUT_S = 90
NOTICED_S = 2.0


def get(url: str) -> httpx.Response:
    """Over a connection of its own; without reading the system's certificates, which takes longer than the answer."""
    return httpx.get(url, timeout=TIMEOUT_S, verify=False)


class Workers:
    """``unstuck serve --workers=N`` as its users run it."""

    def __init__(self, folder: Path, *arguments: Any, workers: int = 2) -> None:
        self.out, self.err = folder / "stdout", folder / "stderr"
        flags = ["--rest_api_port=auto", "--port=auto", "--host=127.0.0.1"]
        command = [sys.executable, "-m", "unstuck", "serve", *map(str, arguments), f"--workers={workers}", *flags]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        self._workers = workers
        self.until(lambda: "Ready." in self.out.read_text())
        self.url = re.findall(r"REST +(http://\S+)", self.out.read_text())[0]
        self.address = re.findall(r"gRPC +(\S+:\d+)", self.out.read_text())[0]
        self.until(self.all_serve)

    def until(self, wanted: Callable[[], Any]) -> float:
        """Waits until ``wanted``; returns how long that took."""
        began = time.monotonic()
        while not wanted():
            assert self.process.poll() is None, f"it ended early:\n{self.said}"
            assert time.monotonic() < began + TIMEOUT_S, f"it did not come about in time:\n{self.said}"
            time.sleep(0.02)
        return time.monotonic() - began

    @property
    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def status(self) -> Any:
        while True:
            try:
                return get(f"{self.url}/statusz").json()
            except httpx.TransportError:  # of the worker that was just killed
                continue

    def workers(self) -> list[Any]:
        return self.status()["server"]["workers"]

    def all_serve(self) -> bool:
        return [each["state"] for each in self.workers()] == ["serving"] * self._workers

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)


Serve = Callable[..., Workers]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    running: list[Workers] = []

    def start(*arguments: Any, **options: Any) -> Workers:
        running.append(Workers(tmp_path_factory.mktemp("run"), *arguments, **options))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop()


@pytest.fixture(scope="module")
def light(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Workers:
    """Of an engine that is imported fast."""
    path = tmp_path_factory.mktemp("models") / "m"
    onnx_models.half_plus_two(path)
    return serve(path)


@pytest.fixture(scope="module")
def half_plus_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "m"
    models.half_plus_two(path)
    return path


class Traffic:
    """Clients of ours that call all the time, in a block; ``outcomes`` counts right answers, wrong ones and errors."""

    def __init__(self, workers: Workers) -> None:
        addresses = [workers.url, workers.url, workers.url, f"grpc://{workers.address}", f"grpc://{workers.address}"]
        self.outcomes: Counter[str] = Counter()
        self.longest_s = 0.0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=[address], daemon=True) for address in addresses]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _call(self, address: str) -> None:
        with Client(address, model="m", timeout_s=20) as client:
            x = 0.0
            while not self._done.is_set():
                x, began = x + 1, time.monotonic()
                try:
                    y = float(client.predict([[x]])["y"][0, 0])
                    self.outcomes["right" if y == x / 2 + 2 else f"{y} for {x}"] += 1
                except Exception as error:  # noqa: BLE001 - it is what must not happen
                    self.outcomes[f"{type(error).__name__}: {error}"] += 1
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                time.sleep(0.002)


def until_ended(pid: int) -> float:
    """Waits until a process has ended, whoever is to bury it; returns how long that took."""
    began = time.monotonic()
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and ") Z " not in stat.read_text():
        assert time.monotonic() < began + 20
        time.sleep(0.01)
    return time.monotonic() - began


def kill_under_load(workers: Workers, number: int) -> None:
    before = workers.workers()
    with Traffic(workers) as traffic:
        time.sleep(1)
        os.kill(before[1]["pid"], number)
        down_s = workers.until(lambda: not workers.all_serve())
        time.sleep(0.5)
        workers.until(workers.all_serve)
        time.sleep(1)
    after = workers.workers()
    assert set(traffic.outcomes) == {"right"}, traffic.outcomes
    assert traffic.outcomes["right"] > 100
    assert down_s < NOTICED_S + 0.25, "and what it takes to ask"
    assert after[0]["pid"] == before[0]["pid"]
    assert after[1]["pid"] != before[1]["pid"]
    assert after[1]["restarts"] == before[1]["restarts"] + 1
    assert get(f"{workers.url}/readyz").status_code == 200


def test_a_killed_worker_is_replaced_while_the_other_serves_and_no_client_of_ours_notices(light):
    kill_under_load(light, signal.SIGKILL)
    assert "was killed by SIGKILL (by somebody, or by the system as memory ran out" in light.workers()[1]["died"]


def calls(workers: Workers) -> float:
    """How many the metrics count, of the REST API."""
    page = get(f"{workers.url}/metrics").text
    ours = re.findall(r'^unstuck_requests_total\{api="rest",code="OK",method="Predict".* (\S+)$', page, re.M)
    return sum(map(float, ours))


def test_the_metrics_of_all_workers_are_on_one_page(light):
    before = calls(light)
    for _ in range(30):  # a connection each, so that both are called
        httpx.post(f"{light.url}/v1/models/m:predict", json={"instances": [[1.0]]}, timeout=TIMEOUT_S, verify=False)
    assert {calls(light) for _ in range(5)} == {before + 30}, "whichever is asked"
    page = get(f"{light.url}/metrics").text
    assert page.count("\nunstuck_worker_up{") == 2
    assert re.search(r'^process_resident_memory_bytes\{worker="2"\} ', page, re.M)


@pytest.mark.slow
def test_what_was_counted_outlives_whoever_counted_it(light):
    before = calls(light)
    os.kill(light.workers()[0]["pid"], signal.SIGKILL)
    light.until(lambda: not light.all_serve())
    assert calls(light) == before
    light.until(light.all_serve)
    assert calls(light) == before


def test_the_status_says_what_workers_take_and_share(light):
    server = light.status()["server"]
    assert server["pid"] == light.process.pid
    for worker in server["workers"]:
        assert worker["memory_bytes"] > worker["shared_bytes"] > 0
    done = subprocess.run(
        [sys.executable, "-m", "unstuck", "status", light.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^1 +\d+ +serving .* MiB", done.stdout, re.M)


def reload(workers: Workers, *configs: str) -> Any:
    request = ReloadConfigRequest()
    for config in configs:
        text_format.Parse(config, request.config.model_config_list.config.add())
    with grpc.insecure_channel(workers.address) as channel:
        return ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=TIMEOUT_S)


def knows(workers: Workers, path: str) -> set[int]:
    """The statuses of many looks at a model, over connections of their own: so by both workers."""
    return {get(f"{workers.url}/v1/models/{path}/metadata").status_code for _ in range(20)}


def config(name: str, path: Any, more: str = "") -> str:
    return f'name: "{name}" base_path: "{path}" model_platform: "onnx" {more}'


def test_a_reload_is_in_force_in_all_workers_before_it_is_answered(light, tmp_path):
    onnx_models.half_plus_two(tmp_path / "n")
    path = light.status()["models"]["m"]["base_path"]
    reload(light, config("m", path), config("n", tmp_path / "n"))
    assert knows(light, "n") == {200}
    reload(light, config("m", path))
    assert knows(light, "n") == {404}


def test_a_reload_that_fails_fails_as_that_of_one_process(light, tmp_path):
    path = light.status()["models"]["m"]["base_path"]
    with pytest.raises(grpc.RpcError, match=r"1 model.s. did not become available: 'gone'"):
        reload(light, config("m", path), config("gone", tmp_path / "gone"))
    with pytest.raises(grpc.RpcError, match="The label 'stable' cannot be given to version 7 of model 'm'"):
        reload(light, config("m", path, 'version_labels { key: "stable" value: 7 }'))
    assert knows(light, "m") == {200}


@pytest.mark.slow
def test_a_worker_that_comes_later_has_the_labels_that_are_in_force(light):
    path = light.status()["models"]["m"]["base_path"]
    reload(light, config("m", path, 'version_labels { key: "stable" value: 1 }'))
    os.kill(light.workers()[0]["pid"], signal.SIGKILL)
    light.until(lambda: not light.all_serve())
    light.until(light.all_serve)
    assert knows(light, "m/labels/stable") == {200}


@pytest.mark.slow
def test_a_stopped_worker_is_noticed_and_replaced(light):
    pid = light.workers()[0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert until_ended(pid) < NOTICED_S + 0.25
    light.until(light.all_serve)
    assert "did not answer for 1.5 s, and was killed" in light.workers()[0]["died"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_tensorflow_that_dies_is_replaced(serve, half_plus_two, number):
    workers = serve(half_plus_two)
    kill_under_load(workers, number)
    if number == signal.SIGSEGV:
        assert any("Segmentation fault" in line for line in workers.workers()[1]["last_words"])
    assert workers.stop() == 0


@pytest.mark.slow
def test_calls_in_flight_are_finished_when_it_stops(serve, tmp_path):
    models.slow(tmp_path / "slow", busy_s=5.0)
    workers = serve(tmp_path / "slow")
    answers: list[Any] = []

    def call() -> None:
        url = f"{workers.url}/v1/models/slow:predict"
        answers.append(httpx.post(url, json={"instances": [1.0]}, timeout=TIMEOUT_S).json())

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    workers.until(lambda: 'unstuck_requests_in_flight{api="rest"} 6.0' in get(f"{workers.url}/metrics").text)
    assert workers.stop() == 0
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert answers == [{"predictions": [2.5]}] * 6
    assert workers.said.count("Stopping: ") == workers.said.count("Stopped.") == 1


@pytest.mark.slow
def test_ctrl_c_twice_ends_it_at_once(serve, tmp_path):
    models.slow(tmp_path / "slow", busy_s=60.0)
    workers = serve(tmp_path / "slow", workers=1)
    (worker,) = workers.workers()

    def call() -> None:
        with pytest.raises(httpx.HTTPError):
            httpx.post(f"{workers.url}/v1/models/slow:predict", json={"instances": [1.0]}, timeout=TIMEOUT_S)

    calling = threading.Thread(target=call)
    calling.start()
    workers.until(lambda: 'unstuck_requests_in_flight{api="rest"} 1.0' in get(f"{workers.url}/metrics").text)
    os.killpg(workers.process.pid, signal.SIGINT)
    time.sleep(1)
    assert workers.process.poll() is None
    os.killpg(workers.process.pid, signal.SIGINT)
    assert workers.process.wait(10) == 130
    calling.join(TIMEOUT_S)
    until_ended(worker["pid"])


@pytest.mark.slow
def test_workers_end_with_their_supervisor(serve, half_plus_two):
    workers = serve(half_plus_two)
    pids = [each["pid"] for each in workers.workers()]
    workers.process.kill()
    workers.process.wait()
    for pid in pids:
        until_ended(pid)


@pytest.mark.slow
def test_a_model_config_file_that_changes_changes_all(serve, tmp_path, half_plus_two):
    file = tmp_path / "models.config"
    text = 'model_config_list {{ config {{ name: "{}" base_path: "{}" model_platform: "tensorflow" }} }}'
    file.write_text(text.format("a", half_plus_two))
    workers = serve(f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1")
    file.write_text(text.format("b", half_plus_two))
    workers.until(lambda: "is in force" in workers.said)
    assert knows(workers, "b") == {200}
    assert knows(workers, "a") == {404}
    file.write_text("nonsense")
    workers.until(lambda: "The configuration stays as it was" in workers.said)
    assert knows(workers, "b") == {200}
