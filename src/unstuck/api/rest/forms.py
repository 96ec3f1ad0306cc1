"""The forms that a predict call's body may have, and its answer then has too: JSON, protobuf, or NumPy's files.

A body that begins with ``{`` is JSON whatever its content type says, as TensorFlow Serving takes it; curl says
``application/x-www-form-urlencoded``. Any other is what its content type says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unstuck.api.rest.messages import JSON_HEADERS, HeaderLookup, Headers
from unstuck.codecs import json_answer, predict_json, predict_npy, predict_proto
from unstuck.core.models import ModelSpec
from unstuck.core.signatures import Tensors
from unstuck.inference.predict import BindableRequest, Bound, PreparedCall

SIGNATURE_HEADER = "x-unstuck-signature"  # a NumPy file has no place for the signature's name
PROTOBUF = ("application/x-protobuf", "application/protobuf")
NUMPY = ("application/x-npy", "application/x-npz")


@dataclass(slots=True)
class Sent:
    """A parsed body.

    Attributes:
        request: what it asks for.
        headers: of the answer.
        encode: the answer's body.
        output_filter: the outputs to answer; empty for all.
    """

    request: BindableRequest
    headers: Headers
    encode: Callable[[PreparedCall, Tensors], bytes]
    output_filter: Sequence[str] = ()


def parse(spec: ModelSpec, body: bytes, headers: HeaderLookup, limit_bytes: int) -> Sent:
    """What ``body`` holds, checked as far as it can be without its signature.

    Args:
        spec: the model that the URL names.
        body: as sent, inflated.
        headers: of the request.
        limit_bytes: what a compressed ``.npz`` may hold.

    Raises:
        MalformedBody, UnreadableMessage: it is not of the form that it should have.
        InvalidRequest: a protobuf message that names another model than the URL.
    """
    if not body.startswith(b"{"):
        kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
        if kind in NUMPY:
            return _numpy(body, headers.get(SIGNATURE_HEADER) or "", limit_bytes)
        if kind in PROTOBUF:
            return _protobuf(spec, body)
    return _json(body)


JSON_ROWS = Sent(Bound("", {}), JSON_HEADERS, lambda _, outputs: json_answer.encode(outputs, "instances"))
"""Of calls in row format that were parsed together."""


def _json(body: bytes) -> Sent:
    request = predict_json.parse(body)
    form = request.format
    return Sent(request, JSON_HEADERS, lambda _, outputs: json_answer.encode(outputs, form))


def _numpy(body: bytes, signature_name: str, limit_bytes: int) -> Sent:
    request = predict_npy.parse(body, signature_name, limit_bytes)
    kind, is_single = NUMPY[not request.is_single], request.is_single
    return Sent(request, [("content-type", kind)], lambda _, outputs: predict_npy.encode(outputs, is_single=is_single))


def _protobuf(spec: ModelSpec, body: bytes) -> Sent:
    request = predict_proto.parse_for(spec, body)

    def encode(call: PreparedCall, outputs: Tensors) -> bytes:
        model = call.model
        return predict_proto.encode(outputs, model.name, model.version, call.signature.name, as_content=True)

    return Sent(request, [("content-type", PROTOBUF[0])], encode, request.output_filter)
