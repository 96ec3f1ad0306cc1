"""What clients do wrong, and what models do to a server, must not reach anybody else."""

import asyncio
import gzip
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvloop

from unstuck.codecs import predict_json
from unstuck.config.settings import AUTO_PORT, ModelConfig, ServerConfig
from unstuck.core.servables import Loader
from unstuck.server import Server
from unstuck.testing import faulty_models
from unstuck.testing import models as exports

LIMIT_BYTES = 100_000
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    exports.half_plus_two(folder / "half_plus_two")
    exports.mlp(folder / "mlp")
    faulty_models.slow(folder / "slow", busy_s=1.0)
    faulty_models.slow(folder / "endless", busy_s=5.0)
    return {name: folder / name for name in ("half_plus_two", "mlp", "slow", "endless")}


@pytest.fixture(scope="module")
def url(serve: Any, paths: dict[str, Path]) -> str:
    """A server with a limit on bodies."""
    server = serve(paths, max_body_bytes=LIMIT_BYTES)
    assert not server.failures
    return server.url


@pytest.fixture(autouse=True)
def _healthy_afterwards(url: str) -> Iterator[None]:
    """Whatever a test did, the server answers the next request, and right."""
    yield
    answer = httpx.post(f"{url}/v1/models/half_plus_two:predict", json={"instances": [[3.0]]}, timeout=TIMEOUT_S)
    assert answer.json() == {"predictions": [[3.5]]}
    assert httpx.get(f"{url}/readyz", timeout=TIMEOUT_S).status_code == 200


def predict(url: str, model: str = "half_plus_two", **request: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/{model}:predict", timeout=TIMEOUT_S, **request)


# Slow models


def test_a_slow_model_does_not_block_the_others(url):
    """While one call computes, health checks and other models' calls are answered, many of each."""
    finished = threading.Event()
    answers: list[httpx.Response] = []

    def slow() -> None:
        answers.append(predict(url, "slow", json={"instances": [2.0]}))
        finished.set()

    thread = threading.Thread(target=slow, daemon=True)
    thread.start()
    count = 0
    with httpx.Client(timeout=TIMEOUT_S) as client:
        while not finished.is_set():
            assert client.get(f"{url}/healthz").status_code == 200
            fast = client.post(f"{url}/v1/models/half_plus_two:predict", json={"instances": [[1.0]]})
            assert fast.json() == {"predictions": [[2.5]]}
            count += 1
    thread.join(TIMEOUT_S)
    assert answers[0].json() == {"predictions": [3.0]}
    assert count >= 10


def test_calls_of_a_slow_model_run_side_by_side(serve, paths):
    """Four calls of a second each, on threads of their own, are answered together and not one after the other."""
    server = serve({"slow": paths["slow"]})
    done: list[float] = []

    def call(value: float) -> None:
        assert predict(server.url, "slow", json={"instances": [value]}).json() == {"predictions": [value / 2 + 2]}
        done.append(time.monotonic())

    start = time.monotonic()
    threads = [threading.Thread(target=call, args=(float(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert len(done) == 4
    assert done[-1] - done[0] < done[0] - start, "the last came less than one call's time after the first"


def test_a_call_beyond_the_timeout_is_answered_504(serve, paths):
    server = serve({"endless": paths["endless"]}, rest_timeout_ms=200)
    answer = predict(server.url, "endless", json={"instances": [1.0]})
    assert answer.status_code == 504
    assert answer.json() == {
        "error": "The call took longer than 0.2 s. Send fewer rows in a request, or "
        "give it more time: --rest_api_timeout_in_ms, and the call's own header."
    }
    assert httpx.get(f"{server.url}/healthz").status_code == 200


# Bodies


def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    async def generate() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return generate()


ROWS = json.dumps({"instances": [[1.0]] * 1000}).encode()
SPACES = ROWS + b" " * LIMIT_BYTES


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (SPACES, {}, 413, "The request body is larger than the limit of 100,000 bytes"),
        ([SPACES[:50_000]] * 3, {}, 413, "The request body is larger than the limit of 100,000 bytes"),
        (gzip.compress(SPACES), {"content-encoding": "gzip"}, 413, "The inflated request body is larger than"),
        ([gzip.compress(bytes(200_000_000), 1)[:90_000]], {"content-encoding": "gzip"}, 413, "The inflated request"),
        (gzip.compress(ROWS)[:-9], {"content-encoding": "gzip"}, 400, "cut off before its end"),
        (gzip.compress(ROWS)[:15], {"content-encoding": "gzip"}, 400, "cut off before its end"),
        (ROWS, {"content-encoding": "gzip"}, 400, "is not gzip"),
        (ROWS, {"content-encoding": "br"}, 400, "Content-Encoding 'br' is not supported"),
        (b"", {}, 400, "The document is empty"),
        (b"[" * 99_000, {}, 400, "at the end of the body"),
        (b'{"instances": ' + b"[" * 49_000 + b"1" + b"]" * 49_000 + b"}", {}, 400, "32 lists deep"),
        (b'{"instances": ' + b"[" * 70 + b"1" + b"]" * 70 + b"}" + b" " * 3000, {}, 400, "32 lists deep"),
        (ROWS, {}, 200, None),
        ([ROWS[:10], ROWS[10:]], {}, 200, None),
        (gzip.compress(ROWS), {"content-encoding": "gzip"}, 200, None),
    ],
    ids=[
        *(
            "too large",
            "too large in chunks",
            "too large inflated",
            "bomb",
            "cut gzip",
            "shorter gzip",
            "no gzip",
            "br",
        ),
        *("empty", "nothing but brackets", "deep", "deep and long", "plain", "chunks", "gzip"),
    ],
)
def test_bodies(url, body, headers, status, says):
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            content = chunks(*body) if isinstance(body, list) else body
            return await client.post(f"{url}/v1/models/half_plus_two:predict", content=content, headers=headers)

    answer = asyncio.run(send())
    assert answer.status_code == status, answer.text
    if says:
        assert says in answer.json()["error"]
    else:
        assert answer.json() == {"predictions": [[2.5]] * 1000}


# Clients


def raw(url: str, sent: bytes) -> socket.socket:
    """A connection on which ``sent`` was sent."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port or 0), timeout=TIMEOUT_S)
    connection.sendall(sent)
    return connection


def request(model: str, body: bytes, length: int) -> bytes:
    return f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body


BODY = b'{"instances": [1.0]}'


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/models/half",
        request("half_plus_two", b'{"inst', 1000),
        request("slow", BODY, len(BODY)),
        request("slow", BODY, len(BODY)) + request("slow", BODY, len(BODY)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        request("half_plus_two", BODY, 10**30),
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["nothing", "half a line", "half a body", "no answer", "two requests", "TLS", "version", "length", "negative"],
)
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_client_that_goes_away_disturbs_nobody(url, sent, reset):
    for _ in range(3):
        connection = raw(url, sent)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        time.sleep(0.02)
        connection.close()


def test_a_server_does_not_wait_for_bodies_of_clients_that_have_gone(serve, paths):
    server = serve({"half_plus_two": paths["half_plus_two"]}, drain_timeout_s=10 * TIMEOUT_S)
    for _ in range(3):  # the first call of a path goes another way than those after it
        raw(server.url, request("half_plus_two", b'{"inst', 1000)).close()
        assert predict(server.url, json={"instances": [[1.0]]}).status_code == 200
    server.stop()


def test_clients_that_stay_silent_disturb_nobody(url):
    silent = [raw(url, request("half_plus_two", b'{"inst', 1000)) for _ in range(50)]
    try:
        assert predict(url, json={"instances": [[1.0]]}).json() == {"predictions": [[2.5]]}
    finally:
        for connection in silent:
            connection.close()


def in_parallel(url: str, bodies: list[dict[str, Any]], model: str) -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits) as client:
            address = f"{url}/v1/models/{model}:predict"
            return await asyncio.gather(*(client.post(address, json=body) for body in bodies))

    return asyncio.run(send())


def test_requests_at_once_each_get_their_own_answer(url, monkeypatch):
    """Rows of other requests run in the same batch: 64 at once, then each beside a bad one, again and again."""
    together: list[int] = []
    encode = predict_json.JsonPredictRequests.encode

    def counted(self: Any, outputs: Any) -> list[bytes]:
        together.append(1)
        return encode(self, outputs)

    monkeypatch.setattr(predict_json.JsonPredictRequests, "encode", counted)
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(1 + number % 3, 64)) for number in range(64)]
    bodies = [{"instances": rows.tolist()} for rows in inputs]
    alone = [predict(url, "mlp", json=body).json()["predictions"] for body in bodies]
    assert len({json.dumps(answer) for answer in alone}) == 64
    bad: list[dict[str, Any]] = [
        {"instances": [[1.0] * 63]},
        {"instances": [["x"] * 64]},
        {"instances": []},
        {"inputs": {"y": [1]}},
        {"instances": [[True] * 64]},
    ]
    for number in range(12):
        mixed = [each for body in bodies for each in (body, bad[number % len(bad)])] if number % 2 else bodies
        answers = in_parallel(url, mixed, "mlp")
        for answer in answers[1::2] if number % 2 else ():
            assert answer.status_code == 400, answer.text
        for answer, want in zip(answers[:: 1 + number % 2], alone, strict=True):
            assert answer.status_code == 200, answer.text
            np.testing.assert_allclose(answer.json()["predictions"], want, rtol=0, atol=1e-5)
    assert together, "no two requests were run together: nothing was tested"


# Loading


class Gate(Loader):
    """Loads once it is open."""

    def __init__(self, loader: Loader, opened: threading.Event) -> None:
        self._loader, self._opened = loader, opened

    def load(self) -> Any:
        assert self._opened.wait(TIMEOUT_S)
        return self._loader.load()

    def unload(self) -> None:
        self._loader.unload()


def test_while_a_model_is_loading_its_requests_are_answered_503(paths, monkeypatch):
    from unstuck.engines.tensorflow import TensorFlowEngine

    opened = threading.Event()
    loader_of: Callable[..., Loader] = TensorFlowEngine.loader
    monkeypatch.setattr(TensorFlowEngine, "loader", lambda engine, path: Gate(loader_of(engine, path), opened))
    models = (ModelConfig("half_plus_two", paths["half_plus_two"]),)

    async def run() -> None:
        server = Server(ServerConfig(models=models, host="127.0.0.1", rest_port=AUTO_PORT, grpc_port=0))
        await server.start()
        loading = asyncio.ensure_future(server.load_models(pytest.fail))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.rest_port}", timeout=TIMEOUT_S) as client:
            try:
                model = "/v1/models/half_plus_two"
                while "version 123" not in (await client.get(f"{model}/metadata")).json()["error"]:
                    await asyncio.sleep(0.01)  # its versions are being looked for
                for answer in (
                    await client.post(f"{model}:predict", json={"instances": [[1.0]]}),
                    await client.get(f"{model}/metadata"),
                ):
                    assert answer.status_code == 503
                    assert "'half_plus_two' version 123 is not available yet: it is " in answer.json()["error"]
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
                assert ready.json()["models"]["half_plus_two"].keys() == {"123"}
                assert (await client.get("/healthz")).status_code == 200
                status = (await client.get(model)).json()["model_version_status"][0]
                assert status["state"] in ("START", "LOADING")
                assert (await client.post("/v1/models/other:predict", json={"instances": [1]})).status_code == 404
                opened.set()
                await loading
                assert (await client.get("/readyz")).status_code == 200
                assert (await client.post(f"{model}:predict", json={"instances": [[1.0]]})).status_code == 200
            finally:
                opened.set()
                await loading
        await server.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


# Memory


def rss_bytes() -> int:
    """The resident memory of this process, in which the server runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_requests_leave_nothing_behind(url: str) -> None:
    """The front end once kept what it was given for every request: 2 KB each."""
    requests, allowed_bytes = 8_000, 6_000_000
    address = httpx.URL(url)
    body = b'{"instances": [[3.0]]}'
    head = "POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
    message = head.format(len(body)).encode() + body

    def send(count: int) -> None:
        with socket.create_connection((address.host, address.port or 80), timeout=TIMEOUT_S) as connection:
            for _ in range(count):
                connection.sendall(message)
                assert b"3.5" in connection.recv(4096)

    send(2_000)
    before = rss_bytes()
    send(requests)
    assert rss_bytes() - before < allowed_bytes
