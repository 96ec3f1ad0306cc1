"""Longer calls over REST and gRPC, which share batches: each gets its own answer, whatever becomes of the others."""

import asyncio
import json
import threading
import time

import numpy as np
import pytest
from fakes import CallRecorder, FakeModel, FakeModels, FakeServable, signature, spec
from grpc_predict_calls import read, request
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.api.grpc.predict import PendingCall, PredictBatches
from unstuck.api.grpc.service import GrpcService
from unstuck.api.rest import predict as rest_predict
from unstuck.api.rest.predict import PredictCalls
from unstuck.batching.continuous import ContinuousBatches
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT, INT64, STRING
from unstuck.core.models import ModelSpec
from unstuck.core.observers import AnsweredCalls, OtherCall
from unstuck.errors import Code, DeadlineExceeded, EngineError, NotReady, UnstuckError
from unstuck.inference.placement import Placement
from unstuck.inference.waiting import WaitingCalls

TIMEOUT_S = 20
ROW = (None, 2)
SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, ROW), outputs=(spec("y", FLOAT, ROW),)),
    "two": signature(
        spec("a", FLOAT, (None,)), spec("t", STRING, (None,)), outputs=(spec("n", INT64, (None,)),), name="two"
    ),
}
POISON = 13


def answer(inputs):
    """Row by row; a row with POISON fails the run that it is in."""
    numbers = inputs["x"] if "x" in inputs else inputs["a"]
    if (numbers == POISON).any():
        raise EngineError("poisoned", code=Code.INVALID_ARGUMENT)
    if "x" in inputs:
        return {"y": inputs["x"] * 2 + inputs["x"].sum(axis=1, keepdims=True)}
    return {"n": inputs["a"].astype(np.int64) * 100 + np.array([len(text) for text in inputs["t"]], np.int64)}


class Model(FakeServable):
    """Waits for ``gate`` before each run."""

    def __init__(self):
        super().__init__(answer, SIGNATURES)
        self.gate, self.began = threading.Event(), threading.Event()
        self.gate.set()

    def run(self, signature, inputs):
        self.began.set()
        assert self.gate.wait(TIMEOUT_S)
        return super().run(signature, inputs)

    @property
    def rows(self):
        return [len(next(iter(inputs.values()))) for inputs in self.runs]


class Fronts:
    """REST and gRPC of one model ``m`` none of whose calls is short; on the running loop."""

    def __init__(self, workers, *, timeout_s=None, batches=None, **model):
        self.model = Model()
        models = FakeModels({"m": FakeModel(self.model, mergeable=frozenset(SIGNATURES), **model)})
        self.observer = CallRecorder()
        placement = Placement()
        placement.is_short = lambda key: False
        shared = batches or ContinuousBatches(WaitingCalls(placement).run, workers, cpus=1)
        more = (self.observer, shared, placement)
        self._rest = PredictCalls(models, workers, timeout_s, False, 1 << 24, *more)
        service = GrpcService(models, strict_inputs=False, tensor_content=False, observer=self.observer)
        self._grpc = PredictBatches(service, workers, shared, placement)

    async def rest(self, document, headers=None):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        response = await self._rest.answer(ModelSpec("m"), body, headers or {}, time.perf_counter_ns())
        (value,) = json.loads(response.body).values()
        return value

    async def grpc(self, payload, *, wanted=lambda: True, on_worker=False):
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def reply(outcome, _):
            loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result(outcome))

        rpc = PendingCall(payload, reply, wanted, arrived_ns=time.perf_counter_ns())
        if on_worker:
            self._grpc.answer_on_worker(rpc)
        else:
            self._grpc.answer([rpc])
        outcome = read(await ended)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def with_fronts(work, **options):
    """What the coroutine ``work(fronts)`` gives."""

    async def run():
        with FairThreads(4) as workers:
            fronts = Fronts(workers, **options)
            try:
                return await asyncio.wait_for(work(fronts), TIMEOUT_S)
            finally:
                fronts.model.gate.set()

    return asyncio.run(run())


async def behind_one(fronts, *calls, wait_s=0.02):
    """The outcomes of ``calls``, begun while a run of another call is under way; not the first ones of their kind."""
    for _ in range(4):
        await fronts.rest({"instances": [[0, 0]]})
        await fronts.rest({"signature_name": "two", "inputs": {"a": [0], "t": ["x"]}})
    for each in (fronts.model.runs, fronts.observer.heard):
        each.clear()
    fronts.model.began.clear()
    fronts.model.gate.clear()
    first = asyncio.ensure_future(fronts.rest({"instances": [[0, 0]]}))
    while not fronts.model.began.is_set():
        await asyncio.sleep(0.001)
    begun = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(wait_s)
    fronts.model.gate.set()
    outcomes = await asyncio.gather(*begun, return_exceptions=True)
    assert await first == [[0, 0]]
    return outcomes


def y(*rows):
    return [[2 * a + a + b, 2 * b + a + b] for a, b in rows]


def test_calls_of_both_apis_in_any_form_share_a_run():
    async def work(fronts):
        outcomes = await behind_one(
            fronts,
            fronts.rest({"instances": [[1, 2]]}),
            fronts.rest({"inputs": [[3, 4], [5, 6]]}),
            fronts.rest({"instances": [{"x": [7, 8]}]}),
            fronts.grpc(request(x=[[9, 10]])),
            fronts.grpc(request(x=[[11, 12]]), on_worker=True),
        )
        return outcomes, fronts.model.rows, fronts.observer.heard

    outcomes, rows, heard = with_fronts(work)
    assert outcomes == [y((1, 2)), y((3, 4), (5, 6)), y((7, 8)), {"y": y((9, 10))}, {"y": y((11, 12))}]
    assert rows == [1, 6]
    assert sorted((calls.api, len(calls.arrived_ns)) for calls in heard) == [("grpc", 2), ("rest", 1), ("rest", 3)]


def test_several_inputs_and_texts_share_a_run_too():
    async def work(fronts):
        sent = {"signature_name": "two", "instances": [{"a": 1, "t": "x"}, {"a": 2, "t": "xyz"}]}
        columns = {"signature_name": "two", "inputs": {"a": [3], "t": ["xy"]}}
        outcomes = await behind_one(
            fronts,
            fronts.rest(sent),
            fronts.rest(columns),
            fronts.grpc(request("two", a=[4], t=np.array([b"long text"], object))),
        )
        return outcomes, fronts.model.rows

    outcomes, rows = with_fronts(work)
    assert outcomes == [[101, 203], [302], {"n": [409]}]
    assert sum(rows) == 1 + 4
    assert len(rows) <= 3, "the other signature's call, whoever came before its run began, and the rest"


def test_a_large_body_shares_a_run_too():
    many = [[number, -number] for number in range(5)]
    body = json.dumps({"instances": many}, indent=2000).encode()
    assert len(body) > rest_predict.LOOP_BODY_BYTES

    async def work(fronts):
        outcomes = await behind_one(fronts, fronts.rest(body), fronts.rest({"instances": [[1, 2]]}), wait_s=0.1)
        return outcomes, fronts.model.rows

    assert with_fronts(work) == ([y(*many), y((1, 2))], [1, 6])


def test_the_stages_of_a_call_that_waited_are_its_own():
    async def work(fronts):
        began_ns = time.perf_counter_ns()
        await behind_one(fronts, fronts.rest({"instances": [[1, 2]]}), fronts.grpc(request(x=[[9, 10]])))
        return time.perf_counter_ns() - began_ns, fronts.observer.heard

    took_ns, heard = with_fronts(work)
    (waited,) = [calls for calls in heard if calls.api == "grpc"]
    ((_, stages),) = waited.stages()
    assert all(value >= 0 for value in stages.values())
    assert 10_000_000 < stages["queue"] < took_ns


def test_a_timeout_over_rest_holds_for_a_call_that_waits():
    async def work(fronts):
        fronts.model.gate.clear()
        first = asyncio.ensure_future(fronts.rest({"instances": [[1, 1]]}))
        second = asyncio.ensure_future(fronts.rest({"instances": [[2, 2]]}))
        with pytest.raises(DeadlineExceeded, match=r"longer than 0\.2 s"):
            await first
        with pytest.raises(DeadlineExceeded):
            await second
        fronts.model.gate.set()
        last = await fronts.rest({"instances": [[3, 3]]})
        return last, [inputs["x"].tolist() for inputs in fronts.model.runs]

    last, runs = with_fronts(work, timeout_s=0.2)
    assert last == y((3, 3))
    assert runs == [[[1, 1]], [[3, 3]]], "who had given up before its run was not run"


def test_a_call_whose_client_has_gone_is_not_run():
    async def work(fronts):
        gone = asyncio.ensure_future(asyncio.sleep(0))
        wanted = {"grpc": True}

        async def leave():
            nonlocal gone
            gone = asyncio.ensure_future(fronts.rest({"instances": [[2, 2]]}))
            await asyncio.sleep(0.01)
            gone.cancel()
            wanted["grpc"] = False

        async def left():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(fronts.grpc(request(x=[[3, 3]]), wanted=lambda: wanted["grpc"]), 0.3)

        outcomes = await behind_one(fronts, leave(), left(), fronts.rest({"instances": [[4, 4]]}))
        return outcomes[-1], fronts.model.rows

    assert with_fronts(work) == (y((4, 4)), [1, 1])


def test_a_full_queue_refuses_the_call():
    class Full:
        def add(self, key, item, rows):
            raise NotReady("full")

    async def work(fronts):
        calls = (fronts.rest({"instances": [[1, 1]]}), fronts.grpc(request(x=[[1, 1]])))
        return await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each) for each in with_fronts(work, batches=Full())] == [NotReady, NotReady]


numbers = st.integers(-3, POISON)
plain_rows = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4)
texts = st.text("ab", max_size=3)
calls_of_two = st.lists(st.tuples(numbers, texts), min_size=1, max_size=3)
form = st.sampled_from(["rows", "columns", "objects", "grpc", "grpc on a worker"])
fate = st.sampled_from(["stays", "stays", "stays", "leaves"])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.one_of(plain_rows, calls_of_two), form, fate, st.integers(0, 3)), min_size=1, max_size=25))
def test_no_answer_reaches_the_wrong_call(sent):
    """Whatever comes in which form, in which order and beside whom: as if each had been alone."""

    async def work(fronts):
        async def one(rows, how, what_becomes, delay):
            await asyncio.sleep(delay / 1000)
            call = asyncio.ensure_future(_begin(fronts, rows, how))
            if what_becomes == "leaves":
                await asyncio.sleep(0)
                call.cancel()
            return await call

        return await asyncio.gather(*(one(*each) for each in sent), return_exceptions=True)

    outcomes = with_fronts(work)
    for (rows, how, what_becomes, _), outcome in zip(sent, outcomes, strict=True):
        expected = _expected(rows)
        if what_becomes == "leaves":
            assert isinstance(outcome, asyncio.CancelledError)
        elif expected is None:
            assert isinstance(outcome, UnstuckError)
            assert "poisoned" in str(outcome)
        else:
            got = next(iter(outcome.values())) if how.startswith("grpc") else outcome
            assert got == expected


def _begin(fronts, rows, how):
    if isinstance(rows[0][1], str):
        return _begin_two(fronts, rows, how)
    x = [list(row) for row in rows]
    if how.startswith("grpc"):
        return fronts.grpc(request(x=x), on_worker=how != "grpc")
    if how == "objects":
        return fronts.rest({"instances": [{"x": row} for row in x]})
    return fronts.rest({"instances" if how == "rows" else "inputs": x})


def _begin_two(fronts, rows, how):
    a, t = [a for a, _ in rows], [t for _, t in rows]
    if how.startswith("grpc"):
        payload = request("two", a=a, t=np.array([each.encode() for each in t], object))
        return fronts.grpc(payload, on_worker=how != "grpc")
    if how == "columns":
        return fronts.rest({"signature_name": "two", "inputs": {"a": a, "t": t}})
    return fronts.rest({"signature_name": "two", "instances": [{"a": a, "t": t} for a, t in rows]})


def _expected(rows):
    if isinstance(rows[0][1], str):
        return None if any(a == POISON for a, _ in rows) else [a * 100 + len(t) for a, t in rows]
    return None if any(POISON in row for row in rows) else y(*rows)


def test_failures_are_reported_once_each():
    async def work(fronts):
        poison = fronts.rest({"instances": [[POISON, 1]]})
        await behind_one(fronts, poison, fronts.grpc(request(x=[[POISON, 1]])), fronts.rest({"instances": [[1, 1]]}))
        return fronts.observer.heard

    heard = with_fronts(work)
    assert [call.api for call in heard if isinstance(call, OtherCall)] == ["grpc"], "REST's are reported by its app"
    assert sum(len(call.arrived_ns) for call in heard if isinstance(call, AnsweredCalls)) <= 2
