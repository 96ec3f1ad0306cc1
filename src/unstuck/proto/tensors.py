"""TensorProto to NumPy arrays and back: TensorFlow's rules, but a tensor that contradicts itself is refused.

Values travel as ``tensor_content`` (as in memory, little-endian) or in the typed field of their dtype, ``float_val``
for float. A typed field may hold fewer values than the shape asks for: the last one is repeated, and none at all means
zeros. No value is touched one by one where NumPy and protobuf can pass whole buffers: ``benchmarks/tensors.py`` has the
figures.
"""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.signatures import Tensor, show_shape
from unstuck.errors import UnsupportedType, WrongShape, WrongType
from unstuck.proto.wire.tensor_pb2 import TensorProto

MAX_RANK = 32
MAX_EMPTY_ROWS = 1 << 20
MAX_REPEATED_BYTES = 16 << 20

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Form:
    """How the values of one dtype travel: in ``field``, whose values NumPy reads as ``stored``."""

    dtype: DType
    numpy: "np.dtype[np.generic]"
    field: str
    stored: type[np.generic]

    @property
    def is_half(self) -> bool:
        return self.field == "half_val"

    @property
    def is_floating(self) -> bool:
        return issubclass(self.stored, np.floating)


def _forms(field: str, stored: type[np.generic], *kinds: DType) -> list[_Form]:
    return [_Form(dtype, dtype.numpy, field, stored) for dtype in kinds if dtype.numpy is not None]


_FORMS = [
    *_forms("float_val", np.float32, dtypes.FLOAT),
    *_forms("double_val", np.float64, dtypes.DOUBLE),
    *_forms("half_val", np.int32, dtypes.HALF, dtypes.BFLOAT16),
    *_forms("int_val", np.int32, dtypes.INT32, dtypes.INT16, dtypes.INT8, dtypes.UINT16, dtypes.UINT8),
    *_forms("int64_val", np.int64, dtypes.INT64),
    *_forms("uint32_val", np.uint32, dtypes.UINT32),
    *_forms("uint64_val", np.uint64, dtypes.UINT64),
    *_forms("bool_val", np.bool_, dtypes.BOOL),
    *_forms("scomplex_val", np.float32, dtypes.COMPLEX64),
    *_forms("dcomplex_val", np.float64, dtypes.COMPLEX128),
    *_forms("string_val", np.object_, dtypes.STRING),
]
_BY_NUMBER = {form.dtype.number: form for form in _FORMS}
_BY_NUMPY = {form.numpy: form for form in _FORMS}


def to_array(tensor: TensorProto, alias: str = "", *, max_repeated_bytes: int = MAX_REPEATED_BYTES) -> Tensor:
    """The values of ``tensor`` in its shape; strings as an object array of bytes.

    Args:
        tensor: in either encoding; ours, or TensorFlow's own class.
        alias: the input's name, for messages.
        max_repeated_bytes: how large an array may become by repeating the last value of a short list. Values that are
            all sent may be any number.

    Returns:
        An array of the dtype that ``tensor`` names; read-only where it is a view of ``tensor_content``.

    Raises:
        UnsupportedType: no NumPy array holds values of this dtype.
        WrongShape: a dimension without a size, more values than the shape takes, bytes that do not fit the shape, or a
            short list whose shape is beyond ``max_repeated_bytes``.
        WrongType: no dtype, values in the field of another dtype, or a value that the dtype cannot hold.
    """
    form = _form(tensor, alias)
    shape = _shape(tensor, form, alias)
    if not tensor.tensor_content:
        values = _from_field(tensor, form, shape, alias, max_repeated_bytes)
    elif form.dtype.is_string:
        values = _strings(tensor.tensor_content, form, shape, alias)
    else:
        values = _from_content(tensor.tensor_content, form, shape, alias)
    return values.reshape(shape)


def fill(tensor: TensorProto, array: Tensor, *, as_content: bool) -> None:
    """Writes ``array`` into an empty ``tensor``.

    Args:
        tensor: empty; ours, or TensorFlow's own class.
        array: of any shape, its dtype one of ``core.dtypes``; strings as an object array of bytes.
        as_content: write ``tensor_content`` instead of the typed field. Strings are always in ``string_val``: it is
            the only form of theirs that TensorFlow's Python reads.

    Raises:
        UnsupportedType: TensorProto has no field for the array's dtype.
    """
    form = _BY_NUMPY.get(array.dtype)
    if form is None:
        raise UnsupportedType(f"A tensor of NumPy's {array.dtype} values cannot be sent.")
    tensor.dtype = form.dtype.number  # type: ignore[assignment]
    tensor.tensor_shape.SetInParent()  # a scalar has a shape too
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    flat = array.ravel()
    if as_content and not form.dtype.is_string:
        tensor.tensor_content = flat.tobytes()
    elif form.is_floating:
        tensor.MergeFromString(_packed(form.field, flat.data))
    else:
        getattr(tensor, form.field).extend((flat.view(np.uint16) if form.is_half else flat).tolist())


def check_empty(shape: Shape, subject: str) -> None:
    """Refuses a tensor without values whose other dimensions are large: each row of nothing is written in an answer.

    Raises:
        WrongShape: ``subject``, which has the ``shape``, is one.
    """
    rows = math.prod(size or 1 for size in shape)
    if rows > MAX_EMPTY_ROWS:
        raise WrongShape(f"{subject} has no values and {rows:,} places for them; expected at most {MAX_EMPTY_ROWS:,}.")


def _form(tensor: TensorProto, alias: str) -> _Form:
    form = _BY_NUMBER.get(tensor.dtype)
    if form is None and tensor.dtype == dtypes.INVALID.number:
        raise WrongType(f"{_subject(alias)} has no dtype.", hint="Set dtype, as DT_FLOAT.")
    if form is None:
        name = dtypes.from_number(tensor.dtype).name
        raise UnsupportedType(f"{_subject(alias)} is {name}, a type whose values cannot be sent.")
    return form


def _shape(tensor: TensorProto, form: _Form, alias: str) -> Shape:
    if tensor.tensor_shape.unknown_rank:
        raise WrongShape(f"{_subject(alias)} has an unknown shape; expected the size of each dimension.")
    dims = tensor.tensor_shape.dim
    if len(dims) > MAX_RANK:
        raise WrongShape(f"{_subject(alias)} has {len(dims)} dimensions; expected at most {MAX_RANK}.")
    shape = tuple([dim.size for dim in dims])
    if shape and min(shape) < 0:
        raise WrongShape(f"{_subject(alias, form, shape)} has a negative size; expected 0 or more in each dimension.")
    if math.prod(size or 1 for size in shape) * form.numpy.itemsize >= 1 << 63:  # of no use even where a size is 0
        raise WrongShape(f"{_subject(alias, form, shape)} is larger than any memory.")
    if 0 in shape:
        check_empty(shape, _subject(alias, form, shape))
    return shape


def _from_content(content: bytes, form: _Form, shape: Shape, alias: str) -> Tensor:
    expected = math.prod(shape) * form.numpy.itemsize
    if len(content) != expected:
        raise WrongShape(
            f"{_subject(alias, form, shape)} takes {expected:,} bytes of tensor_content, got {len(content):,}."
        )
    return np.frombuffer(content, form.numpy)


def _strings(content: bytes, form: _Form, shape: Shape, alias: str) -> Tensor:
    """What TensorFlow's C++ writes: the length of each string as a varint, then the bytes of all."""
    count = math.prod(shape)
    ends = np.flatnonzero(np.frombuffer(content[: 10 * count], np.uint8) < 0x80)[:count]  # the last byte of each varint
    start = int(ends[-1]) + 1 if len(ends) else 0
    lengths = _varints(content[:start])
    if len(lengths) != count or min(lengths, default=0) < 0 or start + sum(lengths) != len(content):
        raise WrongShape(
            f"{_subject(alias, form, shape)} takes {count:,} varint lengths and as many strings in tensor_content, "
            f"got {len(content):,} bytes of something else.",
            hint="Send strings in string_val.",
        )
    return _objects([content[begin:end] for begin, end in pairwise(accumulate(lengths, initial=start))])


def _from_field(tensor: TensorProto, form: _Form, shape: Shape, alias: str, max_repeated_bytes: int) -> Tensor:
    stored: Any = getattr(tensor, form.field)
    if not stored:
        _check_other_fields(tensor, form, alias)
    values = _objects(list(stored)) if form.dtype.is_string else np.array(stored, form.stored)
    if form.is_half:
        values = values.astype(np.uint16).view(form.numpy)
    elif form.numpy.kind == "c":
        if len(values) % 2:
            raise WrongShape(
                f"{_subject(alias, form, shape)} takes real, imaginary pairs in {form.field}, got {len(values)} values."
            )
        values = values.view(form.numpy)
    elif form.numpy != values.dtype:
        values = _narrowed(values, form, alias)
    count, given = math.prod(shape), len(values)
    if given == count:
        return values
    if given > count:
        raise WrongShape(f"{_subject(alias, form, shape)} takes {count:,} values, got {given:,}.")
    if count * form.numpy.itemsize > max_repeated_bytes:
        raise WrongShape(
            f"{_subject(alias, form, shape)} takes {count:,} values, got {given:,}. The last one is repeated only in "
            f"tensors of up to {max_repeated_bytes:,} bytes.",
            hint="Send all values.",
        )
    return _repeated(values, count)


def _check_other_fields(tensor: TensorProto, form: _Form, alias: str) -> None:
    """Refuses values that would be overlooked, the field of their dtype being empty."""
    others = [field.name for field, _ in tensor.ListFields() if field.name.endswith("_val")]
    if others:
        raise WrongType(
            f"{_subject(alias)} is {form.dtype.name}: expected its values in {form.field}, got them in {others[0]}.",
            hint=f"Fill {form.field}, or name the dtype that goes with {others[0]}.",
        )


def _narrowed(values: Tensor, form: _Form, alias: str) -> Tensor:
    narrowed = values.astype(form.numpy)
    differs = narrowed != values
    if differs.any():
        index = int(differs.argmax())
        raise WrongType(
            f"{_subject(alias)} is {form.dtype.name}, which cannot hold {values[index]} ({form.field}[{index}])."
        )
    return narrowed


def _repeated(values: Tensor, count: int) -> Tensor:
    """``values``, then the last one again and again; zeros or empty strings where there is none."""
    zero = b"" if values.dtype == object else 0
    if not len(values):
        return np.full(count, zero, values.dtype)
    repeated = np.empty(count, values.dtype)
    repeated[: len(values)] = values
    repeated[len(values) :] = values[-1:]  # an array: of bytes alone, NumPy would strip the zeros at their end
    return repeated


def _objects(strings: list[bytes]) -> Tensor:
    array = np.empty(len(strings), np.object_)
    array[:] = strings
    return array


def _packed(field: str, values: bytes | memoryview) -> bytes:
    """A serialised TensorProto whose repeated ``field`` holds ``values``, which are as the wire has them."""
    header = bytearray([TensorProto.DESCRIPTOR.fields_by_name[field].number << 3 | 2])  # 2: length-delimited
    length = memoryview(values).nbytes
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return b"".join((header, values))


def _varints(encoded: bytes) -> list[int]:
    """The numbers in a row of varints; empty where ``encoded`` is none."""
    try:
        return list(TensorProto.FromString(_packed("int64_val", encoded)).int64_val)
    except DecodeError:
        return []


def _subject(alias: str, form: _Form | None = None, shape: Shape = ()) -> str:
    subject = f"Input {alias!r}" if alias else "The tensor"
    return subject if form is None else f"{subject} ({form.dtype.name} {show_shape(shape)})"
