"""The body of a REST classify or regress call, both ways: JSON features to tf.Examples, and results to JSON.

Source: FillClassifyRegressRequestFromJson, MakeJsonFromClassificationResult and MakeJsonFromRegressionResult in
tensorflow_serving/util/json_tensor.cc, InputToSerializedExampleTensor in servables/tensorflow/util.cc.
"""

from dataclasses import dataclass
from typing import NoReturn, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from unstuck.codecs.json_document import Json, excerpt, kind
from unstuck.codecs.json_document import parse as parse_document
from unstuck.codecs.json_values import is_b64, unbase64
from unstuck.core.signatures import Tensor
from unstuck.errors import MalformedBody, UnwritableOutput, WrongType
from unstuck.proto.wire.example_pb2 import Example, Feature

MAX_INT64 = 2**63 - 1

# What a feature holds, by how its elements are written; a number without fraction and exponent is an int.
_KINDS: dict[type, str] = {int: "int64", bool: "int64", float: "float", str: "bytes", dict: "bytes"}

_EXAMPLE = 'Send, for example: {"examples": [{"FEATURE": 1.0}, {"FEATURE": 2.0}]}.'
_PREDICT_KEYS = ("instances", "inputs")


@dataclass(frozen=True, slots=True)
class JsonExamplesRequest:
    """A parsed body.

    Attributes:
        signature_name: empty where the body names none.
        examples: serialised tf.Examples. Each begins with the features of ``context``; where an example has a feature
            of the same name, that comes later in it, and whoever parses it keeps the later one.
    """

    signature_name: str
    examples: list[bytes]


def parse(body: bytes) -> JsonExamplesRequest:
    """The request that ``body`` holds; keys other than ``signature_name``, ``context`` and ``examples`` do not matter.

    Raises:
        MalformedBody: not JSON, or not an object with a list of one or more objects under ``examples``.
        WrongType: a feature whose elements no tf.Example can hold, or that are not of one kind.
    """
    document = parse_document(body)
    if not isinstance(document, dict):
        came = f"{kind(document)} {excerpt(document)}"
        raise MalformedBody(f"The body Is not object: expecting a JSON object with 'examples', got {came}.")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise MalformedBody(f"'signature_name' key must be a string value, got {kind(name)} {excerpt(name)}.")
    context = _serialised(document["context"], "context") if "context" in document else b""
    if "examples" not in document:
        is_predict = any(key in document for key in _PREDICT_KEYS)
        raise MalformedBody(
            f"Key 'examples' is expected and was not found, got the keys {sorted(document)}.",
            hint="'instances' and 'inputs' are for :predict. " * is_predict + _EXAMPLE,
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        came = f"{kind(examples)} {excerpt(examples)}"
        raise MalformedBody(f"Expecting 'examples' value to be an list/array, got {came}.", hint=_EXAMPLE)
    if not examples:
        raise MalformedBody("'examples' value is an empty array, expecting at least one example.", hint=_EXAMPLE)
    serialised = (_serialised(example, f"examples[{index}]") for index, example in enumerate(examples))
    return JsonExamplesRequest(name, [context + example for example in serialised])


def _serialised(value: Json, path: str) -> bytes:
    if not isinstance(value, dict):
        raise MalformedBody(
            f"Example must be JSON object, one key a feature, but {path} is {kind(value)} {excerpt(value)}.",
            hint=_EXAMPLE,
        )
    example = Example()
    for name, content in value.items():
        _fill(example.features.feature[name], content, name, path)  # an empty list makes a feature of no kind
    return example.SerializeToString()


def _fill(feature: Feature, content: Json, name: str, path: str) -> None:
    values = content if isinstance(content, list) else [content]
    kinds = {_KINDS.get(type(value)) for value in values}
    try:
        if kinds == {"float"}:
            feature.float_list.value.extend(cast("list[float]", values))
        elif kinds == {"int64"}:
            feature.int64_list.value.extend(_integers(cast("list[int]", values)))
        elif kinds == {"bytes"}:
            feature.bytes_list.value.extend([_bytes(value) for value in values])
        elif kinds:
            raise ValueError
    except ValueError:
        _refuse(content, name, f"{path}.{name}")


def _integers(values: list[int]) -> list[int]:
    if max(values) > MAX_INT64:  # anything below int64's least was read as a float
        raise ValueError
    return list(map(int, values))  # true and false are 1 and 0


def _bytes(value: Json) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not is_b64(value):
        raise ValueError
    return unbase64(cast("dict[str, str]", value)["b64"])


def _refuse(content: Json, name: str, path: str) -> NoReturn:
    """Raises for the first element that cannot be in one feature with the first."""
    values = content if isinstance(content, list) else [content]
    for index, value in enumerate(values):
        if why := _fault(value, values[0], name):
            place = f"{path}[{index}]" if isinstance(content, list) else path
            mixed = {type(value), type(values[0])} == {int, float}
            raise WrongType(
                f"{place} is {kind(value)} {excerpt(value, 40)}: {why}.",
                hint="1 is an int64 and 1.0 is a float: write all numbers of a float feature with a decimal point."
                * mixed,
            )
    raise AssertionError(f"{path} was refused for no reason")


def _fault(value: Json, first: Json, name: str) -> str:
    held, expected = _KINDS.get(type(value)), _KINDS.get(type(first))
    if held is None or (isinstance(value, dict) and not is_b64(value)):
        return (
            f"feature {name!r} has element with unexpected JSON type: {kind(value)}, expecting a number, "
            'true or false, a string, or {"b64": "<base64>"}'
        )
    if held != expected:
        return (
            f"unexpected element type {held} in feature {name!r}, expecting type: {expected}, "
            f"as its first element is {kind(first)} {excerpt(first, 40)}"
        )
    if isinstance(value, int) and value > MAX_INT64:
        return f"feature {name!r} has uint64 element, only int64 is supported"
    if isinstance(value, dict):
        try:
            _bytes(value)
        except ValueError:
            return f"feature {name!r} has element that is not formatted correctly for base64 data"
    return ""


def encode_classes(labels: Tensor | None, scores: Tensor | None) -> bytes:
    """The answer's body: ``{"results": [[[label, score], …], …]}``, a list of classes an example.

    Args:
        labels: object array of bytes [examples, classes]; where there is none, every label is ``""``.
        scores: float32 [examples, classes]; where there is none, every score is ``0.0``.

    Raises:
        UnwritableOutput: no examples, or a label that is not UTF-8 text.
    """
    given = scores if labels is None else labels
    if given is None or not len(given):
        raise UnwritableOutput("Cannot convert empty ClassificationResults to JSON: the signature gave no examples.")
    classes = given.shape[1]
    texts = [b'""'] * given.size if labels is None else _texts(labels)
    numbers = [b"0.0"] * given.size if scores is None else _decimals(scores)
    pairs = [b"[%b,%b]" % pair for pair in zip(texts, numbers, strict=True)]
    rows = [b"[%b]" % b",".join(pairs[row * classes : (row + 1) * classes]) for row in range(len(given))]
    return b'{"results":[%b]}' % b",".join(rows)


def encode_values(values: Tensor) -> bytes:
    """The answer's body: ``{"results": [value, …]}``, one an example; ``values`` is float32 [examples].

    Raises:
        UnwritableOutput: no examples.
    """
    if not len(values):
        raise UnwritableOutput("Cannot convert empty RegressionResults to JSON: the signature gave no examples.")
    return b'{"results":[%b]}' % b",".join(_decimals(values))


def _texts(labels: Tensor) -> list[bytes]:
    texts: list[bytes] = []
    for label in cast("list[bytes]", labels.ravel().tolist()):
        try:
            texts.append(orjson.dumps(label.decode()))
        except UnicodeDecodeError as error:
            example, number = divmod(len(texts), labels.shape[1])
            raise UnwritableOutput(
                f"Label {number} of example {example} in output 'classes' holds bytes that are not UTF-8 text "
                f"(0x{label[error.start]:02x} at {error.start}).",
                hint="Export a signature for :predict that gives the labels under an alias that ends in '_bytes' "
                "(classes_bytes): they are then sent as base64.",
            ) from None
    return texts


def _decimals(numbers: Tensor) -> list[bytes]:
    """Each number as TensorFlow Serving writes it: always with a point or an exponent, or NaN, Infinity, -Infinity."""
    flat: NDArray[np.float32] = np.ascontiguousarray(numbers, np.float32).ravel()
    if not flat.size:
        return []
    texts = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    for index in np.flatnonzero(~np.isfinite(flat)).tolist():  # orjson writes these as null
        texts[index] = b"NaN" if np.isnan(flat[index]) else b"Infinity" if flat[index] > 0 else b"-Infinity"
    return texts
