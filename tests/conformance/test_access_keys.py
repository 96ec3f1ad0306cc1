"""Keys and tokens over real sockets: who may call what over REST and gRPC, and what is open to everybody."""

import json
import logging
import time
from itertools import product

import grpc
import httpx
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_wire import TIMEOUT_S, spec, tensor
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import InferenceTask, MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from unstuck.guard.access import Access
from unstuck.guard.api_keys import hash_of, new_key
from unstuck.testing import onnx_models

ISSUER = "https://login.example.com/"
ISSUERS_KEY = rsa.generate_private_key(65537, 2048)
KEYS = {name: new_key() for name in ("all", "a_only", "viewer", "expired", "stranger")}
ROW = {"instances": [[2.0]]}
FRONTS = ("native", "grpcio")


def entry(name, models, methods, **fields):
    return {"name": name, "hash": hash_of(KEYS[name]), "models": models, "methods": methods, **fields}


ENTRIES = [
    entry("all", ["*"], ["predict", "status", "admin"]),
    entry("a_only", ["a"], ["predict"]),
    entry("viewer", ["a"], ["status"]),
    entry("expired", ["*"], ["predict", "status", "admin"], expires="2020-01-31"),
]


def token(scope):
    claims = {"iss": ISSUER, "aud": "unstuck", "exp": time.time() + 600, "sub": "bob", "scope": scope}
    return jwt.encode(claims, ISSUERS_KEY, "RS256", headers={"kid": "1"})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: onnx_models.half_plus_two(folder / name).parent for name in ("a", "b")}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    public = jwt.algorithms.RSAAlgorithm.to_jwk(ISSUERS_KEY.public_key(), as_dict=True)
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    (folder / "jwt.yaml").write_text(f"issuer: {ISSUER}\naudience: unstuck\njwks: jwks.json")
    (folder / "keys.yaml").write_text(yaml.safe_dump(ENTRIES))
    return {"api_keys_file": folder / "keys.yaml", "jwt_config_file": folder / "jwt.yaml"}


@pytest.fixture(scope="module")
def servers(serve, models, files):
    """By gRPC front end, a server that takes keys and tokens."""
    return {front: serve(models, grpc_front=front, cors=True, **files) for front in FRONTS}


@pytest.fixture(scope="module")
def rest(servers):
    with httpx.Client(base_url=servers["native"].url, timeout=60) as client:
        yield client


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def of(name):
    return bearer(KEYS[name])


PREDICT, STATUS, METADATA = "/v1/models/{}:predict", "/v1/models/{}", "/v1/models/{}/metadata"
PAGES = ["/metrics", "/statusz"]


def ask(client, path, headers):
    return (
        client.post(path, json=ROW, headers=headers) if path.endswith("predict") else client.get(path, headers=headers)
    )


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        (of("all"), PREDICT.format("a"), 200),
        ({"X-API-Key": KEYS["all"]}, PREDICT.format("b"), 200),
        *((of("all"), path, 200) for path in (STATUS.format("a"), METADATA.format("b"), *PAGES)),
        (of("a_only"), PREDICT.format("a"), 200),
        *((of("a_only"), path.format("a"), 403) for path in (STATUS, METADATA, *PAGES)),
        (of("a_only"), PREDICT.format("b"), 403),
        (of("a_only"), PREDICT.format("unknown"), 403),
        (of("viewer"), STATUS.format("a"), 200),
        (of("viewer"), METADATA.format("a"), 200),
        (of("viewer"), PREDICT.format("a"), 403),
        (of("viewer"), STATUS.format("b"), 403),
        *((of("viewer"), page, 403) for page in PAGES),  # which tell of all models
        *((of("expired"), path.format("a"), 401) for path in (PREDICT, STATUS, *PAGES)),
        *((of("stranger"), path.format("a"), 401) for path in (PREDICT, STATUS, *PAGES)),
        *(({}, path.format("a"), 401) for path in (PREDICT, STATUS, METADATA, *PAGES)),
        ({"Authorization": f"Basic {KEYS['all']}"}, PREDICT.format("a"), 401),
        ({}, "/healthz", 200),
        ({}, "/readyz", 200),
    ],
)
def test_rest(rest, headers, path, status):
    for _ in range(2):  # the second time, the key and the path are known
        answer = ask(rest, path, headers)
        assert answer.status_code == status, answer.text
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert not any(key in answer.text for key in KEYS.values())
        if path == PREDICT.format("a") and status == 200:
            assert answer.json() == {"predictions": [[3.0]]}


def test_rest_says_what_is_missing(rest):
    assert "'predict' of the model 'b'; it may of a." in ask(rest, PREDICT.format("b"), of("a_only")).json()["error"]
    answer = ask(rest, PREDICT.format("a"), {})
    assert "takes calls with a key only" in answer.json()["error"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="unstuck"'


def test_readiness_tells_strangers_no_names(rest):
    assert rest.get("/readyz").json() == {"status": "ready"}
    assert sorted(rest.get("/readyz", headers=of("all")).json()["models"]) == ["a", "b"]


def test_browsers_are_told_that_they_may_send_keys(rest):
    answer = rest.options(PREDICT.format("a"), headers={"Origin": "https://example.com"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-headers"] == "Content-Type, Authorization, X-API-Key"


def test_tokens(rest):
    assert ask(rest, PREDICT.format("a"), bearer(token("predict:a"))).status_code == 200
    assert ask(rest, PREDICT.format("b"), bearer(token("predict:a"))).status_code == 403
    assert ask(rest, "/statusz", bearer(token("status"))).status_code == 200
    forged = token("predict:a")[:-8] + "AAAAAAAA"
    answer = ask(rest, PREDICT.format("a"), bearer(forged))
    assert answer.status_code == 401
    assert "signature is wrong" in answer.json()["error"]
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def calls(channel):
    """By name, each RPC of the services as a function of metadata, for the model ``a``."""
    prediction, model = PredictionServiceStub(channel), ModelServiceStub(channel)
    of_a = spec("a")
    task = InferenceTask(model_spec=of_a, method_name="tensorflow/serving/regress")
    requests = {
        "Predict": (prediction.Predict, PredictRequest(model_spec=of_a, inputs={"x": tensor("float", [1, 1], 2.0)})),
        "Classify": (prediction.Classify, ClassificationRequest(model_spec=of_a)),
        "Regress": (prediction.Regress, RegressionRequest(model_spec=of_a)),
        "MultiInference": (prediction.MultiInference, MultiInferenceRequest(tasks=[task])),
        "GetModelMetadata": (
            prediction.GetModelMetadata,
            GetModelMetadataRequest(model_spec=of_a, metadata_field=["signature_def"]),
        ),
        "GetModelStatus": (model.GetModelStatus, GetModelStatusRequest(model_spec=of_a)),
        "HandleReloadConfigRequest": (model.HandleReloadConfigRequest, ReloadConfigRequest()),
    }
    return {
        name: lambda metadata, rpc=rpc, sent=sent: rpc(sent, TIMEOUT_S, metadata)
        for name, (rpc, sent) in requests.items()
    }


def reflect(channel, metadata):
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return next(iter(stub.ServerReflectionInfo(iter([request]), TIMEOUT_S, metadata)))


def outcome(call, metadata):
    try:
        call(metadata)
    except grpc.RpcError as error:
        return "LEAKED" if any(key in error.details() for key in KEYS.values()) else error.code().name
    return "OK"


@pytest.fixture(scope="module")
def channels(servers):
    found = {front: grpc.insecure_channel(server.grpc_address) for front, server in servers.items()}
    yield found
    for channel in found.values():
        channel.close()


INFERENCE = ("Predict", "Classify", "Regress", "MultiInference")
TELLING = ("GetModelMetadata", "GetModelStatus", "Reflection")
RELOAD = ("HandleReloadConfigRequest",)
REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "LEAKED"}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("metadata", "allowed", "refusal"),
    [
        ([("authorization", f"Bearer {KEYS['all']}")], {*INFERENCE, *TELLING, *RELOAD}, ""),
        ([("x-api-key", KEYS["all"])], {*INFERENCE, *TELLING, *RELOAD}, ""),
        ([("x-api-key", KEYS["a_only"])], {*INFERENCE}, "PERMISSION_DENIED"),
        ([("x-api-key", KEYS["viewer"])], {*TELLING}, "PERMISSION_DENIED"),
        ([("x-api-key", KEYS["expired"])], set(), "UNAUTHENTICATED"),
        ([("x-api-key", KEYS["stranger"])], set(), "UNAUTHENTICATED"),
        ([], set(), "UNAUTHENTICATED"),
    ],
    ids=["all", "all-by-x-api-key", "a_only", "viewer", "expired", "stranger", "nobody"],
)
def test_grpc(channels, front, metadata, allowed, refusal):
    channel = channels[front]
    rpcs = {**calls(channel), "Reflection": lambda metadata: reflect(channel, metadata)}
    for name, rpc in rpcs.items():
        for _ in range(2):
            said = outcome(rpc, metadata)
            if name in allowed:
                assert said not in REFUSED, name
            else:
                assert said == refusal, name
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), TIMEOUT_S, metadata)
    assert health.status == health.SERVING


@pytest.mark.parametrize("front", FRONTS)
def test_grpc_names_the_model_that_is_not_allowed(channels, front):
    stub = PredictionServiceStub(channels[front])
    request = PredictRequest(model_spec=spec("b"), inputs={"x": tensor("float", [1, 1], 2.0)})
    with pytest.raises(grpc.RpcError, match="'predict' of the model 'b'; it may of a") as caught:
        stub.Predict(request, TIMEOUT_S, [("x-api-key", KEYS["a_only"])])
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    answer = stub.Predict(request, TIMEOUT_S, [("authorization", f"Bearer {token('predict:b')}")])
    assert list(answer.outputs["y"].float_val) == [3.0]


def test_calls_that_come_together_are_each_checked(channels):
    """The native front end joins what comes at once: a key must not open the door for its neighbours."""
    stub = PredictionServiceStub(channels["native"])
    request = PredictRequest(model_spec=spec("b"), inputs={"x": tensor("float", [1, 1], 2.0)})
    sent = [
        (name, stub.Predict.future(request, TIMEOUT_S, [("x-api-key", KEYS[name])]))
        for name, _ in product(("all", "a_only"), range(50))
    ]
    for name, future in sent:
        assert (future.exception() is None) == (name == "all")


def test_no_key_is_logged(serve, models, files, caplog):
    with caplog.at_level(logging.DEBUG):
        server = serve(models, log_requests="all", **files)
        for name, key in KEYS.items():
            httpx.post(server.url + PREDICT.format("a"), json=ROW, headers=of(name), timeout=60)
            with grpc.insecure_channel(server.grpc_address) as channel:
                outcome(calls(channel)["Predict"], [("x-api-key", key)])
        httpx.get(server.url + "/metrics", headers=of("all"), timeout=60)
        status = httpx.get(server.url + "/statusz", headers=of("all"), timeout=60).text
        server.stop()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("unstuck")]
    assert any("UNAUTHENTICATED" in line for line in ours)
    assert not any(key in text for text in (*ours, status) for key in KEYS.values())


def test_known_keys_take_the_fast_way(rest, monkeypatch):
    """Without a coroutine of their own: only what is not known yet, or may not be, is looked at there."""
    asked = []
    check = Access.check

    def counted(access, headers, right, model):
        asked.append(model)
        check(access, headers, right, model)

    assert ask(rest, PREDICT.format("a"), of("all")).status_code == 200
    monkeypatch.setattr(Access, "check", counted)
    for _ in range(10):
        assert ask(rest, PREDICT.format("a"), of("all")).status_code == 200
    assert asked == []
    assert ask(rest, PREDICT.format("a"), of("stranger")).status_code == 401
    assert asked == ["a"]


def test_keys_are_revoked_while_the_server_runs(serve, models, tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump(ENTRIES))
    server = serve(models, api_keys_file=file)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert ask(client, PREDICT.format("a"), of("a_only")).status_code == 200
        file.write_text("- broken")
        file.write_text(yaml.safe_dump(ENTRIES[:1]))
        while ask(client, PREDICT.format("a"), of("a_only")).status_code == 200:
            time.sleep(0.05)
        assert ask(client, PREDICT.format("a"), of("a_only")).status_code == 401
        assert ask(client, PREDICT.format("a"), of("all")).status_code == 200
    server.stop()


def test_without_keys_nothing_is_asked(serve, models):
    server = serve(models)
    assert httpx.get(server.url + "/statusz", timeout=60).status_code == 200
    assert sorted(httpx.get(server.url + "/readyz", timeout=60).json()["models"]) == ["a", "b"]
    with grpc.insecure_channel(server.grpc_address) as channel:
        assert not {outcome(rpc, []) for rpc in calls(channel).values()} & REFUSED
    server.stop()
