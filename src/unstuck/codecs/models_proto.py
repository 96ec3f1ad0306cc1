"""The messages about models: their metadata and their versions' status, both ways."""

from collections.abc import Iterable, Mapping

from unstuck.codecs import model_spec_proto
from unstuck.core.models import ModelSpec, VersionStatus
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import InvalidRequest
from unstuck.proto.wire.management_pb2 import GetModelStatusRequest, GetModelStatusResponse
from unstuck.proto.wire.metadata_pb2 import GetModelMetadataRequest, GetModelMetadataResponse, SignatureDefMap
from unstuck.proto.wire.signature_pb2 import TensorInfo

SIGNATURE_DEF = "signature_def"
_SIGNATURE_MAP_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


def parse_metadata(payload: bytes) -> ModelSpec:
    """The model that a GetModelMetadataRequest asks about.

    Raises:
        UnreadableMessage: it is no such message.
        InvalidRequest: no model, or a metadata field other than ``signature_def``.
    """
    message = model_spec_proto.read(GetModelMetadataRequest, payload)
    model_spec_proto.required(message.HasField("model_spec"))
    if not message.metadata_field:
        raise InvalidRequest(
            "GetModelMetadataRequest must specify at least one metadata_field.", hint=f"Ask for {SIGNATURE_DEF!r}."
        )
    for name in message.metadata_field:
        if name != SIGNATURE_DEF:
            raise InvalidRequest(f"Metadata field {name!r} is not supported.", hint=f"Ask for {SIGNATURE_DEF!r}.")
    return model_spec_proto.named(message.model_spec)


def parse_status(payload: bytes) -> ModelSpec:
    """The model that a GetModelStatusRequest asks about; a label is not looked at. Raises as ``parse_metadata``."""
    message = model_spec_proto.read(GetModelStatusRequest, payload)
    model_spec_proto.required(message.HasField("model_spec"))
    return model_spec_proto.to_spec(message.model_spec)


def encode_metadata(model: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """A serialised GetModelMetadataResponse with the signatures."""
    known = SignatureDefMap()
    for name, signature in signatures.items():
        entry = known.signature_def[name]
        for alias, spec in signature.inputs.items():
            _fill_info(entry.inputs[alias], spec)
        for alias, spec in signature.outputs.items():
            _fill_info(entry.outputs[alias], spec)
        entry.method_name = signature.method_name
        for alias, default in signature.defaults.items():
            entry.defaults[alias].ParseFromString(default)
    response = GetModelMetadataResponse()
    response.model_spec.name = model
    response.model_spec.version.value = version
    packed = response.metadata[SIGNATURE_DEF]
    packed.type_url = _SIGNATURE_MAP_URL  # under its official name, so that official clients unpack it
    packed.value = known.SerializeToString()
    return response.SerializeToString()


def encode_status(versions: Iterable[VersionStatus]) -> bytes:
    """A serialised GetModelStatusResponse of ``versions``, newest first."""
    response = GetModelStatusResponse()
    for each in sorted(versions, key=lambda each: each.version, reverse=True):
        added = response.model_version_status.add(version=each.version)
        added.state = each.state.value  # type: ignore[assignment]
        added.status.SetInParent()
        if each.error is not None:
            added.status.error_code = each.error.code.number  # type: ignore[assignment]
            added.status.error_message = str(each.error)
    return response.SerializeToString()


def _fill_info(info: TensorInfo, spec: TensorSpec) -> None:
    info.name = spec.name
    info.dtype = spec.dtype.number  # type: ignore[assignment]
    if spec.has_shape:
        info.tensor_shape.SetInParent()
        info.tensor_shape.unknown_rank = spec.shape is None
        for size in spec.shape or ():
            info.tensor_shape.dim.add(size=-1 if size is None else size)
