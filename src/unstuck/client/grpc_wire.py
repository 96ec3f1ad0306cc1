"""Calls and answers of the gRPC API, as bytes of our own wire messages. No I/O."""

from functools import partial
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from unstuck.client.failures import UnreadableAnswer, of_server
from unstuck.client.messages import Call, Classes, ModelMetadata, Reply, Request
from unstuck.client.prediction import Prediction
from unstuck.codecs import json_examples
from unstuck.core.dtypes import from_number
from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import Code, UnstuckError
from unstuck.proto.tensors import fill, to_array
from unstuck.proto.wire import model_pb2, signature_pb2
from unstuck.proto.wire.example_pb2 import Example
from unstuck.proto.wire.inference_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
    RegressionRequest,
    RegressionResponse,
)
from unstuck.proto.wire.management_pb2 import GetModelStatusRequest, GetModelStatusResponse
from unstuck.proto.wire.metadata_pb2 import GetModelMetadataRequest, GetModelMetadataResponse, SignatureDefMap
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse

PREDICTION_SERVICE = "/tensorflow.serving.PredictionService/"
MODEL_SERVICE = "/tensorflow.serving.ModelService/"
SIGNATURE_DEF = "signature_def"
WARNING_KEY = "x-unstuck-warning"

M = TypeVar("M", bound=Message)


class GrpcWire:
    """TensorFlow Serving's gRPC API at ``address``."""

    def __init__(self, address: str) -> None:
        self._address = address

    def metadata(self, spec: ModelSpec) -> Call[ModelMetadata]:
        request = GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
        _fill_spec(request.model_spec, spec)
        return _call(PREDICTION_SERVICE + "GetModelMetadata", request, _metadata)

    def status(self, spec: ModelSpec) -> Call[list[VersionStatus]]:
        request = GetModelStatusRequest()
        _fill_spec(request.model_spec, spec)
        return _call(MODEL_SERVICE + "GetModelStatus", request, _status)

    def predict(self, spec: ModelSpec, signature: Signature, tensors: Tensors) -> Call[Prediction]:
        request = PredictRequest()
        _fill_spec(request.model_spec, spec, signature.name)
        for alias, array in tensors.items():
            fill(request.inputs[alias], array, as_content=True)
        return _call(PREDICTION_SERVICE + "Predict", request, partial(_prediction, signature))

    def classify(self, spec: ModelSpec, signature_name: str, examples: bytes) -> Call[Classes]:
        request = ClassificationRequest()
        _fill_examples(request, spec, signature_name, examples)
        return _call(PREDICTION_SERVICE + "Classify", request, _classes)

    def regress(self, spec: ModelSpec, signature_name: str, examples: bytes) -> Call[Tensor]:
        request = RegressionRequest()
        _fill_examples(request, spec, signature_name, examples)
        return _call(PREDICTION_SERVICE + "Regress", request, _values)

    def failure(self, reply: Reply) -> UnstuckError | None:
        if reply.status == Code.OK.number:
            return None
        hint, cause = _details(reply.details)
        code = Code.from_number(reply.status)
        text = reply.message or f"{self._address} answered {code.name}, without a message."
        return of_server(code, text, hint=hint, cause=cause)


def _call(path: str, request: Message, read: Any) -> Call[Any]:
    return Call(Request(path, request.SerializeToString()), read)


def _fill_spec(message: model_pb2.ModelSpec, spec: ModelSpec, signature_name: str = "") -> None:
    message.name = spec.name
    message.signature_name = signature_name
    if spec.version is not None:
        message.version.value = spec.version
    elif spec.label is not None:
        message.version_label = spec.label


def _fill_examples(
    request: ClassificationRequest | RegressionRequest, spec: ModelSpec, signature_name: str, examples: bytes
) -> None:
    _fill_spec(request.model_spec, spec, signature_name)
    added = request.input.example_list.examples
    added.extend(Example.FromString(each) for each in json_examples.parse(b"{%b}" % examples).examples)


def _details(details: bytes) -> tuple[str, str]:
    """The hint and the cause that a failure carries besides its message."""
    if not details:
        return "", ""
    from google.rpc.error_details_pb2 import ErrorInfo, Help
    from google.rpc.status_pb2 import Status

    hint = cause = ""
    try:
        for each in Status.FromString(details).details:
            helped, info = Help(), ErrorInfo()
            if each.Unpack(helped):
                hint = next((link.description for link in helped.links), "")
            elif each.Unpack(info):
                cause = info.metadata.get("cause", "")
    except DecodeError:
        return "", ""
    return hint, cause


def _read(message_type: type[M], payload: bytes) -> M:
    try:
        return message_type.FromString(payload)
    except DecodeError:
        raise UnreadableAnswer(f"its {len(payload):,} bytes are not a {message_type.DESCRIPTOR.name}.") from None


def _prediction(signature: Signature, reply: Reply) -> Prediction:
    sent = _read(PredictResponse, reply.body).outputs
    order = [alias for alias in signature.outputs if alias in sent]
    order += [alias for alias in sent if alias not in signature.outputs]
    outputs: dict[str, Tensor] = {}
    for alias in order:
        try:
            array = to_array(sent[alias], alias)
        except UnstuckError as error:
            raise UnreadableAnswer(f"output {alias!r}: {error.message}") from None
        outputs[alias] = array if array.flags.writeable else array.copy()
    warning = reply.headers.get(WARNING_KEY, "")
    return Prediction(outputs, (warning,) if warning else ())


def _classes(reply: Reply) -> Classes:
    result = _read(ClassificationResponse, reply.body).result
    return [[(each.label, each.score) for each in example.classes] for example in result.classifications]


def _values(reply: Reply) -> Tensor:
    result = _read(RegressionResponse, reply.body).result
    return np.array([each.value for each in result.regressions], np.float32)


def _status(reply: Reply) -> list[VersionStatus]:
    versions: list[VersionStatus] = []
    for each in _read(GetModelStatusResponse, reply.body).model_version_status:
        code = Code.from_number(each.status.error_code)
        error = None if code is Code.OK else of_server(code, each.status.error_message)
        versions.append(VersionStatus(each.version, State(each.state), error))
    return versions


def _metadata(reply: Reply) -> ModelMetadata:
    response = _read(GetModelMetadataResponse, reply.body)
    known = _read(SignatureDefMap, response.metadata[SIGNATURE_DEF].value).signature_def
    signatures = {name: _signature(name, known[name]) for name in sorted(known)}
    return ModelMetadata(response.model_spec.name, response.model_spec.version.value, signatures)


def _signature(name: str, told: signature_pb2.SignatureDef) -> Signature:
    return Signature(
        name,
        {alias: _spec(alias, told.inputs[alias]) for alias in sorted(told.inputs)},
        {alias: _spec(alias, told.outputs[alias]) for alias in sorted(told.outputs)},
        told.method_name,
        defaults={alias: told.defaults[alias].SerializeToString() for alias in sorted(told.defaults)},
    )


def _spec(alias: str, info: signature_pb2.TensorInfo) -> TensorSpec:
    has_shape = info.HasField("tensor_shape")
    sizes = None
    if has_shape and not info.tensor_shape.unknown_rank:
        sizes = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(alias, info.name, from_number(info.dtype), sizes, has_shape=has_shape)
