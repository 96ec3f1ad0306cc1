"""The tensors of a predict call as JSON, and those of its answer from JSON."""

import base64
from typing import Any, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from unstuck.client.failures import UnreadableAnswer
from unstuck.codecs.json_document import Json, excerpt
from unstuck.codecs.json_values import to_array
from unstuck.core.dtypes import BFLOAT16
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature, Tensor, Tensors, TensorSpec, show_shape
from unstuck.errors import UnstuckError, UnsupportedType, WrongShape

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def encode(signature: Signature, tensors: Tensors, rows: int) -> bytes:
    """The body of a call: ``rows`` of them (``instances``), or columns (``inputs``) where that is 0.

    Raises:
        UnsupportedType: a dtype that JSON has no form for.
        WrongShape: an empty array whose shape JSON cannot tell.
    """
    values = {alias: _writable(signature.inputs[alias], array) for alias, array in tensors.items()}
    body: Any = next(iter(values.values())) if len(signature.inputs) == 1 and values else values
    if rows and len(signature.inputs) > 1:
        body = [{alias: value[row] for alias, value in values.items()} for row in range(rows)]
    named = {} if signature.name == DEFAULT_SIGNATURE else {"signature_name": signature.name}
    return orjson.dumps({**named, "instances" if rows else "inputs": body}, option=_NUMPY)


def decode(document: dict[str, Any], signature: Signature) -> dict[str, Tensor]:
    """The outputs by alias, of the signature's dtypes; numbers may be NaN and infinite.

    Raises:
        UnreadableAnswer: an answer of another form, with other outputs, or with values that their dtype cannot hold.
    """
    form = "predictions" if "predictions" in document else "outputs"
    if form not in document:
        raise UnreadableAnswer(f"expected 'predictions' or 'outputs', got the keys {sorted(document)}.")
    found: Any = document[form]
    try:
        columns = _columns(found, signature, is_rows=form == "predictions")
        return {alias: _array(columns[alias], spec) for alias, spec in signature.outputs.items()}
    except (KeyError, TypeError) as error:
        raise UnreadableAnswer(
            f"expected the outputs {', '.join(map(repr, signature.outputs))}, got {excerpt(found)} "
            f"({type(error).__name__}: {error})."
        ) from None


def _columns(found: Any, signature: Signature, *, is_rows: bool) -> dict[str, Any]:
    """What was found of each output; that of the only one has no name."""
    if len(signature.outputs) == 1:
        return dict.fromkeys(signature.outputs, found)
    if not is_rows:
        return found
    if any(len(row) != len(signature.outputs) for row in found):
        raise TypeError("rows with other outputs")
    return {alias: [row[alias] for row in found] for alias in signature.outputs}


def _array(value: Json, spec: TensorSpec) -> Tensor:
    try:
        return to_array(value, spec, lambda index: spec.alias + "".join(f"[{at}]" for at in index), has_bools=False)
    except UnstuckError as error:
        raise UnreadableAnswer(f"output {spec.alias!r} ({spec}): {error.message}") from None


def batch_size(signature: Signature, tensors: Tensors) -> int:
    """How many rows the call has; 0 unless each input and output is declared to have one for each of the batch."""
    specs = (*signature.inputs.values(), *signature.outputs.values())
    if any(spec.shape is None or spec.shape[:1] != (None,) for spec in specs):
        return 0
    sizes = {array.shape[:1] for array in tensors.values()}
    return next(iter(sizes))[0] if len(sizes) == 1 and () not in sizes else 0


def _writable(spec: TensorSpec, array: Tensor) -> Any:
    """``array`` as something that orjson writes, and whose rows it writes."""
    if array.size == 0 and array.ndim and 0 in array.shape[:-1]:
        raise WrongShape(
            f"Input {spec.alias!r} ({spec}) got shape {show_shape(array.shape)}, which JSON cannot tell: it is empty.",
            hint="Send at least one row, or use a grpc:// address.",
        )
    if array.dtype == object:
        write = _base64 if spec.alias.endswith("_bytes") else _text
        written: Any = np.frompyfunc(write, 1, 1)(array)
        return written.tolist() if array.ndim else written
    if array.dtype == BFLOAT16.numpy:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub" or array.dtype.isbuiltin != 1:
        raise UnsupportedType(
            f"JSON has no form for {spec.dtype.name} values, which input {spec.alias!r} takes.",
            hint="Use a grpc:// address.",
        )
    if array.dtype.kind != "f" or bool(np.isfinite(cast("Any", array)).all()):
        return np.ascontiguousarray(array) if array.ndim else array[()]
    numbers = cast("NDArray[np.floating[Any]]", array)
    return [_fragment(row) for row in numbers] if array.ndim else _fragment(numbers)


def _fragment(numbers: "NDArray[np.floating[Any]]") -> orjson.Fragment:
    """Numbers that orjson would write as null in TensorFlow Serving's words: NaN, Infinity, -Infinity."""
    pieces = orjson.dumps(np.ascontiguousarray(numbers) if numbers.ndim else numbers[()], option=_NUMPY).split(b"null")
    flat = numbers.ravel()
    specials = flat[~np.isfinite(flat)]
    names = [b"NaN" if np.isnan(special) else b"Infinity" if special > 0 else b"-Infinity" for special in specials]
    return orjson.Fragment(b"".join(piece + name for piece, name in zip(pieces, [*names, b""], strict=True)))


def _base64(value: bytes) -> object:
    return {"b64": base64.b64encode(value).decode()}


def _text(value: bytes) -> object:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _base64(value)
