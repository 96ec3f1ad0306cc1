"""Longer calls over REST: each is answered once, whatever ends it first, and leaves no timer behind."""

import asyncio
import json

import pytest
from fakes import CallRecorder, FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.rest.calls import Call
from unstuck.api.rest.predict import PredictCalls
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec
from unstuck.errors import DeadlineExceeded, NotReady
from unstuck.inference.placement import Placement

SIGNATURES = {"serving_default": signature(spec("x", FLOAT, (None,)), outputs=(spec("y", FLOAT, (None,)),))}
BODY = json.dumps({"instances": [1.0]}).encode()
TIMEOUT_S = 10


class Kept:
    """Batches that keep what they are given; or refuse it."""

    def __init__(self, error=None):
        self.waiting, self._error = [], error

    def add(self, key, item, rows):
        if self._error:
            raise self._error
        self.waiting.append((key, item, rows))


def answered(work, batches, calls=1, timeout_s=0.05):
    """The replies to calls of one turn, after ``work(predict, batches)``."""
    replies, observer = [], CallRecorder()

    async def run():
        placement = Placement()
        placement.is_short = lambda key: False
        servable = FakeServable(lambda inputs: {"y": inputs["x"]}, SIGNATURES)
        models = FakeModels({"m": FakeModel(servable, mergeable=frozenset(SIGNATURES))})
        with FairThreads(1) as workers:
            predict = PredictCalls(models, workers, timeout_s, False, 1 << 20, observer, batches, placement)
            for _ in range(calls):
                predict.begin(Call(ModelSpec("m"), BODY, {}, 0, lambda call, outcome: replies.append(outcome)))
            await asyncio.sleep(0.01)
            await work(predict)
            await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))
    return replies, observer


async def nothing(_):
    pass


@pytest.mark.parametrize("calls", [1, 3])
def test_a_call_that_waits_for_too_long_is_told_once_and_not_wanted_any_more(calls):
    batches = Kept()
    replies, _ = answered(nothing, batches, calls)
    assert [type(each) for each in replies] == [DeadlineExceeded] * calls
    assert [item.is_wanted() for _, item, _ in batches.waiting] == [False] * calls


@pytest.mark.parametrize("calls", [1, 3])
def test_a_refused_call_is_told_once(calls):
    replies, _ = answered(nothing, Kept(NotReady("full")), calls)
    assert [type(each) for each in replies] == [NotReady] * calls


@pytest.mark.parametrize("calls", [1, 3])
def test_an_answer_in_time_is_the_only_one(calls):
    batches = Kept()

    async def answer(_):
        waiting = [item for _, item, _ in batches.waiting]
        outputs = [item.prepared.run(item.encode) for item in waiting]
        waiting[0].caller.answered(waiting[0].prepared.ran, waiting, outputs)

    replies, observer = answered(answer, batches, calls)
    assert [(each.status, json.loads(each.body)) for each in replies] == [(200, {"predictions": [1.0]})] * calls
    (heard,) = observer.heard
    assert len(heard.arrived_ns) == calls


def test_an_answer_that_comes_too_late_is_neither_given_nor_counted():
    batches = Kept()

    async def late(_):
        await asyncio.sleep(0.1)
        ((_, item, _),) = batches.waiting
        body = item.prepared.run(item.encode)
        item.caller.answered(item.prepared.ran, [item], [body])

    replies, observer = answered(late, batches)
    assert [type(each) for each in replies] == [DeadlineExceeded]
    assert observer.heard == []


def test_calls_that_were_read_together_wait_each_for_itself():
    batches = Kept()
    answered(nothing, batches, 3)
    assert [(rows, item.prepared.inputs["x"].tolist()) for _, item, rows in batches.waiting] == [(1, [1.0])] * 3
