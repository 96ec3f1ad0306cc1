"""Our messages are TensorFlow Serving's, byte for byte; theirs are imported here and nowhere else."""

import random
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pool

import unstuck.proto.wire.services_pb2  # noqa: F401 - registers our messages
from tests.unit.proto import official
from tools import protos
from unstuck.proto.wire import metadata_pb2, predict_pb2

POOL = descriptor_pool.Default()
EVERY_MESSAGE = pytest.mark.parametrize("message", official.all_messages(), ids=lambda message: message.full_name)
# TensorFlow's guard against switch statements without a default; no status has it.
UNUSED_ENUM_VALUES = {"DO_NOT_USE_RESERVED_FOR_FUTURE_EXPANSION_USE_DEFAULT_IN_SWITCH_INSTEAD_"}


def described(field, name):
    """What must be equal for a field to have the same bytes and the same name in JSON and text."""
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return (
        *(field.name, field.number, field.type, kind and name(kind.full_name)),
        *(field.is_repeated, field.is_packed, field.has_presence, oneof),
    )


@EVERY_MESSAGE
def test_a_message_has_the_official_fields_and_no_others(message):
    ours = POOL.FindMessageTypeByName(official.our_name(message.full_name))
    theirs = [] if message.full_name in official.OPAQUE else message.fields
    assert {described(field, str) for field in ours.fields} == {described(field, official.our_name) for field in theirs}
    assert ours.GetOptions().map_entry == message.GetOptions().map_entry


@pytest.mark.parametrize("enum", official.all_enums(), ids=lambda enum: enum.full_name)
def test_an_enum_has_the_official_values(enum):
    ours = POOL.FindEnumTypeByName(official.our_name(enum.full_name))
    assert {(value.name, value.number) for value in ours.values} == {
        (value.name, value.number) for value in enum.values if value.name not in UNUSED_ENUM_VALUES
    }


@pytest.mark.parametrize("service", official.SERVICES, ids=lambda service: service.full_name)
def test_a_service_has_the_official_methods(service):
    def described_methods(of, name):
        return {
            (
                *(method.name, name(method.input_type.full_name), name(method.output_type.full_name)),
                *(method.client_streaming, method.server_streaming),
            )
            for method in of.methods
        }

    ours = POOL.FindServiceByName(official.our_name(service.full_name))
    assert described_methods(ours, str) == described_methods(service, official.our_name)


@EVERY_MESSAGE
def test_an_official_message_survives_ours(message):
    rng = random.Random(message.full_name)
    for _ in range(30):
        sent = official.random_message(message, rng)
        ours = official.our_class(message).FromString(sent.SerializeToString())
        assert type(sent).FromString(ours.SerializeToString(deterministic=True)) == sent


@EVERY_MESSAGE
def test_our_message_has_the_official_bytes(message):
    """Built by ours from its own fields, so without the opaque ones, a message serialises to the very same bytes."""
    ours_class = official.our_class(message)
    rng = random.Random(message.full_name)
    for _ in range(10):
        sent = official.random_message(ours_class.DESCRIPTOR, rng)
        data = sent.SerializeToString(deterministic=True)
        theirs = official.class_of(message).FromString(data)
        assert theirs.SerializeToString(deterministic=True) == data


def test_a_field_of_a_later_release_survives():
    later = b"\xfa\x7f\x03new"  # field 2047
    assert predict_pb2.PredictRequest.FromString(later).SerializeToString() == later


def test_metadata_travels_in_an_any_under_the_official_name():
    response = metadata_pb2.GetModelMetadataResponse()
    signatures = metadata_pb2.SignatureDefMap()
    signatures.signature_def["serving_default"].inputs["x"].dtype = 1
    response.metadata["signature_def"].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    response.metadata["signature_def"].value = signatures.SerializeToString()

    theirs = official.get_model_metadata_pb2
    unpacked = theirs.SignatureDefMap()
    received = theirs.GetModelMetadataResponse.FromString(response.SerializeToString())
    assert received.metadata["signature_def"].Unpack(unpacked)
    assert unpacked.signature_def["serving_default"].inputs["x"].dtype == 1


@pytest.mark.parametrize("ours_first", [True, False])
def test_both_live_in_one_process_in_either_order(ours_first):
    ours = "import unstuck.proto.wire.services_pb2"
    theirs = "import tensorflow_serving.apis.prediction_service_pb2, tensorflow_serving.apis.model_service_pb2"
    program = "\n".join([ours, theirs] if ours_first else [theirs, ours])
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, capture_output=True)


def test_ours_need_no_tensorflow_and_no_grpc():
    program = "import unstuck.proto.wire.services_pb2, unstuck.proto.tensors, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True)
    assert not {"tensorflow", "tensorflow_serving", "grpc"} & set(loaded.stdout.split())


def test_the_committed_modules_are_what_the_generator_writes(tmp_path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    protos.generate(tmp_path)
    written, committed = tmp_path / protos.WIRE, protos.SOURCES / protos.WIRE
    versions = [protos.protobuf_version(folder / "tensor_pb2.py") for folder in (written, committed)]
    if versions[0] != versions[1]:
        pytest.skip(f"this protoc is of protobuf {versions[0]}, the committed modules are of {versions[1]}")
    names = {path.name for path in committed.glob("*_pb2.py*")}
    assert names == {path.name for path in written.iterdir()}
    for name in sorted(names):
        assert (written / name).read_text() == (committed / name).read_text(), f"{name}: run python -m tools.protos"
