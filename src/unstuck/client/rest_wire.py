"""Calls and answers of the REST API, as bytes. No I/O."""

import json
from functools import cache, partial
from typing import Any, cast
from urllib.parse import quote, unquote

import numpy as np
import orjson

from unstuck.client import json_tensors
from unstuck.client.failures import UnreadableAnswer, of_server
from unstuck.client.messages import Call, Classes, ModelMetadata, Reply, Request
from unstuck.client.prediction import Prediction
from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import Code, UnstuckError

HINT_HEADER = "x-unstuck-hint"
CAUSE_HEADER = "x-unstuck-cause"
WARNING_HEADER = "x-unstuck-warning"
SUCCESS = range(200, 300)
MAX_EXCERPT = 200

# What ours and stock servers say of outputs that a signature promised row by row, and that came otherwise.
_NOT_IN_ROWS = ("inconsistent batch size", "no shape information")

# The first code of each status; 500 is a failure inside, of whatever kind.
_CODES = {code.http_status: code for code in reversed(Code)} | {
    500: Code.INTERNAL,
    409: Code.ABORTED,
    413: Code.INVALID_ARGUMENT,
}


class RestWire:
    """TensorFlow Serving's REST API below ``address``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._without_rows: set[str] = set()  # signatures whose outputs turned out to have no row for each of the batch

    def metadata(self, spec: ModelSpec) -> Call[ModelMetadata]:
        return Call(Request(_path(spec) + "/metadata"), _guarded(_metadata))

    def status(self, spec: ModelSpec) -> Call[list[VersionStatus]]:
        return Call(Request(_path(spec)), _guarded(_status))

    def predict(self, spec: ModelSpec, signature: Signature, tensors: Tensors) -> Call[Prediction]:
        rows = 0 if signature.name in self._without_rows else json_tensors.batch_size(signature, tensors)
        request = Request(_path(spec) + ":predict", json_tensors.encode(signature, tensors, rows))
        read = partial(_prediction, signature)

        def in_columns(error: UnstuckError) -> Call[Prediction] | None:
            if not rows or not any(sign in error.message for sign in _NOT_IN_ROWS):
                return None
            self._without_rows.add(signature.name)
            return self.predict(spec, signature, tensors)

        return Call(request, read, in_columns)

    def classify(self, spec: ModelSpec, signature_name: str, examples: bytes) -> Call[Classes]:
        return Call(Request(_path(spec) + ":classify", _named(signature_name, examples)), _guarded(_classes))

    def regress(self, spec: ModelSpec, signature_name: str, examples: bytes) -> Call[Tensor]:
        return Call(Request(_path(spec) + ":regress", _named(signature_name, examples)), _guarded(_values))

    def failure(self, reply: Reply) -> UnstuckError | None:
        if reply.status in SUCCESS:
            return None
        code = _CODES.get(reply.status, Code.INVALID_ARGUMENT if 400 <= reply.status < 500 else Code.UNKNOWN)
        hint = unquote(reply.headers.get(HINT_HEADER, ""))
        return of_server(code, self._message(reply), hint=hint, cause=reply.headers.get(CAUSE_HEADER, ""))

    def _message(self, reply: Reply) -> str:
        try:
            document = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict) and isinstance(told := cast("dict[str, Any]", document).get("error"), str):
            return told
        text = " ".join(reply.body[: 4 * MAX_EXCERPT].decode(errors="replace").split())
        excerpt = f": {text[:MAX_EXCERPT]}" if text else ", without a message"
        return f"{self._address} answered HTTP {reply.status}{excerpt}."


def _path(spec: ModelSpec) -> str:
    path = "/v1/models/" + quote(spec.name, safe="")
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    return path if spec.label is None else f"{path}/labels/{quote(spec.label, safe='')}"


def _named(signature_name: str, examples: bytes) -> bytes:
    name = b'"signature_name":%b,' % orjson.dumps(signature_name) if signature_name else b""
    return b"{%b%b}" % (name, examples)


def load(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``, where numbers may be NaN, Infinity and -Infinity. Raises UnreadableAnswer."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UnreadableAnswer(f"it is not JSON ({error}), but begins with {body[:60]!r}.") from None
    if not isinstance(document, dict):
        raise UnreadableAnswer(f"it is not a JSON object, but begins with {body[:60]!r}.")
    return cast("dict[str, Any]", document)


def _guarded(read: Any) -> Any:
    """``read`` on the document of a reply; a document of another form is an UnreadableAnswer."""

    def guarded(reply: Reply) -> Any:
        document = load(reply.body)
        try:
            return read(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableAnswer(f"{type(error).__name__}: {error}, in {reply.body[:MAX_EXCERPT]!r}.") from None

    return guarded


def _prediction(signature: Signature, reply: Reply) -> Prediction:
    warning = unquote(reply.headers.get(WARNING_HEADER, ""))
    return Prediction(json_tensors.decode(load(reply.body), signature), (warning,) if warning else ())


def _classes(document: dict[str, Any]) -> Classes:
    return [[(str(label), float(score)) for label, score in example] for example in document["results"]]


def _values(document: dict[str, Any]) -> Tensor:
    return np.array([float(value) for value in document["results"]], np.float32)


def _status(document: dict[str, Any]) -> list[VersionStatus]:
    versions: list[VersionStatus] = []
    for each in document["model_version_status"]:
        told = each.get("status", {})
        code = Code[told.get("error_code", "OK")]
        error = None if code is Code.OK else of_server(code, told.get("error_message", ""))
        versions.append(VersionStatus(int(each["version"]), State[each["state"]], error))
    return versions


def _metadata(document: dict[str, Any]) -> ModelMetadata:
    spec = document["model_spec"]
    signatures = document["metadata"]["signature_def"]["signature_def"]
    return ModelMetadata(
        spec["name"], int(spec["version"]), {name: _signature(name, signatures[name]) for name in sorted(signatures)}
    )


def _signature(name: str, told: dict[str, Any]) -> Signature:
    inputs, outputs = told.get("inputs", {}), told.get("outputs", {})
    return Signature(
        name,
        {alias: _spec(alias, inputs[alias]) for alias in sorted(inputs)},
        {alias: _spec(alias, outputs[alias]) for alias in sorted(outputs)},
        told.get("method_name", ""),
        defaults=told.get("defaults", {}),
    )


def _spec(alias: str, told: dict[str, Any]) -> TensorSpec:
    shape = told.get("tensor_shape")
    sizes = None
    if shape is not None and not shape.get("unknown_rank", False):
        sizes = tuple(None if int(dim["size"]) < 0 else int(dim["size"]) for dim in shape.get("dim", []))
    return TensorSpec(alias, told.get("name", ""), _dtype(told["dtype"]), sizes, has_shape=shape is not None)


@cache
def _dtype(proto_name: str) -> DType:
    unknown = DType(dtypes.INVALID.number, proto_name.removeprefix("DT_").lower(), proto_name, None)
    return dtypes.from_proto_name(proto_name) or unknown
