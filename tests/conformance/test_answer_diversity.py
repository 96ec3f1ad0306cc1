"""The broken twins of the examples are noticed within 50 varied requests, over every way in; others are not."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tensorflow import make_tensor_proto
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from examples import image, tabular, text
from unstuck.monitor.answers import LEAST_INPUTS
from unstuck.testing import models as exports

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "examples" / "models"
VARIED = 50
WARNING = "x-unstuck-warning"
TIMEOUT_S = 60

Rows = list[dict[str, Any]]
Send = Callable[[Any, str, Rows], list[str]]  # the server, the model, one request a row; the warnings of the answers


@pytest.fixture(scope="module", autouse=True)
def _exported() -> None:
    subprocess.run([sys.executable, "-m", "examples.export"], cwd=ROOT, check=True, timeout=120)


def rows_for(name: str, count: int, seed: int) -> Rows:
    """Varied rows of ``instances``, as the clients of that example send them."""
    if name.startswith(text.NAME):
        texts, _ = text.reviews(count, seed)
        return [{"text": [each] if name.endswith("broken") else each} for each in texts]
    if name.startswith(tabular.NAME):
        bearings, _ = tabular.bearings(count, seed)
        return [{"feature_a": [float(a)], "feature_b": [float(b)]} for a, b in bearings]
    pictures, _ = image.pictures(count, seed)
    return [{"image": each.tolist()} for each in pictures]


def over_rest(server: Any, model: str, rows: Rows) -> list[str]:
    with httpx.Client(timeout=TIMEOUT_S) as client:
        answers = [client.post(f"{server.url}/v1/models/{model}:predict", json={"instances": [row]}) for row in rows]
    assert all(answer.status_code == 200 for answer in answers)
    return [answer.headers.get(WARNING, "") for answer in answers]


def over_rest_together(server: Any, model: str, rows: Rows) -> list[str]:
    """All at once; before, one and the same request as often, until calls are known to be short."""

    async def send() -> list[str]:
        limits = httpx.Limits(max_connections=len(rows))
        async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits) as client:

            async def one(row: dict[str, Any]) -> str:
                answer = await client.post(f"{server.url}/v1/models/{model}:predict", json={"instances": [row]})
                assert answer.status_code == 200
                return answer.headers.get(WARNING, "")

            await asyncio.gather(*(one(rows[0]) for _ in rows))
            return list(await asyncio.gather(*(one(row) for row in rows)))

    return asyncio.run(send())


def grpc_request(model: str, row: dict[str, Any]) -> PredictRequest:
    request = PredictRequest()
    request.model_spec.name = model
    for alias, value in row.items():
        dtype = {"image": np.float32 if model.endswith("broken") else np.uint8, "text": object}.get(alias, np.float32)
        request.inputs[alias].CopyFrom(make_tensor_proto(np.array([value], dtype)))
    return request


def warning_of(call: Any) -> str:
    call.result(timeout=TIMEOUT_S)
    return dict(call.trailing_metadata()).get(WARNING, "")


def over_grpc(server: Any, model: str, rows: Rows) -> list[str]:
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        return [warning_of(stub.Predict.future(grpc_request(model, row), timeout=TIMEOUT_S)) for row in rows]


def over_grpc_together(server: Any, model: str, rows: Rows) -> list[str]:
    requests = [grpc_request(model, row) for row in rows]
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        for call in [stub.Predict.future(requests[0], timeout=TIMEOUT_S) for _ in rows]:
            call.result(timeout=TIMEOUT_S)
        return [warning_of(call) for call in [stub.Predict.future(each, timeout=TIMEOUT_S) for each in requests]]


def in_one_request(server: Any, model: str, rows: Rows) -> list[str]:
    answer = httpx.post(f"{server.url}/v1/models/{model}:predict", json={"instances": rows}, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    return [answer.headers.get(WARNING, "")]


WAYS: dict[str, tuple[Send, dict[str, Any]]] = {
    "REST": (over_rest, {}),
    "REST, merged": (over_rest_together, {}),
    "gRPC": (over_grpc, {}),
    "gRPC, merged": (over_grpc_together, {}),
    "gRPC, grpcio": (over_grpc, {"grpc_front": "grpcio"}),
    "one request": (in_one_request, {"strict_inputs": True}),
}
EXAMPLES = (text.NAME, tabular.NAME, image.NAME)


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def way(request: pytest.FixtureRequest, serve: Any) -> Iterator[tuple[Any, Send]]:
    """A fresh server of the examples and their twins, and a way to send requests to it."""
    send, settings = request.param
    server = serve({name: MODELS / name for each in EXAMPLES for name in (each, f"{each}_broken")}, **settings)
    assert not server.failures
    yield server, send
    server.stop()


def status(server: Any) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/statusz")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def answers_of(server: Any, model: str) -> dict[str, Any]:
    return status(server)["models"][model]["versions"]["1"]["signatures"]["serving_default"]["answers"]


def metric(server: Any, name: str, model: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    (line,) = [each for each in lines if each.startswith(f"{name}{{") and f'model="{model}"' in each]
    return float(line.split()[-1])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_broken_twin_is_noticed_and_its_callers_are_told(way: tuple[Any, Send], name: str) -> None:
    server, send = way
    twin = f"{name}_broken"
    send(server, twin, rows_for(twin, VARIED, seed=11))
    known = answers_of(server, twin)
    assert known["flagged"]
    assert LEAST_INPUTS <= known["distinct_inputs"] <= VARIED
    target = f"{server.url}/v1/models/{twin}/versions/1"
    assert known["diagnose"] == f"unstuck diagnose {target} --model {MODELS / twin / '1'}"
    assert metric(server, "unstuck_constant_answers", twin) == 1
    assert metric(server, "unstuck_distinct_inputs", twin) == known["distinct_inputs"]
    (event,) = [each for each in status(server)["events"] if each["model"] == twin and "constant" in each["what"]]
    assert f"unstuck diagnose {target}" in event["error"]
    said = send(server, twin, rows_for(twin, 4, seed=12))
    assert len(set(said)) == 1
    assert said[0].startswith("signature 'serving_default': ")
    assert f"unstuck diagnose {target} finds out why" in said[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_right_model_is_not_flagged(way: tuple[Any, Send], name: str) -> None:
    server, send = way
    said = send(server, name, rows_for(name, VARIED, seed=13))
    assert set(said) == {""}
    known = answers_of(server, name)
    assert (known["flagged"], known["diagnose"], known["note"]) == (False, None, "")
    assert known["distinct_outputs"] >= known["distinct_inputs"] - 1 >= LEAST_INPUTS
    assert metric(server, "unstuck_constant_answers", name) == 0


@pytest.fixture(scope="module")
def others(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    exports.half_plus_two(folder / "half", 1)
    return serve({"half": folder / "half", "twin": MODELS / f"{text.NAME}_broken"})


def test_the_same_request_again_and_again_is_not_flagged(others: Any) -> None:
    assert set(over_rest(others, "half", [{"x": [1.0]}] * 200)) == {""}
    assert answers_of(others, "half")["distinct_inputs"] == 1


def test_a_flag_clears_once_answers_vary(others: Any) -> None:
    over_rest(others, "twin", rows_for("text_classifier_broken", VARIED, seed=14))
    assert answers_of(others, "twin")["flagged"]
    words = [{"text": [a, b]} for a in text.TONES for b in text.SUBJECTS]  # as in training
    said = over_rest(others, "twin", words[:100])
    assert said[0] != ""
    assert said[-1] == ""
    assert not answers_of(others, "twin")["flagged"]
    whats = [each["what"] for each in status(others)["events"] if each["model"] == "twin"]
    assert whats[-2:] == [
        "signature 'serving_default': constant answers",
        "signature 'serving_default': answers vary again",
    ]


def test_it_can_be_switched_off(serve: Any) -> None:
    server = serve({"twin": MODELS / f"{text.NAME}_broken"}, answer_diversity=False)
    assert set(over_rest(server, "twin", rows_for("text_classifier_broken", VARIED, seed=15))) == {""}
    assert answers_of(server, "twin") is None
    assert status(server)["server"]["answer_diversity"] is False
    assert "unstuck_constant_answers" not in httpx.get(f"{server.url}/metrics").text
