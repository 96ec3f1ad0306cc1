"""What is to be said with every answer of a signature: alone or merged, over REST and gRPC, and never a refusal."""

import asyncio
import json

import numpy as np
import pytest
from fakes import FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.grpc.predict import PendingCall, PredictBatches
from unstuck.api.grpc.service import GrpcService
from unstuck.api.rest.predict import PredictCalls
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import ModelSpec
from unstuck.inference.placement import Placement
from unstuck.inference.predict import notices
from unstuck.proto.tensors import fill
from unstuck.proto.wire.predict_pb2 import PredictRequest

SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, (None, 1)), outputs=(spec("y", FLOAT, (None, 1)),)),
    "other": signature(spec("x", FLOAT, (None, 1)), outputs=(spec("y", FLOAT, (None, 1)),), name="other"),
}
SAID = "signature 'serving_default': they are all the same"


class NoticedByItself:
    """An observer that gives notice once it has heard of a run."""

    def __init__(self, given):
        self.given = given

    def ran(self, signature, inputs, outputs, rows):
        self.given[signature.name] = "they are all the same"


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setattr(Placement, "is_short", lambda _, key: True)
    servable = FakeServable(lambda inputs: {"y": inputs["x"] * 0}, SIGNATURES)
    return FakeModel(servable, mergeable=frozenset(SIGNATURES), notices={"serving_default": "they are all the same"})


def over_rest(model, signature_name, count, **options):
    """The warning headers of so many calls of one turn."""

    async def send():
        with FairThreads(1) as workers:
            calls = PredictCalls(FakeModels({"m": model}), workers, None, options.get("strict_inputs", False), 1 << 20)
            named = {} if signature_name == "serving_default" else {"signature_name": signature_name}
            body = json.dumps({**named, "instances": [[1.0]]}).encode()
            return await asyncio.gather(*(calls.answer(ModelSpec("m"), body, {}, 0) for _ in range(count)))

    responses = asyncio.run(asyncio.wait_for(send(), 5))
    assert [response.status for response in responses] == [200] * count
    return [dict(response.headers).get("x-unstuck-warning", "") for response in responses]


def over_grpc(model, signature_name, count, **options):
    """The warnings of so many calls of one batch."""
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", signature_name
    fill(request.inputs["x"], np.ones((1, 1), np.float32), as_content=False)
    service = GrpcService(
        FakeModels({"m": model}), strict_inputs=options.get("strict_inputs", False), tensor_content=False
    )
    answers = []
    payload = request.SerializeToString()
    calls = [PendingCall(payload, lambda answer, _: answers.append(answer), lambda: True) for _ in range(count)]
    with FairThreads(1) as workers:
        PredictBatches(service, workers).answer(calls)
    assert len(answers) == count
    return ["; ".join(answer.warnings) for answer in answers]


@pytest.mark.parametrize("way", [over_rest, over_grpc])
@pytest.mark.parametrize("count", [1, 3])
def test_every_answer_of_the_signature_says_it(served, way, count):
    assert way(served, "serving_default", count, strict_inputs=True) == [SAID] * count
    assert len(served.servable.runs) == 1
    assert way(served, "other", count) == [""] * count


@pytest.mark.parametrize("way", [over_rest, over_grpc])
@pytest.mark.parametrize("count", [1, 3])
def test_the_answers_that_give_reason_for_it_say_it_already(served, way, count):
    served.notices = {}
    served.observers = [NoticedByItself(served.notices)]
    assert way(served, "serving_default", count) == [SAID] * count


def test_notices_of_a_signature(served):
    assert notices(served, SIGNATURES["serving_default"]) == [SAID]
    assert notices(served, SIGNATURES["other"]) == []
