"""Constant calls to one model over REST and gRPC, and which version answered each; models that say their version."""

import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np

from unstuck.proto.tensors import fill
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse

MODEL = "m"
X = 2.0
PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_S = 60


def export(base_path: Path, version: int, weight_bytes: int = 0) -> Path:
    """y = x / 2 + version, float [-1]; appears in ``base_path`` at once, as a whole.

    Args:
        base_path: the model's.
        version: its number.
        weight_bytes: of a variable besides, which every call reads.
    """
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(tf.ones([max(weight_bytes // 4, 1)]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def call(x):
        return {"y": x / 2 + float(version) * module.weights[-1]}

    staged = base_path.parent / f".{base_path.name}-{version}"
    tf.saved_model.save(module, str(staged), signatures=call)
    base_path.mkdir(exist_ok=True)
    staged.rename(base_path / str(version))
    return base_path / str(version)


def remove(path: Path) -> None:
    """Takes a version's folder away at once, as a whole."""
    away = path.parent.parent / f".gone-{path.name}-{time.monotonic_ns()}"
    path.rename(away)
    shutil.rmtree(away)


@dataclass(frozen=True)
class Answer:
    """Which version answered, and when it was asked and heard."""

    api: str
    asked: float
    heard: float
    version: int


@dataclass
class Traffic:
    """Four threads that call all the time, from ``start`` to ``stop``.

    Attributes:
        url: of REST.
        address: of gRPC.
        which: ``/versions/N`` or ``/labels/L``; empty for the newest.
        answers: in the order in which they were heard.
        failures: whatever was no right answer.
    """

    url: str
    address: str
    which: str = ""
    answers: list[Answer] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)

    def start(self) -> "Traffic":
        self._done = threading.Event()
        work = [self._rest, self._rest, self._grpc, self._grpc]
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> "Traffic":
        self._done.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        return self

    def __enter__(self) -> "Traffic":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def latest(self) -> int:
        """The version that answered last."""
        return self.answers[-1].version if self.answers else 0

    def _rest(self) -> None:
        address = httpx.URL(self.url)
        connection = http.client.HTTPConnection(address.host, address.port or 0, timeout=TIMEOUT_S)
        body, path = json.dumps({"instances": [X]}), f"/v1/models/{MODEL}{self.which}:predict"

        def call() -> int:
            connection.request("POST", path, body)
            response = connection.getresponse()
            text = response.read()
            assert response.status == 200, (response.status, text)
            (y,) = json.loads(text)["predictions"]
            return int(y - X / 2)

        self._repeat("REST", call)
        connection.close()

    def _grpc(self) -> None:
        request = PredictRequest()
        request.model_spec.name = MODEL
        _, kind, value = self.which.split("/") if self.which else ("", "", "")
        if kind == "versions":
            request.model_spec.version.value = int(value)
        elif kind == "labels":
            request.model_spec.version_label = value
        fill(request.inputs["x"], np.array([X], np.float32), as_content=False)
        payload = request.SerializeToString()
        with grpc.insecure_channel(self.address) as channel:
            predict = channel.unary_unary(PREDICT, response_deserializer=PredictResponse.FromString)

            def call() -> int:
                answer = predict(payload, timeout=TIMEOUT_S)
                version = answer.model_spec.version.value
                assert list(answer.outputs["y"].float_val) == [X / 2 + version], answer
                return version

            self._repeat("gRPC", call)

    def _repeat(self, api: str, call: Any) -> None:
        while not self._done.is_set():
            asked = time.monotonic()
            try:
                version = call()
            except Exception as error:  # noqa: BLE001 - it is what must not happen
                self.failures.append((api, error))
                time.sleep(0.05)
            else:
                self.answers.append(Answer(api, asked, time.monotonic(), version))
            time.sleep(0.001)  # leaves the server a part of a small machine


def status(url: str) -> dict[int, str]:
    """The states of the model's versions."""
    answer = httpx.get(f"{url}/v1/models/{MODEL}", timeout=TIMEOUT_S)
    listed = answer.json().get("model_version_status", [])
    return {int(each["version"]): each["state"] for each in listed}


def until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S, *, what: str = "it") -> float:
    """Waits until ``condition()`` is true; returns how long that took. ``what`` is named where it takes too long."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_s, f"{what} did not come about within {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - began


def rss_bytes(pid: int) -> int:
    """The memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
