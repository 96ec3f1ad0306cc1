"""The messages of the Predict RPC, both ways.

Source: PreProcessPrediction and PostProcessPredictionResult in tensorflow_serving/servables/tensorflow/predict_util.cc.
"""

from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import DecodeError

from unstuck.codecs import model_spec_proto
from unstuck.codecs.input_names import check_names, default_of
from unstuck.core.dtypes import INVALID, REF_OFFSET, from_number
from unstuck.core.models import ModelSpec
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import InvalidRequest, MalformedBody, WrongType
from unstuck.proto.tensors import fill, to_array
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse
from unstuck.proto.wire.tensor_pb2 import TensorProto


@dataclass(slots=True)
class ProtoPredictRequest:
    """A parsed message: tensors that are bound once the signature is known.

    Attributes:
        spec: which model.
        signature_name: empty where the message names none.
        output_filter: the outputs to answer; empty for all.
        warnings: always none.
    """

    spec: ModelSpec
    signature_name: str
    output_filter: tuple[str, ...]
    warnings: list[str]
    _message: PredictRequest

    def bind(self, signature: Signature) -> dict[str, Tensor]:
        """The tensors of ``signature``'s inputs, by alias; its defaults where the request leaves them out.

        Raises:
            InputNames: missing or misnamed inputs.
            WrongType: a tensor of another dtype than the input's, or one that contradicts itself.
            WrongShape, UnsupportedType: as ``proto.tensors.to_array``.
        """
        sent = self._message.inputs
        check_names(sent, signature)
        return {
            alias: _bound(sent[alias], spec) if alias in sent else default_of(signature, alias)
            for alias, spec in signature.inputs.items()
        }


def parse(payload: bytes) -> ProtoPredictRequest:
    """The request in ``payload``.

    Raises:
        UnreadableMessage: it is not a PredictRequest.
        InvalidRequest: it names no model.
    """
    message = model_spec_proto.read(PredictRequest, payload)
    model_spec_proto.required(message.HasField("model_spec"))
    spec = model_spec_proto.named(message.model_spec)
    return ProtoPredictRequest(spec, message.model_spec.signature_name, tuple(message.output_filter), [], message)


def parse_for(spec: ModelSpec, payload: bytes) -> ProtoPredictRequest:
    """As ``parse``, of a request whose URL names the model: the message need not, and must name no other.

    Raises:
        MalformedBody: it is not a PredictRequest.
        InvalidRequest: it names another model, version or label than ``spec``.
    """
    try:
        message = PredictRequest.FromString(payload)
    except DecodeError:
        raise MalformedBody(f"The body's {len(payload):,} bytes are not a tensorflow.serving.PredictRequest.") from None
    asked = model_spec_proto.to_spec(message.model_spec)
    for what, own, named in (
        ("model", spec.name, asked.name or None),
        ("version", spec.version, asked.version),
        ("label", spec.label, asked.label),
    ):
        if named is not None and named != own:
            raise InvalidRequest(
                f"The message asks for {what} {named!r}, the URL for {'none' if own is None else repr(own)}.",
                hint="Leave model_spec's name and version out, or make the URL say the same.",
            )
    return ProtoPredictRequest(spec, message.model_spec.signature_name, tuple(message.output_filter), [], message)


def encode(outputs: Tensors, model: str, version: int, signature_name: str, *, as_content: bool) -> bytes:
    """A serialised PredictResponse.

    Args:
        outputs: by alias.
        model: the name of the model that answered.
        version: its version.
        signature_name: the signature called.
        as_content: write ``tensor_content`` instead of the typed fields.

    Raises:
        UnsupportedType: an output that TensorProto has no field for.
    """
    response = PredictResponse()
    for alias, array in outputs.items():
        fill(response.outputs[alias], array, as_content=as_content)
    # Messages that follow each other are one: what every answer of a version ends with is serialised once.
    return response.SerializeToString() + _answered_by(model, version, signature_name)


@lru_cache(maxsize=1024)
def _answered_by(model: str, version: int, signature_name: str) -> bytes:
    response = PredictResponse()
    model_spec_proto.fill(response.model_spec, model, version, signature_name)
    return response.SerializeToString()


def _bound(tensor: TensorProto, spec: TensorSpec) -> Tensor:
    if tensor.dtype not in (INVALID.number, spec.dtype.number % REF_OFFSET):
        raise WrongType(
            f"Input {spec.alias!r} expects {spec}, got {from_number(tensor.dtype).name}.",
            hint=f"Send it with dtype {spec.dtype.proto_name}.",
        )
    return to_array(tensor, spec.alias)
