"""A batch of waiting calls: one run, each its own answer, and nobody hears of another's error."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes import FakeModel, FakeServable, RunRecorder, signature, spec
from hypothesis import given
from hypothesis import strategies as st

from unstuck.core.dtypes import FLOAT
from unstuck.errors import Code, EngineError, UnwritableOutput
from unstuck.inference import waiting
from unstuck.inference.placement import FIRST_TRIAL, SHORT_NS, Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.waiting import WaitingCall, WaitingCalls

XY = signature(spec("x", FLOAT, (None, 1)), outputs=(spec("y", FLOAT, (None, 1)),))


@dataclass
class Front:
    """Keeps what it is told: the answers by what each call was sent as, and the calls of each batch."""

    answers: dict = field(default_factory=dict)
    batches: list = field(default_factory=list)
    ran: list = field(default_factory=list)

    def answered(self, ran, calls, answers):
        self.ran.append(ran)
        self.batches.append([call.sent for call in calls])
        for call, answer in zip(calls, answers, strict=True):
            self._keep(call, answer)

    def failed(self, call, error):
        self._keep(call, error)

    def _keep(self, call, outcome):
        assert call.sent not in self.answers, "told twice"
        self.answers[call.sent] = outcome


def encode(outputs):
    if (outputs["y"] == -2).any():
        raise UnwritableOutput("no minus two")
    if (outputs["y"] == -4).any():
        raise ValueError("a bug")
    return repr(outputs["y"].ravel().tolist()).encode()


def double(inputs):
    if (inputs["x"] == 13).any():
        raise EngineError("unlucky", code=Code.INVALID_ARGUMENT)
    return {"y": inputs["x"] * 2}


class Batch:
    """Runs calls of one model as one batch."""

    def __init__(self, function=double):
        self.recorder = RunRecorder()
        self.servable = FakeServable(function, {"serving_default": XY})
        self.model = FakeModel(self.servable, mergeable=frozenset({"serving_default"}), observers=[self.recorder])
        self.placement = Placement()
        self.front = Front()

    def call(self, sent, *values, wanted=True, front=None):
        prepared = PreparedCall(self.model, XY, {"x": np.array(values, np.float32)[:, None]}, [])
        return WaitingCall(prepared, encode, lambda: wanted, front or self.front, sent)

    def run(self, *calls):
        WaitingCalls(self.placement).run("key", calls)
        return self.front.answers

    @property
    def rows(self):
        return [len(inputs["x"]) for inputs in self.servable.runs]


def test_all_are_one_run_and_each_gets_its_own_rows():
    batch = Batch()
    answers = batch.run(batch.call("a", 1), batch.call("b", 2, 3), batch.call("c"), batch.call("d", 4))
    assert answers == {"a": b"[2.0]", "b": b"[4.0, 6.0]", "c": b"[]", "d": b"[8.0]"}
    assert batch.rows == [4]
    ((_, inputs, _, rows),) = batch.recorder.heard
    assert (inputs, rows) == ({"x": [[1], [2], [3], [4]]}, [1, 2, 0, 1])
    (ran,) = batch.front.ran
    assert (ran.model, ran.version, ran.signature) == ("m", 7, "serving_default")


def test_each_front_hears_of_its_own_calls_at_once():
    batch, other = Batch(), Front()
    batch.run(batch.call("a", 1), batch.call("b", 2, front=other), batch.call("c", 3))
    assert batch.rows == [3]
    assert (batch.front.batches, other.batches) == ([["a", "c"]], [["b"]])


def test_calls_that_nobody_waits_for_any_more_are_not_run():
    batch = Batch()
    assert batch.run(batch.call("a", 1), batch.call("gone", 2, wanted=False)) == {"a": b"[2.0]"}
    assert batch.rows == [1]
    assert batch.run(batch.call("gone too", 2, wanted=False)).keys() == {"a"}
    assert batch.rows == [1]


def test_after_a_failed_run_each_is_run_alone():
    batch = Batch()
    answers = batch.run(batch.call("a", 1), batch.call("b", 13), batch.call("c", 2))
    assert (answers["a"], answers["c"]) == (b"[2.0]", b"[4.0]")
    assert str(answers["b"]).startswith("Model 'm' version 7, signature 'serving_default': unlucky")
    assert batch.rows == [3, 1, 1, 1]


@pytest.mark.parametrize(("value", "error"), [(-1, UnwritableOutput), (-2, ValueError)])
def test_an_answer_that_cannot_be_written_is_its_own_callers_affair(value, error):
    batch = Batch()
    answers = batch.run(batch.call("a", 1), batch.call("b", value), batch.call("c", 2))
    assert (answers["a"], answers["c"]) == (b"[2.0]", b"[4.0]")
    assert type(answers["b"]) is error
    assert batch.rows == [3], "the others are not run again"


def test_outputs_without_a_row_for_each_row_are_given_to_no_other_call():
    batch = Batch(lambda inputs: {"y": np.full((1, 1), len(inputs["x"]))})
    assert batch.run(batch.call("a", 1), batch.call("b", 1, 2)) == {"a": b"[1]", "b": b"[2]"}


@pytest.fixture
def clock(monkeypatch):
    now = {"clock": 0, "cpu": 0}
    monkeypatch.setattr(waiting, "perf_counter_ns", lambda: now["clock"])
    monkeypatch.setattr(waiting, "thread_time_ns", lambda: now["cpu"])
    return now


@pytest.mark.parametrize(("took_ns", "learned"), [(SHORT_NS // 2, True), (2 * SHORT_NS, False)])
def test_a_short_batch_shows_that_its_calls_are_short_a_long_one_nothing(clock, took_ns, learned):
    def run(inputs):
        clock["clock"] += took_ns
        clock["cpu"] += took_ns
        return double(inputs)

    batch = Batch(run)
    for number in range(FIRST_TRIAL):
        batch.run(batch.call((number, 1), 1), batch.call((number, 2), 2))
    key = batch.call("", 1).prepared.key()
    assert batch.placement.is_short(key) is learned
    assert (key in batch.placement._times) is learned


values = st.lists(st.integers(-3, 14), max_size=3)


@given(st.lists(st.tuples(values, st.booleans()), max_size=12))
def test_a_batch_answers_as_each_call_alone(calls):
    together, alone = Batch(), Batch()
    together.run(*(together.call(at, *sent, wanted=wanted) for at, (sent, wanted) in enumerate(calls)))
    for at, (sent, wanted) in enumerate(calls):
        alone.run(alone.call(at, *sent, wanted=wanted))
    assert {at: _shown(answer) for at, answer in together.front.answers.items()} == {
        at: _shown(answer) for at, answer in alone.front.answers.items()
    }


def _shown(answer):
    return answer if isinstance(answer, bytes) else (type(answer), str(answer))
