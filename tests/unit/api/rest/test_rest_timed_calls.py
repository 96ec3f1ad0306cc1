"""REST calls to a model with batching parameters: read together, queued apart, answered as the batches run."""

import asyncio
import json

import pytest
from fakes import FakeModel, FakeModels, FakeServable, RunRecorder, signature, spec

from unstuck.api.rest.predict import LOOP_BODY_BYTES, PredictCalls
from unstuck.batching.fair import FairThreads
from unstuck.batching.timed import TimedBatches
from unstuck.codecs import predict_json
from unstuck.core.batching import Batching, BatchingParameters
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec
from unstuck.errors import DeadlineExceeded, InvalidRequest, QueueFull, WrongShape
from unstuck.inference.batched import parameters_of, run_batch, split
from unstuck.inference.timed_calls import TimedCalls

TIMEOUT_S = 10
NEVER = 3_600_000_000
SIG = signature(spec("x", FLOAT, (None, 2)), outputs=(spec("y", FLOAT, (None, 2)),))


class Calls:
    """Sends bodies in one turn; keeps what ran."""

    def __init__(self, timeout_s=None, **parameters):
        self.servable = FakeServable(lambda inputs: {"y": inputs["x"] * 2}, {SIG.name: SIG})
        self.timeout_s = timeout_s
        self.parameters = BatchingParameters(**parameters)
        self.seen = RunRecorder()

    def __call__(self, *bodies):
        timed = TimedBatches(run_batch, 1, parameters_of, split)
        batching = Batching({SIG.name: self.parameters}, timed.add)
        models = FakeModels({"m": FakeModel(self.servable, batching=batching, observers=[self.seen])})
        try:
            return asyncio.run(asyncio.wait_for(self._send(models, bodies), TIMEOUT_S))
        finally:
            timed.stop()

    async def _send(self, models, bodies):
        with FairThreads(2) as workers:
            calls = PredictCalls(models, workers, self.timeout_s, False, 1 << 20, batches=TimedCalls(None))
            texts = [json.dumps(body).encode() for body in bodies]
            made = [calls.answer(ModelSpec("m"), text, {}, 0) for text in texts]
            answers = await asyncio.gather(*made, return_exceptions=True)
        return [each if isinstance(each, BaseException) else json.loads(each.body) for each in answers]

    @property
    def rows(self):
        return [len(inputs["x"]) for inputs in self.servable.runs]


def rows(*values):
    return {"instances": [[value, value] for value in values]}


def predictions(*values):
    return {"predictions": [[2 * value, 2 * value] for value in values]}


def test_calls_of_one_turn_are_read_together_and_batched_as_the_parameters_say(monkeypatch):
    monkeypatch.setattr(predict_json, "parse", lambda body: pytest.fail("it was read alone"))
    calls = Calls(max_batch_size=4, batch_timeout_micros=1000)
    assert calls(rows(1), rows(2, 3), rows(4, 5)) == [predictions(1), predictions(2, 3), predictions(4, 5)]
    assert calls.rows == [3, 2]


def test_observers_hear_of_each_call():
    calls = Calls(max_batch_size=4, batch_timeout_micros=1000)
    calls(rows(1), rows(2, 3))
    assert [inputs for _, inputs, _, _ in calls.seen.heard] == [{"x": [[1, 1]]}, {"x": [[2, 2], [3, 3]]}]


def test_one_that_is_too_large_or_one_too_many_is_refused_alone():
    calls = Calls(max_batch_size=2, max_enqueued_batches=2, batch_timeout_micros=NEVER)
    first, large, second = calls(rows(1), rows(1, 2, 3), rows(4))
    assert [first, second] == [predictions(1), predictions(4)]
    assert isinstance(large, InvalidRequest)
    assert "Model 'm' version 7, signature 'serving_default': The call has 3 rows" in large.message


def test_a_full_queue_refuses(monkeypatch):
    calls = Calls(max_batch_size=1, max_enqueued_batches=1)
    answers = calls(*[rows(number) for number in range(20)])
    refused = [each for each in answers if isinstance(each, QueueFull)]
    assert 0 < len(refused) < 20
    assert all(each == predictions(number) for number, each in enumerate(answers) if each not in refused)


@pytest.mark.parametrize("odd", [{"inputs": [[3, 3]]}, {"instances": [{"x": [3, 3]}]}])
def test_calls_of_other_forms_share_the_batch(odd):
    calls = Calls(max_batch_size=2, batch_timeout_micros=NEVER)
    first, second = calls(rows(1), odd)
    assert first == predictions(1)
    assert second in (predictions(3), {"outputs": [[6, 6]]})
    assert calls.rows == [2]


def test_a_wrong_call_is_its_own():
    wrong, right = Calls(batch_timeout_micros=1000)({"instances": [[1, 2, 3]]}, rows(1))
    assert isinstance(wrong, WrongShape)
    assert right == predictions(1)


def test_a_large_body_is_batched_too():
    many = rows(*range(LOOP_BODY_BYTES // 10))
    assert len(json.dumps(many)) > LOOP_BODY_BYTES
    calls = Calls(max_batch_size=10_000, allowed_batch_sizes=(10_000,))
    assert calls(many) == [predictions(*range(LOOP_BODY_BYTES // 10))]
    assert calls.rows == [10_000]


def test_a_call_is_not_waited_for_longer_than_the_timeout():
    answers = Calls(timeout_s=0.05, batch_timeout_micros=NEVER)(rows(1), rows(2))
    assert all(isinstance(each, DeadlineExceeded) for each in answers)
