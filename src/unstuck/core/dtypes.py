"""TensorFlow's element types: their numbers on the wire, their names, and the NumPy dtype that holds them.

Source: tensorflow/core/framework/types.proto and DataTypeString in types.cc.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

STRING_NUMBER = 7
REAL_NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 9, 14, 17, 19, 22, 23})  # float to uint64, bfloat16 and half
REF_OFFSET = 100  # DT_FLOAT_REF is DT_FLOAT + 100, and so on


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    Attributes:
        number: the value of tensorflow.DataType.
        name: as TensorFlow prints it (``float``, ``int64``, ``string``).
        proto_name: the enum's name (``DT_FLOAT``).
        numpy: the NumPy dtype of its arrays; object (of bytes) for strings; None where NumPy has no equal.
    """

    number: int
    name: str
    proto_name: str
    numpy: "np.dtype[np.generic] | None"

    @property
    def is_string(self) -> bool:
        return self.number % REF_OFFSET == STRING_NUMBER

    @property
    def is_number(self) -> bool:
        """A real number in a format of at least eight bits that JSON numbers can be read into."""
        return self.number % REF_OFFSET in REAL_NUMBERS


def _dtype(number: int, name: str, enum: str, numpy: object = None) -> DType:
    return DType(number, name, f"DT_{enum}", None if numpy is None else np.dtype(numpy))  # type: ignore[call-overload]


FLOAT = _dtype(1, "float", "FLOAT", np.float32)
DOUBLE = _dtype(2, "double", "DOUBLE", np.float64)
INT32 = _dtype(3, "int32", "INT32", np.int32)
UINT8 = _dtype(4, "uint8", "UINT8", np.uint8)
INT16 = _dtype(5, "int16", "INT16", np.int16)
INT8 = _dtype(6, "int8", "INT8", np.int8)
STRING = _dtype(7, "string", "STRING", np.object_)
COMPLEX64 = _dtype(8, "complex64", "COMPLEX64", np.complex64)
INT64 = _dtype(9, "int64", "INT64", np.int64)
BOOL = _dtype(10, "bool", "BOOL", np.bool_)
BFLOAT16 = _dtype(14, "bfloat16", "BFLOAT16", ml_dtypes.bfloat16)
UINT16 = _dtype(17, "uint16", "UINT16", np.uint16)
COMPLEX128 = _dtype(18, "complex128", "COMPLEX128", np.complex128)
HALF = _dtype(19, "half", "HALF", np.float16)
UINT32 = _dtype(22, "uint32", "UINT32", np.uint32)
UINT64 = _dtype(23, "uint64", "UINT64", np.uint64)
INVALID = _dtype(0, "INVALID", "INVALID")

_OPAQUE = (
    _dtype(11, "qint8", "QINT8"),
    _dtype(12, "quint8", "QUINT8"),
    _dtype(13, "qint32", "QINT32"),
    _dtype(15, "qint16", "QINT16"),
    _dtype(16, "quint16", "QUINT16"),
    _dtype(20, "resource", "RESOURCE"),
    _dtype(21, "variant", "VARIANT"),
    _dtype(24, "float8_e5m2", "FLOAT8_E5M2", ml_dtypes.float8_e5m2),
    _dtype(25, "float8_e4m3fn", "FLOAT8_E4M3FN", ml_dtypes.float8_e4m3fn),
    _dtype(29, "int4", "INT4", ml_dtypes.int4),
    _dtype(30, "uint4", "UINT4", ml_dtypes.uint4),
)

_BY_NUMBER = {
    dtype.number: dtype
    for dtype in (
        *(FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, STRING, COMPLEX64, INT64, BOOL),
        *(BFLOAT16, UINT16, COMPLEX128, HALF, UINT32, UINT64, INVALID),
        *_OPAQUE,
    )
}


def from_number(number: int) -> DType:
    """The dtype with TensorFlow's enum ``number``; reference types (above 100) hold the same values."""
    if number > REF_OFFSET and number - REF_OFFSET in _BY_NUMBER:
        base = _BY_NUMBER[number - REF_OFFSET]
        return DType(number, f"{base.name}_ref", f"{base.proto_name}_REF", base.numpy)
    return _BY_NUMBER.get(number) or DType(number, f"dtype {number}", str(number), None)


def from_proto_name(proto_name: str) -> DType | None:
    """The dtype that TensorFlow's enum calls ``proto_name`` (``DT_FLOAT``, ``DT_FLOAT_REF``); None if there is none."""
    base = next((each for each in _BY_NUMBER.values() if each.proto_name == proto_name.removesuffix("_REF")), None)
    if base is None or base.proto_name == proto_name:
        return base
    return from_number(base.number + REF_OFFSET)


def name_of(dtype: "np.dtype[np.generic]") -> str:
    """What TensorFlow calls NumPy's ``dtype``; NumPy's own name where TensorFlow has none."""
    return next((each.name for each in _BY_NUMBER.values() if each.numpy == dtype), dtype.name)


def named(name: str) -> DType | None:
    """The dtype that TensorFlow or NumPy calls ``name`` (``float`` and ``float32`` are one); None if there is none."""
    aliases = {"float32": FLOAT, "float64": DOUBLE, "float16": HALF, "str": STRING, "int": INT64}
    return aliases.get(name) or next((each for each in _BY_NUMBER.values() if each.name == name), None)
