"""A model that breaks while it serves, over REST and gRPC: what its callers, probes and operators are told."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from unstuck.proto.tensors import fill
from unstuck.testing import faulty_models
from unstuck.testing import models as exports

TIMEOUT_S = 60
GOLDEN = "assets.extra/unstuck/golden.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, golden in (("golden", True), ("plain", False), ("held", False)):
        version = faulty_models.breakable(folder / name)
        if golden:
            (version / GOLDEN).parent.mkdir(parents=True)
            rows = [{"inputs": {"x": [x]}, "outputs": {"y": [x / 2 + 2]}} for x in (1.0, 2.0)]
            (version / GOLDEN).write_text("\n".join(map(json.dumps, rows)))
    exports.half_plus_two(folder / "other")
    return folder


@pytest.fixture(scope="module")
def server(serve: Any, folder: Path) -> Any:
    names = ("golden", "plain", "held", "other")
    running = serve({name: folder / name for name in names}, canary_interval_s=0.05, allow_unsafe_ops=True)
    assert not running.failures
    return running


def post(server: Any, name: str, signature: str = "serving_default", **inputs: Any) -> httpx.Response:
    body = json.dumps({"signature_name": signature, "inputs": inputs})  # which writes NaN as NaN
    return httpx.post(f"{server.url}/v1/models/{name}:predict", content=body, timeout=TIMEOUT_S, verify=False)


def rpc(server: Any, name: str, x: float) -> Any:
    request = PredictRequest()
    request.model_spec.name = name
    fill(request.inputs["x"], np.array([x], np.float32), as_content=False)
    with grpc.insecure_channel(server.grpc_address) as channel:
        return PredictionServiceStub(channel).Predict(request, timeout=TIMEOUT_S)


def status(server: Any, name: str) -> Any:
    return httpx.get(f"{server.url}/statusz", timeout=TIMEOUT_S, verify=False).json()["models"][name]["versions"]["1"]


def ready(server: Any) -> bool:
    return httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_S, verify=False).status_code == 200


def healthy(server: Any) -> bool:
    with grpc.insecure_channel(server.grpc_address) as channel:
        return HealthStub(channel).Check(HealthCheckRequest(), timeout=TIMEOUT_S).status == 1


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def gives(server: Any, name: str, x: float, y: float) -> bool:
    answer = post(server, name, x=[x])
    assert answer.status_code in (200, 503), answer.text
    if answer.status_code == 200:
        assert answer.json() == {"outputs": [y]}
    return answer.status_code == 200


def admin(server: Any, path: str, body: Any = None, method: str = "POST", **headers: str) -> httpx.Response:
    return httpx.request(
        method, f"{server.url}/v1/admin/{path}", content=json.dumps(body or {}), headers=headers, timeout=TIMEOUT_S
    )


def test_nan_from_a_broken_model_is_never_answered_and_it_heals(server):
    assert gives(server, "plain", 1.0, 2.5)
    assert post(server, "plain", "set_weight", weight=float("nan")).status_code == 200
    refused = post(server, "plain", x=[1.0])
    assert refused.status_code == 503
    assert "is in quarantine since" in refused.json()["error"]
    assert "It is loaded again by itself" in refused.headers["x-unstuck-hint"]
    assert post(server, "other", x=[[1.0]]).json() == {"outputs": [[2.5]]}
    until(lambda: gives(server, "plain", 1.0, 2.5))
    assert ready(server)
    until(lambda: healthy(server))


def test_a_wrong_weight_is_found_by_the_golden_rows_under_load(server):
    assert gives(server, "golden", 4.0, 4.0)
    assert post(server, "golden", "set_weight", weight=0.75).status_code == 200

    def is_found() -> bool:
        post(server, "golden", x=[4.0])
        return status(server, "golden")["quarantined"] is not None or "quarantined: canary" in events(server, "golden")

    until(is_found)
    until(lambda: gives(server, "golden", 4.0, 4.0))
    assert status(server, "golden")["quarantined"] is None
    assert events(server, "golden")[-7:] == [
        "quarantined: canary",
        *("UNLOADING", "END", "START", "LOADING", "AVAILABLE", "out of quarantine"),
    ]
    page = httpx.get(f"{server.url}/metrics", timeout=TIMEOUT_S).text
    assert 'unstuck_quarantines_total{model="golden",reason="canary",version="1"} 1.0' in page
    assert 'unstuck_quarantined{model="golden",version="1"} 0.0' in page


def events(server: Any, name: str) -> list[str]:
    found = httpx.get(f"{server.url}/statusz", timeout=TIMEOUT_S, verify=False).json()["events"]
    return [each["what"] for each in found if each["model"] == name]


def test_what_makes_the_engine_fail_for_one_client_is_no_quarantine(server):
    for _ in range(10):
        odd = post(server, "plain", "unpacked", packed=[{"b64": "YWJj"}])
        assert odd.status_code == 500, odd.text
        assert "NaN" in post(server, "plain", x=[float("nan")]).text
        assert gives(server, "plain", 1.0, 2.5)
    assert status(server, "plain")["quarantined"] is None
    assert status(server, "plain")["state"] == "AVAILABLE"


def test_an_operator_takes_a_version_out_of_service_and_has_it_back(server):
    done = admin(server, "models/held/versions/1:quarantine", {"reason": "odd\nanswers"})
    assert done.json() == {"model": "held", "version": 1, "quarantined": True}
    for refused in (post(server, "held", x=[1.0]), post(server, "held/versions/1", x=[1.0])):
        assert refused.status_code == 503
        assert "operator: odd answers" in refused.json()["error"]
    with pytest.raises(grpc.RpcError) as error:
        rpc(server, "held", 1.0)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
    assert "operator: odd answers" in error.value.details()  # type: ignore[attr-defined]
    assert not ready(server)
    until(lambda: not healthy(server))
    assert status(server, "held")["quarantined"]["reason"] == "operator"
    until(lambda: status(server, "held")["state"] == "END")
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = GetModelStatusRequest()
        request.model_spec.name = "held"
        (told,) = ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    assert (told.version, told.state, told.status.error_code) == (1, 50, grpc.StatusCode.UNAVAILABLE.value[0])
    listed = httpx.get(f"{server.url}/v1/models/held", timeout=TIMEOUT_S).json()["model_version_status"]
    assert [each["status"]["error_code"] for each in listed] == ["UNAVAILABLE"]
    assert admin(server, "models/held/versions/1:release").json()["quarantined"] is False
    until(lambda: gives(server, "held", 1.0, 2.5))
    assert ready(server)


@pytest.mark.parametrize(
    ("path", "method", "body", "code", "says"),
    [
        ("models/held/versions/9:quarantine", "POST", {}, 404, "its versions are 1"),
        ("models/none/versions/1:release", "POST", {}, 404, "model 'none'"),
        ("models/held/versions/1:remove", "POST", {}, 400, "Malformed request"),
        ("models/held/versions/1:quarantine", "GET", {}, 400, "Malformed request"),
        ("models/held/versions/1:quarantine", "POST", {"reason": 3}, 400, 'Expected {"reason": "…"}'),
        ("models/held/versions/1:quarantine", "POST", ["odd"], 400, 'Expected {"reason": "…"}'),
    ],
)
def test_what_cannot_be_done_is_said(server, path, method, body, code, says):
    answer = admin(server, path, body, method)
    assert answer.status_code == code
    assert says in answer.json()["error"]
    assert status(server, "held")["quarantined"] is None


def test_others_machines_and_pages_in_browsers_may_not(server):
    answer = admin(server, "models/held/versions/1:quarantine", {}, origin="http://evil.example")
    assert answer.status_code == 403
    assert gives(server, "held", 1.0, 2.5)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unstuck", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_does_and_the_status_tells(server):
    done = command("quarantine", server.url, "held", "--version=1", "--reason=it drifts")
    assert (done.returncode, done.stderr) == (0, "")
    assert "is in quarantine" in done.stdout
    told = command("status", f"{server.url}/v1/models/held")
    assert told.returncode == 1
    assert "QUARANTINED" in told.stdout
    assert "operator: it drifts" in told.stdout
    assert f"unstuck quarantine {server.url} held --version=1 --release" in told.stdout
    done = command("quarantine", server.url, "held", "--version=1", "--release")
    assert done.returncode == 0
    until(lambda: gives(server, "held", 1.0, 2.5))


def test_the_command_says_what_is_wrong(server):
    for arguments, says in [
        ((server.url, "held", "--version=9"), "The server answers 404: "),
        ((server.url, "held"), "Expected URL MODEL --version=N."),
        ((server.url, "held", "--version=1", "--release", "--reason=x"), "--release takes no --reason."),
        (("localhost:8501", "held", "--version=1"), "is not a server's URL"),
        (("http://127.0.0.1:9", "held", "--version=1"), "cannot be asked"),
    ]:
        done = command("quarantine", *arguments)
        assert done.returncode == 1
        assert says in done.stderr
