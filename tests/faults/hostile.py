"""A server process to be ill-treated, and who treats it so."""

import gzip
import http.client
import io
import json
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from traffic import rss_bytes, until

from fuzz.decoders import DECODERS
from unstuck.proto.tensors import fill
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse
from unstuck.testing.background import Background

TIMEOUT_S = 60
PREDICT = "/tensorflow.serving.PredictionService/Predict"
PATH = "/v1/models/m:predict"


class Victim:
    """``unstuck serve`` of a model y = x / 2 + 2, called ``m``."""

    def __init__(self, model: Path, folder: Path, *flags: str) -> None:
        folder.mkdir(exist_ok=True)
        self.out, self.err = folder / "stdout", folder / "stderr"
        ports = ["--rest_api_port=auto", "--port=auto", "--host=127.0.0.1"]
        command = [sys.executable, "-m", "unstuck", "serve", f"m={model}", *ports, *flags]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err)
        try:
            until(lambda: self.process.poll() is not None or "Ready." in self.said)
            url = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)
            address = re.search(r"gRPC +(\S+:\d+)", self.said)
            assert url, self.said
            assert address, self.said
        except BaseException:
            self.process.kill()
            raise
        self.port, self.address = int(url[1]), address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        for number in range(50):  # what a first request allocates is not what is in question
            self.check(float(number))
        self.rss = rss_bytes(self.process.pid)

    @property
    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def check(self, x: float) -> None:
        """A new client is answered over both APIs, and right."""
        assert self.post(json.dumps({"instances": [[x]]}).encode()) == (200, {"predictions": [[x / 2 + 2]]})
        request = PredictRequest()
        request.model_spec.name = "m"
        fill(request.inputs["x"], np.array([[x]], np.float32), as_content=False)
        answer = PredictResponse.FromString(self.call(request.SerializeToString()))
        assert list(answer.outputs["y"].float_val) == [x / 2 + 2]

    def post(self, body: bytes, path: str = PATH, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was sent: the answer is there
            connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text.startswith(b"{") else text

    def get(self, path: str) -> tuple[int, str]:
        """Of a path as it is; and the names of the answer's headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, " ".join(answer.headers.keys()).lower()

    def call(self, payload: bytes, **options: Any) -> bytes:
        limits = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self.address, options=limits) as channel:
            return channel.unary_unary(PREDICT)(payload, timeout=TIMEOUT_S, **options)

    def grown_bytes(self) -> int:
        """How much more memory it holds than before."""
        return rss_bytes(self.process.pid) - self.rss

    def stop(self) -> None:
        assert self.process.poll() is None, self.said
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(TIMEOUT_S) == 0, self.said

    def __enter__(self) -> "Victim":
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self.stop()
        self.process.kill()
        self.process.wait()


@contextmanager
def peak(victim: Victim) -> Iterator[list[int]]:
    """The most that ``victim`` grows by meanwhile, in the list's only element."""
    most, done, before = [0], threading.Event(), victim.grown_bytes()

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], victim.grown_bytes() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\n".encode()
SLOW = [
    b"",
    b"PRI * HTT",
    HEAD[:20],
    HEAD,
    HEAD + b'{"insta',
    HEAD.replace(b"Content-Length: 21", b"Transfer-Encoding: chunked") + b"5\r\n{",
    HEAD.replace(b"21", b"200000") + b"{",
]


@contextmanager
def slow_clients(victim: Victim, count: int) -> Iterator[list[socket.socket]]:
    """Each begins a request and goes no further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 500)), hard))
    clients = [socket.create_connection(("127.0.0.1", victim.port), timeout=TIMEOUT_S) for _ in range(count)]
    try:
        for number, client in enumerate(clients):
            client.sendall(SLOW[number % len(SLOW)])
        yield clients
    finally:
        for client in clients:
            client.close()


def ended(client: socket.socket) -> bytes:
    """What the server said until it closed the connection."""
    said = b""
    client.settimeout(TIMEOUT_S)
    try:
        while part := client.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return said


_RIGHT_JSON = [b'{"instances": [[1.0], [2.5]]}', b'{"inputs": {"x": [[1], [2], [3]]}}', b'{"instances": [{"x": [7]}]}']


def _right_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones((3, 1), np.float32))
    return file.getvalue()


def right_message(rows: int = 2) -> bytes:
    """A PredictRequest for ``m``."""
    request = PredictRequest()
    request.model_spec.name = "m"
    fill(request.inputs["x"], np.ones((rows, 1), np.float32), as_content=False)
    return request.SerializeToString()


def random_bodies(seed: int, count: int) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Right requests of all forms, most of them damaged, and noise; with headers that fit, or not."""
    chance = random.Random(seed)
    npy, proto = {"content_type": "application/x-npy"}, {"content_type": "application/x-protobuf"}
    packed = {"content_encoding": "gzip"}
    forms = [
        (_RIGHT_JSON, {}),
        ([_right_npy()], npy),
        ([right_message()], proto),
        ([gzip.compress(each) for each in _RIGHT_JSON], packed),
        (DECODERS["json_predict"].seeds, {}),
        (DECODERS["json_examples"].seeds, {}),
        (DECODERS["numpy"].seeds, npy),
        (DECODERS["proto_predict"].seeds, proto),
        (DECODERS["gzip"].seeds, packed),
    ]
    for _ in range(count):
        seeds, headers = chance.choice(forms)
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(body) + 1)
            new = chance.choice([b"", chance.randbytes(4), b"[" * 40, b"NaN", b"\xff" * 9, body[at : at + 20]])
            body[at : at + chance.randrange(12)] = new
        if chance.random() < 0.05:
            body = bytearray(chance.randbytes(chance.randrange(2000)))
        if chance.random() < 0.1:
            headers = chance.choice(forms)[1]
        yield bytes(body), headers


class Neighbours(Background):
    """Two clients that mind their own business, from ``with`` to its end: all are answered, and right."""

    def __init__(self, victim: Victim) -> None:
        self.victim, self.answered, self.failures = victim, 0, []
        super().__init__(partial(self._work, 0), partial(self._work, 1))

    def _work(self, number: int) -> None:
        while not self.done.is_set():
            try:
                self.victim.check(float(self.answered + number))
                self.answered += 1
            except Exception as error:  # noqa: BLE001 - it is what must not happen
                self.failures.append(error)
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        assert not self.failures, self.failures[:3]
        assert self.answered
