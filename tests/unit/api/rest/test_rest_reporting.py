"""What an observer hears of REST calls: each call once, however it is answered."""

import asyncio
import gzip
import json
import time

import numpy as np
import pytest
from fakes import CallRecorder, FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.rest.app import RestApp, RestOptions
from unstuck.api.rest.predict import LOOP_BODY_BYTES
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT, STRING
from unstuck.core.servables import Servable
from unstuck.errors import Code, EngineError, NotFound
from unstuck.inference.placement import Placement

TIMEOUT_S = 5
PREDICT = "/v1/models/m:predict"
ROW = b'{"instances": [[1, 1]]}'
SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, (None, 2)), outputs=(spec("y", FLOAT, (None, 2)),)),
    "classes": signature(
        spec("inputs", STRING, (None,)), outputs=(spec("scores", FLOAT, (None, None)),), name="classes"
    ),
}


class Request:
    """One request, as granian hands it over; ``sent`` is the answer."""

    def __init__(self, path=PREDICT, body=ROW, method="POST", **headers):
        self.method, self.path = method, path
        self.headers = {"content-length": str(len(body)), **{name.replace("_", "-"): v for name, v in headers.items()}}
        self._body = body
        self.sent = None

    def __call__(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result(self._body)
        return future

    async def __aiter__(self):
        yield self._body

    def response_bytes(self, status, headers, body):
        self.sent = (status, dict(headers), body)


class Served(FakeServable):
    run_all = Servable.run_all


class Models(FakeModels):
    ready = True

    def statuses(self):
        return {"m": []}

    def status(self, name, version=None):
        self.find(type("Spec", (), {"name": name}))
        return []


@pytest.fixture
def answer(monkeypatch):
    """``answer(requests…)``: what the observer heard once all are answered, sent in one turn of the loop."""

    def answer(*requests, function=None, short=True, headers=False, timeout_s=None):
        monkeypatch.setattr(Placement, "is_short", lambda *_: short)
        servable = Served(function or (lambda inputs: {"y": inputs["x"]}), SIGNATURES)
        models = Models({"m": FakeModel(servable, mergeable=frozenset(SIGNATURES))})
        observer = CallRecorder(headers)

        async def run():
            with FairThreads(4) as workers:
                options = RestOptions(timeout_s, False, 1 << 20, False)
                app = RestApp(models, workers, options, observer=observer)
                warm = Request()
                await app.__rsgi__(warm, warm)
                observer.heard.clear()
                observer.headers.clear()
                for request in requests:
                    if not app.begin(request, request):
                        asyncio.ensure_future(app.__rsgi__(request, request))  # noqa: RUF006 - awaited below
                while any(request.sent is None for request in requests):
                    await asyncio.sleep(0.001)
                assert app.in_flight == 0

        asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
        answer.headers = observer.headers
        return observer.heard

    return answer


def test_calls_of_one_turn_are_heard_as_one_run_with_each_ones_arrival(answer):
    (calls,) = answer(Request(), Request(), Request())
    assert (calls.api, calls.method, calls.ran.model, calls.ran.version) == ("rest", "Predict", "m", 7)
    assert calls.ran.signature == "serving_default"
    assert len(calls.arrived_ns) == len(calls.parse_ns) == 3
    assert sorted(calls.arrived_ns) == list(calls.arrived_ns)
    assert calls.request_bytes == 3 * len(ROW)
    for arrived_ns, parse_ns in zip(calls.arrived_ns, calls.parse_ns, strict=True):
        stages = parse_ns, calls.ran.run_ns, calls.ran.encode_ns
        assert min(stages) > 0
        assert sum(stages) <= calls.done_ns - arrived_ns


@pytest.mark.parametrize("short", [True, False], ids=["on the loop", "on a worker"])
@pytest.mark.parametrize("size", [1, LOOP_BODY_BYTES], ids=["small", "large"])
def test_a_call_alone_is_heard_once(answer, short, size):
    request = Request(body=ROW + b" " * size)
    (calls,) = answer(request, short=short)
    assert (len(calls.arrived_ns), calls.request_bytes) == (1, len(ROW) + size)
    assert calls.response_bytes == len(request.sent[2])
    assert calls.parse_ns[0] + calls.ran.run_ns + calls.ran.encode_ns <= calls.done_ns - calls.arrived_ns[0]


def test_sizes_are_those_before_compression(answer):
    body = json.dumps({"instances": [[1.5, 2.5]] * 5000}).encode()
    request = Request(body=gzip.compress(body), content_encoding="gzip", accept_encoding="gzip")
    (calls,) = answer(request)
    assert calls.request_bytes == len(body)
    assert calls.response_bytes == len(gzip.decompress(request.sent[2])) > len(request.sent[2])


def test_warnings_are_heard(answer):
    (calls,) = answer(Request(body=b'{"inputs": {"x": [[1, 1]], "X": 1}}'))
    assert calls.warnings == 1


def test_a_call_that_fails_is_heard_beside_the_others(answer):
    heard = answer(Request(), Request(body=b'{"instances": [[1, "a"]]}'), Request())
    (failed,) = [each for each in heard if hasattr(each, "error")]
    assert (failed.method, failed.model, failed.code) == ("Predict", "m", Code.INVALID_ARGUMENT)
    assert failed.error.about == (7, "serving_default")
    assert 0 < failed.arrived_ns <= failed.done_ns
    assert failed.response_bytes > 0
    assert sum(len(each.arrived_ns) for each in heard if each is not failed) == 2


def test_errors_of_the_engine_and_of_ours_are_heard_with_their_codes(answer):
    def aborted(_):
        raise EngineError("no", code=Code.ABORTED)

    (heard,) = answer(Request(), function=aborted)
    assert heard.code is Code.ABORTED
    (heard,) = answer(Request(), function=lambda _: 1 // 0)
    assert (heard.code, type(heard.error)) == (Code.INTERNAL, ZeroDivisionError)


def test_a_call_that_took_too_long_is_heard_once_as_such(answer):
    def slow(inputs):
        if len(inputs["x"]) == 2:
            time.sleep(0.3)
        return {"y": inputs["x"]}

    request = Request(body=b'{"instances": [[1, 1], [2, 2]]}')
    heard = answer(request, function=slow, short=False, timeout_s=0.05)
    assert [each.code for each in heard] == [Code.DEADLINE_EXCEEDED]
    assert request.sent[0] == 504


@pytest.mark.parametrize(
    ("path", "method", "heard_method", "model", "code"),
    [
        ("/v1/models/m", "GET", "GetModelStatus", "m", Code.OK),
        ("/v1/models/other", "GET", "GetModelStatus", "other", Code.NOT_FOUND),
        ("/v1/models/other:predict", "POST", "Predict", "other", Code.NOT_FOUND),
        ("/v1/models/other:classify", "POST", "Classify", "other", Code.INVALID_ARGUMENT),
        ("/v1/models/m/oops", "GET", "", "", Code.INVALID_ARGUMENT),
        ("/v1/models/m", "OPTIONS", "", "", Code.OK),
    ],
)
def test_calls_that_run_no_model_are_heard_too(answer, path, method, heard_method, model, code):
    (call,) = answer(Request(path, method=method))
    assert (call.method, call.model, call.code) == (heard_method, model, code)


def test_classify_is_heard_with_its_stages(answer):
    body = b'{"signature_name": "classes", "examples": [{"a": 1}, {"a": 2}]}'
    (calls,) = answer(
        Request("/v1/models/m:classify", body), function=lambda _: {"scores": np.ones((2, 1), np.float32)}
    )
    assert (calls.method, calls.ran.signature, calls.ran.examples) == ("Classify", "classes", 2)
    assert calls.request_bytes == len(body)
    assert min(calls.parse_ns[0], calls.ran.run_ns, calls.ran.encode_ns) > 0


def test_the_servers_own_pages_are_no_calls(answer):
    assert answer(Request("/healthz", method="GET"), Request("/nothing", method="GET")) == []


def test_headers_are_handed_over_only_where_they_are_wanted(answer):
    named = Request(x_request_id="a")
    answer(named, Request(x_request_id="not sane"), Request(), headers=True)
    assert [each.get("x-request-id") for each in answer.headers] == ["a", "not sane", None]
    assert named.sent[1]["x-request-id"] == "a"
    quiet = Request(x_request_id="a")
    answer(quiet)
    assert answer.headers == []
    assert "x-request-id" not in quiet.sent[1]


def test_a_failed_call_is_named_in_its_answer_where_names_are_wanted(answer):
    named, unnamed = Request(body=b"{", x_request_id="a"), Request(body=b"{")
    heard = answer(named, unnamed, headers=True)
    assert [each.request_id for each in heard] == [each.sent[1]["x-request-id"] for each in (named, unnamed)]
    assert heard[0].request_id == "a"
    assert len(heard[1].request_id) == 16
    (quiet,) = answer(Request(body=b"{"))
    assert quiet.request_id == ""
    assert not isinstance(quiet.error, NotFound)


def test_a_page_that_cannot_be_made_is_an_answer_too():
    def broken(_):
        raise ValueError("no page")

    request = Request("/page", method="GET")

    async def run():
        with FairThreads(1) as workers:
            app = RestApp(Models({}), workers, RestOptions(None, True, 1 << 20, False), {"/page": broken})
            await app.__rsgi__(request, request)

    asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
    status, headers, body = request.sent
    assert (status, headers["access-control-allow-origin"]) == (500, "*")
    assert b"no page" in body
