import numpy as np
import pytest

from unstuck.core import dtypes
from unstuck.core.dtypes import DType, from_number

# tensorflow/core/framework/types.proto, and DataTypeString in types.cc; NumPy's size in bytes, 0 for none.
TABLE = [
    *((1, "float", "DT_FLOAT", "float32", 4), (2, "double", "DT_DOUBLE", "float64", 8)),
    *((3, "int32", "DT_INT32", "int32", 4), (4, "uint8", "DT_UINT8", "uint8", 1), (5, "int16", "DT_INT16", "int16", 2)),
    *((6, "int8", "DT_INT8", "int8", 1), (7, "string", "DT_STRING", "object", 8)),
    *((8, "complex64", "DT_COMPLEX64", "complex64", 8), (9, "int64", "DT_INT64", "int64", 8)),
    *((10, "bool", "DT_BOOL", "bool", 1), (14, "bfloat16", "DT_BFLOAT16", "bfloat16", 2)),
    *((17, "uint16", "DT_UINT16", "uint16", 2), (18, "complex128", "DT_COMPLEX128", "complex128", 16)),
    *((19, "half", "DT_HALF", "float16", 2), (22, "uint32", "DT_UINT32", "uint32", 4)),
    *((23, "uint64", "DT_UINT64", "uint64", 8), (11, "qint8", "DT_QINT8", None, 0)),
    *((12, "quint8", "DT_QUINT8", None, 0), (13, "qint32", "DT_QINT32", None, 0), (15, "qint16", "DT_QINT16", None, 0)),
    *((20, "resource", "DT_RESOURCE", None, 0), (21, "variant", "DT_VARIANT", None, 0)),
    (0, "INVALID", "DT_INVALID", None, 0),
]


@pytest.mark.parametrize(("number", "name", "proto", "numpy", "size"), TABLE, ids=str)
def test_a_dtype_by_its_number(number, name, proto, numpy, size):
    dtype = from_number(number)
    assert (dtype.number, dtype.name, dtype.proto_name) == (number, name, proto)
    assert (None if dtype.numpy is None else dtype.numpy.name) == numpy
    assert dtype.numpy is None or dtype.numpy.itemsize == size
    assert dtype.is_string == (name == "string")


def test_a_reference_holds_the_same_values_under_its_own_name():
    assert from_number(101) == DType(101, "float_ref", "DT_FLOAT_REF", np.dtype(np.float32))
    assert from_number(107).numpy == np.dtype(object)


@pytest.mark.parametrize("number", [-1, 99, 199, 5000])
def test_an_unknown_number_says_so_and_has_no_values(number):
    assert from_number(number) == DType(number, f"dtype {number}", str(number), None)


def test_a_string_stays_a_string_where_it_is_a_reference():
    assert dtypes.STRING.is_string
    assert from_number(107).is_string
