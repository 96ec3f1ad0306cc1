import enum
import math

import ml_dtypes
import numpy as np
import pytest
from fakes import JSON_DTYPES, NUMBER_DTYPES, signature, spec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unstuck.client.inputs import NOTHING, bind
from unstuck.client.tensors import check_shape, to_tensor
from unstuck.core import dtypes
from unstuck.core.dtypes import (
    BFLOAT16,
    BOOL,
    COMPLEX64,
    DOUBLE,
    FLOAT,
    HALF,
    INT8,
    INT32,
    INT64,
    STRING,
    UINT8,
    UINT64,
)
from unstuck.errors import InputNames, UnsupportedType, WrongShape, WrongType

INTEGERS = [dtype for dtype in NUMBER_DTYPES if dtype.numpy.kind in "iu"]


class Colour(enum.IntEnum):
    RED = 3


class Word(enum.StrEnum):
    RED = "rouge"


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (FLOAT, 1, 1.0),
        (FLOAT, [1, 2.5], [1.0, 2.5]),
        (FLOAT, [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        (FLOAT, ([0.5], (1,)), [[0.5], [1.0]]),
        (FLOAT, [np.array([1.0, 2.0]), [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        (FLOAT, [np.float32(1.5), np.float32(2.5)], [1.5, 2.5]),
        (FLOAT, [np.float32(1.5), 2], [1.5, 2.0]),
        (FLOAT, np.array([1, 2], object), [1.0, 2.0]),
        (FLOAT, np.array([1.5, 2], ml_dtypes.bfloat16), [1.5, 2.0]),
        (FLOAT, np.array([1.5, 2], ">f8"), [1.5, 2.0]),
        (FLOAT, range(3), [0.0, 1.0, 2.0]),
        (FLOAT, [], []),
        (FLOAT, [[], []], [[], []]),
        (FLOAT, 16777217.5, 16777218.0),
        (BFLOAT16, [1, 2.5], [1.0, 2.5]),
        (INT64, [2**53 + 1, 2.0], [2**53 + 1, 2]),
        (INT64, [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        (UINT64, 2**64 - 1, 2**64 - 1),
        (UINT64, [2**64 - 1, 0], [2**64 - 1, 0]),
        (INT32, np.array([3.0, -4.0]), [3, -4]),
        (INT32, [Colour.RED, 1], [3, 1]),
        (INT8, np.array([], float), []),
        (BOOL, [True, False], [True, False]),
        (BOOL, np.bool_(True), True),
        (STRING, "héllo", "héllo".encode()),
        (STRING, ["a", b"\xff\0"], [b"a", b"\xff\0"]),
        (STRING, [bytearray(b"a"), memoryview(b"b")], [b"a", b"b"]),
        (STRING, np.array([["a", "bc"]]), [[b"a", b"bc"]]),
        (STRING, np.array([b"a", b"bc"]), [b"a", b"bc"]),
        (STRING, [Word.RED], [b"rouge"]),
        (COMPLEX64, [1 + 2j, 3j], [1 + 2j, 3j]),
        (COMPLEX64, [1, 2], [1 + 0j, 2 + 0j]),
        (COMPLEX64, 0.5, 0.5 + 0j),
    ],
)
def test_becomes_the_inputs_dtype(dtype, value, expected):
    tensor = to_tensor(value, spec("x", dtype))
    assert tensor.dtype == dtype.numpy
    assert tensor.tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "value", "says"),
    [
        (INT32, 1.5, "got float64 1.5, which it can hold only with a loss"),
        (INT32, [[1], [2.5]], "float64 2.5 at [1][0]"),
        (INT32, [1.0, math.nan], "nan at [1]"),
        (INT32, math.inf, "inf"),
        (INT32, 2**31, "2147483648"),
        (INT64, 2**63, "9223372036854775808"),
        (INT64, 2.0**63, "9.22"),
        (INT64, [2**80, 1], "at [0]"),
        (UINT64, -1, "-1"),
        (UINT64, np.array([0, -5]), "int64 -5 at [1]"),
        (UINT8, [0, 256], "256 at [1]"),
        (FLOAT, 16777217, "int64 16777217, which it can hold only with a loss"),
        (FLOAT, [0.5, 16777217], "16777217 at [1]"),
        (FLOAT, 1e300, "1e+300"),
        (FLOAT, np.array([0, 2**64 - 1], np.uint64), "18446744073709551615 at [1]"),
        (DOUBLE, [2**53 + 1], "9007199254740993 at [0]"),
        (DOUBLE, 2**63 - 1, "9223372036854775807"),
        (HALF, [65504, 65520.0], "65520.0 at [1]"),
        (BFLOAT16, 257, "257"),
        (COMPLEX64, 16777217, "16777217"),
        (FLOAT, 1j, "complex128 1j"),
        (FLOAT, True, "bool True"),
        (FLOAT, [1.0, True], "bool True at [1]"),
        (INT32, np.array([True]), "bool True at [0]"),
        (BOOL, [1, 0], "int64 1 at [0]"),
        (FLOAT, "1.5", "'1.5'"),
        (FLOAT, ["a", 1.0], "'a' at [0]"),
        (FLOAT, [[1.0], [None]], "None (NoneType) at [1][0]"),
        (FLOAT, {"a": 1}, "(dict)"),
        (FLOAT, np.array(["2020-01-01"], "M8[D]"), "datetime64[D] 2020-01-01 at [0]"),
        (STRING, 1, "got 1"),
        (STRING, ["a", 1], "got 1 at [1]"),
        (STRING, np.array([1.5]), "float64 1.5 at [0]"),
        (STRING, "\ud800", "UTF-8"),
        (FLOAT, np.ma.masked_array([1.0, 2.0], [False, True]), "masked"),
    ],
)
def test_refuses_what_would_be_lost(dtype, value, says):
    with pytest.raises(WrongType) as error:
        to_tensor(value, spec("x", dtype, (None,)))
    assert "Input 'x'" in error.value.message
    assert f"{dtype.name} [-1]" in error.value.message
    assert says in error.value.message


@pytest.mark.parametrize("value", [[[1], [1, 2]], [1, [2]], [np.zeros(2), np.zeros(3)], [[np.zeros(1)], [np.zeros(2)]]])
def test_refuses_ragged_lists(value):
    with pytest.raises(WrongShape, match="ragged"):
        to_tensor(value, spec("x", FLOAT))


def test_refuses_more_dimensions_than_a_tensor_has():
    nested = 1.0
    for _ in range(33):
        nested = [nested]
    with pytest.raises(WrongShape, match="more than 32 dimensions"):
        to_tensor(nested, spec("x", FLOAT))


def test_refuses_an_input_of_a_type_without_values():
    with pytest.raises(UnsupportedType, match="resource"):
        to_tensor([1], spec("x", dtypes.from_number(20)))


@given(st.data(), st.sampled_from(NUMBER_DTYPES), st.sampled_from(NUMBER_DTYPES))
def test_between_numbers_nothing_is_lost_but_the_last_digits_of_a_float(data, source, target):
    array = data.draw(_arrays(source))
    try:
        tensor = to_tensor(array, spec("x", target))
    except WrongType:
        return
    assert tensor.dtype == target.numpy
    assert tensor.shape == array.shape
    is_rounding = source.numpy.kind not in "iu" and target.numpy.kind not in "iu"
    for before, after in zip(array.ravel().tolist(), tensor.ravel().tolist(), strict=True):
        if is_rounding:
            assert math.isfinite(before) == math.isfinite(after)
        else:
            assert int(before) == before == after


@given(st.data(), st.sampled_from(JSON_DTYPES))
def test_lists_become_what_their_array_was(data, dtype):
    array = data.draw(_arrays(dtype))
    tensor = to_tensor(array.tolist(), spec("x", dtype))
    assert tensor.dtype == array.dtype
    np.testing.assert_array_equal(tensor, array)


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1), st.sampled_from(INTEGERS))
def test_integers_are_exact_or_refused(values, dtype):
    info = np.iinfo(dtype.numpy)
    if all(info.min <= value <= info.max for value in values):
        assert to_tensor(values, spec("x", dtype)).tolist() == values
    else:
        with pytest.raises(WrongType):
            to_tensor(values, spec("x", dtype))


def _arrays(dtype):
    shapes = array_shapes(max_dims=3, max_side=3)
    if dtype is STRING:
        return arrays(object, shapes, elements=st.binary(max_size=4), fill=st.nothing())
    if dtype is BFLOAT16:
        return arrays(np.float32, shapes).map(lambda array: _quietly(array, ml_dtypes.bfloat16))
    return arrays(dtype.numpy, shapes)


def _quietly(array, dtype):
    with np.errstate(all="ignore"):
        return array.astype(dtype)


# Shapes


@pytest.mark.parametrize(
    ("declared", "shape"),
    [(None, (3,)), ((None, 3), (2, 3)), ((None, 1), (5,)), ((3,), (7, 3)), ((2, 3), (4, 3)), ((None, 1, 3), (2, 3))],
)
def test_passes_shapes_that_the_server_judges(declared, shape):
    check_shape(spec("x", FLOAT, declared), shape)


@pytest.mark.parametrize(("declared", "shape"), [((None, 3), (2, 4)), ((None, 3), (2,)), ((None, 3), (2, 3, 1))])
def test_refuses_rows_of_another_shape(declared, shape):
    with pytest.raises(WrongShape, match="expects shape"):
        check_shape(spec("x", FLOAT, declared), shape)


def test_a_row_without_its_batch_is_told_so():
    with pytest.raises(WrongShape, match=r"put it into a list, \[row\]"):
        check_shape(spec("x", FLOAT, (None, 3)), (3,))


# Names

ONE = signature(spec("x", FLOAT, (None, 2)))
TWO = signature(spec("a", FLOAT, (None, 1)), spec("b", STRING, (None,)), name="two")


def lists(tensors):
    return {alias: tensor.tolist() for alias, tensor in tensors.items()}


def test_binds_by_position_mapping_and_name():
    assert lists(bind(ONE, [[1, 2]], {})) == {"x": [[1.0, 2.0]]}
    assert lists(bind(ONE, {"x": [[1, 2]]}, {})) == {"x": [[1.0, 2.0]]}
    assert lists(bind(TWO, NOTHING, {"b": ["u"], "a": [[1]]})) == {"a": [[1.0]], "b": [b"u"]}


def test_an_input_with_a_default_may_be_left_out():
    with_default = signature(spec("a"), spec("b", STRING))
    object.__setattr__(with_default, "defaults", {"b": {}})
    assert lists(bind(with_default, {"a": 1.0}, {})) == {"a": 1.0}


@pytest.mark.parametrize(
    ("sig", "inputs", "named", "says"),
    [
        (TWO, [1.0], {}, "without a name; signature 'two' takes 'a' (float [-1,1]), 'b' (string [-1])"),
        (TWO, {"a": [1]}, {"b": ["u"]}, "both by position and by name"),
        (TWO, {"a": [1.0]}, {}, "misses 'b' (string [-1])"),
        (TWO, NOTHING, {}, "misses 'a'"),
        (ONE, {"X": 1}, {}, "has 'X', which is no input (did you mean 'x'?)"),
        (TWO, {"a": [1.0], "b": ["u"], 5: 1}, {}, "has 5, which is no input"),
    ],
)
def test_refuses_other_names(sig, inputs, named, says):
    with pytest.raises(InputNames) as error:
        bind(sig, inputs, named)
    assert says in error.value.message
