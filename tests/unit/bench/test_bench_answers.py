import json
from dataclasses import replace

import numpy as np
import pytest
from fake_target import GRPC, REST, FakeTarget
from fakes import signature, spec

from unstuck.bench import answers
from unstuck.bench.requests import Requests
from unstuck.core import dtypes
from unstuck.proto.tensors import fill
from unstuck.proto.wire.predict_pb2 import PredictResponse

ROW = signature(spec("x", dtypes.FLOAT, (None, 3)), outputs=(spec("y", dtypes.FLOAT, (None,)),))
COMMAND = "unstuck diagnose http://host:1/v1/models/m"


def said(values: list[float], url: str = REST, bodies: list[bytes] | None = None) -> list[str]:
    target = FakeTarget(url, ROW)
    bodies = bodies or [b"request %d" % number for number in range(len(values))]
    asked = Requests(target.destination(ROW), bodies, ROW, "")
    given = {number: answer(value, url) for number, value in enumerate(values)}
    return answers.notes(target, asked, given, COMMAND)


def answer(value: float, url: str) -> bytes:
    if url == REST:
        return json.dumps({"predictions": [value]}).encode()
    response = PredictResponse()
    fill(response.outputs["y"], np.array([value], np.float32), as_content=True)
    return response.SerializeToString()


@pytest.mark.parametrize("url", [REST, GRPC])
def test_one_answer_to_distinct_requests(url: str) -> None:
    (note,) = said([0.5] * 9 + [0.5000001], url)
    assert note == f"All 10 distinct requests got the same answer. To find out why: {COMMAND}"


@pytest.mark.parametrize("url", [REST, GRPC])
def test_answers_that_differ(url: str) -> None:
    assert said([0.5] * 9 + [0.6], url) == []


def test_the_same_request_may_get_the_same_answer() -> None:
    assert said([0.5] * 10, bodies=[b"same"] * 10) == []


def test_few_answers_say_nothing() -> None:
    assert said([0.5] * 4) == []


@pytest.mark.parametrize("url", [REST, GRPC])
def test_nan(url: str) -> None:
    (note,) = said([0.1, 0.2, float("nan"), 0.4], url)
    assert note == f"1 of 4 answers have NaN in them. To find out why: {COMMAND}"


def test_an_answer_that_cannot_be_read() -> None:
    target = FakeTarget(REST, ROW)
    asked = Requests(target.destination(ROW), [b"request"], ROW, "")
    (note,) = answers.notes(target, asked, {0: b"<html>"}, COMMAND)
    assert note.startswith("An answer cannot be read")
    assert answers.notes(target, replace(asked, signature=None), {0: b"<html>"}, COMMAND) == []
