import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_target import GRPC, REST, FakeTarget
from fakes import signature, spec

from unstuck.bench.requests import LEAST_MADE_UP, MOST_MADE_UP, made_up, of_file
from unstuck.core import dtypes
from unstuck.core.signatures import METHOD_NAMES
from unstuck.errors import SetupError, UnknownSignature
from unstuck.proto.tensors import fill, to_array
from unstuck.proto.tfrecord import framed
from unstuck.proto.wire.predict_pb2 import PredictRequest
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog

ROW = signature(spec("x", dtypes.FLOAT, (None, 3)), outputs=(spec("y", dtypes.FLOAT, (None,)),))
OTHER = replace(ROW, name="other")


def test_requests_are_made_up_and_differ() -> None:
    target = FakeTarget(REST, ROW)
    made = made_up(target, "serving_default", batch=1, timeout_s=1)
    assert len(set(made.bodies)) == len(made.bodies) == MOST_MADE_UP
    rows = [json.loads(body)["instances"] for body in made.bodies]
    assert {np.shape(row) for row in rows} == {(1, 3)}
    assert target.tried == [made.bodies[0]]
    assert made.destination.path == "/v1/models/m:predict"


def test_a_batch() -> None:
    made = made_up(FakeTarget(GRPC, ROW), "serving_default", batch=5, timeout_s=1)
    request = PredictRequest.FromString(made.bodies[0])
    assert to_array(request.inputs["x"], "x").shape == (5, 3)
    assert request.model_spec.name == "m"
    assert made.source == "100 made-up requests of 5 rows"


def test_large_requests_are_fewer() -> None:
    large = signature(spec("x", dtypes.FLOAT, (None, 512, 512, 3)))
    assert len(made_up(FakeTarget(GRPC, large), "serving_default", 8, 1).bodies) == LEAST_MADE_UP


@pytest.mark.parametrize(
    ("of", "batch", "says"),
    [
        (signature(spec("x", dtypes.COMPLEX64, (None,))), 1, "input 'x' takes complex64 values"),
        (signature(spec("x", dtypes.FLOAT, (2, 3))), 4, "--batch=4: input 'x' (float [2,3]) has no free first"),
        (replace(signature(spec("x", dtypes.STRING, (None,))), method_name=METHOD_NAMES["classify"]), 1, "tf.Examples"),
    ],
)
def test_what_cannot_be_made_up(of: object, batch: int, says: str) -> None:
    with pytest.raises(SetupError) as error:
        made_up(FakeTarget(REST, of), "serving_default", batch, 1)  # type: ignore[arg-type]
    assert says in str(error.value)


def test_a_server_that_refuses_the_first() -> None:
    with pytest.raises(SetupError, match="The server refuses a request: It does not fit"):
        made_up(FakeTarget(REST, ROW, refuses=True), "serving_default", 1, 1)


def test_no_such_signature() -> None:
    with pytest.raises(UnknownSignature, match="Did you mean 'serving_default'"):
        made_up(FakeTarget(REST, ROW), "serving_defualt", 1, 1)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"instances": [[1, 2, 3]]}\n\n{"inputs":[[4,5,6]], "signature_name": "other"}\n')
    return path


def test_a_rest_server_gets_the_very_lines(lines: Path) -> None:
    found = of_file(FakeTarget(REST, ROW, OTHER), lines, "")
    assert found.bodies == [line for line in lines.read_bytes().splitlines() if line]
    assert found.signature is None  # there are several
    assert found.source == "2 requests of requests.jsonl"


def test_a_grpc_server_gets_their_tensors(lines: Path) -> None:
    found = of_file(FakeTarget(GRPC, ROW, OTHER), lines, "")
    requests = [PredictRequest.FromString(body) for body in found.bodies]
    assert [to_array(each.inputs["x"], "x").tolist() for each in requests] == [[[1, 2, 3]], [[4, 5, 6]]]
    assert [each.model_spec.signature_name for each in requests] == ["serving_default", "other"]


def test_a_signature_for_those_that_name_none(lines: Path) -> None:
    found = of_file(FakeTarget(REST, ROW, OTHER), lines, "other")
    assert [json.loads(body)["signature_name"] for body in found.bodies] == ["other", "other"]
    assert found.signature == OTHER


def logged(path: Path, *logs: PredictionLog) -> Path:
    path.write_bytes(b"".join(framed(each.SerializeToString()) for each in logs))
    return path


@pytest.mark.parametrize("url", [REST, GRPC])
def test_a_log_of_requests(url: str, tmp_path: Path) -> None:
    log, another = PredictionLog(), PredictionLog()
    log.predict_log.request.model_spec.name = "as it was called then"
    fill(log.predict_log.request.inputs["x"], np.array([[1, 2, 3]], np.float32), as_content=True)
    another.classify_log.SetInParent()
    (body,) = of_file(FakeTarget(url, ROW), logged(tmp_path / "log.tfrecord", log, another), "").bodies
    if url == REST:
        assert json.loads(body) == {"instances": [[1.0, 2.0, 3.0]]}
    else:
        request = PredictRequest.FromString(body)
        assert request.model_spec.name == "m"
        assert to_array(request.inputs["x"], "x").tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("content", "url", "says"),
    [
        ("", REST, "holds no predict request"),
        ("nonsense", REST, "requests.jsonl, line 1: it is not JSON"),
        ("[1]", REST, "line 1: expected a JSON object, got list"),
        ('{"instances":[1]}\n{"signature_name":"nope","instances":[1]}', REST, "line 2: the model has no signature"),
        ('{"instances":[["a"]]}', GRPC, "line 1: "),
    ],
)
def test_a_file_that_cannot_be_sent(content: str, url: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(content)
    with pytest.raises(SetupError) as error:
        of_file(FakeTarget(url, ROW), path, "")
    assert says in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="does not exist"):
        of_file(FakeTarget(REST, ROW), tmp_path / "none", "")
