"""Ten times as many calls as a model can answer: what is still answered, what the others are told, who else suffers."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from grpc_client import code_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from traffic import TIMEOUT_S, until

from benchmarks import overload

OVERLOAD_S = 60
MOST_BYTES = 16 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overload.export(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[overload.Server]:
    more = (f"other={model.parent / 'other'}", f"--max_in_flight_bytes={MOST_BYTES}")
    with overload.serving(model, *more) as running:
        yield running


def recovers(server: overload.Server) -> None:
    """Each of many calls in a row is answered, and right, and the server says that it refuses nobody any more."""
    url = f"{server.rest}/v1/models/m:predict"

    def answers() -> bool:
        found = [httpx.post(url, json={"instances": [x]}, timeout=TIMEOUT_S) for x in range(10)]
        return all(each.status_code == 200 for each in found) and [each.json()["predictions"][0] for each in found] == [
            x / 2 + 2 for x in range(10)
        ]

    until(answers, what="answers after overload")
    assert server.process.poll() is None


def admission(server: overload.Server, name: str = "m"):
    return httpx.get(f"{server.rest}/statusz", timeout=TIMEOUT_S).json()["models"][name]["admission"]


@pytest.mark.parametrize("api", ["REST", pytest.param("gRPC", marks=pytest.mark.slow)])
def test_what_cannot_be_answered_is_refused_clearly_and_what_is_answered_is_right(server, api):
    refused = sum(admission(server)["refused"].values()) if admission(server) else 0
    with overload.Checker(server.rest) as checker:
        load = overload.measure(server.target(api), "--rate=800", "--connections=4096", seconds=3)
    print(f"\n{api}: {load}\n{checker}")
    assert load.offered > 400, "the generator did not offer what it should have"
    assert load.answered > 0
    assert set(load.errors) <= {"HTTP 503", "UNAVAILABLE"}, load.errors
    assert sum(load.errors.values()) > 0
    assert not checker.wrong
    assert checker.outcomes["right"]
    assert checker.health_s, "health was told throughout"
    now = admission(server)
    assert sum(now["refused"].values()) - refused >= sum(load.errors.values())
    metrics = httpx.get(f"{server.rest}/metrics", timeout=TIMEOUT_S).text
    assert re.search(r'unstuck_refused_requests_total\{model="m",reason="wait"\} [1-9]', metrics)
    assert any("calls are refused" in line for line in server.log)
    recovers(server)


@pytest.mark.slow
def test_grpc_health_and_readiness_are_told_while_calls_are_refused(server):
    with overload.Checker(server.rest) as checker, grpc.insecure_channel(server.grpc) as channel:
        loading = threading.Thread(
            target=overload.measure, args=(server.target("gRPC"), "--rate=800"), kwargs={"seconds": 2}
        )
        loading.start()
        health = health_pb2_grpc.HealthStub(channel)
        told = []
        while loading.is_alive():
            told.append(health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status)
            time.sleep(0.05)
        loading.join()
    assert set(told) == {health_pb2.HealthCheckResponse.SERVING}
    assert not checker.wrong
    recovers(server)


@pytest.mark.slow
def test_a_busy_model_leaves_the_others_their_answers(server):
    """The other is called now and then; none of its calls may fail, or wait for all of the busy one's."""
    took_s, failed = [], []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        loading = threading.Thread(
            target=overload.measure,
            args=(server.target("REST"), "--rate=800", "--connections=4096"),
            kwargs={"seconds": 3},
        )
        loading.start()
        for number in range(10_000):
            if not loading.is_alive():
                break
            began = time.perf_counter()
            answer = client.post(f"{server.rest}/v1/models/other:predict", json={"instances": [float(number)]})
            took_s.append(time.perf_counter() - began)
            if answer.status_code != 200 or answer.json() != {"predictions": [number / 2 + 2]}:
                failed.append((number, answer.status_code, answer.text))
            time.sleep(0.05)
        loading.join()
    took_s.sort()
    print(f"\nThe other's {len(took_s)} calls: median {took_s[len(took_s) // 2] * 1000:.0f} ms, "
          f"longest {took_s[-1] * 1000:.0f} ms")  # fmt: skip
    assert not failed
    assert len(took_s) > 5
    assert sum(admission(server, "other")["refused"].values()) == 0
    recovers(server)


@pytest.mark.slow
def test_calls_that_cannot_meet_their_deadline_are_refused_at_once(server):
    url = f"{server.rest}/v1/models/m:predict"
    loading = threading.Thread(
        target=overload.measure, args=(server.target("REST"), "--rate=800", "--connections=4096"), kwargs={"seconds": 3}
    )
    loading.start()
    until(lambda: (admission(server) or {"expected_wait_s": 0})["expected_wait_s"] > 0.05, what="that calls wait")
    before = admission(server)["refused"]["deadline"]
    found = []
    while loading.is_alive():
        answer = httpx.post(url, json={"instances": [1.0]}, headers={"grpc-timeout": "15m"}, timeout=TIMEOUT_S)
        found.append((answer.status_code, answer.text))
    loading.join()
    assert {status for status, _ in found} <= {200, 503, 504}
    assert (
        any("deadline is in" in text for status, text in found if status == 504)
        or before < admission(server)["refused"]["deadline"]
    )
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        request = b"\x0a\x03\x0a\x01m"  # a model spec, and no inputs
        assert code_of(lambda: call(request, timeout=TIMEOUT_S)) is grpc.StatusCode.INVALID_ARGUMENT
    recovers(server)


def test_bodies_that_do_not_fit_beside_others_are_refused_before_they_are_read(server):
    """Sixteen clients announce 8 MiB each where 16 MiB are allowed, and send but the beginning."""
    address, size = urlsplit(server.rest), MOST_BYTES // 2
    head = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: {size}\r\n\r\n".encode()
    assert httpx.post(f"{server.rest}/v1/models/m:predict", json={"instances": [4.0]}, timeout=TIMEOUT_S).is_success
    before = admission(server)["refused"]["bytes"]
    with ExitStack() as open_sockets:
        clients = [socket.create_connection((address.hostname, address.port), TIMEOUT_S) for _ in range(16)]
        for client in clients:
            open_sockets.enter_context(client).sendall(head + b'{"instances": [')
        until(lambda: admission(server)["refused"]["bytes"] == before + 15, what="that one is let in")
        assert admission(server)["bytes_in_flight"] == size
        answers = []
        for client in clients:
            client.settimeout(1)
            with suppress(TimeoutError):
                answers.append(client.recv(4096))
        assert len(answers) == 15
        assert all(each.startswith(b"HTTP/1.1 503") and b"retry-after: " in each for each in answers), answers
    until(lambda: admission(server)["bytes_in_flight"] == 0, what="that the bytes are given back")
    recovers(server)


@pytest.mark.slow
def test_requests_beyond_the_bound_are_refused(model):
    with overload.serving(model, "--max_in_flight_requests=8") as server:
        address = urlsplit(server.rest).netloc
        statuses: list[int] = []

        def call() -> None:
            with closing(http.client.HTTPConnection(address, timeout=TIMEOUT_S)) as connection:
                for _ in range(10):
                    connection.request("POST", "/v1/models/m:predict", json.dumps({"instances": [1.0]}))
                    response = connection.getresponse()
                    text = response.read()
                    statuses.append(response.status)
                    assert response.status == 200 or b"--max_in_flight_requests=8" in text, text

        callers = [threading.Thread(target=call) for _ in range(40)]
        for each in callers:
            each.start()
        for each in callers:
            each.join(TIMEOUT_S)
        assert set(statuses) == {200, 503}
        assert admission(server)["refused"]["requests"] == statuses.count(503)
        recovers(server)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("api", ["REST", "gRPC"])
def test_nine_tenths_of_the_peak_are_kept_for_a_minute_of_ten_times_the_capacity(model, api):
    with overload.serving(model) as server, overload.Checker(server.rest) as checker:
        kept = overload.goodput(server, api, checker, seconds=OVERLOAD_S, rounds=1)
        print(checker)
        assert kept >= overload.LEAST_GOODPUT
        assert not checker.wrong
        recovers(server)
