import time

import numpy as np
import pytest
from fakes import JSON_DTYPES, signature, spec
from hypothesis import example, given
from hypothesis import strategies as st

from unstuck.codecs import json_dense, predict_json
from unstuck.codecs.json_dense import recognise
from unstuck.core.dtypes import DOUBLE, FLOAT, INT32, INT64, UINT64
from unstuck.errors import UnstuckError

spaces = st.sampled_from(["", " ", "\n", "\t \r\n"])
numbers = (
    st.integers(-5, 300).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["-0", "-0.0", "1e5", "1E-7", "2.50", "1e300", "9223372036854775807", "18446744073709551615"])
)


def general(body, dtype):
    """What the general way makes of the body: format, signature and array; None where it refuses."""
    assert len(body) < predict_json.DENSE_MIN_BYTES, "the body would not take the general way"
    try:
        request = predict_json.parse(body)
        array = request.bind(signature(spec("x", dtype)))["x"]
    except UnstuckError:
        return None
    return request.format, request.signature_name, array.dtype, array.shape, array.tobytes()


def dense(body, dtype):
    """The same of the dense way; None where it leaves the body to the general one."""
    found = recognise(body)
    if found is None or found.input_name not in (None, "x") or dtype.numpy is None:
        return None
    array = found.numbers(dtype.numpy)
    return None if array is None else (found.format, found.signature_name, array.dtype, array.shape, array.tobytes())


@st.composite
def shapes(draw):
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    return shape if np.prod(shape) <= 64 else shape[:2]


@st.composite
def bodies(draw, leaves=numbers):
    """A body with one regular array of numbers, in each form it can have; and the array's shape."""
    shape, space = draw(shapes()), draw(spaces)
    name = draw(st.sampled_from([None, "x"]))
    form = draw(st.sampled_from(["instances", "inputs"]))
    signature_at = draw(st.sampled_from([None, "before", "after"]))

    def build(sizes):
        if not sizes:
            return draw(leaves)
        return "[" + f"{space},{space}".join(space + build(sizes[1:]) for _ in range(sizes[0])) + space + "]"

    def named(text):
        return text if name is None else f'{{{space}"{name}"{space}:{space}{text}{space}}}'

    if form == "inputs":
        value = named(build(shape))
    else:
        value = "[" + f",{space}".join(named(build(shape[1:])) for _ in range(shape[0])) + f"{space}]"
    members = [f'"{form}"{space}:{space}{value}']
    if signature_at:
        members.insert(0 if signature_at == "before" else 1, f'"signature_name"{space}:{space}"s é"')
    body = (space + "{" + space + f"{space},{space}".join(members) + space + "}" + space).encode()
    return body[: predict_json.DENSE_MIN_BYTES - 1], tuple(shape)


@given(bodies(st.integers(0, 99).map(str)), st.sampled_from([FLOAT, DOUBLE, INT32, UINT64]))
def test_recognises_every_form_of_a_regular_array(body_and_shape, dtype):
    body, shape = body_and_shape
    found = dense(body, dtype)
    assert found is not None
    assert found[3] == shape
    assert found == general(body, dtype)


@given(bodies(), st.sampled_from(JSON_DTYPES))
def test_gives_what_the_general_way_does_or_leaves_it_to_it(body_and_shape, dtype):
    body, _ = body_and_shape
    assert dense(body, dtype) in (None, general(body, dtype))


@st.composite
def mutated(draw):
    """A body that was regular, with a few characters put in, taken out or replaced."""
    body, _ = draw(bodies(st.sampled_from(["1", "2.5", "-3"])))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        piece = draw(
            st.sampled_from([b"", *(bytes([each]) for each in b'[]{},:"19.-e+ \\xtN'), b"[]", b"],[", b'"x":', b"1,2"])
        )
        body = body[:at] + piece + body[at + draw(st.integers(0, 2)) :]
    return body


@given(mutated(), st.sampled_from([FLOAT, DOUBLE, INT64]))
@example(b'{"instances": [[1, 2], [3]]}', FLOAT)
def test_never_gives_a_wrong_array(body, dtype):
    found = dense(body, dtype)
    if found is not None:
        assert found == general(body, dtype)


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [[1, 2], [3]]}',
        '{"instances": [[1], [2, 3]]}',
        '{"instances": [[1, 2], 3]}',
        '{"instances": [1, [2]]}',
        '{"instances": [[[1], [2]], [[3, 4]]]}',
        '{"instances": [[1, 2], [3, 4]], "x": 1}',
        '{"x": [1], "instances": [1]}',
        '{"instances": [1], "inputs": [1]}',
        '{"instances": [true]}',
        '{"instances": [NaN]}',
        '{"instances": ["1"]}',
        '{"instances": [null]}',
        '{"instances": [1 2]}',
        '{"instances": [1,]}',
        '{"instances": [,1]}',
        '{"instances": []}',
        '{"instances": [[], []]}',
        '{"instances": 5}',
        '{"inputs": 5}',
        '{"instances": [1]} {"instances": [2]}',
        '{"instances": [1], "signature_name": 5}',
        '{"instances": [1], "signature_name": "a\\u0041"}',
        '{"signature_name": "a", "instances": [1], "signature_name": "b"}',
        '{"instances": [{"x": 1}, {"y": 2}]}',
        '{"instances": [{"x": 1, "y": 2}]}',
        '{"instances": [{"x": 1}, 2]}',
        '{"instances": [{"x": 1}, {"x": 2}}]}',
        '{"instances": [{"x": {"x": 1}}]}',
        '{"instances": [{"x": [1]}, [2]]}',
        '{"inputs": {"x": [1], "y": [2]}}',
        '{"inputs": {"x": [1]}',
        '{"inputs": {"x": [1]}}}',
        '{"inputs": [1]}}',
        '{"inputs": [{"x": 1}]}',
        '{"instances": [1.0.0]}',
        '{"instances": [--1]}',
        '{"instances": [01]}',
        '{"instances": [1e]}',
        '[{"instances": [1]}]',
        "",
        "[]",
    ],
)
@pytest.mark.parametrize("dtype", [FLOAT, INT64], ids=lambda dtype: dtype.name)
def test_leaves_what_is_not_one_regular_array_of_numbers(body, dtype):
    found = dense(body.encode(), dtype)
    assert found in (None, general(body.encode(), dtype))
    if found is not None:  # bytes after the document are ignored by both
        assert body == '{"inputs": {"x": [1]}}}'


@pytest.mark.parametrize(
    ("text", "dtype"),
    [("1.0", INT64), ("1e2", INT64), ("2147483648", INT32), ("-1", UINT64), ("1e400", FLOAT), ("9" * 400, DOUBLE)],
)
def test_leaves_numbers_that_the_dtype_cannot_hold(text, dtype):
    body = f'{{"instances": [1, {text}]}}'.encode()
    assert dense(body, dtype) is None
    assert general(body, dtype) is None


def test_what_was_read_before_stays_and_what_cannot_be_read_spoils_nothing():
    first = recognise(b'{"instances": [[1.5, 2]]}').numbers(np.dtype(np.float64))
    assert recognise(b'{"instances": [[1.5, 2e, 3]]}').numbers(np.dtype(np.float64)) is None
    second = recognise(b'{"instances": [[3, 4.5]]}').numbers(np.dtype(np.float64))
    assert [first.tolist(), second.tolist()] == [[[1.5, 2]], [[3, 4.5]]]


def test_an_array_is_not_taken_for_another_of_its_length(monkeypatch):
    monkeypatch.setattr(json_dense, "KEPT_SKELETONS", 2)
    monkeypatch.setattr(json_dense, "_shapes", known := {})
    wide, square, ragged = b"[[1,2,3],[4,5,6]]", b"[[1,2],[3,4],[5]]", b"[[1,2,3,4],[5,6]]"
    for _ in range(2):
        assert recognise(b'{"instances": %b}' % wide).shape == (2, 3)
        assert recognise(b'{"instances": %b}' % square) is None
        assert recognise(b'{"instances": %b}' % ragged) is None
    for rows in range(1, 6):
        assert recognise(b'{"instances": [%b]}' % b",".join([b"[1]"] * rows)).shape == (rows, 1)
        assert len(known) <= 2


def test_the_memory_of_a_large_text_is_not_kept(monkeypatch):
    monkeypatch.setattr(json_dense, "KEPT_BYTES", 8)
    monkeypatch.setattr(json_dense, "_spare_parsers", kept := [])
    dense(b'{"instances": [1,2,3,4]}', FLOAT)
    assert not kept
    dense(b'{"instances": [1,2]}', FLOAT)
    assert len(kept) == 1


def test_an_image_keeps_its_pixels():
    image = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    text = str(image.tolist())
    for body in (f'{{"instances": {text}}}', f'{{"inputs": {{"x": {text}}}}}'):
        request = predict_json.parse(body.encode())
        np.testing.assert_array_equal(request.bind(signature(spec("x", FLOAT)))["x"], image)


@pytest.mark.parametrize("depth", [33, 65, 500])
def test_a_deep_array_is_refused_whichever_way_it_takes(depth):
    short = b'{"instances": ' + b"[" * depth + b"1" + b"]" * depth + b"}"
    for body in (short, short + b" " * predict_json.DENSE_MIN_BYTES):
        with pytest.raises(UnstuckError, match="nested more than 32 lists deep"):
            predict_json.parse(body).bind(signature(spec("x", FLOAT)))


def test_recognising_takes_time_in_proportion_to_the_body():
    """Fifty times the nesting, whose skeleton is all that there is, must not cost 2,500 times the time."""

    def seconds(depth):
        body = b'{"instances": ' + b"[" * depth + b"1" + b"]" * depth + b"}"
        start = time.process_time()
        recognise(body)
        return time.process_time() - start

    flat = b'{"instances": [' + b"1," * 20_000 + b"1]}"
    start = time.process_time()
    recognise(flat)
    flat_s = time.process_time() - start
    assert seconds(20_000) < max(0.1, 100 * flat_s)
