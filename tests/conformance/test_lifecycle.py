"""Versions, labels, status and configuration as TensorFlow Serving has them, over REST and gRPC."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from unstuck.config.settings import ServerConfig
from unstuck.errors import SetupError
from unstuck.server import Server
from unstuck.testing import models as exports

TIMEOUT_S = 60
PREDICT = {"instances": [[1.0]]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``half`` with versions 1 and 2, which answer 2.5 and 3.5 to 1, and a broken version 3."""
    folder = tmp_path_factory.mktemp("models")
    exports.half_plus_two(folder / "half", 1)
    exports.half_plus_three(folder / "half", 2)
    (folder / "half" / "3").mkdir()
    (folder / "half" / "3" / "saved_model.pb").write_bytes(b"")
    return folder


def config(folder: Path, *, policy: str = "all {}", labels: str = "", platform: str = "tensorflow") -> str:
    return f"""
    model_config_list {{
      config {{
        name: "half"
        base_path: "{folder / "half"}"
        model_platform: "{platform}"
        model_version_policy {{ {policy} }}
        {labels}
      }}
    }}"""


LABELS = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'


@pytest.fixture(scope="module")
def server(serve: Any, folder: Path) -> Any:
    """A server of that model by a config file, with labels."""
    file = folder / "models.config"
    file.write_text(config(folder, labels=LABELS + ' version_labels { key: "broken" value: 3 }'))
    server = serve({}, model_config_file=file, allow_unavailable_labels=True)
    (failure,) = server.failures
    assert str(failure).startswith("Model 'half' version 3 cannot be served: ")
    return server


@pytest.fixture(scope="module")
def channel(server: Any) -> Any:
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.mark.parametrize(
    ("which", "status", "answer"),
    [
        ("", 200, 3.5),
        ("/versions/1", 200, 2.5),
        ("/versions/002", 200, 3.5),
        ("/labels/stable", 200, 2.5),
        ("/LABELS/canary", 200, 3.5),
        ("/versions/3", 404, "version 3 has ended: Model 'half' version 3 cannot be served"),
        ("/versions/7", 404, "its versions are 3 (END), 2 (AVAILABLE), 1 (AVAILABLE)"),
        ("/labels/broken", 404, "version 3 has ended"),
        ("/labels/canry", 400, "its labels are 'broken', 'canary', 'stable'. Did you mean 'canary'?"),
        ("/labels/Stable", 400, "label 'Stable'"),
    ],
)
def test_which_version_answers(server, channel, which, status, answer):
    rest = httpx.post(f"{server.url}/v1/models/half{which}:predict", json=PREDICT, timeout=TIMEOUT_S)
    assert rest.status_code == status
    _, kind, value = which.split("/") if which else ("", "", "")
    request = PredictRequest(model_spec=model_spec(kind, value))
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(1.0)
    if status == 200:
        assert rest.json() == {"predictions": [[answer]]}
        heard = PredictionServiceStub(channel).Predict(request, timeout=TIMEOUT_S)
        assert list(heard.outputs["y"].float_val) == [answer]
        assert heard.model_spec.version.value == int(answer - 1.5)
        assert heard.model_spec.version_label == ""
    else:
        assert answer in rest.json()["error"]
        with pytest.raises(grpc.RpcError) as caught:
            PredictionServiceStub(channel).Predict(request, timeout=TIMEOUT_S)
        code = grpc.StatusCode.INVALID_ARGUMENT if status == 400 else grpc.StatusCode.NOT_FOUND
        assert caught.value.code() is code
        assert answer.split(".")[0] in caught.value.details()


def model_spec(kind: str, value: str) -> ModelSpec:
    spec = ModelSpec(name="half")
    if kind == "versions":
        spec.version.value = int(value)
    elif kind:
        spec.version_label = value
    return spec


@pytest.mark.parametrize(("which", "version"), [("/labels/stable", "1"), ("/labels/canary", "2"), ("", "2")])
def test_the_metadata_know_labels(server, channel, which, version):
    answer = httpx.get(f"{server.url}/v1/models/half{which}/metadata", timeout=TIMEOUT_S).json()
    assert answer["model_spec"] == {"name": "half", "signature_name": "", "version": version}
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.CopyFrom(model_spec("labels" if which else "", which.rpartition("/")[2]))
    heard = PredictionServiceStub(channel).GetModelMetadata(request, timeout=TIMEOUT_S)
    assert heard.model_spec.version.value == int(version)


def test_classify_knows_labels(server):
    examples = {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]}
    classified = httpx.post(f"{server.url}/v1/models/half/labels/stable:classify", json=examples, timeout=TIMEOUT_S)
    assert classified.json() == {"results": [[["", 2.5]]]}


@pytest.mark.parametrize("which", ["", "/labels/stable", "/labels/none"])
def test_the_status_lists_every_version_whatever_the_label(server, which):
    listed = httpx.get(f"{server.url}/v1/models/half{which}", timeout=TIMEOUT_S).json()["model_version_status"]
    assert [(each["version"], each["state"]) for each in listed] == [
        ("3", "END"),
        ("2", "AVAILABLE"),
        ("1", "AVAILABLE"),
    ]
    assert listed[0]["status"]["error_code"] == "FAILED_PRECONDITION"
    assert "saved_model.pb holds no graph" in listed[0]["status"]["error_message"]
    assert listed[1]["status"] == {"error_code": "OK", "error_message": ""}


def test_the_status_over_grpc(channel):
    request = GetModelStatusRequest(model_spec=ModelSpec(name="half", version_label="none"))
    heard = ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    assert [(each.version, each.state) for each in heard] == [(3, 50), (2, 30), (1, 30)]
    assert heard[0].status.error_code == 9


# Reloads, with the official messages


def reload(server: Any, text: str) -> Any:
    from google.protobuf import text_format

    request = ReloadConfigRequest(metric_names=["no_such_metric"])
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(server.grpc_address) as channel:
        return ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=TIMEOUT_S)


def states(server: Any, name: str = "half") -> dict[str, str]:
    listed = httpx.get(f"{server.url}/v1/models/{name}", timeout=TIMEOUT_S).json()["model_version_status"]
    return {each["version"]: each["state"] for each in listed}


@pytest.fixture
def own_server(serve: Any, folder: Path) -> Any:
    """A server that a test may change: of version 2, by the command line."""
    exports_two = folder / "two"
    if not exports_two.exists():
        exports.half_plus_two(exports_two, 1)
        exports.half_plus_three(exports_two, 2)
    server = serve({"half": folder / "two"})
    yield server
    server.stop()


def test_a_reload_changes_the_policy_and_then_the_labels(own_server, folder):
    assert states(own_server) == {"2": "AVAILABLE"}
    text = config(folder, policy="specific { versions: [1, 2] }").replace("/half", "/two")
    answer = reload(own_server, text)
    assert answer.status.error_code == 0
    assert [(each.name, each.int64_value_increase) for each in answer.metric] == [("no_such_metric", 0)]
    wait_for(lambda: states(own_server) == {"2": "AVAILABLE", "1": "AVAILABLE"})
    reload(own_server, text.replace("model_version_policy", f"{LABELS} model_version_policy"))
    labelled = httpx.post(f"{own_server.url}/v1/models/half/labels/stable:predict", json=PREDICT, timeout=TIMEOUT_S)
    assert labelled.json() == {"predictions": [[2.5]]}
    reload(own_server, config(folder, policy="latest { num_versions: 1 }").replace("/half", "/two"))
    wait_for(lambda: states(own_server) == {"2": "AVAILABLE", "1": "END"})
    labelled = httpx.post(f"{own_server.url}/v1/models/half/labels/stable:predict", json=PREDICT, timeout=TIMEOUT_S)
    assert labelled.status_code == 400, "its labels went with the configuration"


def test_a_platform_cannot_change_and_a_wrong_one_does_not_load(own_server, folder):
    reload(own_server, config(folder).replace("/half", "/two"))
    with pytest.raises(grpc.RpcError) as caught:
        reload(own_server, config(folder, platform="onnx").replace("/half", "/two"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as caught:
        reload(own_server, config(folder, platform="onnx").replace("/half", "/two").replace('"half"', '"new"'))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert "is of the platform 'tensorflow', and model_platform says 'onnx'" in caught.value.details()


def test_health_follows_what_is_served(own_server, folder):
    def serving() -> int:
        with grpc.insecure_channel(own_server.grpc_address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status

    assert serving() == health_pb2.HealthCheckResponse.SERVING
    reload(own_server, config(folder, policy="specific { versions: 7 }").replace("/half", "/two"))
    wait_for(lambda: serving() == health_pb2.HealthCheckResponse.NOT_SERVING)
    reload(own_server, config(folder).replace("/half", "/two"))
    wait_for(lambda: serving() == health_pb2.HealthCheckResponse.SERVING)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


# The start


async def _started(config: ServerConfig) -> None:
    Server(config)


def starts_with(file: Path) -> ServerConfig:
    return ServerConfig(model_config_file=file, rest_port=0, grpc_port=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "model_config_list { config { nme: 'a' } }",
            r"line 1: ModelConfig has no field 'nme'\. Did you mean 'name'\?",
        ),
        (
            'model_config_list { config { name: "a" base_path: "/none" version_labels { key: "s" value: 1 } } }',
            "label 's' cannot be given to version 1 .*--allow_version_labels_for_unavailable_models",
        ),
    ],
)
def test_a_wrong_file_is_refused_at_the_start(tmp_path, text, says):
    (tmp_path / "file").write_text(text)
    with pytest.raises(SetupError, match=says):
        asyncio.run(_started(starts_with(tmp_path / "file")))
    with pytest.raises(SetupError, match=r"--model_config_file=.*none cannot be read: .*No such file"):
        asyncio.run(_started(starts_with(tmp_path / "none")))


def test_beside_a_model_without_a_folder_the_others_serve_and_it_comes_later(serve, folder, tmp_path):
    file = tmp_path / "file"
    half, later = config(folder, policy="specific { versions: 1 }"), config(folder).replace("half", "later")
    file.write_text(half.rstrip()[:-1] + later.strip().removeprefix("model_config_list {"))
    server = serve({}, model_config_file=file, poll_wait_s=0.05)
    (failure,) = server.failures
    assert str(failure).startswith(f"Model 'later': {folder}/later is not a folder.")
    ready = httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_S)
    assert (ready.status_code, ready.json()["models"]) == (503, {"half": {"1": "AVAILABLE"}, "later": {}})
    missing = httpx.post(f"{server.url}/v1/models/later:predict", json=PREDICT, timeout=TIMEOUT_S)
    assert missing.status_code == 404
    assert "model 'later' has no version: " in missing.json()["error"]
    exports.half_plus_two(folder / "later", 1)
    wait_for(lambda: httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_S).status_code == 200)
    answer = httpx.post(f"{server.url}/v1/models/later:predict", json=PREDICT, timeout=TIMEOUT_S)
    assert answer.json() == {"predictions": [[2.5]]}
    server.stop()


def test_never_polled_nothing_is_loaded(serve, folder):
    server = serve({"half": folder / "half"}, poll_wait_s=-1)
    assert httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_S).status_code == 503
    answer = httpx.post(f"{server.url}/v1/models/half:predict", json=PREDICT, timeout=TIMEOUT_S)
    assert answer.status_code == 503
    server.stop()


def test_polled_once_no_later_version_is_seen(serve, tmp_path):
    exports.half_plus_two(tmp_path / "m", 1)
    server = serve({"m": tmp_path / "m"}, poll_wait_s=0)
    (tmp_path / "m" / "1").rename(tmp_path / "m" / "2")
    time.sleep(0.5)
    assert states(server, "m") == {"1": "AVAILABLE"}
    server.stop()
