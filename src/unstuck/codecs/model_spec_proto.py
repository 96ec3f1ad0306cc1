"""Which model a message means, both ways."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from unstuck.core.models import ModelSpec
from unstuck.errors import InvalidRequest, UnreadableMessage
from unstuck.proto.wire import model_pb2

M = TypeVar("M", bound=Message)


def read(message_type: type[M], payload: bytes) -> M:
    """The message in ``payload``. Raises UnreadableMessage."""
    try:
        return message_type.FromString(payload)
    except DecodeError:
        raise UnreadableMessage(message_type.DESCRIPTOR.name, len(payload)) from None


def to_spec(message: model_pb2.ModelSpec) -> ModelSpec:
    """The model that ``message`` names; its name may be empty."""
    choice = message.WhichOneof("version_choice")
    if choice == "version":
        return ModelSpec(message.name, version=message.version.value)
    return ModelSpec(message.name, label=message.version_label if choice else None)


def required(has_model_spec: bool) -> None:
    """Raises InvalidRequest for a request that has no model_spec at all."""
    if not has_model_spec:
        raise InvalidRequest("Missing ModelSpec.", hint="Set model_spec.name to the model's name.")


def named(message: model_pb2.ModelSpec) -> ModelSpec:
    """As ``to_spec``. Raises InvalidRequest where it has no name."""
    if not message.name:
        raise InvalidRequest("ModelSpec has no name specified.", hint="Set model_spec.name.")
    return to_spec(message)


def fill(message: model_pb2.ModelSpec, name: str, version: int, signature_name: str = "") -> None:
    """Writes which version answered, and by which signature."""
    message.name = name
    message.signature_name = signature_name
    message.version.value = version
