"""PredictCalls with fake models: what runs together, what alone, and who hears of whose error."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from fakes import FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.rest import predict as rest_predict
from unstuck.api.rest.predict import PredictCalls
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec
from unstuck.errors import Code, DeadlineExceeded, EngineError, NotFound, UnstuckError, WrongShape, WrongType
from unstuck.inference.placement import MAX_TOGETHER, SHORT_NS, Placement

TIMEOUT_S = 5
SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, (None, 2)), outputs=(spec("y", FLOAT, (None, 2)),)),
    "two": signature(spec("a", FLOAT, (None,)), spec("b", FLOAT, (None,)), name="two"),
}


def double(inputs):
    if "a" in inputs:
        return {"y": inputs["a"] + inputs["b"]}
    return {"y": inputs["x"] * 2}


class Calls:
    """PredictCalls on one model ``m``, whose calls count as short, and may be merged, unless said otherwise."""

    def __init__(self, monkeypatch, function=double, *, short=True, mergeable=True, **options: Any) -> None:
        self.short = short
        monkeypatch.setattr(Placement, "is_short", lambda _, key: self.short)
        names = frozenset(SIGNATURES) if mergeable else frozenset()
        self.servable = FakeServable(function, SIGNATURES)
        self.models = FakeModels({"m": FakeModel(self.servable, mergeable=names)})
        self.options = {"timeout_s": None, "strict_inputs": False, "max_body_bytes": 1 << 20, **options}

    def __call__(self, *turns: list[Any], model: str = "m") -> list[Any]:
        """The answers to bodies, those of one list sent in one turn: the predictions, or the error."""
        return asyncio.run(asyncio.wait_for(self._send(turns, model), TIMEOUT_S))

    async def _send(self, turns, model):
        answers = []
        with FairThreads(4) as workers:
            calls = PredictCalls(self.models, workers, **self.options)
            for bodies in turns:
                texts = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
                made = [calls.answer(ModelSpec(model), text, {}, 0) for text in texts]
                answers += await asyncio.gather(*made, return_exceptions=True)
        return [each if isinstance(each, BaseException) else self._value(each) for each in answers]

    @staticmethod
    def _value(response):
        assert response.status == 200
        (value,) = json.loads(response.body).values()
        return value

    @property
    def rows(self) -> list[int]:
        return [len(next(iter(inputs.values()))) for inputs in self.servable.runs]


@pytest.fixture
def calls(monkeypatch):
    return lambda *args, **options: Calls(monkeypatch, *args, **options)


def rows(*values):
    return {"instances": [[value, value] for value in values]}


def test_calls_that_cannot_be_read_as_one_still_share_a_run(calls):
    made = calls()
    both = [{"signature_name": "two", "instances": [{"a": value, "b": 1}]} for value in (1, 2, 3)]
    assert made([*both, {"inputs": {"x": [[7, 8]]}}, b"{", rows(4)])[:3] == [[2], [3], [4]]
    assert sorted(made.rows) == [2, 3], "three of one signature, two of the other"


def test_what_cannot_be_read_or_run_is_its_own_caller_s_alone(calls):
    def picky(inputs):
        if (inputs["a"] == 2).any():
            raise EngineError("Two.", code=Code.INTERNAL)
        return double(inputs)

    made = calls(picky)
    both = [{"signature_name": "two", "instances": [{"a": value, "b": 1}]} for value in (1, 2, 3)]
    first, second, third, fourth = made([*both, b"{"])
    assert (first, third) == ([2], [4])
    assert isinstance(second, EngineError)
    assert isinstance(fourth, UnstuckError)
    assert made.rows == [3, 1, 1, 1]


def test_calls_of_one_turn_are_one_run_and_each_gets_its_own_rows(calls):
    made = calls()
    assert made([rows(1, 2), rows(3), rows(4, 5, 6)]) == [[[2, 2], [4, 4]], [[6, 6]], [[8, 8], [10, 10], [12, 12]]]
    assert made.rows == [6]


def test_nan_in_one_answer_stays_in_it(calls):
    made = calls(lambda inputs: {"y": np.where(inputs["x"] < 0, np.nan, inputs["x"])})
    first, second = made([rows(1), rows(-1)])
    assert first == [[1, 1]]
    assert np.isnan(second).all()
    assert made.rows == [2]


def test_several_outputs_are_cut_alike(calls):
    made = calls(lambda inputs: {"y": inputs["x"], "z": inputs["x"][:, 0] + 1})
    assert made([rows(1), rows(2, 3)]) == [
        [{"y": [1, 1], "z": 2}],
        [{"y": [2, 2], "z": 3}, {"y": [3, 3], "z": 4}],
    ]


@pytest.mark.parametrize(
    ("odd", "answer"),
    [
        ({"inputs": [[3, 3]]}, [[6, 6]]),
        ({"instances": [{"x": [3, 3]}]}, [[6, 6]]),
        ({"instances": [[3, 3]], "signature_name": "serving_default"}, [[6, 6]]),
        (b'{"instances": [[3, 3]]} trailing', [[6, 6]]),
        (b'{"instances": [[3, 3]], "instances": [[4, 4]]}', [[6, 6]]),
        (b'{"instances": [[NaN, 3]]}', [[float("nan"), 6]]),
        ({"instances": [[3, True]]}, WrongType),
        ({"instances": [[3, "3"]]}, WrongType),
        ({"instances": [[3]]}, WrongShape),
        ({"instances": [[3, 3], [3]]}, WrongShape),
        ({"instances": []}, UnstuckError),
        (b"{", UnstuckError),
        (b"[1]", UnstuckError),
    ],
    ids=repr,
)
def test_whatever_is_special_about_one_call_is_its_own_affair(calls, odd, answer):
    first, got, last = calls()([rows(1), odd, rows(2)])
    assert (first, last) == ([[2, 2]], [[4, 4]])
    if isinstance(answer, type):
        assert isinstance(got, answer)
    else:
        np.testing.assert_array_equal(got, answer)


@pytest.mark.parametrize(
    "error",
    [EngineError("poisoned", code=Code.INVALID_ARGUMENT), ValueError("poisoned"), MemoryError("poisoned")],
    ids=lambda error: type(error).__name__,
)
def test_only_the_culprit_fails(calls, error):
    def poisoned(inputs):
        if (inputs["x"] < 0).any():
            raise error
        return double(inputs)

    made = calls(poisoned)
    first, culprit, last = made([rows(1), rows(-1), rows(2)])
    assert (first, last) == ([[2, 2]], [[4, 4]])
    assert type(culprit) is type(error)
    assert made.rows == [3, 1, 1, 1], "together, then each alone"


def test_an_output_that_cannot_be_written_fails_alone(calls):
    made = calls(lambda inputs: {"y": np.array([b"\xff" if row[0] < 0 else b"ok" for row in inputs["x"]], object)})
    first, culprit, last = made([rows(1), rows(-1), rows(2)])
    assert (first, last) == (["ok"], ["ok"])
    assert isinstance(culprit, UnstuckError)
    assert "not UTF-8" in str(culprit)


@pytest.mark.parametrize("options", [{"mergeable": False}, {"short": False}], ids=lambda options: next(iter(options)))
def test_what_is_not_proven_is_not_merged(calls, options):
    made = calls(**options)
    assert made([rows(1), rows(2)]) == [[[2, 2]], [[4, 4]]]
    assert made.rows == [1, 1]


def test_columns_with_inputs_of_unequal_length_keep_their_own_rows(calls):
    """They broadcast in the model; beside another call, their rows would pair up with its rows."""
    one = {"signature_name": "two", "inputs": {"a": [1, 2], "b": [10]}}
    two = {"signature_name": "two", "inputs": {"a": [1], "b": [10, 20]}}
    assert calls()([one, two]) == [[11, 12], [11, 21]]


def test_an_unknown_model_fails_for_each(calls):
    assert [type(each) for each in calls()([rows(1), rows(2)], model="other")] == [NotFound, NotFound]


def test_more_calls_than_may_run_together_go_into_the_next_run(calls):
    made = calls()
    count = 2 * MAX_TOGETHER + 3
    assert made([rows(number) for number in range(count)]) == [[[2 * number] * 2] for number in range(count)]
    assert made.rows == [MAX_TOGETHER, MAX_TOGETHER, 3]


@pytest.mark.parametrize("calls_a_turn", [2, 3, 64])
def test_fewer_calls_run_together_while_runs_are_long_and_more_again_afterwards(calls, monkeypatch, calls_a_turn):
    now_ns, run_ns, largest = 0, 0, []

    def timed(inputs):
        nonlocal now_ns
        now_ns += run_ns
        return double(inputs)

    monkeypatch.setattr(rest_predict, "thread_time_ns", lambda: now_ns)
    made = calls(timed)
    turn = [rows(number) for number in range(calls_a_turn)]
    want = [[[2 * number] * 2] for number in range(calls_a_turn)]

    async def run():
        nonlocal run_ns
        with FairThreads(1) as workers:
            predict = PredictCalls(made.models, workers, **made.options)
            for number in range(200):
                run_ns = 2 * SHORT_NS if number < 10 else 0
                made.servable.runs.clear()
                bodies = [json.dumps(body).encode() for body in turn]
                answers = await asyncio.gather(*(predict.answer(ModelSpec("m"), body, {}, 0) for body in bodies))
                assert [made._value(each) for each in answers] == want
                largest.append(max(made.rows))

    asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
    assert largest[0] == calls_a_turn
    assert largest[9] <= 2, "long runs are made shorter"
    assert largest[-1] == calls_a_turn, "merging is tried again once runs are short"


def test_a_long_call_runs_on_a_worker_and_may_time_out(calls):
    released = []

    def slow(inputs):
        while not released:
            pass
        return double(inputs)

    made = calls(slow, short=False, timeout_s=0.05)

    async def run():
        with FairThreads(1) as workers:
            predict = PredictCalls(made.models, workers, **made.options)
            try:
                await predict.answer(ModelSpec("m"), json.dumps(rows(1)).encode(), {}, 0)
            finally:
                released.append(True)

    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.05 s") as caught:
        asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
    assert "--rest_api_timeout_in_ms" in caught.value.hint


def test_a_large_body_is_answered_too(calls):
    many = rows(*range(20_000))
    assert len(json.dumps(many)) > rest_predict.LOOP_BODY_BYTES
    answer, _ = calls()([many, rows(1)])
    assert answer == [[2 * number] * 2 for number in range(20_000)]


def test_a_caller_that_gave_up_does_not_disturb_the_others(calls):
    made = calls()

    async def run():
        with FairThreads(1) as workers:
            predict = PredictCalls(made.models, workers, **made.options)
            first, gone, last = (
                asyncio.ensure_future(predict.answer(ModelSpec("m"), json.dumps(rows(number)).encode(), {}, 0))
                for number in (1, 2, 3)
            )
            gone.cancel()
            await asyncio.wait([first, gone, last])
            return made._value(first.result()), gone.cancelled(), made._value(last.result())

    assert asyncio.run(asyncio.wait_for(run(), TIMEOUT_S)) == ([[2, 2]], True, [[6, 6]])


def test_warnings_are_for_the_call_that_they_are_about(calls):
    made = calls()

    async def run():
        with FairThreads(1) as workers:
            predict = PredictCalls(made.models, workers, **made.options)
            bodies = [rows(1), {"inputs": {"x": [[2, 2]], "X": 1}}]
            return await asyncio.gather(
                *(predict.answer(ModelSpec("m"), json.dumps(body).encode(), {}, 0) for body in bodies)
            )

    plain, warned = asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
    assert dict(plain.headers).keys() == {"content-type"}
    assert "'X'" in dict(warned.headers)["x-unstuck-warning"]
