"""PredictBatches with fake models: what runs together, what alone, on which thread, and who hears of whose error."""

import threading

import numpy as np
import pytest
from grpc_predict_calls import Calls, double, doubled, read, request, rows

from unstuck.api.grpc.predict import INLINE_BYTES
from unstuck.api.grpc.service import Answer, GrpcService
from unstuck.errors import (
    Code,
    EngineError,
    InputNames,
    InvalidRequest,
    NotFound,
    UnknownSignature,
    UnreadableMessage,
    UnstuckError,
    UnsupportedType,
    WrongShape,
    WrongType,
)
from unstuck.inference.placement import MAX_TOGETHER
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse


@pytest.fixture
def calls(monkeypatch):
    return lambda *args, **options: Calls(monkeypatch, *args, **options)


def test_calls_of_one_batch_are_one_run_and_each_gets_its_own_rows(calls):
    made = calls()
    assert made(rows(1, 2), rows(3), rows(4, 5, 6)) == [doubled(1, 2), doubled(3), doubled(4, 5, 6)]
    assert made.rows == [6]


def test_a_call_without_rows_may_be_among_them(calls):
    made = calls()
    nothing = request(x=np.zeros((0, 2), np.float32))
    assert made(rows(1), nothing, rows(2)) == [doubled(1), {"y": [], "z": []}, doubled(2)]
    assert made.rows == [2]


def test_no_calls_are_no_runs(calls):
    made = calls()
    assert made() == []
    assert made.rows == []


def test_the_answer_says_which_version_and_signature_gave_it(calls):
    for reply, name in zip(
        calls().begin([rows(1), rows(2), request("two", a=[1], b=[2])]),
        ["serving_default", "serving_default", "two"],
        strict=True,
    ):
        (answer,) = reply
        assert isinstance(answer, Answer)
        model_spec = PredictResponse.FromString(answer.payload).model_spec
        assert (model_spec.name, model_spec.version.value, model_spec.signature_name) == ("m", 7, name)


@pytest.mark.parametrize("as_content", [True, False])
def test_one_alone_and_one_among_others_are_answered_with_the_same_bytes(calls, as_content):
    made = calls(tensor_content=as_content)
    ((alone,),) = made.begin([rows(1)])
    ((first,), _) = made.begin([rows(1), rows(2)])
    assert alone == first
    output = PredictResponse.FromString(alone.payload).outputs["y"]
    assert bool(output.tensor_content) == as_content


def test_rows_of_other_shapes_are_other_runs(calls):
    made = calls()
    answers = made(request(x=[[1]]), rows(2), request(x=[[3]]), rows(4), request(x=[[5, 5, 5]]))
    assert [each["y"] for each in answers] == [[[2]], [[4, 4]], [[6]], [[8, 8]], [[10, 10, 10]]]
    assert sorted(inputs["x"].shape for inputs in made.servable.runs) == [(1, 3), (2, 1), (2, 2)]


def test_signatures_are_other_runs(calls):
    made = calls()
    answers = made(rows(1), request("two", a=[1], b=[2]), rows(3), request("two", a=[3, 4], b=[4, 5]))
    assert answers == [doubled(1), {"y": [3]}, doubled(3), {"y": [7, 9]}]
    assert made.rows == [2, 3]


def test_output_filters_are_other_runs(calls):
    made = calls()
    sent = [(), ["y"], ["z"], ["y"], ["z", "y"], ()]
    answers = made(*(rows(number, output_filter=each) for number, each in enumerate(sent)))
    for number, (each, answer) in enumerate(zip(sent, answers, strict=True)):
        assert answer == {alias: value for alias, value in doubled(number).items() if alias in (each or "yz")}
    assert sorted(made.rows) == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("odd", "answer"),
    [
        (request("wide", x=[3, 3]), {"y": [6, 6]}),
        (request(x=[3, 3]), WrongShape),
        (request("two", a=[1, 2], b=[3]), EngineError),
        (request("two", a=[1], b=[[3]]), WrongShape),
        (request(x=np.array([[1]])), WrongType),
        (request(X=[[1]]), InputNames),
        (request(), InputNames),
        (request("none", x=[[1]]), UnknownSignature),
        (request(name="other", x=[[1]]), NotFound),
        (request(name="", x=[[1]]), InvalidRequest),
        (request(output_filter=["w"], x=[[1]]), InvalidRequest),
        (b"", InvalidRequest),
        (b"\xff", UnreadableMessage),
        (PredictRequest.FromString(request(x=[[1]])).SerializeToString()[:-2], UnreadableMessage),
    ],
    ids=range(14),
)
def test_whatever_is_special_about_one_call_is_its_own_affair(calls, odd, answer):
    def checked(inputs):
        if "a" in inputs and len(inputs["a"]) != len(inputs["b"]):
            raise EngineError("uneven", code=Code.INVALID_ARGUMENT)
        return double(inputs)

    made = calls(checked)
    first, got, last = made(rows(1), odd, rows(2))
    assert (first, last) == (doubled(1), doubled(2))
    assert made.rows[0] == 2 or 2 in made.rows
    if isinstance(answer, type):
        assert type(got) is answer
    else:
        assert got == answer


@pytest.mark.parametrize(
    "error",
    [EngineError("poisoned", code=Code.INVALID_ARGUMENT), ValueError("poisoned"), MemoryError("poisoned")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("short", [True, False], ids=["on the thread", "on workers"])
def test_only_the_culprit_fails(calls, error, short):
    def poisoned(inputs):
        if (inputs["x"] < 0).any():
            raise error
        return double(inputs)

    made = calls(poisoned, short=short)
    first, culprit, last = made(rows(1), rows(-1), rows(2))
    assert (first, last) == (doubled(1), doubled(2))
    assert type(culprit) is type(error)
    assert made.rows == ([3, 1, 1, 1] if short else [1, 1, 1]), "together, then each alone"


def test_an_error_of_the_framework_names_the_model(calls):
    def fail(_):
        raise EngineError("poisoned", code=Code.ABORTED)

    for each in calls(fail)(rows(1), rows(2)):
        assert str(each).startswith("Model 'm' version 7, signature 'serving_default': poisoned")


@pytest.mark.parametrize("odd", [np.float32(1), np.zeros(1, np.float32), np.zeros(9, np.float32)])
def test_outputs_without_a_row_for_each_row_are_given_to_no_other_call(calls, odd):
    answers = calls(lambda inputs: {"y": inputs["x"], "z": odd})(rows(1), rows(2))
    assert [each["y"] for each in answers] == [[[1, 1]], [[2, 2]]]
    assert [each["z"] for each in answers] == [odd.tolist()] * 2


def test_an_output_that_cannot_be_written_is_everyones_own_error(calls):
    def strange(inputs):
        return {"y": inputs["x"].astype("datetime64[s]")}

    for each in calls(strange)(rows(1), rows(2)):
        assert isinstance(each, UnsupportedType)
        assert "Model 'm'" in str(each)


@pytest.mark.parametrize(("options", "runs"), [({"mergeable": False}, [1, 1]), ({"short": False}, [1, 1]), ({}, [2])])
def test_only_short_calls_of_a_proven_signature_are_merged(calls, options, runs):
    made = calls(**options)
    assert made(rows(1), rows(2)) == [doubled(1), doubled(2)]
    assert made.rows == runs


def test_short_calls_run_on_the_thread_that_asks_and_long_ones_on_workers(calls):
    for short, thread in ((True, threading.current_thread().name), (False, "worker")):
        made = calls(short=short)
        made(rows(1), request("wide", x=[[1]]))
        assert made.servable.threads == [thread] * 2


def test_long_calls_are_answered_once_a_worker_has_time(calls):
    made = calls(short=False)
    replies = made.begin([rows(1), b"\xff", rows(2)])
    assert [len(each) for each in replies] == [0, 1, 0], "an error of reading is told at once"
    made.workers.work()
    assert [read(each) for (each,) in (replies[0], replies[2])] == [doubled(1), doubled(2)]


def test_a_call_whose_client_has_gone_is_not_run(calls):
    made = calls(short=False)
    replies = made.begin([rows(1), rows(2), rows(3)], unwanted={1})
    made.workers.work()
    assert [len(each) for each in replies] == [1, 0, 1]
    assert [inputs["x"].tolist() for inputs in made.servable.runs] == [[[1, 1]], [[3, 3]]]


def large(value=1.0):
    payload = request(x=np.full((1, INLINE_BYTES // 4), value, np.float32))
    assert len(payload) > INLINE_BYTES
    return payload


def test_a_large_message_is_read_and_run_on_a_worker_alone(calls):
    made = calls()
    replies = made.begin([rows(1), large(), large(2), rows(2)])
    assert made.rows == [2], "the small ones, together"
    assert [len(each) for each in replies] == [1, 0, 0, 1]
    made.workers.work()
    assert made.rows == [2, 1, 1]
    assert made.servable.threads[1:] == ["worker"] * 2
    assert read(replies[1][0])["y"][0][-1] == 2
    assert read(replies[2][0])["y"][0][0] == 4


def test_a_large_message_whose_client_has_gone_is_not_even_read(calls, monkeypatch):
    made = calls()
    monkeypatch.setattr(GrpcService, "prepare_predict", lambda *_: pytest.fail("it was read"))
    replies = made.begin([large()], unwanted={0})
    made.workers.work()
    assert replies == [[]]


@pytest.mark.parametrize("payload", [b"\xff" * (INLINE_BYTES + 1), large() + b"\xff"], ids=["noise", "cut off"])
def test_a_large_message_that_cannot_be_read_is_told_too(calls, payload):
    (error,) = calls()(payload)
    assert isinstance(error, UnreadableMessage)


def test_the_limit_itself_is_still_small(calls):
    padding = b"\xa2\x06"  # field 100, which nobody knows
    room = INLINE_BYTES - len(rows(1)) - len(padding) - 3
    payload = rows(1) + padding + bytes([room & 127 | 128, room >> 7 & 127 | 128, room >> 14]) + bytes(room)
    assert len(payload) == INLINE_BYTES
    made = calls()
    ((answer,),) = made.begin([payload])
    assert read(answer) == doubled(1)
    assert not made.workers.waiting


def test_warnings_are_for_the_call_that_they_are_about(calls):
    made = calls()
    plain, warned, last = made.begin([request("wide", x=value) for value in ([[1]], [2, 2], [[3]])])
    assert (plain[0].warnings, last[0].warnings) == ([], [])
    (warning,) = warned[0].warnings
    assert "'x' was sent with shape [2], declared [-1,1]" in warning
    assert sorted(made.rows) == [2, 2], "the two plain calls together, and two values alone"


def test_strict_inputs_refuses_what_would_be_a_warning(calls):
    first, refused, last = calls(strict_inputs=True)(rows(1), request("wide", x=[2, 2]), rows(2))
    assert (first, last) == (doubled(1), doubled(2))
    assert isinstance(refused, InvalidRequest)
    assert "--strict_inputs" in str(refused)


def test_more_calls_than_may_run_together_are_several_runs(calls):
    made = calls()
    count = 2 * MAX_TOGETHER + 5
    assert made(*map(rows, range(count))) == [doubled(number) for number in range(count)]
    assert made.rows == [MAX_TOGETHER, MAX_TOGETHER, 5]


def test_errors_are_unstuck_errors_or_told_as_they_are(calls):
    (error,) = calls(lambda inputs: 1 // 0)(rows(1))
    assert isinstance(error, ZeroDivisionError)
    assert not isinstance(error, UnstuckError)
