import numpy as np
import pytest
from fakes import FakeModel, FakeModels, FakeServable, RunRecorder, signature, spec

from unstuck.core.batching import Batching, BatchingParameters
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec
from unstuck.errors import Code, EngineError, InvalidRequest, QueueFull
from unstuck.inference.batched import BatchKey, run_batch
from unstuck.inference.predict import Bound, prepare
from unstuck.inference.timed_calls import TimedCalls
from unstuck.inference.together import merge_key
from unstuck.inference.waiting import WaitingCall

ROWS = (None, 2)
SIG = signature(spec("x", FLOAT, ROWS), outputs=(spec("y", FLOAT, ROWS),))


class Front:
    """A front end; keeps what it is told."""

    def __init__(self):
        self.answers, self.errors, self.runs = {}, {}, []

    def answered(self, ran, calls, answers):
        self.runs.append(ran)
        self.answers.update({call.sent: answer for call, answer in zip(calls, answers, strict=True)})

    def failed(self, call, error):
        self.errors[call.sent] = error


class Timed:
    """Models whose calls wait until ``run``."""

    def __init__(self, function=lambda inputs: {"y": inputs["x"] * 2}, **parameters):
        self.queued, self.others, self.seen = [], [], RunRecorder()
        self.refuses = None
        batching = Batching({SIG.name: BatchingParameters(**parameters)}, self._add)
        served = FakeServable(function, {SIG.name: SIG})
        self.model = FakeModel(served, batching=batching, observers=[self.seen])
        self.calls = TimedCalls(self)
        self.fronts = Front(), Front()

    def _add(self, key, run, rows):
        if self.refuses:
            raise self.refuses
        assert isinstance(key, BatchKey)
        self.queued.append((key, run, rows))

    def add(self, key, item, rows):
        """Where the calls go that no batching parameters are for."""
        self.others.append((key, item, rows))

    def call(self, sent, rows, front=0, encode=None):
        prepared = prepare(FakeModels({"m": self.model}), ModelSpec("m"), Bound("", {"x": np.array(rows, np.float32)}))
        encode = encode or (lambda outputs: str(outputs["y"].tolist()).encode())
        waiting = WaitingCall(prepared, encode, lambda: True, self.fronts[front], sent)
        self.calls.add(merge_key(prepared), waiting, waiting.rows)

    def run(self):
        run_batch(self.queued[0][0], [run for _, run, _ in self.queued])


def test_calls_of_two_front_ends_are_one_run_and_each_hears_of_its_own():
    timed = Timed()
    timed.call("a", [[1, 2]])
    timed.call("b", [[3, 4], [5, 6]], front=1)
    timed.call("c", [[7, 8]])
    assert [rows for _, _, rows in timed.queued] == [1, 2, 1]
    timed.run()
    rest, grpc = timed.fronts
    assert rest.answers == {"a": b"[[2.0, 4.0]]", "c": b"[[14.0, 16.0]]"}
    assert grpc.answers == {"b": b"[[6.0, 8.0], [10.0, 12.0]]"}
    assert len(timed.model.servable.runs) == 1
    assert [(ran.model, ran.version, ran.signature) for ran in rest.runs] == [("m", 7, SIG.name)]


def test_observers_hear_of_each_call_as_it_was_sent_not_of_the_padding():
    timed = Timed(max_batch_size=8, allowed_batch_sizes=(8,))
    timed.call("a", [[1, 2]])
    timed.call("b", [[3, 4]])
    timed.run()
    assert timed.model.servable.runs[0]["x"].shape == (8, 2)
    assert timed.seen.heard == [
        (SIG.name, {"x": [[1, 2]]}, {"y": [[2, 4]]}, []),
        (SIG.name, {"x": [[3, 4]]}, {"y": [[6, 8]]}, []),
    ]


def test_an_error_names_model_and_signature_once_to_each():
    def fail(inputs):
        raise EngineError("no", code=Code.INTERNAL)

    timed = Timed(fail)
    timed.call("a", [[1, 2]])
    timed.call("b", [[1, 2]])
    timed.run()
    said = {sent: error.message for sent, error in timed.fronts[0].errors.items()}
    assert said == dict.fromkeys("ab", "Model 'm' version 7, signature 'serving_default': no")
    assert not timed.seen.heard


def test_an_answer_that_cannot_be_encoded_is_only_its_callers_error():
    def refuse(outputs):
        raise EngineError("not in JSON", code=Code.INVALID_ARGUMENT)

    timed = Timed()
    timed.call("a", [[1, 2]], encode=refuse)
    timed.call("b", [[1, 2]])
    timed.run()
    assert "not in JSON" in timed.fronts[0].errors["a"].message
    assert list(timed.fronts[0].answers) == ["b"]


@pytest.mark.parametrize("error", [QueueFull("full"), InvalidRequest("large")])
def test_a_refusal_names_model_and_signature(error):
    timed = Timed()
    timed.refuses = error
    with pytest.raises(type(error), match=r"Model 'm' version 7, signature 'serving_default': (full|large)"):
        timed.call("a", [[1, 2]])


def test_calls_without_batching_parameters_go_where_they_went_before():
    timed = Timed()
    timed.model.batching = Batching({"another": BatchingParameters()}, timed._add)
    timed.model.mergeable = frozenset({SIG.name})
    timed.call("a", [[1, 2]])
    assert not timed.queued
    assert [item.sent for _, item, _ in timed.others] == ["a"]


def test_inputs_that_no_batch_can_take_are_refused_before_they_wait():
    loose = signature(spec("a"), spec("b"))
    timed = Timed()
    timed.model.servable.signatures = {SIG.name: loose}
    inputs = {"a": np.zeros((2, 1), np.float32), "b": np.zeros((3, 1), np.float32)}
    with pytest.raises(InvalidRequest, match="equal first dimensions, got 2 for 'a', 3 for 'b'"):
        prepare(FakeModels({"m": timed.model}), ModelSpec("m"), Bound("", inputs))
    timed.model.batching = None
    assert prepare(FakeModels({"m": timed.model}), ModelSpec("m"), Bound("", inputs)).inputs is inputs
