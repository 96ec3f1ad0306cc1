"""Models that break under load: nobody is given their answers, others are unhurt, and they come back right."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from test_workers import Workers, get
from traffic import TIMEOUT_S, until

from unstuck.proto.tensors import fill
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse
from unstuck.testing import faulty_models
from unstuck.testing.background import Background

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GOLDEN = "assets.extra/unstuck/golden.jsonl"
X = 3.0
RIGHT = X / 2 + 2


class Traffic(Background):
    """Threads that call ``m`` and ``other`` all the time, in a block.

    Attributes:
        heard: by model, of each call when it began and ended, and what was answered: a number, or a status.
    """

    def __init__(self, url: str, address: str) -> None:
        self.heard: dict[str, list[tuple[float, float, Any]]] = {"m": [], "other": []}
        self._url, self._address = httpx.URL(url), address
        work = [(self._rest, "m"), (self._rest, "m"), (self._grpc, "m"), (self._rest, "other"), (self._grpc, "other")]
        super().__init__(*(partial(each, name) for each, name in work))

    def count(self, name: str, since: float = 0.0) -> Counter[Any]:
        """What calls that began after ``since`` were answered."""
        return Counter(answer for began, _, answer in list(self.heard[name]) if began > since)

    def latest(self, name: str = "m") -> Any:
        return self.heard[name][-1][2] if self.heard[name] else None

    def refused_at(self) -> float:
        """When the first call was told of a quarantine; 0 as long as none was."""
        return min((ended for _, ended, answer in list(self.heard["m"]) if answer == "UNAVAILABLE"), default=0.0)

    def _rest(self, name: str) -> None:
        connection = http.client.HTTPConnection(self._url.host, self._url.port or 0, timeout=TIMEOUT_S)

        def call() -> Any:
            connection.request("POST", f"/v1/models/{name}:predict", json.dumps({"instances": [X]}))
            response = connection.getresponse()
            text = response.read()
            if response.status == 503 and b"quarantine" in text:
                return "UNAVAILABLE"
            return json.loads(text)["predictions"][0] if response.status == 200 else text.decode()

        self._repeat(name, call)
        connection.close()

    def _grpc(self, name: str) -> None:
        request = PredictRequest()
        request.model_spec.name = name
        fill(request.inputs["x"], np.array([X], np.float32), as_content=False)
        payload = request.SerializeToString()
        with grpc.insecure_channel(self._address) as channel:
            predict = channel.unary_unary(PREDICT, response_deserializer=PredictResponse.FromString)

            def call() -> Any:
                try:
                    return predict(payload, timeout=TIMEOUT_S).outputs["y"].float_val[0]
                except grpc.RpcError as error:
                    said: Any = error
                    return said.code().name if "quarantine" in said.details() else said.details()

            self._repeat(name, call)

    def _repeat(self, name: str, call: Callable[[], Any]) -> None:
        while not self.done.is_set():
            began = time.monotonic()
            answer = call()
            self.heard[name].append((began, time.monotonic(), answer))
            time.sleep(0.001)  # leaves the server a part of a small machine


def golden(version: Path) -> None:
    (version / GOLDEN).parent.mkdir(parents=True)
    rows = [{"inputs": {"x": [x]}, "outputs": {"y": [x / 2 + 2]}} for x in (1.0, 2.0)]
    (version / GOLDEN).write_text("\n".join(map(json.dumps, rows)))


def set_weight(url: str, weight: float) -> None:
    """The answer says that it is set, unless traffic has had the version condemned before that was sent."""
    body = json.dumps({"signature_name": "set_weight", "inputs": {"weight": weight}})
    answer = httpx.post(f"{url}/v1/models/m:predict", content=body, timeout=TIMEOUT_S, verify=False)
    assert answer.status_code == 200 or (answer.status_code == 503 and "quarantine" in answer.text), answer.text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    golden(faulty_models.breakable(folder / "golden"))
    faulty_models.breakable(folder / "plain")
    return folder


@pytest.mark.parametrize("kind", ["golden", "plain"])
def test_not_one_nan_of_a_model_that_broke_is_given_out(serve, folder, kind):
    server = serve({"m": folder / kind, "other": folder / "plain"}, allow_unsafe_ops=True)
    with Traffic(server.url, server.grpc_address) as traffic:
        until(lambda: traffic.count("m")[RIGHT] > 20 and traffic.count("other")[RIGHT] > 20)
        for _ in range(2):
            broken_at = time.monotonic()
            set_weight(server.url, float("nan"))
            until(lambda: traffic.count("m", broken_at)["UNAVAILABLE"])  # noqa: B023 - called at once
            unready = get(f"{server.url}/readyz").status_code == 503
            until(lambda: traffic.latest() == RIGHT)
            until(lambda: get(f"{server.url}/readyz").status_code == 200)
            assert unready or traffic.refused_at(), "it may be back before one can ask"
    assert set(traffic.count("m")) == {RIGHT, "UNAVAILABLE"}, traffic.count("m")
    assert set(traffic.count("other")) == {RIGHT}


def test_after_a_canary_has_failed_no_wrong_answer_is_given_out(serve, folder):
    server = serve({"m": folder / "golden", "other": folder / "plain"}, canary_interval_s=0.2, allow_unsafe_ops=True)
    with Traffic(server.url, server.grpc_address) as traffic:
        until(lambda: traffic.count("m")[RIGHT] > 20)
        set_weight(server.url, 1.5)
        until(traffic.refused_at)
        until(lambda: traffic.latest() == RIGHT)
        until(lambda: traffic.count("m", traffic.refused_at())[RIGHT] > 20)
    wrong = X * 1.5 + 2
    assert set(traffic.count("m")) == {RIGHT, wrong, "UNAVAILABLE"}
    assert wrong not in traffic.count("m", traffic.refused_at())
    assert set(traffic.count("other")) == {RIGHT}


# Several processes


def answers(workers: Workers) -> set[int]:
    """The statuses of many calls over connections of their own: so by both workers."""
    url = f"{workers.url}/v1/models/m:predict"
    return {httpx.post(url, json={"instances": [X]}, timeout=TIMEOUT_S, verify=False).status_code for _ in range(20)}


def quarantine(workers: Workers, *arguments: str) -> None:
    command = [sys.executable, "-m", "unstuck", "quarantine", workers.url, "m", "--version=1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_an_operators_quarantine_is_in_force_in_all_workers_and_in_those_that_come_later(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    faulty_models.breakable(folder / "m")
    workers = Workers(folder, folder / "m", "--allow_unsafe_ops")
    try:
        assert answers(workers) == {200}
        quarantine(workers, "--reason=it drifts")
        assert answers(workers) == {503}
        assert workers.status()["models"]["m"]["versions"]["1"]["quarantined"]["why"] == "it drifts"
        os.kill(workers.workers()[1]["pid"], signal.SIGKILL)
        workers.until(lambda: not workers.all_serve())
        workers.until(workers.all_serve)
        assert answers(workers) == {503}
        quarantine(workers, "--release")
        workers.until(lambda: answers(workers) == {200})
        page = get(f"{workers.url}/metrics").text
        assert 'unstuck_quarantined{model="m",version="1"} 0.0' in page
    finally:
        workers.stop()


@pytest.mark.slow
def test_a_copy_that_breaks_in_one_worker_is_healed_there(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    golden(faulty_models.breakable(folder / "m"))
    workers = Workers(folder, folder / "m", "--canary_interval_s=0.2", "--allow_unsafe_ops")
    try:
        for weight in (float("nan"), 1.5):
            set_weight(workers.url, weight)
            statuses: Counter[Any] = Counter()

            def healed(statuses: Counter[Any] = statuses) -> bool:
                url = f"{workers.url}/v1/models/m:predict"
                answer = httpx.post(url, json={"instances": [X]}, timeout=TIMEOUT_S, verify=False)
                statuses[answer.json().get("predictions", [answer.status_code])[0]] += 1
                return statuses[503] > 0

            workers.until(healed)
            assert statuses["NaN"] == 0
            workers.until(lambda: answers(workers) == {200})
        assert [each["restarts"] for each in workers.workers()] == [0, 0]
    finally:
        workers.stop()
