"""Who is let in over REST: refused before the body is parsed, or read; counted while inside, whatever the way."""

import asyncio
import gzip
import json
import time

import pytest
from fakes import CallRecorder, FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.rest.app import RestApp, RestOptions
from unstuck.api.rest.predict import LOOP_BODY_BYTES
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT
from unstuck.errors import Code
from unstuck.guard.admission import Admission, Bounds
from unstuck.inference.placement import Placement

TIMEOUT_S = 10
ROW = b'{"instances": [[1, 1]]}'
SIGNATURES = {"serving_default": signature(spec("x", FLOAT, (None, 2)), outputs=(spec("y", FLOAT, (None, 2)),))}


class Request:
    """One request, as granian hands it over; says whether its body was read."""

    def __init__(self, body=ROW, chunks=0, **headers):
        self.method, self.path = "POST", "/v1/models/m:predict"
        length = {} if chunks else {"content-length": str(len(body))}
        self.headers = {**length, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self._chunks = [body] * max(chunks, 1)
        self.sent = None
        self.chunks_read = 0

    def __call__(self):
        self.chunks_read += 1
        future = asyncio.get_running_loop().create_future()
        future.set_result(self._chunks[0])
        return future

    async def __aiter__(self):
        for chunk in self._chunks:
            self.chunks_read += 1
            yield chunk

    def response_bytes(self, status, headers, body):
        self.sent = (status, dict(headers), json.loads(body))


class Models(FakeModels):
    ready = True

    def statuses(self):
        return {"m": []}


class Served:
    """An application on a gate of its own; ``during`` runs with each run of the model."""

    def __init__(self, monkeypatch, *, short=True, during=lambda: None, **bounds):
        monkeypatch.setattr(Placement, "is_short", lambda *_: short)
        self.admission = Admission(Bounds(**bounds))
        self.gate = self.admission.gate("m")
        self.observer = CallRecorder(False)
        self.during = during
        self.options = RestOptions(None, False, 1 << 20, False)

    def _run(self, inputs):
        self.during()
        return {"y": inputs["x"]}

    def __call__(self, *requests):
        models = Models({"m": FakeModel(FakeServable(self._run, SIGNATURES), mergeable=frozenset())})

        async def run():
            with FairThreads(4) as workers:
                app = RestApp(models, workers, self.options, observer=self.observer, admission=self.admission)
                app._parse_route("POST", "/v1/models/m:predict")
                for request in requests:
                    if not app.begin(request, request):
                        asyncio.ensure_future(app.__rsgi__(request, request))  # noqa: RUF006 - awaited below
                while any(request.sent is None for request in requests):
                    await asyncio.sleep(0.001)
                while app.in_flight:
                    await asyncio.sleep(0.001)

        asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
        assert (self.gate.in_flight, self.gate.bytes_in_flight) == (0, 0), "whatever came in has left"
        return requests[0].sent


LARGE = ROW + b" " * LOOP_BODY_BYTES


@pytest.mark.parametrize("short", [True, False], ids=["on the loop", "on a worker"])
@pytest.mark.parametrize("body", [ROW, LARGE], ids=["small", "large"])
def test_a_call_that_is_let_in_is_counted_while_it_runs_and_not_afterwards(monkeypatch, short, body):
    seen = []
    served = Served(monkeypatch, short=short, during=lambda: seen.append(shown(served)))
    assert served(Request(body))[0] == 200
    assert seen == [(1, len(body))]


def shown(served):
    return served.gate.in_flight, served.gate.bytes_in_flight


@pytest.mark.parametrize(
    ("request_", "read"),
    [(Request(b"not JSON at all"), 1), (Request(b"?" * len(LARGE)), 0), (Request(b"?" * 100, chunks=3), 0)],
    ids=["small", "large", "chunked"],
)
def test_a_call_too_many_is_refused_before_it_is_parsed_and_a_large_one_before_it_is_read(monkeypatch, request_, read):
    served = Served(monkeypatch)
    served.gate.limit = 0
    request_.sent, request_.chunks_read = None, 0
    status, headers, document = served(request_)
    assert (status, headers["retry-after"], headers["x-unstuck-cause"]) == (503, "1", "resources/overload")
    assert "takes no more calls now" in document["error"]
    assert request_.chunks_read == read
    (heard,) = served.observer.heard
    assert (heard.code, heard.model) == (Code.UNAVAILABLE, "m")
    assert served.gate.refused["requests"] == 1


def test_a_large_body_for_which_there_is_no_room_is_not_read(monkeypatch):
    served = Served(monkeypatch, bytes=len(LARGE) + 10)
    served.gate.enter_elsewhere(20)
    request = Request(LARGE)
    status, _, document = served_while_others_wait(served, request, 20)
    assert status == 503
    assert "bytes do not fit" in document["error"]
    assert request.chunks_read == 0


def served_while_others_wait(served, request, size):
    """``size`` bytes are in flight elsewhere until the request is answered."""
    send = request.response_bytes

    def answer(*sent):
        served.gate.leave_elsewhere(size)
        send(*sent)

    request.response_bytes = answer
    return served(request)


def test_a_body_in_chunks_is_read_no_further_than_there_is_room(monkeypatch):
    served = Served(monkeypatch, bytes=1000)
    served.gate.enter_elsewhere(500)
    request = Request(b"?" * 200, chunks=100)
    status, _, _ = served_while_others_wait(served, request, 500)
    assert (status, request.chunks_read) == (503, 3)


def test_an_inflated_body_counts_as_what_it_is(monkeypatch):
    body = gzip.compress(ROW + b" " * 5000)
    served = Served(monkeypatch, bytes=2000)
    served.gate.enter_elsewhere(500)
    status, _, document = served_while_others_wait(served, Request(body, content_encoding="gzip"), 500)
    assert status == 503
    assert "5,023 bytes do not fit" in document["error"]


def test_a_deadline_that_cannot_be_met_is_told_at_once(monkeypatch):
    served = Served(monkeypatch)
    served.gate.is_watchful = True
    served.gate.concurrency.wait_s = 0.5
    assert served(Request(grpc_timeout="2S"))[0] == 200
    status, _, document = served(Request(grpc_timeout="300m"))
    assert status == 504
    assert "deadline is in 0.300 s, and calls wait 0.500 s" in document["error"]
    assert served(Request(LARGE, x_envoy_expected_rq_timeout_ms="20"))[0] == 504
    assert served.gate.refused["deadline"] == 2


def test_a_longer_call_ends_at_the_deadline_that_its_headers_say(monkeypatch):
    served = Served(monkeypatch, short=False, during=lambda: time.sleep(0.2))
    status, _, document = served(Request(grpc_timeout="50m"))
    assert status == 504
    assert "longer than 0.05 s" in document["error"]


@pytest.mark.parametrize("body", [ROW, LARGE], ids=["small", "large"])
def test_a_call_that_waited_too_long_is_not_run_while_others_are_refused(monkeypatch, body):
    ran = []
    served = Served(monkeypatch, short=False, during=lambda: ran.append(1))
    served.gate.concurrency = FullFor(0.0)
    status, headers, document = served(Request(body))
    assert (status, headers["x-unstuck-cause"]) == (503, "resources/overload")
    assert "it has waited longer" in document["error"]
    assert not ran


class FullFor:
    """A concurrency limit under which calls may wait for so long."""

    def __init__(self, most_wait_s):
        self.most_wait_s, self.wait_s, self.run_s = most_wait_s, 0.0, 0.0


def test_the_gate_hears_how_long_longer_calls_run(monkeypatch):
    served = Served(monkeypatch, short=False, during=lambda: time.sleep(0.02))
    served(Request())
    assert 0.02 <= served.gate.concurrency.run_s < TIMEOUT_S
