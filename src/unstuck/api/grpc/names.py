"""Our messages under their official names, for reflection.

Ours are in a package of their own, so that they can live in one process with tensorflow-serving-api's.
"""

from functools import cache

from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from unstuck.api.grpc.service import MODEL_SERVICE, PREDICTION_SERVICE
from unstuck.proto.wire import services_pb2

SERVICES = (PREDICTION_SERVICE, MODEL_SERVICE)
_OURS = "unstuck.wire."


@cache
def official_pool() -> DescriptorPool:
    """The services and all their messages as tensorflow.serving, besides health and reflection themselves."""
    pool = DescriptorPool()
    added: set[str] = set()
    for module in (any_pb2, wrappers_pb2, health_pb2, reflection_pb2, services_pb2):
        _add(pool, module.DESCRIPTOR, added)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, added)
    proto = FileDescriptorProto.FromString(file.serialized_pb)
    if proto.package.startswith(_OURS):
        _rename(proto)
    pool.Add(proto)


def _rename(proto: FileDescriptorProto) -> None:
    proto.package = proto.package.removeprefix(_OURS)
    messages = list(proto.message_type)
    for message in messages:
        messages.extend(message.nested_type)
        for field in message.field:
            if field.type_name:
                field.type_name = _official(field.type_name)
    for service in proto.service:
        for method in service.method:
            method.input_type = _official(method.input_type)
            method.output_type = _official(method.output_type)


def _official(type_name: str) -> str:
    return type_name.replace(f".{_OURS}", ".", 1)
