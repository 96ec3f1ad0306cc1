"""The body that answers a REST predict call, in row and in column format.

Source: MakeJsonFromTensors in tensorflow_serving/util/json_tensor.cc.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any, Literal, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from unstuck.core.dtypes import BFLOAT16
from unstuck.core.signatures import Tensor, Tensors, show_shape
from unstuck.errors import UnwritableOutput

Format = Literal["instances", "inputs"]

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def encode(outputs: Tensors, form: Format) -> bytes:
    """The answer's body: ``{"predictions": …}`` for rows, ``{"outputs": …}`` for columns.

    Args:
        outputs: arrays by alias; a single one is given without its name.
        form: the request's format.

    Raises:
        UnwritableOutput: a dtype that JSON has no form for, text that is not UTF-8, or, in row format, outputs without
            a common first dimension.
    """
    if not outputs:
        raise UnwritableOutput("Cannot convert empty tensor map to JSON: the signature has no outputs.")
    if form == "instances":
        _check_batch(outputs)
    values = {alias: _writable(alias, array) for alias, array in outputs.items()}
    body = _dump(values, form)
    if b"null" not in body:
        return body
    # orjson writes NaN and Infinity as null; TensorFlow Serving writes them as NaN, Infinity and -Infinity.
    return _dump({alias: _with_specials(value) for alias, value in values.items()}, form)


def encode_together(outputs: Tensors, counts: Sequence[int]) -> list[bytes]:
    """The answer's body in row format for each of several requests that ran as one, of ``counts`` rows each.

    Raises:
        UnwritableOutput: as ``encode``, for the first that cannot be written.
    """
    if len(outputs) == 1:
        ((alias, array),) = outputs.items()
        if array.dtype.kind in "fiub" and array.ndim == 2 and array.size and len(array) == sum(counts):
            text = orjson.dumps(_writable(alias, array), option=_NUMPY)
            if b"null" not in text:
                return _cut(text[2:-2].split(b"],["), counts)
    ends = list(accumulate(counts))
    return [
        encode({alias: array[end - count : end] for alias, array in outputs.items()}, "instances")
        for count, end in zip(counts, ends, strict=True)
    ]


def _cut(rows: list[bytes], counts: Sequence[int]) -> list[bytes]:
    if len(rows) == len(counts):
        return [b'{"predictions":[[%b]]}' % row for row in rows]
    cut = iter(rows)
    return [b'{"predictions":[[%b]]}' % b"],[".join(islice(cut, count)) for count in counts]


def _dump(values: Mapping[str, Any], form: Format) -> bytes:
    key = "predictions" if form == "instances" else "outputs"
    if len(values) == 1:
        (value,) = values.values()
        return orjson.dumps({key: value}, option=_NUMPY)
    if form == "inputs":
        return orjson.dumps({key: values}, option=_NUMPY)
    size = len(next(iter(values.values())))
    rows = [{alias: value[row] for alias, value in values.items()} for row in range(size)]
    return orjson.dumps({key: rows}, option=_NUMPY)


def _check_batch(outputs: Tensors) -> None:
    sizes: set[int] = set()
    for alias, array in outputs.items():
        if array.ndim == 0:
            raise UnwritableOutput(
                f"Tensor name: {alias} has no shape information: it is a scalar, which has no row for each instance.",
                hint='Send the request in column format: {"inputs": …}.',
            )
        sizes.add(array.shape[0])
    if len(sizes) > 1:
        listed = ", ".join(f"{alias!r} {show_shape(array.shape)}" for alias, array in outputs.items())
        raise UnwritableOutput(
            f"Outputs have an inconsistent batch size ({listed}), so they cannot be given row by row.",
            hint='Send the request in column format: {"inputs": …}.',
        )


def _writable(alias: str, array: Tensor) -> object:
    """``array`` in a form that orjson writes: numbers stay an array, strings become nested lists."""
    kind_of = array.dtype.kind
    if kind_of in "fiub" and array.dtype.isbuiltin == 1:  # not float8, whose kind is "f" too
        value = array if array.flags.c_contiguous else np.ascontiguousarray(array)
    elif kind_of == "O":
        write = _base64 if alias.endswith("_bytes") else _text_of(alias)
        return (
            cast("Any", np.frompyfunc(write, 1, 1)(array)).tolist() if array.ndim else write(cast("bytes", array[()]))
        )
    elif array.dtype == BFLOAT16.numpy:
        value = np.ascontiguousarray(array.astype(np.float32)) if array.ndim else array.astype(np.float32)
    else:
        raise UnwritableOutput(
            f"Failed to write JSON value for tensor type: {array.dtype.name} (output {alias!r}).",
            hint="JSON has no form for it: export a signature that casts it, or splits it into real numbers.",
        )
    return value if value.ndim else value[()]


def _base64(value: bytes) -> object:
    return {"b64": base64.b64encode(value).decode()}


def _text_of(alias: str) -> Callable[[bytes], str]:
    def text(value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise UnwritableOutput(
                f"Output {alias!r} holds bytes that are not UTF-8 text (0x{value[error.start]:02x} at {error.start}).",
                hint=f"Export it under an alias that ends in '_bytes' ({alias}_bytes): it is then sent as base64.",
            ) from None

    return text


def _with_specials(value: Any) -> object:
    if getattr(value, "dtype", None) is None or value.dtype.kind != "f":
        return value
    numbers = cast("NDArray[np.floating[Any]]", value)
    return _fragment(numbers) if numbers.ndim == 0 else [_fragment(row) for row in numbers]


def _fragment(numbers: "NDArray[np.floating[Any]]") -> orjson.Fragment:
    specials = np.atleast_1d(numbers)
    specials = specials[~np.isfinite(specials)]
    pieces = orjson.dumps(numbers, option=_NUMPY).split(b"null")
    names = [b"NaN" if np.isnan(special) else b"Infinity" if special > 0 else b"-Infinity" for special in specials]
    return orjson.Fragment(b"".join(piece + name for piece, name in zip(pieces, [*names, b""], strict=True)))
