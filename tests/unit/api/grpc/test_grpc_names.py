"""What reflection tells: our messages and services under their official names, field for field."""

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.unit.proto import official
from unstuck.api.grpc.names import SERVICES, official_pool
from unstuck.proto.wire import predict_pb2

POOL = official_pool()
UNUSED_ENUM_VALUES = {"DO_NOT_USE_RESERVED_FOR_FUTURE_EXPANSION_USE_DEFAULT_IN_SWITCH_INSTEAD_"}


def reached():
    """Every message of the services, without those that only a file names."""
    found = {}

    def visit(message):
        if message.full_name not in found:
            found[message.full_name] = message
            for field in message.fields if message.full_name not in official.OPAQUE else ():
                if field.message_type:
                    visit(field.message_type)

    for service in official.SERVICES:
        for method in service.methods:
            visit(method.input_type)
            visit(method.output_type)
    return list(found.values())


def described(field):
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return (
        *(field.name, field.json_name, field.number, field.type, kind and kind.full_name, oneof),
        *(field.is_repeated, field.is_packed, field.has_presence),
    )


@pytest.mark.parametrize("message", reached(), ids=lambda message: message.full_name)
def test_a_message_has_its_official_name_and_fields(message):
    ours = POOL.FindMessageTypeByName(message.full_name)
    theirs = [] if message.full_name in official.OPAQUE else message.fields
    assert {described(field) for field in ours.fields} == {described(field) for field in theirs}
    assert ours.GetOptions().map_entry == message.GetOptions().map_entry


@pytest.mark.parametrize("service", official.SERVICES, ids=lambda service: service.full_name)
def test_a_service_has_its_official_name_and_methods(service):
    def methods(of):
        return {
            (
                *(each.full_name, each.input_type.full_name, each.output_type.full_name),
                *(each.client_streaming, each.server_streaming),
            )
            for each in of.methods
        }

    assert methods(POOL.FindServiceByName(service.full_name)) == methods(service)


def test_the_services_are_the_official_ones():
    assert set(SERVICES) == {service.full_name for service in official.SERVICES}


def enums():
    return {
        field.enum_type.full_name: field.enum_type for each in reached() for field in each.fields if field.enum_type
    }


@pytest.mark.parametrize("name", enums())
def test_an_enum_has_its_official_name_and_values(name):
    ours = POOL.FindEnumTypeByName(name)
    assert {(value.name, value.number) for value in ours.values} == {
        (value.name, value.number) for value in enums()[name].values if value.name not in UNUSED_ENUM_VALUES
    }


def files():
    """Every file that reflection hands out for the services, by name."""
    found = {}

    def visit(file):
        found[file.name] = file
        for dependency in file.dependencies:
            visit(dependency)

    for name in SERVICES:
        visit(POOL.FindServiceByName(name).file)
    return found.values()


def test_nothing_of_our_own_package_shows():
    assert len(files()) > 5
    for file in files():
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        assert not file.package.startswith("unstuck")
        assert "unstuck.wire" not in str(proto)
        assert b"unstuck.wire" not in file.serialized_pb


@pytest.mark.parametrize("module", [health_pb2, reflection_pb2])
def test_health_and_reflection_are_there_as_they_are(module):
    for name, service in module.DESCRIPTOR.services_by_name.items():
        found = POOL.FindServiceByName(service.full_name)
        assert found.name == name
        assert found.file.serialized_pb == module.DESCRIPTOR.serialized_pb


def test_a_message_made_from_reflection_reads_ours():
    ours = predict_pb2.PredictRequest(output_filter=["y"])
    ours.model_spec.name = "m"
    ours.model_spec.version.value = 3
    ours.inputs["x"].float_val.extend([1, 2])
    reflected = message_factory.GetMessageClass(POOL.FindMessageTypeByName("tensorflow.serving.PredictRequest"))
    read = reflected.FromString(ours.SerializeToString())
    assert (read.model_spec.name, read.model_spec.version.value, list(read.output_filter)) == ("m", 3, ["y"])
    assert list(read.inputs["x"].float_val) == [1, 2]


def test_the_pool_is_made_once():
    assert official_pool() is POOL
