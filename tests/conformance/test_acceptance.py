"""What a version must pass before it serves, and the request log, of a running server."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from unstuck.data.tfrecord import records
from unstuck.proto.tfrecord import framed
from unstuck.testing import models as exports
from unstuck.testing import onnx_models

TIMEOUT_S = 60
GOLDEN = "assets.extra/unstuck/golden.jsonl"
WARM_UP = "assets.extra/tf_serving_warmup_requests"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def golden(version: Path, offset: float = 2) -> None:
    lines = [{"inputs": {"x": [[float(x)]]}, "outputs": {"y": [[x / 2 + offset]]}} for x in range(5)]
    write(version / GOLDEN, "\n".join(map(json.dumps, lines)).encode())


def predict_request(name: str, value: float = 1, signature: str = "") -> PredictRequest:
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.float_val.append(value)
    for _ in range(2):
        tensor.tensor_shape.dim.add(size=1)
    return request


def warm_up(version: Path, *requests: PredictRequest) -> None:
    logs = []
    for request in requests:
        logs.append(PredictionLog())
        logs[-1].predict_log.request.CopyFrom(request)
    write(version / WARM_UP, b"".join(framed(each.SerializeToString()) for each in logs))


def states(server: Any, name: str) -> dict[str, tuple[str, str]]:
    document = httpx.get(f"{server.url}/v1/models/{name}", timeout=TIMEOUT_S).json()
    return {
        each["version"]: (each["state"], each["status"]["error_message"]) for each in document["model_version_status"]
    }


def answer(server: Any, name: str, x: float = 1) -> Any:
    response = httpx.post(f"{server.url}/v1/models/{name}:predict", json={"instances": [[x]]}, timeout=TIMEOUT_S)
    return response.json().get("predictions", response.status_code)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=["tensorflow", "onnx"])
def half(request: pytest.FixtureRequest) -> Any:
    """``half(base_path, version)``: exports y = x / 2 + 2 for this engine."""
    return exports.half_plus_two if request.param == "tensorflow" else onnx_models.half_plus_two


def test_a_version_that_passes_serves(serve, half, tmp_path):
    version = half(tmp_path / "m", 1)
    golden(version)
    warm_up(version, predict_request("whatever"))
    server = serve({"m": tmp_path / "m"})
    assert server.failures == ()
    assert states(server, "m") == {"1": ("AVAILABLE", "")}
    assert answer(server, "m") == [[2.5]]
    server.stop()


def test_a_broken_version_2_leaves_version_1_serving(serve, half, tmp_path):
    golden(half(tmp_path / "m", 1))
    server = serve({"m": tmp_path / "m"}, poll_wait_s=0.05)
    assert server.failures == ()
    beside = half(tmp_path / "later", 2)
    golden(beside, offset=3)
    beside.rename(tmp_path / "m" / "2")
    wait_for(lambda: "2" in states(server, "m") and states(server, "m")["2"][0] == "END")
    path = tmp_path / "m" / "2" / GOLDEN
    assert states(server, "m")["2"][1].startswith(
        f"Model 'm' version 2 cannot be served: 5 of 5 golden rows fail. {path}, line 1: "
        "output 'y'[0, 0]: expected 3, got 2 (may differ by 0.00031)."
    )
    assert states(server, "m")["1"] == ("AVAILABLE", "")
    assert answer(server, "m") == [[2.5]]
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = GetModelStatusRequest()
        request.model_spec.name = "m"
        found = ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    assert [(each.version, each.status.error_code) for each in found] == [(2, 9), (1, 0)]
    golden(tmp_path / "m" / "2")  # once its rows are right, it serves
    wait_for(lambda: states(server, "m")["2"][0] == "AVAILABLE")
    server.stop()


@pytest.mark.parametrize(
    ("settings", "works"),
    [
        ({}, False),
        ({"golden_rows": "warn"}, False),
        ({"warmup_iterations": 0}, False),
        ({"golden_rows": "warn", "warmup_iterations": 0}, True),
        ({"golden_rows": "off", "warmup_iterations": 0}, True),
    ],
)
def test_what_must_be_passed_is_chosen(serve, tmp_path, settings, works):
    version = onnx_models.half_plus_two(tmp_path / "m", 1)
    golden(version, offset=3)
    warm_up(version, predict_request("m"), predict_request("m", signature="no_such"))
    server = serve({"m": tmp_path / "m"}, **settings)
    assert answer(server, "m") == ([[2.5]] if works else 404)
    if not works and "warmup_iterations" not in settings:  # it comes first
        (failure,) = server.failures
        assert f"Warm-up failed: {version / WARM_UP}, record 2 (predict_log): " in str(failure)
        assert "no signature 'no_such'" in str(failure)
        assert states(server, "m")["1"][0] == "END"
    server.stop()


def test_the_request_log_has_each_call_of_each_api(serve, tmp_path):
    exports.half_plus_two(tmp_path / "half", 5)
    config = tmp_path / "models.config"
    config.write_text(f"""
        model_config_list {{ config {{
            name: "half" base_path: "{tmp_path}/half" model_platform: "tensorflow"
            logging_config {{
              log_collector_config {{ filename_prefix: "{tmp_path}/log/req" }}
              sampling_config {{ sampling_rate: 1.0 }}
            }}
        }} }}""")
    server = serve({}, model_config_file=config, request_log_redact=frozenset({"secret"}))
    calls = 200
    with ThreadPoolExecutor(16) as threads, httpx.Client(timeout=TIMEOUT_S) as client:  # so that some run as one
        url = f"{server.url}/v1/models/half"
        rest = list(
            threads.map(lambda x: client.post(f"{url}:predict", json={"instances": [[float(x)]]}), range(calls))
        )
        assert all(each.status_code == 200 for each in rest)
        example = {"signature_name": "classify_x_to_y", "examples": [{"x": 1.5}]}
        assert client.post(f"{url}:classify", json=example).status_code == 200
        example = {"signature_name": "regress_x_to_y", "examples": [{"x": 1.5}, {"x": 2.5}]}
        assert client.post(f"{url}:regress", json=example).status_code == 200
        assert client.post(f"{url}:predict", json={"instances": [["wrong"]]}).status_code == 400  # is no answer
    with grpc.insecure_channel(server.grpc_address) as channel, ThreadPoolExecutor(16) as threads:
        stub = PredictionServiceStub(channel)
        list(threads.map(lambda x: stub.Predict(predict_request("half", x), timeout=TIMEOUT_S), range(calls)))
        classify = ClassificationRequest()
        classify.model_spec.name, classify.model_spec.signature_name = "half", "classify_x_to_y"
        sent = classify.input.example_list.examples.add().features.feature
        sent["x"].float_list.value.append(4)
        sent["secret"].bytes_list.value.append(b"4711")
        stub.Classify(classify, timeout=TIMEOUT_S)
        regress = RegressionRequest(model_spec=classify.model_spec, input=classify.input)
        regress.model_spec.signature_name = "regress_x_to_y"
        stub.Regress(regress, timeout=TIMEOUT_S)
        both = MultiInferenceRequest(input=classify.input)
        for spec, method in ((classify.model_spec, "classify"), (regress.model_spec, "regress")):
            both.tasks.add(model_spec=spec, method_name=f"tensorflow/serving/{method}")
        stub.MultiInference(both, timeout=TIMEOUT_S)
    server.stop()
    files = sorted((tmp_path / "log").iterdir())
    logs = [PredictionLog.FromString(each.data) for file in files for each in records(file)]
    assert all(each.log_metadata.model_spec.version.value == 5 for each in logs)

    predicted = [each.predict_log for each in logs if each.HasField("predict_log")]
    pairs = [(floats(each.request.inputs["x"]), floats(each.response.outputs["y"])) for each in predicted]
    assert sorted(pairs) == [([x], [x / 2 + 2]) for x in range(calls) for _ in range(2)]
    others = [each.WhichOneof("log_type") for each in logs if not each.HasField("predict_log")]
    assert others == ["classify_log", "regress_log", "classify_log", "regress_log", "multi_inference_log"]
    assert b"4711" not in b"".join(file.read_bytes() for file in files)


def floats(tensor: Any) -> list[float]:
    return np.frombuffer(tensor.tensor_content, np.float32).tolist()
