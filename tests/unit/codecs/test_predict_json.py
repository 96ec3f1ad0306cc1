import json
import math
import re

import numpy as np
import pytest
from fakes import JSON_DTYPES, signature, spec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unstuck.codecs.json_answer import encode
from unstuck.codecs.json_example import example_body
from unstuck.codecs.predict_json import MAX_NAMED, parse
from unstuck.core import dtypes
from unstuck.core.dtypes import BFLOAT16, BOOL, COMPLEX64, FLOAT, INT32, INT64, STRING
from unstuck.errors import (
    InputNames,
    MalformedBody,
    UnstuckError,
    UnsupportedType,
    UnwritableOutput,
    WrongShape,
    WrongType,
)

ONE = signature(spec("x", FLOAT, (None, 2)))
TWO = signature(spec("a", FLOAT, (None, 2)), spec("b", STRING, (None,)), name="two")


def bind(body, sig=ONE):
    text = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return parse(text).bind(sig)


def lists(tensors):
    return {alias: array.tolist() for alias, array in tensors.items()}


# The request


@pytest.mark.parametrize(
    ("body", "sig", "inputs"),
    [
        ({"instances": [[1, 2], [3, 4]]}, ONE, {"x": [[1, 2], [3, 4]]}),
        ({"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}, ONE, {"x": [[1, 2], [3, 4]]}),
        ({"inputs": [[1, 2]]}, ONE, {"x": [[1, 2]]}),
        ({"inputs": {"x": [[1, 2]]}}, ONE, {"x": [[1, 2]]}),
        ({"inputs": 5}, ONE, {"x": 5}),
        ({"instances": [5]}, ONE, {"x": [5]}),
        ({"instances": [{"b": "u", "a": [1, 2]}, {"a": [3, 4], "b": {"b64": "AP8="}}]}, TWO,
         {"a": [[1, 2], [3, 4]], "b": [b"u", b"\0\xff"]}),
        ({"inputs": {"b": ["u"], "a": [[1, 2]]}}, TWO, {"a": [[1, 2]], "b": [b"u"]}),
        ({"inputs": {"b": ["true", "u"], "a": [[1, 2]]}}, TWO, {"a": [[1, 2]], "b": [b"true", b"u"]}),
        ({"instances": [{"b64": "AP8="}, "u"]}, signature(spec("s", STRING)), {"s": [b"\0\xff", b"u"]}),
        ({"inputs": {"b64": "AP8="}}, signature(spec("s", STRING)), {"s": b"\0\xff"}),
        ({"instances": [{"b64": 5}]}, signature(spec("b64", INT32)), {"b64": [5]}),
        ({"instances": [True, False]}, signature(spec("s", BOOL)), {"s": [True, False]}),
        ({"instances": [{"x": 1, "flag": True}]}, signature(spec("x"), spec("flag", BOOL)), {"x": [1], "flag": [True]}),
        ({"instances": [[]]}, ONE, {"x": [[]]}),
    ],
)  # fmt: skip
def test_binds_rows_and_columns(body, sig, inputs):
    bound = bind(body, sig)
    assert lists(bound) == inputs
    assert {alias: array.dtype for alias, array in bound.items()} == {
        alias: each.dtype.numpy for alias, each in sig.inputs.items()
    }


def test_rows_and_columns_of_several_inputs_are_the_same_tensors():
    rows = bind({"instances": [{"a": [1, 2], "b": "u"}, {"a": [3, 4], "b": "v"}]}, TWO)
    columns = bind({"inputs": {"a": [[1, 2], [3, 4]], "b": ["u", "v"]}}, TWO)
    assert lists(rows) == lists(columns)


@pytest.mark.parametrize(("body", "form"), [({"instances": [1]}, "instances"), ({"inputs": 1}, "inputs")])
def test_the_answer_has_the_requests_format(body, form):
    assert parse(json.dumps(body).encode()).format == form
    padded = json.dumps(body | ({"inputs": [1]} if form == "inputs" else {})).encode() + b" " * 4000
    assert parse(padded).format == form, "a large body as well"


@pytest.mark.parametrize("padding", [0, 4000])
@pytest.mark.parametrize(
    "body", ['{"signature_name": "s", "instances": [1]}', '{"inputs": [1], "signature_name": "s"}']
)
def test_the_signature_is_known_before_binding(body, padding):
    assert parse(body.encode() + b" " * padding).signature_name == "s"
    assert parse(b'{"instances": [1]}' + b" " * padding).signature_name == ""


@pytest.mark.parametrize("padding", [0, 4000])
@pytest.mark.parametrize(
    ("body", "sig", "error", "says"),
    [
        ("[1]", ONE, MalformedBody, "Is not object: expecting a JSON object with 'instances' or 'inputs', got Ar"),
        ("5", ONE, MalformedBody, "got Number 5"),
        ('{"signature_name": 5, "instances": [1]}', ONE, MalformedBody, "must be a string value, got Number 5"),
        ("{}", ONE, MalformedBody, "exactly one of 'instances' and 'inputs', but got the keys []"),
        ('{"instance": [1]}', ONE, MalformedBody, "got the keys ['instance']"),
        ('{"instances": [1], "inputs": [1]}', ONE, MalformedBody, "but both came"),
        ('{"instances": 5}', ONE, MalformedBody, "Expecting 'instances' to be an list/array, got Number 5"),
        ('{"instances": {"x": [1]}}', ONE, MalformedBody, "to be an list/array, got Object"),
        ('{"instances": []}', ONE, MalformedBody, "No values in 'instances' array"),
        ('{"instances": [[1, 2]]}', TWO, InputNames, "is a plain list, but signature 'two' has several inputs"),
        ('{"inputs": [[1, 2]]}', TWO, InputNames, "('a' (float [-1,2]), 'b' (string [-1]))"),
        ('{"instances": [{"x": [1, 2]}, [3, 4]]}', ONE, MalformedBody, "Expecting object but got list [3,4] at item 1"),
        ('{"instances": [[1, 2], {"x": [3, 4]}]}', ONE, MalformedBody, "Expecting value/list but got object at item 1"),
        ('{"instances": [{"y": [1, 2]}]}', ONE, InputNames, "Element 0 of 'instances' is missing named input 'x'"),
        ('{"instances": [{"a": [1, 2], "b": "u"}, {"a": [1, 2]}]}', TWO, InputNames, "Element 1 of 'instances' is mis"),
        ('{"instances": [{"a": [1, 2], "b": "u", "c": 1}]}', TWO, InputNames, "has 'c', which the signature does not"),
        ('{"inputs": {"A": [[1, 2]], "b": ["u"]}}', TWO, InputNames, "has 'A', which the signature does not have (did "
         "you mean 'a'?)"),
        ('{"inputs": {}}', ONE, InputNames, "'inputs' is missing named input 'x' (float [-1,2])"),
        ('{"instances": [[1, "2"]]}', ONE, WrongType, 'instances[0][1] is String "2", not of expected type: float'),
        ('{"instances": [{"x": [1, 2]}, {"x": [1, null]}]}', ONE, WrongType, "instances[1].x[1] is Null null"),
        ('{"inputs": [[1, true]]}', ONE, WrongType, "inputs[0][1] is Bool true"),
        ('{"inputs": {"x": [[1], [2, 3]]}}', ONE, WrongShape, "inputs.x[1] is a list of 2"),
        ('{"instances": [[1, 2], [3]]}', ONE, WrongShape, "instances[1] is a list of 1"),
        ('{"instances": [{"x": [1]}, {"x": [2, 3]}]}', ONE, WrongShape, "instances[1].x is a list of 2"),
        ('{"instances": [1]}', signature(), MalformedBody, "it has no inputs"),
        ('{"instances": [1.0]}', signature(spec("c", COMPLEX64)), WrongType, "no form for complex64 values"),
        ('{"inputs": [1.0]}', signature(spec("c", COMPLEX64)), UnsupportedType, "no form for complex64 values"),
    ],
)  # fmt: skip
def test_refuses_and_says_what_and_where(body, sig, error, says, padding):
    with pytest.raises(UnstuckError, match=re.escape(says)) as caught:
        bind(body.encode() + b" " * padding, sig)
    assert type(caught.value) is error


def test_a_refusal_shows_a_body_that_would_be_taken():
    with pytest.raises(InputNames) as caught:
        bind({"instances": [[1, 2]]}, TWO)
    shown = caught.value.hint.removeprefix("Send, for example: ")
    assert lists(bind(shown, TWO)) == {"a": [[1, 1]], "b": [b"text"]}


def test_columns_ignore_surplus_inputs_and_warn():
    request = parse(b'{"inputs": {"x": [[1, 2]], "X": 5}}')
    assert lists(request.bind(ONE)) == {"x": [[1, 2]]}
    (warning,) = request.warnings
    assert warning == "input 'X' is not in signature 'serving_default' and was ignored. Did you mean 'x'?"


@pytest.mark.parametrize("dtype", JSON_DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(None, 2), (None,), (), (3,), None, (None, None, 2)])
def test_the_example_body_is_taken_and_fits(dtype, shape):
    sig = signature(spec("x", dtype, shape), name="other")
    body = example_body(sig)
    assert body["signature_name"] == "other"
    array = bind(body, sig)["x"]
    assert array.dtype == dtype.numpy
    if shape is not None:
        assert array.shape == tuple(1 if size is None else size for size in shape)


def test_the_example_body_of_a_signature_without_rows_in_its_answer_is_in_columns():
    """Row format would be refused: a scalar output has no row for each instance."""
    sig = signature(spec("x", FLOAT, (None,)), outputs=(spec("total", FLOAT, ()),))
    assert "inputs" in example_body(sig)


# The answer


def decoded(body, dtype):
    """The array that an answer's value means to a client."""
    value = json.loads(body)
    (key,) = value
    return key, np.array(value[key], np.float64 if dtype.numpy.kind in "fV" else dtype.numpy).astype(dtype.numpy)


elements = {
    "float": st.floats(width=32),
    "double": st.floats(),
    "half": st.floats(width=16),
    "bfloat16": st.floats(width=16),
}


@given(
    st.data(),
    st.sampled_from([each for each in JSON_DTYPES if not each.is_string]),
    st.sampled_from(["instances", "inputs"]),
)
def test_an_answer_means_the_same_to_a_client(data, dtype, form):
    kind = {"bfloat16": np.float32}.get(dtype.name, dtype.numpy)
    shape = data.draw(array_shapes(min_dims=1, max_dims=3, max_side=4))
    array = data.draw(arrays(kind, shape, elements=elements.get(dtype.name)))
    if dtype is BFLOAT16:
        with np.errstate(over="ignore"):
            array = array.astype(dtype.numpy)
    key, back = decoded(encode({"y": array}, form), dtype)
    assert key == {"instances": "predictions", "inputs": "outputs"}[form]
    if dtype is BFLOAT16:  # of which NumPy does not know that NaN is NaN
        back, array = back.astype(np.float32), array.astype(np.float32)
    np.testing.assert_array_equal(back, array)


def test_floats_are_float_literals_and_integers_are_not():
    assert encode({"y": np.array([1, -0.0, 1e22, 3], np.float32)}, "inputs") == b'{"outputs":[1.0,-0.0,1e+22,3.0]}'
    assert encode({"y": np.array([1, 2])}, "inputs") == b'{"outputs":[1,2]}'
    assert encode({"y": np.array([True, False])}, "instances") == b'{"predictions":[true,false]}'


SPECIALS = [math.nan, math.inf, -math.inf, 1.5]
SPECIAL_TEXT = b"NaN,Infinity,-Infinity,1.5"


@pytest.mark.parametrize("dtype", [each for each in JSON_DTYPES if each.name in elements], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_nan_and_infinity_are_tensorflow_servings_tokens(dtype, form):
    key = b"predictions" if form == "instances" else b"outputs"
    array = np.array(SPECIALS).astype(dtype.numpy)
    assert encode({"y": array}, form) == b'{"%s":[%s]}' % (key, SPECIAL_TEXT)
    assert encode({"y": array.reshape(2, 2).T}, form) == b'{"%s":[[NaN,-Infinity],[Infinity,1.5]]}' % key


def test_nan_beside_text_that_says_null():
    outputs = {"null": np.array([b"null", b'a"null'], object), "y": np.array([[math.nan], [1]], np.float32)}
    rows = [{"null": "null", "y": [math.nan]}, {"null": 'a"null', "y": [1.0]}]
    assert repr(json.loads(encode(outputs, "instances"))) == repr({"predictions": rows})
    columns = {"null": ["null", 'a"null'], "y": [[math.nan], [1.0]]}
    assert repr(json.loads(encode(outputs, "inputs"))) == repr({"outputs": columns})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((np.float32(1), b"1.0"), (np.float32(np.nan), b"NaN"), (np.float64(-np.inf), b"-Infinity")),
        *((np.int64(5), b"5"), (np.bool_(True), b"true"), (np.float16(0.5), b"0.5")),
        (BFLOAT16.numpy.type(2), b"2.0"),
    ],
)
def test_a_scalar_in_columns(value, text):
    assert encode({"y": np.asarray(value)}, "inputs") == b'{"outputs":%s}' % text
    both = encode({"y": np.asarray(value), "z": np.array([1])}, "inputs")
    assert both == b'{"outputs":{"y":%s,"z":[1]}}' % text


@pytest.mark.parametrize("dtype", JSON_DTYPES, ids=lambda dtype: dtype.name)
def test_an_empty_batch(dtype):
    empty = np.zeros((0, 2), dtype.numpy)
    assert encode({"y": empty}, "instances") == b'{"predictions":[]}'
    assert encode({"y": empty, "z": empty}, "instances") == b'{"predictions":[]}'
    assert encode({"y": empty, "z": empty}, "inputs") == b'{"outputs":{"y":[],"z":[]}}'
    assert encode({"y": np.zeros((2, 0), dtype.numpy)}, "instances") == b'{"predictions":[[],[]]}'


@pytest.mark.parametrize("dtype", [each for each in JSON_DTYPES if not each.is_string], ids=lambda dtype: dtype.name)
def test_rows_of_several_outputs(dtype):
    outputs = {"y": np.array([0, 1]).astype(dtype.numpy), "z": np.array([[1], [0]]).astype(dtype.numpy)}
    want = {"predictions": [{"y": 0, "z": [1]}, {"y": 1, "z": [0]}]}
    assert json.loads(encode(outputs, "instances")) == want


@pytest.mark.parametrize(
    ("alias", "array", "text"),
    [
        ("s", np.array(['é"\n'.encode(), b""], object), '["é\\"\\n",""]'),
        ("s", np.array([[b"a"], [b"b"]], object), '[["a"],["b"]]'),
        ("s", np.array(b"a", object), '"a"'),
        ("s_bytes", np.array([b"\0\xff", b""], object), '[{"b64":"AP8="},{"b64":""}]'),
        ("s_bytes", np.array(b"\0\xff", object), '{"b64":"AP8="}'),
        ("s_bytes", np.array([1.5]), "[1.5]"),
        ("bytes", np.array([b"a"], object), '["a"]'),
    ],
)
def test_strings_are_text_and_base64_where_the_alias_ends_in_bytes(alias, array, text):
    assert encode({alias: array}, "inputs").decode() == f'{{"outputs":{text}}}'


@pytest.mark.parametrize(
    ("outputs", "form", "says"),
    [
        ({}, "instances", "empty tensor map"),
        ({"y": np.float32(1)}, "instances", "Tensor name: y has no shape information"),
        ({"y": np.zeros(2), "z": np.zeros((3, 1))}, "instances", "inconsistent batch size ('y' [2], 'z' [3,1])"),
        ({"y": np.zeros(2, np.complex64)}, "inputs", "tensor type: complex64 (output 'y')"),
        ({"y": np.array([b"ok\xff"], object)}, "inputs", "'y' holds bytes that are not UTF-8 text (0xff at 2)"),
        ({"y": np.zeros(2, dtypes.from_number(24).numpy)}, "inputs", "tensor type: float8_e5m2"),
    ],
)
def test_refuses_to_write(outputs, form, says):
    with pytest.raises(UnwritableOutput, match=re.escape(says)):
        encode({alias: np.asarray(array) for alias, array in outputs.items()}, form)


def test_outputs_of_uneven_sizes_are_written_in_columns():
    outputs = {"y": np.zeros(2, np.int64), "z": np.array([b"u"], object), "n": np.array(2)}
    assert encode(outputs, "inputs") == b'{"outputs":{"y":[0,0],"z":["u"],"n":2}}'


@pytest.mark.parametrize("dtype", [FLOAT, INT64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("rows", [1, 1000])
def test_a_request_sent_back_is_the_same_request(dtype, rows):
    array = np.arange(rows * 6).reshape(rows, 3, 2).astype(dtype.numpy)
    body = encode({"x": array}, "instances").replace(b"predictions", b"instances")
    np.testing.assert_array_equal(bind(body, signature(spec("x", dtype)))["x"], array)


def test_of_names_without_end_some_are_told():
    one = signature(spec("x", FLOAT))
    extras = {f"n{number}": 1 for number in range(1000)}
    request = parse(json.dumps({"inputs": {"x": [1.0], **extras}}).encode())
    request.bind(one)
    assert len(request.warnings) == MAX_NAMED + 1
    assert request.warnings[-1] == "980 more inputs are not in signature 'serving_default'."
    with pytest.raises(InputNames, match="has 980 more names that it does not have") as caught:
        parse(json.dumps({"instances": [extras]}).encode()).bind(one)
    assert len(str(caught.value)) < 3000
