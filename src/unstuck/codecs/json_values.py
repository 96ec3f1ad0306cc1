"""JSON values to arrays, with TensorFlow Serving's strictness: nothing is converted that it would refuse.

A number is not a string, ``true`` is not a number, ``1.0`` is not an integer, and every list of one level has the same
length. NumPy alone would convert all of those without a word, so its fast conversion is only used where its result
proves that the elements were of the right kind; everything else goes through the element-wise conversion, which is the
definition.
"""

import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from unstuck.codecs.json_document import Json, excerpt, kind
from unstuck.core.dtypes import DType
from unstuck.core.signatures import Tensor, TensorSpec, show_shape
from unstuck.errors import UnsupportedType, WrongShape, WrongType

MAX_RANK = 32
PathOf = Callable[[tuple[int, ...]], str]

_EXPECTED = {"b": "true or false", "i": "an integer", "u": "a non-negative integer", "f": "a number", "O": "a string"}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def is_b64(value: Json) -> bool:
    """Whether ``value`` is ``{"b64": "<text>"}`` and nothing else: binary data, not a named input."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def to_array(value: Json, spec: TensorSpec, path_of: PathOf, *, has_bools: bool = True) -> Tensor:
    """``value`` as an array of ``spec``'s dtype, shaped by its nesting (a scalar has shape []).

    Args:
        value: a JSON scalar, or lists of them nested to any regular shape.
        spec: the input; strings become an object array of bytes.
        path_of: the place of an element in the request, from its index; used in errors.
        has_bools: False if the request holds no ``true`` or ``false`` at all, which lets numbers take the fast way.

    Raises:
        WrongType: an element that the dtype cannot hold.
        WrongShape: ragged lists.
        UnsupportedType: a dtype that JSON has no form for (complex, quantised, resource).
    """
    if not has_bools and (numbers := to_numbers(value, spec)) is not None:
        return numbers
    return _elementwise(value, _numpy_dtype(spec.dtype, spec.alias), spec, path_of)


def to_numbers(value: Json, spec: TensorSpec) -> Tensor | None:
    """The fast way, for a value without ``true`` and ``false``; None unless it is a regular array that fits."""
    dtype = spec.dtype.numpy
    if dtype is None or not spec.dtype.is_number:
        return None
    try:
        numbers = np.array(value)
    except (ValueError, OverflowError):
        return None
    return cast_numbers(numbers, dtype) if numbers.ndim <= MAX_RANK else None


def cast_numbers(numbers: Tensor, dtype: "np.dtype[np.generic]") -> Tensor | None:
    """Numbers that NumPy read, as ``dtype``; None where ``dtype`` cannot hold them all as they were written."""
    have = numbers.dtype.kind
    if dtype.kind not in "iu":
        if have == "f":
            if dtype == numbers.dtype:
                return numbers
            with np.errstate(over="ignore"):  # beyond float32's range becomes Infinity, as in TensorFlow Serving
                return numbers.astype(dtype)
        if have not in "iu":
            return None
        with np.errstate(over="ignore"):
            return numbers.astype(np.float64).astype(dtype)
    if have not in "iu":
        return numbers.astype(dtype) if numbers.size == 0 else None
    if dtype == numbers.dtype:
        return numbers
    if numbers.size:
        info = np.iinfo(cast("Any", dtype))
        integers = cast("NDArray[np.integer[Any]]", numbers)
        if int(integers.min()) < info.min or int(integers.max()) > info.max:
            return None
    return numbers.astype(dtype)


def _numpy_dtype(dtype: DType, alias: str) -> "np.dtype[np.generic]":
    if dtype.numpy is None or not (dtype.is_number or dtype.is_string or dtype.numpy.kind == "b"):
        raise UnsupportedType(
            f"JSON has no form for {dtype.name} values, which input {alias!r} takes.",
            hint="Export a signature that takes real numbers and casts them.",
        )
    return dtype.numpy


def _elementwise(value: Json, dtype: "np.dtype[np.generic]", spec: TensorSpec, path_of: PathOf) -> Tensor:
    shape = _shape_of_first(value, spec, path_of)
    convert = _converter(dtype, spec)
    array = np.empty(int(np.prod(shape)), dtype)
    for count, (leaf, index) in enumerate(_leaves(value, shape, spec, path_of)):
        try:
            array[count] = convert(leaf)
        except (TypeError, ValueError) as error:
            raise WrongType(_wrong_type(leaf, dtype, spec, path_of(index), str(error))) from None
    return array.reshape(shape)


def _shape_of_first(value: Json, spec: TensorSpec, path_of: PathOf) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_RANK:
            raise WrongShape(f"Input {spec.alias!r} ({spec}) is nested more than {MAX_RANK} lists deep.")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _leaves(
    value: Json, shape: tuple[int, ...], spec: TensorSpec, path_of: PathOf, index: tuple[int, ...] = ()
) -> Iterator[tuple[Json, tuple[int, ...]]]:
    level = len(index)
    if not isinstance(value, list):
        if level != len(shape):
            raise WrongShape(
                f"Expecting shape {show_shape(shape)} for input {spec.alias!r}, as its first element has, but "
                f"{path_of(index)} is {kind(value)} {excerpt(value, 40)}, not a list of {shape[level]}."
            )
        yield value, index
        return
    if level >= len(shape):
        raise WrongShape(
            f"Expecting shape {show_shape(shape)} for input {spec.alias!r}, as its first element has, but "
            f"{path_of(index)} is a list of {len(value)}, not a single value."
        )
    if len(value) != shape[level]:
        raise WrongShape(
            f"Expecting tensor size {shape[level]} in dimension {level} of input {spec.alias!r}, as its first element "
            f"has, but {path_of(index)} is a list of {len(value)}: all rows must have the same length."
        )
    for position, element in enumerate(value):
        yield from _leaves(element, shape, spec, path_of, (*index, position))


def _converter(dtype: "np.dtype[np.generic]", spec: TensorSpec) -> Callable[[Json], Any]:
    if spec.dtype.is_string:
        return _bytes
    if dtype.kind == "b":
        return _bool
    if dtype.kind in "iu":
        info = np.iinfo(cast("Any", dtype))
        return lambda leaf: _integer(leaf, int(info.min), int(info.max))
    return lambda leaf: _real(leaf, dtype)


def _bytes(leaf: Json) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode()
    if is_b64(leaf):
        return unbase64(cast("dict[str, str]", leaf)["b64"])
    raise TypeError


def unbase64(text: str) -> bytes:
    text = "".join(text.split())
    bare = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(bare) % 4 == 1:
        raise ValueError("it is not base64")
    return binascii.a2b_base64(bare + "=" * (-len(bare) % 4))


def _bool(leaf: Json) -> bool:
    if not isinstance(leaf, bool):
        raise TypeError
    return leaf


def _integer(leaf: Json, least: int, most: int) -> int:
    if isinstance(leaf, bool) or not isinstance(leaf, int):
        raise TypeError
    if not least <= leaf <= most:
        raise ValueError(f"it is outside {least} to {most}")
    return leaf


def _real(leaf: Json, dtype: "np.dtype[np.generic]") -> np.generic:
    if isinstance(leaf, bool) or not isinstance(leaf, int | float):
        raise TypeError
    with np.errstate(over="ignore"):
        return np.float64(leaf).astype(dtype)


def _wrong_type(leaf: Json, dtype: "np.dtype[np.generic]", spec: TensorSpec, path: str, why: str) -> str:
    expected = "a number" if dtype.kind == "V" else _EXPECTED[dtype.kind]
    said = f"{path} is {kind(leaf)} {excerpt(leaf, 40)}"
    if why:
        return f"{said}: {why}, so it is not of expected type: {spec.dtype.name} (input {spec.alias!r}, {spec})."
    return f"{said}, not of expected type: {spec.dtype.name}; input {spec.alias!r} ({spec}) takes {expected}."
