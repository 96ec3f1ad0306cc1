"""What a gRPC server tells of itself and its models: metadata, status, health, reflection; and how it refuses bytes."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_wire import (
    TIMEOUT_S,
    TRUNCATED,
    Case,
    Refusal,
    ask,
    call,
    check_refusal,
    check_warning,
    details,
    params,
    predict,
    spec,
    tensor,
)
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from wire import TFS_MODELS

HALF = "half_plus_two"
ONE_ROW = tensor("float", [1, 1], 2.0)
THREE = tensor("float", [1, 1], 3.0)
OFFICIAL = {
    "tensorflow.serving.PredictionService": prediction_service_pb2,
    "tensorflow.serving.ModelService": model_service_pb2,
}


# GetModelMetadata


def metadata(model_spec: ModelSpec | None, *fields: str) -> GetModelMetadataRequest:
    return GetModelMetadataRequest(model_spec=model_spec, metadata_field=fields)


MODELS = [
    *(pytest.param(name, "own", id=name) for name in (*TFS_MODELS, "dtypes", "multi_io", "mlp", "examples")),
    *(pytest.param(name, "tfs", id=f"{name}/tfs") for name in TFS_MODELS),
]


def newest_of(models: dict[str, Path], name: str) -> Path:
    return max(models[name].iterdir(), key=lambda version: int(version.name))


@pytest.mark.parametrize(("name", "source"), MODELS)
@pytest.mark.parametrize("by_version", [False, True])
def test_metadata_is_the_saved_models_own(name, source, by_version, channel_of, models_of):
    newest = newest_of(models_of(source), name)
    version = int(newest.name)
    request = metadata(spec(name, version=version if by_version else None), "signature_def")
    answer = call(channel_of(source), request).message
    assert answer.model_spec == spec(name, version=version)
    assert list(answer.metadata) == ["signature_def"]
    packed = answer.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = SignatureDefMap()
    assert packed.Unpack(signatures)
    saved = SavedModel.FromString((newest / "saved_model.pb").read_bytes())
    assert dict(signatures.signature_def) == dict(saved.meta_graphs[0].signature_def)


def test_a_field_twice_is_one_field(channel_of):
    answer = call(channel_of("own"), metadata(spec(HALF), "signature_def", "signature_def")).message
    assert list(answer.metadata) == ["signature_def"]


REFUSED = [
    Case("no-model-spec", metadata(None, "signature_def"), Refusal("INVALID_ARGUMENT")),
    Case("no-name", metadata(spec(""), "signature_def"), Refusal("INVALID_ARGUMENT", ["name"])),
    Case("no-field", metadata(spec(HALF)), Refusal("INVALID_ARGUMENT", ["metadata_field", "signature_def"])),
    Case("unknown-field", metadata(spec(HALF), "some_stuff"), Refusal("INVALID_ARGUMENT", ["some_stuff"])),
    Case("one-unknown", metadata(spec(HALF), "signature_def", "xyz"), Refusal("INVALID_ARGUMENT", ["xyz"])),
    Case("fields-before-models", metadata(spec("m"), "xyz"), Refusal("INVALID_ARGUMENT", ["xyz"])),
    Case("unknown-model", metadata(spec("m"), "signature_def"), Refusal("NOT_FOUND", ["'m'"])),
    Case("unknown-version", metadata(spec(HALF, version=7), "signature_def"), Refusal("NOT_FOUND", [HALF, "7", "123"])),
    Case("unknown-label", metadata(spec(HALF, label="st"), "signature_def"), Refusal("INVALID_ARGUMENT", ["st"])),
]


@pytest.mark.parametrize(("case", "source"), params(REFUSED))
def test_metadata_refused(case, source, channel_of):
    check_refusal(call(channel_of(source), case.request), case.answer)


# GetModelStatus and HandleReloadConfigRequest


def status(channel: grpc.Channel, model_spec: ModelSpec | None) -> Any:
    return ask(ModelServiceStub(channel).GetModelStatus, GetModelStatusRequest(model_spec=model_spec))


@pytest.mark.parametrize("source", ["own", "tfs"])
@pytest.mark.parametrize(
    ("model_spec", "version"),
    [
        pytest.param(spec(HALF), 123, id="every-version"),
        pytest.param(spec(HALF, version=123), 123, id="one-version"),
        pytest.param(spec(HALF, label="anything"), 123, id="a-label-is-ignored"),
        pytest.param(spec(HALF, "no_such_signature"), 123, id="a-signature-is-ignored"),
        pytest.param(spec("two_versions"), 124, id="the-newest-of-two"),
    ],
)
def test_status(model_spec, version, source, channel_of):
    answer = status(channel_of(source), model_spec)
    assert answer.error is None, answer.error.details()
    (only,) = answer.message.model_version_status
    assert (only.version, only.state) == (version, ModelVersionStatus.AVAILABLE)
    assert only.HasField("status")
    assert (only.status.error_code, only.status.error_message) == (0, "")


@pytest.mark.parametrize("source", ["own", "tfs"])
@pytest.mark.parametrize(
    ("model_spec", "refusal"),
    [
        pytest.param(None, Refusal("INVALID_ARGUMENT"), id="no-model-spec"),
        pytest.param(spec(""), Refusal("NOT_FOUND"), id="no-name"),  # as TensorFlow Serving: no model is called so
        pytest.param(spec("m"), Refusal("NOT_FOUND", ["'m'"]), id="unknown-model"),
        pytest.param(spec(HALF, version=7), Refusal("NOT_FOUND", [HALF, "7"]), id="unknown-version"),
        pytest.param(spec(HALF, version=0), Refusal("NOT_FOUND", [HALF, "0"]), id="version-0"),
    ],
)
def test_status_refused(model_spec, refusal, source, channel_of):
    check_refusal(status(channel_of(source), model_spec), refusal)


def test_a_reload_without_a_list_of_models_is_refused(channel_of):
    answer = ask(ModelServiceStub(channel_of("own")).HandleReloadConfigRequest, ReloadConfigRequest())
    check_refusal(answer, Refusal("INVALID_ARGUMENT", ["model_config_list"]))


# Health


FRONTS = pytest.mark.parametrize("server", ["plain", "classic"])
SERVICES = ["", *OFFICIAL]
SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def health_error(channel: grpc.Channel, service: str) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
    return raised.value.code()


@FRONTS
@pytest.mark.parametrize("service", SERVICES)
def test_health_check(service, server, channel_of):
    stub = health_pb2_grpc.HealthStub(channel_of("own", server))
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
    assert answer.status == SERVING


@FRONTS
@pytest.mark.parametrize(
    ("service", "want"), [*((name, SERVING) for name in SERVICES), ("no.such.Service", SERVICE_UNKNOWN)]
)
def test_health_watch(service, want, server, channel_of):
    """The first message comes at once; the call stays open. An unknown service may become known, says health.proto."""
    stub = health_pb2_grpc.HealthStub(channel_of("own", server))
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
    assert next(watch).status == want
    assert watch.is_active()
    watch.cancel()


@FRONTS
def test_health_of_an_unknown_service(server, channel_of):
    assert health_error(channel_of("own", server), "no.such.Service") is grpc.StatusCode.NOT_FOUND


def test_health_can_be_turned_off(channel_of):
    channel = channel_of("own", "no_health")
    assert health_error(channel, "") is grpc.StatusCode.UNIMPLEMENTED
    assert call(channel, predict(HALF, x=ONE_ROW)).error is None


# Reflection


@pytest.fixture(params=["plain", "classic"])
def reflected(request, channel_of) -> ProtoReflectionDescriptorDatabase:
    return ProtoReflectionDescriptorDatabase(channel_of("own", request.param))


def test_reflection_lists_the_services(reflected):
    assert {*OFFICIAL, "grpc.health.v1.Health"} <= set(reflected.get_services())


@pytest.mark.parametrize("service", OFFICIAL)
def test_reflection_describes_a_service_as_the_official_one(service, reflected):
    got = descriptor_pool.DescriptorPool(reflected).FindServiceByName(service)
    want = OFFICIAL[service].DESCRIPTOR.services_by_name[service.rpartition(".")[2]]
    assert methods_of(got) == {**methods_of(got), **methods_of(want)}
    seen: set[str] = set()
    for method in want.methods:
        for side in ("input_type", "output_type"):
            twin = next(each for each in got.methods if each.name == method.name)
            check_same(getattr(twin, side), getattr(method, side), seen)


def test_reflection_is_enough_to_call(reflected, channel_of):
    pool = descriptor_pool.DescriptorPool(reflected)
    method = pool.FindServiceByName("tensorflow.serving.PredictionService").FindMethodByName("Predict")
    request, response = (message_factory.GetMessageClass(each) for each in (method.input_type, method.output_type))
    sent = request.FromString(predict(HALF, x=ONE_ROW).SerializeToString())
    predict_method = channel_of("own").unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    assert list(predict_method(sent, timeout=TIMEOUT_S).outputs["y"].float_val) == [3.0]


def test_reflection_finds_nothing_where_nothing_is(reflected):
    with pytest.raises(KeyError):
        reflected.FindFileContainingSymbol("tensorflow.serving.NoSuchService")
    with pytest.raises(KeyError):
        reflected.FindFileByName("no/such/file.proto")


def methods_of(service: Any) -> dict[str, tuple[str, str]]:
    return {method.name: (method.input_type.full_name, method.output_type.full_name) for method in service.methods}


def check_same(got: Any, want: Any, seen: set[str]) -> None:
    """The same fields by name, number and type wherever the reflected message has one of the official one's name."""
    if want.full_name in seen:
        return
    seen.add(want.full_name)
    assert got.full_name == want.full_name
    official = {field.name: field for field in want.fields}
    for field in got.fields:
        twin = official[field.name]
        kind = (field.number, field.type, field.default_value == [])
        assert kind == (twin.number, twin.type, twin.default_value == []), field.full_name
        if field.message_type is not None:
            check_same(field.message_type, twin.message_type, seen)


# What no stub would send, and messages beyond what a status can carry


def raw(channel: grpc.Channel, method: str, sent: bytes) -> Any:
    return ask(channel.unary_unary(f"/tensorflow.serving.{method}", response_deserializer=bytes), sent)


@FRONTS
@pytest.mark.parametrize(
    "sent", [b"\xff" * 20, b"\x0a\x7f", b"\x12", predict(HALF, x=ONE_ROW).SerializeToString()[:-3]]
)
@pytest.mark.parametrize(
    "method",
    [
        *(f"PredictionService/{name}" for name in ("Predict", "Classify", "Regress", "MultiInference")),
        *("PredictionService/GetModelMetadata", "ModelService/GetModelStatus"),
    ],
)
def test_a_payload_that_is_no_message(method, sent, server, channel_of):
    check_refusal(raw(channel_of("own", server), method, sent), Refusal("INTERNAL"))


def test_unknown_fields_are_ignored_and_the_last_of_two_counts(channel_of):
    parts: list[Message] = [predict(HALF, x=tensor("float", [1, 1], value)) for value in (7.0, 2.0)]
    sent = b"".join([*(part.SerializeToString() for part in parts), b"\x9a\x06\x03new"])
    answer = raw(channel_of("own"), "PredictionService/Predict", sent)
    assert answer.error is None, answer.error.details()
    assert dict(PredictResponse.FromString(answer.message).outputs) == {"y": THREE}


@FRONTS
@pytest.mark.parametrize("length", [1_000, 5_000, 1_000_000])
@pytest.mark.parametrize("letter", ["m", "é", "%", "\n", "\0", "模"])
def test_a_long_message_is_cut(letter, length, server, channel_of):
    """So that it arrives: a client takes 8 KB of metadata, and tells RESOURCE_EXHAUSTED of more."""
    answer = call(channel_of("own", server), predict(letter * length, x=ONE_ROW))
    check_refusal(answer, Refusal("NOT_FOUND"))
    error: Any = answer.error
    assert error.details().endswith(TRUNCATED)
    if error.details().isascii():
        assert len(error.details()) == 1024 + len(TRUNCATED)
    binary = sum(len(value) for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    assert len(quote(error.details())) + binary * 4 // 3 < 8000


@FRONTS
@pytest.mark.parametrize("name", ["é模", "100%", "a%20b", "a\tb", "a\nb", "a\\b", "'", '"', "😀", "\x7f"])
def test_a_message_of_any_characters_arrives_whole(name, server, channel_of):
    answer = call(channel_of("own", server), predict(name, x=ONE_ROW))
    check_refusal(answer, Refusal("NOT_FOUND"))
    said = answer.error.details()
    assert name in said or repr(name)[1:-1] in said


@FRONTS
def test_a_warning_arrives(server, channel_of):
    answer = call(channel_of("own", server), predict(HALF, x=tensor("float", [1], 2.0)))
    assert answer.message.outputs["y"] == tensor("float", [1], 3.0)
    check_warning(answer, ["'x'", "[1]", "[-1,1]"])


def test_details_tell_the_cause(channel_of):
    answer = call(channel_of("own"), predict(HALF, X=ONE_ROW))
    info, links = details(answer.error)
    assert (info.domain, info.reason, dict(info.metadata)) == (
        "unstuck",
        "MAPPING_INPUT_NAMES",
        {"cause": "mapping/input-names"},
    )
    assert links
    assert links[0]
    info, _ = details(call(channel_of("own"), predict("", x=ONE_ROW)).error)
    assert (info.reason, dict(info.metadata)) == ("INVALID_ARGUMENT", {})
