"""What a client does, without a network: the transports are scripts of replies."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes import signature, spec

from unstuck.client import clients
from unstuck.client.address import parse
from unstuck.client.calls import Calls, Patience
from unstuck.client.clients import AsyncClient, Client
from unstuck.client.failures import ServerError, Unreachable, UnreadableAnswer, of_server
from unstuck.client.messages import Reply, Send
from unstuck.client.rest_wire import RestWire
from unstuck.codecs import model_json
from unstuck.core.dtypes import FLOAT, INT64
from unstuck.core.models import ModelSpec
from unstuck.errors import (
    Code,
    DeadlineExceeded,
    InputNames,
    InvalidRequest,
    NotFound,
    NotReady,
    UnknownSignature,
    UnsupportedType,
    WrongShape,
    WrongType,
)

HALF_PLUS_TWO = signature(spec("x", FLOAT, (None,)), outputs=(spec("y", FLOAT, (None,)),))
RENAMED = signature(spec("z", FLOAT, (None,)), outputs=(spec("y", FLOAT, (None,)),))
REFUSED = Unreachable("Could not connect.")


def metadata(version=1, sig=HALF_PLUS_TWO):
    return Reply(200, model_json.metadata("m", version, {"serving_default": sig}))


def answer(*values):
    return Reply(200, b'{"predictions": %b}' % str(list(values)).encode())


def failed(status, text="no", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, b'{"error": "%b"}' % text.encode(), named)


@dataclass
class Script:
    """Answers with its replies, one after the other; an error among them is raised."""

    replies: list
    clock_s: float = 0.0
    sent: list = field(default_factory=list)
    pauses: list = field(default_factory=list)

    def calls(self, *, timeout_s=30.0, retries=3, jitter=1.0):
        patience = Patience(timeout_s, retries, clock=lambda: self.clock_s, jitter=lambda: jitter)
        return Calls(RestWire("http://h"), ModelSpec("m"), patience)

    def run(self, flow):
        try:
            step = next(flow)
            while True:
                if not isinstance(step, Send):
                    self.pauses.append(step.seconds)
                    self.clock_s += step.seconds
                    step = flow.send(None)
                    continue
                self.sent.append(step)
                reply = self.replies.pop(0)
                step = flow.throw(reply) if isinstance(reply, Exception) else flow.send(reply)
        except StopIteration as done:
            return done.value

    @property
    def paths(self):
        return [step.request.path for step in self.sent]


# Signatures are read once


def test_the_signature_is_read_once():
    script = Script([metadata(), answer(2.5), answer(3.0)])
    calls = script.calls()
    assert script.run(calls.predict("", [1.0], {})).array.tolist() == [2.5]
    assert script.run(calls.predict("", [2.0], {})).array.tolist() == [3.0]
    assert script.paths == ["/v1/models/m/metadata", "/v1/models/m:predict", "/v1/models/m:predict"]


def test_a_call_that_does_not_fit_is_compared_with_the_signature_as_it_is_now():
    script = Script([metadata(), answer(2.5), metadata(2, RENAMED), answer(2.5), metadata(2, RENAMED)])
    calls = script.calls()
    script.run(calls.predict("", {"x": [1.0]}, {}))
    script.run(calls.predict("", {"z": [1.0]}, {}))
    with pytest.raises(InputNames, match="did you mean"):
        script.run(calls.predict("", {"Z": [1.0]}, {}))
    assert not script.replies


@pytest.mark.parametrize(
    "reply", [failed(400), failed(404), Reply(200, b'{"predictions": ["?"]}'), Reply(200, b"<html>")]
)
def test_after_an_answer_that_does_not_fit_the_signature_is_read_anew(reply):
    script = Script([metadata(), reply, metadata(), answer(2.5)])
    calls = script.calls()
    with pytest.raises((InvalidRequest, NotFound, UnreadableAnswer)):
        script.run(calls.predict("", [1.0], {}))
    assert script.run(calls.predict("", [1.0], {})).array.tolist() == [2.5]


def test_an_unknown_signature_is_told_before_anything_is_sent():
    script = Script([metadata()])
    with pytest.raises(UnknownSignature, match="Did you mean 'serving_default'"):
        script.run(script.calls().predict("serving-default", [1.0], {}))
    assert script.paths == ["/v1/models/m/metadata"]


def test_outputs_that_have_no_rows_are_asked_for_in_columns_from_then_on():
    refused = failed(400, "Tensor name: y has inconsistent batch size: 1 expecting batch size: 2")
    columns = Reply(200, b'{"outputs": [5]}')
    script = Script([metadata(), refused, columns, columns])
    calls = script.calls()
    for _ in range(2):
        assert script.run(calls.predict("", [1.0, 2.0], {})).array.tolist() == [5.0]
    assert [step.request.body for step in script.sent] == [
        None,
        b'{"instances":[1.0,2.0]}',
        b'{"inputs":[1.0,2.0]}',
        b'{"inputs":[1.0,2.0]}',
    ]


# Tries


@pytest.mark.parametrize("passing", [failed(503), REFUSED])
def test_tries_again_what_was_not_executed(passing):
    script = Script([passing, passing, passing, metadata()])
    assert script.run(script.calls().metadata()).version == 1
    assert script.pauses == [0.1, 0.2, 0.4]


def test_gives_up_after_the_last_retry():
    script = Script([failed(503, "loading")] * 3)
    with pytest.raises(NotReady, match="loading"):
        script.run(script.calls(retries=2).metadata())
    assert len(script.sent) == 3


@pytest.mark.parametrize("error", [failed(500), failed(504), failed(429), DeadlineExceeded("late")])
def test_does_not_repeat_what_may_have_been_executed(error):
    script = Script([error])
    with pytest.raises((ServerError, DeadlineExceeded)):
        script.run(script.calls().metadata())
    assert script.pauses == []


CUT_OFF = Unreachable("cut", may_have_run=True)


def test_a_call_that_is_cut_off_is_made_once_more():
    script = Script([CUT_OFF, REFUSED, metadata()])
    assert script.run(script.calls().metadata()).version == 1
    assert len(script.sent) == 3


def test_a_call_that_kills_one_process_after_the_other_meets_no_more_than_two():
    script = Script([CUT_OFF, CUT_OFF, metadata()])
    with pytest.raises(Unreachable, match="cut"):
        script.run(script.calls().metadata())
    assert len(script.sent) == 2


def test_without_retries_a_call_that_is_cut_off_fails():
    script = Script([CUT_OFF])
    with pytest.raises(Unreachable, match="cut"):
        script.run(script.calls(retries=0).metadata())


def test_waits_as_long_as_the_server_asks():
    script = Script(
        [failed(503, retry_after="7"), failed(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), metadata()]
    )
    script.run(script.calls(jitter=0.0).metadata())
    assert script.pauses == [7.0, 0.1]


def test_all_tries_share_one_deadline():
    script = Script([metadata(), failed(503, retry_after="20"), failed(503, retry_after="20")])
    with pytest.raises(NotReady):
        script.run(script.calls(timeout_s=30.0).predict("", [1.0], {}))
    assert script.pauses == [20.0]
    assert [step.timeout_s for step in script.sent] == [30.0, 30.0, 10.0]


def test_without_a_timeout_nothing_is_limited():
    script = Script([failed(503, retry_after="4000"), metadata()])
    script.run(script.calls(timeout_s=None).metadata())
    assert [step.timeout_s for step in script.sent] == [None, None]


# Errors


@pytest.mark.parametrize(
    ("code", "cause", "kind"),
    [
        (Code.INVALID_ARGUMENT, "", InvalidRequest),
        (Code.INVALID_ARGUMENT, "mapping/input-names", InputNames),
        (Code.INVALID_ARGUMENT, "mapping/wrong-shape", WrongShape),
        (Code.INVALID_ARGUMENT, "preprocessing/wrong-type", WrongType),
        (Code.FAILED_PRECONDITION, "mapping/wrong-signature", UnknownSignature),
        (Code.INVALID_ARGUMENT, "of/tomorrow", InvalidRequest),
        (Code.NOT_FOUND, "", NotFound),
        (Code.UNAVAILABLE, "", NotReady),
        (Code.DEADLINE_EXCEEDED, "", DeadlineExceeded),
        (Code.UNIMPLEMENTED, "", UnsupportedType),
        (Code.RESOURCE_EXHAUSTED, "", ServerError),
    ],
)
def test_errors_become_what_they_were(code, cause, kind):
    error = of_server(code, "It is wrong. Do this.", hint="Do this.", cause=cause)
    assert type(error) is kind
    assert (error.code, error.message, error.hint, str(error)) == (
        code,
        "It is wrong.",
        "Do this.",
        "It is wrong. Do this.",
    )


def test_a_hint_that_was_cut_is_whole_again():
    error = of_server(Code.NOT_FOUND, "Not there. Look here and there.", hint="Look here")
    assert (error.message, error.hint) == ("Not there.", "Look here and there.")


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (failed(404, "Servable not found"), NotFound, "Servable not found"),
        (Reply(400, b""), InvalidRequest, "http://h answered HTTP 400, without a message."),
        (Reply(502, b"<h1>Bad\nGateway</h1>"), ServerError, "http://h answered HTTP 502: <h1>Bad Gateway</h1>."),
        (Reply(301, b""), ServerError, "HTTP 301"),
        (Reply(418, b"[]"), InvalidRequest, "HTTP 418: []"),
    ],
)
def test_errors_of_stock_servers_and_of_what_stands_before_them(reply, kind, says):
    error = RestWire("http://h").failure(reply)
    assert type(error) is kind
    assert says in str(error)


# The clients themselves


class FakeTransport:
    def __init__(self, *replies):
        self.replies, self.closed = list(replies), 0

    def send(self, request, timeout_s):
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self):
        self.closed += 1


class FakeAsyncTransport(FakeTransport):
    async def send(self, request, timeout_s):
        return super().send(request, timeout_s)

    async def close(self):
        self.closed += 1


SCRIPT = (REFUSED, failed(503), metadata(), answer(2.5))


def test_client_connects_retries_and_closes(monkeypatch):
    transport = FakeTransport(*SCRIPT)
    monkeypatch.setattr(clients, "_transport", lambda *_: transport)
    with Client("http://h", "m") as client:
        assert client.predict(x=[1.0])["y"].tolist() == [2.5]
        assert list(client.signatures()) == ["serving_default"]
        assert client.signature("serving_default").predict is not None
    assert transport.closed == 1
    client.close()
    assert transport.closed == 1


def test_async_client_connects_retries_and_closes(monkeypatch):
    transport = FakeAsyncTransport(*SCRIPT)
    monkeypatch.setattr(clients, "_async_transport", lambda *_: transport)

    async def main():
        async with AsyncClient("http://h", "m") as client:
            assert (await client.predict(x=[1.0]))["y"].tolist() == [2.5]
            assert list(await client.signatures()) == ["serving_default"]

    asyncio.run(main())
    assert transport.closed == 1


def test_inputs_may_have_any_name(monkeypatch):
    odd = signature(*(spec(name, INT64, ()) for name in ("self", "inputs", "name")))
    transport = FakeTransport(metadata(sig=odd), Reply(200, b'{"outputs": 1.5}'))
    monkeypatch.setattr(clients, "_transport", lambda *_: transport)
    prediction = Client("http://h", "m").predict(self=1, inputs=2, name=3)
    np.testing.assert_array_equal(prediction.array, np.float32(1.5))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("localhost:8501", "no scheme. For REST write 'http://localhost:8501', for gRPC 'grpc://localhost:8501'"),
        ("htp://h", "Did you mean 'http'"),
        ("http://", "expected http://HOST"),
        ("grpc://h:1/path", "expected grpc://HOST"),
        ("http://h:99999", "cannot be read"),
    ],
)
def test_addresses_that_cannot_be_used(address, says):
    with pytest.raises(InvalidRequest) as error:
        Client(address, "m")
    assert says in str(error.value)


def test_addresses():
    assert parse("grpc://h").target == "h:8500"
    assert parse("grpcs://[::1]:5").target == "[::1]:5"
    assert parse("https://h/behind/").text == "https://h/behind"
    assert [parse(f"{scheme}://h").is_secure for scheme in ("http", "https", "grpc", "grpcs")] == [False, True] * 2


def test_a_version_and_a_label_exclude_each_other():
    with pytest.raises(InvalidRequest, match="Both a version"):
        Client("http://h", "m", version=1, label="stable")
    with pytest.raises(InvalidRequest, match="name is empty"):
        Client("http://h", "")
