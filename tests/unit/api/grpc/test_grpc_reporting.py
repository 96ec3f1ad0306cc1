"""What an observer hears of gRPC calls: each call once, however it is answered."""

from collections.abc import Mapping

import pytest
from fakes import CallRecorder
from grpc_predict_calls import Calls, request, rows

from unstuck.api.grpc.predict import INLINE_BYTES, PendingCall
from unstuck.api.grpc.reporting import Reporter
from unstuck.api.grpc.service import MODEL_SERVICE, PREDICT, GrpcService
from unstuck.core.observers import Headers
from unstuck.errors import Code, EngineError
from unstuck.proto.wire.management_pb2 import GetModelStatusRequest

STATUS = f"/{MODEL_SERVICE}/GetModelStatus"


@pytest.fixture
def answer(monkeypatch):
    """``answer(payloads…)``: what the observer heard, and the ids that the answers are to carry."""

    def answer(*payloads, function=None, short=True, wants_headers=False, headers=()):
        observer = CallRecorder(wants_headers)
        more = {"function": function} if function else {}
        calls = Calls(monkeypatch, short=short, observer=observer, **more)
        ids: list[str] = []
        named: list[Mapping[str, str] | None] = [*headers, *[None] * len(payloads)]
        calls.batches.answer(
            [
                PendingCall(payload, lambda _, name: ids.append(name), lambda: True, PREDICT, 1, named[number])
                for number, payload in enumerate(payloads)
            ]
        )
        calls.workers.work()
        assert len(ids) == len(payloads)
        return observer, ids

    return answer


def test_calls_of_one_batch_are_heard_as_one_run(answer):
    observer, _ = answer(rows(1), rows(2, 3), rows(4))
    (calls,) = observer.heard
    assert (calls.api, calls.method, calls.ran.model, calls.ran.version) == ("grpc", "Predict", "m", 7)
    assert (calls.ran.signature, list(calls.arrived_ns)) == ("serving_default", [1, 1, 1])
    assert len(set(calls.parse_ns)) > 1, "each message was parsed by itself"
    assert calls.request_bytes == sum(map(len, (rows(1), rows(2, 3), rows(4))))
    assert min(*calls.parse_ns, calls.ran.run_ns, calls.ran.encode_ns) > 0
    assert observer.headers == []


@pytest.mark.parametrize("short", [True, False], ids=["on the thread", "on a worker"])
@pytest.mark.parametrize("columns", [2, INLINE_BYTES // 4], ids=["small", "large"])
def test_a_call_alone_is_heard_once(answer, short, columns):
    payload = request(x=[[1.0] * columns])
    observer, _ = answer(payload, short=short)
    (calls,) = observer.heard
    assert (len(calls.arrived_ns), calls.request_bytes) == (1, len(payload))
    assert min(calls.parse_ns[0], calls.ran.run_ns, calls.ran.encode_ns, calls.response_bytes) > 0


@pytest.mark.parametrize(
    ("payload", "model", "code"),
    [
        (request(name="other", x=[[1]]), "other", Code.NOT_FOUND),
        (request("none", x=[[1]]), "m", Code.FAILED_PRECONDITION),
        (request(wrong=[[1]]), "m", Code.INVALID_ARGUMENT),
        (b"\xff", "", Code.INTERNAL),
    ],
)
@pytest.mark.parametrize("short", [True, False])
def test_a_call_that_is_refused_is_heard_as_the_client_is_told(answer, payload, model, code, short):
    observer, _ = answer(payload, short=short)
    (call,) = observer.heard
    assert (call.method, call.model, call.code, call.request_bytes) == ("Predict", model, code, len(payload))


def test_a_call_that_fails_in_the_run_is_heard_beside_the_others(answer):
    def poisoned(inputs):
        if (inputs["x"] < 0).any():
            raise EngineError("poisoned", code=Code.ABORTED)
        return {"y": inputs["x"], "z": inputs["x"][:, 0]}

    observer, _ = answer(rows(1), rows(-1), rows(2), function=poisoned)
    codes = [each.code if hasattr(each, "error") else Code.OK for each in observer.heard]
    assert sorted(code.name for code in codes) == ["ABORTED", "OK", "OK"]


def test_a_call_is_named_as_its_client_does_where_names_are_wanted(answer):
    headers = [{"x-request-id": "a"}, {}, {"x-request-id": "b"}]
    observer, ids = answer(rows(1), rows(2), b"\xff", wants_headers=True, headers=headers)
    assert sorted(ids) == ["", "a", "b"]
    assert observer.headers == headers[:2]
    _, (made,) = answer(b"\xff", wants_headers=True, headers=[{}])
    assert len(made) == 16


class Known:
    def status(self, name, version=None):
        return []


def test_calls_that_run_no_model_are_heard_too():
    observer = CallRecorder()
    service = GrpcService(Known(), strict_inputs=False, tensor_content=False, observer=observer)
    message = GetModelStatusRequest()
    message.model_spec.name = "m"
    payload = message.SerializeToString()
    headers: Headers | None = None
    Reporter(observer).ended(STATUS, payload, 1, headers, service.call(STATUS, payload, "")())
    (call,) = observer.heard
    assert (call.method, call.code, call.request_bytes) == ("GetModelStatus", Code.OK, len(payload))
