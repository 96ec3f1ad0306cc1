"""JSON schemas of the bodies that a predict call over REST has, both ways, by signature."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unstuck.core.signatures import DEFAULT_SIGNATURE, Shape, Signature, TensorSpec

Schema = dict[str, Any]

_ANY: Schema = {}
_NEVER: Schema = {"not": {}}
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_TEXT: Schema = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}},
            "required": ["b64"],
            "additionalProperties": False,
        },
    ]
}


def _nested(name: str, value: Schema) -> Schema:
    return {"anyOf": [value, {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}]}


COMPONENTS = {
    "Numbers": _nested("Numbers", {"type": "number"}),
    "Booleans": _nested("Booleans", {"type": "boolean"}),
    "Texts": _nested("Texts", _TEXT),
}


def request(signature: Signature) -> Schema:
    """Of a right request to ``signature``."""
    specs = signature.inputs
    forms: list[Schema] = [_form(signature, "inputs", _columns(specs))]
    if all(spec.shape is None or spec.shape[:1] == (None,) for spec in specs.values()):
        forms.append(_form(signature, "instances", {"type": "array", "minItems": 1, "items": _row(specs)}))
    return {"anyOf": forms}


def response(signature: Signature) -> Schema:
    """Of an answer by ``signature``: names and kinds; shapes follow those sent, which need not be declared."""
    values = _named(
        {alias: {"$ref": f"#/components/schemas/{_kind(spec)}"} for alias, spec in signature.outputs.items()}
    )
    return {
        "anyOf": [
            _object({"outputs": values}, ["outputs"]),
            _object({"predictions": {"type": "array", "items": values}}, ["predictions"]),
        ]
    }


def _kind(spec: TensorSpec) -> str:
    if spec.dtype.is_string:
        return "Texts"
    return "Booleans" if spec.dtype.numpy is not None and spec.dtype.numpy.kind == "b" else "Numbers"


def _form(signature: Signature, key: str, value: Schema) -> Schema:
    name: Schema = {"type": "string", "const": signature.name}
    required = [key] if signature.name == DEFAULT_SIGNATURE else ["signature_name", key]
    return _object({"signature_name": name, key: value}, required)


def _columns(specs: Mapping[str, TensorSpec]) -> Schema:
    """Whole tensors: by alias, or a single one without it."""
    values = {alias: _value(spec, spec.shape) for alias, spec in specs.items()}
    return _named(values)


def _row(specs: Mapping[str, TensorSpec]) -> Schema:
    values = {alias: _value(spec, None if spec.shape is None else spec.shape[1:]) for alias, spec in specs.items()}
    return _named(values)


def _named(values: dict[str, Schema]) -> Schema:
    named = _object(values, list(values))
    return {"anyOf": [next(iter(values.values())), named]} if len(values) == 1 else named


def _value(spec: TensorSpec, shape: Shape | None) -> Schema:
    if shape is None:
        return _ANY
    schema = _element(spec)
    for size in reversed(shape):
        schema = {"type": "array", "items": schema}
        if size is not None:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def _element(spec: TensorSpec) -> Schema:
    dtype = spec.dtype.numpy
    if spec.dtype.is_string:
        return _TEXT
    if dtype is not None and dtype.kind == "b":
        return {"type": "boolean"}
    if dtype is None or not spec.dtype.is_number:
        return _NEVER
    if dtype.kind in "iu":
        info = np.iinfo(dtype)  # type: ignore[arg-type]
        return {"type": "integer", "minimum": int(info.min), "maximum": int(info.max)}
    return {"type": "number", "format": "double" if dtype.itemsize == 8 else "float"}


def _object(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": required}
