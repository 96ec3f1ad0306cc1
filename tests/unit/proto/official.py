"""The official messages behind the gRPC API, and random ones of them. Only the tests may import these."""

import random

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from tensorflow.core.example import example_pb2  # noqa: F401 - registers Example
from tensorflow_serving.apis import get_model_metadata_pb2, model_service_pb2, prediction_service_pb2
from tensorflow_serving.config import file_system_storage_path_source_pb2

OURS = "unstuck.wire."
SERVICES = (
    prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
)
# Messages whose content is never read here: ours declare no fields, so all of them are unknown fields.
OPAQUE = {"tensorflow.ResourceHandleProto", "tensorflow.VariantTensorDataProto", "tensorflow.TypeSpecProto"}


def our_name(official: str) -> str:
    return official if official.startswith("google.") else OURS + official


def our_class(official: Descriptor) -> type[Message]:
    return class_of(descriptor_pool.Default().FindMessageTypeByName(our_name(official.full_name)))


def class_of(message: Descriptor) -> type[Message]:
    return message_factory.GetMessageClass(message)


def all_messages() -> list[Descriptor]:
    """Every message that a request or response of the services can hold, without those inside opaque ones."""
    found: dict[str, Descriptor] = {}

    def visit(message: Descriptor) -> None:
        if message.full_name not in found:
            found[message.full_name] = message
            for field in message.fields if message.full_name not in OPAQUE else ():
                if field.message_type:
                    visit(field.message_type)

    for service in SERVICES:
        for method in service.methods:
            visit(method.input_type)
            visit(method.output_type)
    visit(get_model_metadata_pb2.SignatureDefMap.DESCRIPTOR)  # travels in an Any
    visit(file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.DESCRIPTOR)
    return [message for name, message in found.items() if not name.startswith("google.")]


def all_enums() -> list[EnumDescriptor]:
    read = [message for message in all_messages() if message.full_name not in OPAQUE]
    used = {
        field.enum_type.full_name: field.enum_type for message in read for field in message.fields if field.enum_type
    }
    declared = {enum.full_name: enum for message in read for enum in message.enum_types}
    return list((used | declared).values())


def random_message(descriptor: Descriptor, rng: random.Random, depth: int = 4) -> Message:
    """A message with about half of its fields set, down to ``depth`` levels."""
    message = class_of(descriptor)()
    for field in descriptor.fields:
        if rng.random() < 0.5 or (field.message_type and not depth):
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            for _ in range(rng.randrange(3)):
                entry = getattr(message, field.name)
                if value.message_type:
                    entry[_scalar(key, rng)].CopyFrom(random_message(value.message_type, rng, depth - 1))
                else:
                    entry[_scalar(key, rng)] = _scalar(value, rng)
        elif field.message_type and field.is_repeated:
            children = [random_message(field.message_type, rng, depth - 1) for _ in range(rng.randrange(3))]
            getattr(message, field.name).extend(children)
        elif field.message_type:
            getattr(message, field.name).CopyFrom(random_message(field.message_type, rng, depth - 1))
            getattr(message, field.name).SetInParent()
        elif field.is_repeated:
            getattr(message, field.name).extend(_scalar(field, rng) for _ in range(rng.randrange(4)))
        else:
            setattr(message, field.name, _scalar(field, rng))
    return message


def _scalar(field: FieldDescriptor, rng: random.Random) -> object:
    if field.enum_type:
        return rng.choice(field.enum_type.values).number
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        data = rng.randbytes(rng.randrange(6))
        return data if field.type == FieldDescriptor.TYPE_BYTES else data.hex() + "é\0"[: rng.randrange(3)]
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return rng.choice([0.0, -0.0, float("inf"), rng.randrange(-1000, 1000) / 8])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    unsigned = field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    bits = 32 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    low, high = (0, 2**bits) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return rng.choice([0, 1, low, high - 1, rng.randrange(low, high)])
