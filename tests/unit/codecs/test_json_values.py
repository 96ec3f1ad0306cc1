import math
import re

import numpy as np
import pytest
from fakes import JSON_DTYPES, NUMBER_DTYPES, spec
from hypothesis import given
from hypothesis import strategies as st

from unstuck.codecs.json_values import is_b64, to_array
from unstuck.core import dtypes
from unstuck.core.dtypes import BFLOAT16, BOOL, DOUBLE, FLOAT, INT8, INT32, INT64, STRING, UINT8, UINT64
from unstuck.errors import UnstuckError, UnsupportedType, WrongShape, WrongType

INTEGERS = [dtype for dtype in NUMBER_DTYPES if dtype.numpy.kind in "iu"]
FLOATS = [dtype for dtype in NUMBER_DTYPES if dtype not in INTEGERS]


# Around the ends of every integer type, and of the integers that a double holds.
_ENDS = [end + by for bits in (7, 8, 15, 16, 31, 32, 53, 63) for end in (-(2**bits), 2**bits) for by in (-1, 0, 1)]
EDGES = [end for end in [*_ENDS, 2**64 - 1] if end >= -(2**63)]


def path_of(index):
    return "v" + "".join(f"[{at}]" for at in index)


def convert(value, dtype, *, fast=False):
    return to_array(value, spec("x", dtype), path_of, has_bools=not fast)


def outcome(value, dtype, *, fast):
    """What a conversion gives, in a form that compares; None where it refuses."""
    try:
        array = convert(value, dtype, fast=fast)
    except UnstuckError:
        return None
    return array.dtype, array.shape, array.tobytes()


leaves = (
    st.integers(-3, 300) | st.sampled_from(EDGES) | st.integers(-(2**63), 2**64 - 1)
    | st.floats() | st.sampled_from([1.0, -0.0, 65504.0, 65520.0, 3.4e38, 3.5e38, 5e-324, math.nan, math.inf])
)  # fmt: skip


@st.composite
def regular(draw, elements=leaves):
    shape = draw(st.lists(st.integers(0, 3), max_size=4))

    def build(sizes):
        return [build(sizes[1:]) for _ in range(sizes[0])] if sizes else draw(elements)

    return build(shape)


anything = st.recursive(leaves | st.none() | st.text(max_size=2), lambda inner: st.lists(inner, max_size=3))


@given(regular() | regular(st.integers(-3, 200)) | anything, st.sampled_from(NUMBER_DTYPES))
def test_the_fast_way_equals_the_elementwise_way(value, dtype):
    assert outcome(value, dtype, fast=True) == outcome(value, dtype, fast=False)


@pytest.mark.parametrize("dtype", NUMBER_DTYPES, ids=lambda dtype: dtype.name)
def test_both_ways_agree_at_the_ends_of_the_ranges(dtype):
    for value in (form for end in EDGES for form in (end, [end], [0, end], [end, 0.5])):
        assert outcome(value, dtype, fast=True) == outcome(value, dtype, fast=False), value


@pytest.mark.parametrize("depth", [32, 33, 64, 65, 400])
def test_both_ways_agree_on_what_is_too_deep(depth):
    value = 1.0
    for _ in range(depth):
        value = [value]
    assert outcome(value, FLOAT, fast=True) == outcome(value, FLOAT, fast=False)
    if depth > 32:
        with pytest.raises(WrongShape, match="nested more than 32 lists deep"):
            convert(value, FLOAT)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("fast", [True, False])
def test_an_integer_type_holds_its_whole_range_and_nothing_else(dtype, fast):
    info = np.iinfo(dtype.numpy)
    array = convert([info.min, info.max], dtype, fast=fast)
    assert (array.tolist(), array.dtype) == ([info.min, info.max], dtype.numpy)
    for beyond in (info.min - 1, info.max + 1):
        with pytest.raises(WrongType, match=re.escape(f"v[1] is Number {beyond}: it is outside {info.min} to ")):
            convert([0, beyond], dtype, fast=fast)


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("fast", [True, False])
def test_a_float_type_takes_any_number(dtype, fast):
    array = convert([1, 0.5, math.nan, math.inf, -math.inf, 1e308], dtype, fast=fast)
    assert array.dtype == dtype.numpy
    wide = array.astype(np.float64).tolist()
    assert wide[:2] == [1.0, 0.5]
    assert math.isnan(wide[2])
    assert wide[3:5] == [math.inf, -math.inf]
    assert wide[5] == (1e308 if dtype is DOUBLE else math.inf)


@pytest.mark.parametrize(
    ("value", "dtype", "says"),
    [
        *((True, FLOAT, "v is Bool true, not of expected type: float"), ([1, True], FLOAT, "v[1] is Bool true")),
        *((True, INT32, "v is Bool true"), ([0, False], INT64, "v[1] is Bool false"), (True, STRING, "takes a string")),
        *(("1", FLOAT, 'v is String "1", not of expected type: float'), ("1", INT32, "takes an integer")),
        *((None, FLOAT, "v is Null null"), ([None], STRING, "v[0] is Null"), ([1.5, None], DOUBLE, "v[1] is Null")),
        *((1.0, INT32, "v is Number 1.0, not of expected type: int32"), ([1, 2.0], UINT8, "v[1] is Number 2.0")),
        *((math.nan, INT64, "not of expected type: int64"), (-1, UINT8, "it is outside 0 to 255")),
        *((1, BOOL, "v is Number 1, not of expected type: bool"), ("true", BOOL, "takes true or false")),
        *((1, STRING, "v is Number 1, not of expected type: string"), ([["a"], [2]], STRING, "v[1][0] is Number 2")),
        *(({"a": 1}, FLOAT, 'v is Object {"a":1}'), ({"b64": "AA=="}, FLOAT, "v is Object")),
        *(({"b64": "AA==", "c": 1}, STRING, "v is Object"), ({"b64": 5}, STRING, "v is Object")),
        *(({"b64": "A"}, STRING, "it is not base64"), ({"b64": "é"}, STRING, "it is not base64")),
        *(({"b64": "A=A="}, STRING, "it is not base64"), ({"b64": "AA==="}, STRING, "it is not base64")),
        *(("1", BFLOAT16, "takes a number"), (300, INT8, "it is outside -128 to 127")),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_nothing_is_converted_that_tensorflow_serving_refuses(value, dtype, says, fast):
    if fast and ("Bool" in says or "true" in repr(value).lower()):
        fast = False  # the fast way is only for values without true and false
    with pytest.raises(WrongType, match=re.escape(says)) as caught:
        convert(value, dtype, fast=fast)
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([[1, 2], [3]], "Expecting tensor size 2 in dimension 1 of input 'x', as its first element has, but v[1] is a"),
        ([[1], [2, 3]], "v[1] is a list of 2: all rows must have the same length"),
        ([[1], 2], "v[1] is Number 2, not a list of 1"),
        ([1, [2]], "v[1] is a list of 1, not a single value"),
        ([[], [1]], "v[1] is a list of 1"),
        ([[[1]], [[]]], "v[1][0] is a list of 0"),
        ([[[]], []], "v[1] is a list of 0"),
    ],
)
@pytest.mark.parametrize("dtype", [FLOAT, INT32, UINT64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("fast", [True, False])
def test_ragged_lists_are_refused(value, says, dtype, fast):
    with pytest.raises(WrongShape, match=re.escape(says)):
        convert(value, dtype, fast=fast)


@pytest.mark.parametrize("dtype", JSON_DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize(("value", "shape"), [([], (0,)), ([[]], (1, 0)), ([[], []], (2, 0)), ([[[]]], (1, 1, 0))])
def test_empty_lists_have_a_shape(value, shape, dtype):
    for fast in (True, False):
        array = convert(value, dtype, fast=fast)
        assert (array.shape, array.dtype) == (shape, dtype.numpy)


def test_bools():
    array = convert([[True], [False]], BOOL)
    assert (array.dtype, array.tolist()) == (np.bool_, [[True], [False]])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("", b""), ("é😀", "é😀".encode()), ("a\0b", b"a\0b")),
        *(
            ({"b64": ""}, b""),
            ({"b64": "AP8="}, b"\x00\xff"),
            ({"b64": "AP8"}, b"\x00\xff"),
            ({"b64": "A\nP8="}, b"\0\xff"),
        ),
        *(({"b64": "+/+/"}, b"\xfb\xff\xbf"),),
    ],
)
def test_strings_become_bytes(value, expected):
    for sent, want in ((value, expected), ([[value], ["z"]], [[expected], [b"z"]])):
        array = convert(sent, STRING)
        assert (array.dtype, array.tolist()) == (np.object_, want)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(WrongType) as caught:
        convert("x" * 10_000, FLOAT)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "number", [dtypes.COMPLEX64.number, dtypes.COMPLEX128.number, *(11, 12, 13, 15, 16, 20, 21, 24, 25, 29, 30, 999)]
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_dtype_without_a_json_form_is_refused(number, fast):
    dtype = dtypes.from_number(number)
    with pytest.raises(UnsupportedType, match=f"no form for {dtype.name} values"):
        convert([1.0], dtype, fast=fast)


@pytest.mark.parametrize(
    ("value", "yes"),
    [
        *(({"b64": "x"}, True), ({"b64": ""}, True), ({"b64": 5}, False), ({"b64": "x", "y": 1}, False)),
        *(({}, False), ("b64", False), (["b64"], False), (None, False)),
    ],
)
def test_is_b64(value, yes):
    assert is_b64(value) is yes
