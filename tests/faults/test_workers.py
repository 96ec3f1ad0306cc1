"""``unstuck serve --workers=2``: processes that die, hang and stop while others are called; changes; metrics."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import text_format
from served_workers import NOTICED_S, TIMEOUT_S, Traffic, Workers, get, until_ended
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

from unstuck.testing import faulty_models, models, onnx_models

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
    faulty_models.slow(tmp_path / "slow", busy_s=5.0)
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
    faulty_models.slow(tmp_path / "slow", busy_s=60.0)
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
