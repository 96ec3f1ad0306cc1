"""The messages of Predict against tensorflow-serving-api's own: what theirs say binds, and what we say theirs read."""

import ml_dtypes
import numpy as np
import pytest
from fakes import signature, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from unstuck.codecs import predict_proto
from unstuck.core import dtypes
from unstuck.core.models import ModelSpec
from unstuck.core.signatures import Signature
from unstuck.errors import (
    InputNames,
    InvalidRequest,
    UnreadableMessage,
    UnstuckError,
    UnsupportedType,
    WrongShape,
    WrongType,
)
from unstuck.proto.tensors import fill, to_array

DTYPES = [
    *(dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16, dtypes.COMPLEX64, dtypes.COMPLEX128, dtypes.BOOL),
    *(dtypes.INT8, dtypes.INT16, dtypes.INT32, dtypes.INT64, dtypes.STRING),
    *(dtypes.UINT8, dtypes.UINT16, dtypes.UINT32, dtypes.UINT64),
]
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
ENCODINGS = pytest.mark.parametrize("as_content", [True, False], ids=["tensor_content", "typed"])
QUICK = settings(max_examples=10)  # times 16 dtypes, two encodings
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
BITS = {np.dtype(np.float16): np.uint16, np.dtype(ml_dtypes.bfloat16): np.uint16}


def arrays(dtype):
    if dtype.is_string:
        return hnp.arrays(np.object_, SHAPES, elements=st.binary(max_size=20))
    stored = BITS.get(dtype.numpy, dtype.numpy)
    return hnp.arrays(stored, SHAPES).map(lambda array: array.view(dtype.numpy))


def tensor(value, dtype=dtypes.FLOAT, as_content=False):
    """An official TensorProto."""
    made = TensorProto()
    fill(made, np.array(value, dtype.numpy), as_content=as_content)
    return made


def zeros(dtype):
    return tensor(np.full(2, b"" if dtype.is_string else 0, dtype.numpy), dtype)


def message(inputs=None, name="m", output_filter=(), **model_spec) -> bytes:
    """The bytes of an official PredictRequest; ``inputs`` are values (sent as float) or tensors, by alias."""
    request = PredictRequest(output_filter=output_filter)
    request.model_spec.name = name
    for field, value in model_spec.items():
        if field == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, field, value)
    for alias, value in (inputs or {}).items():
        request.inputs[alias].CopyFrom(value if isinstance(value, TensorProto) else tensor(value))
    return request.SerializeToString()


def bind(inputs, *specs, defaults=None):
    base = signature(*specs)
    called = Signature(base.name, base.inputs, base.outputs, defaults=defaults or {})
    return predict_proto.parse(message(inputs)).bind(called)


def assert_same(got, want):
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert got.tolist() == want.tolist() if want.dtype == object else got.tobytes() == want.tobytes()


@EVERY_DTYPE
@ENCODINGS
@QUICK
@given(data=st.data())
def test_an_input_binds_to_the_array_that_was_sent(dtype, as_content, data):
    sent = data.draw(arrays(dtype))
    (got,) = bind({"x": tensor(sent, dtype, as_content)}, spec("x", dtype)).values()
    assert_same(got, sent)


@EVERY_DTYPE
@ENCODINGS
@QUICK
@given(data=st.data())
def test_the_official_message_reads_the_arrays_that_were_answered(dtype, as_content, data):
    outputs = {alias: data.draw(arrays(dtype)) for alias in ("y", "ä z")}
    payload = predict_proto.encode(outputs, "m", 2**63 - 1, "classify", as_content=as_content)
    response = PredictResponse.FromString(payload)
    assert response.outputs.keys() == outputs.keys()
    for alias, sent in outputs.items():
        assert response.outputs[alias].dtype == dtype.number
        assert bool(response.outputs[alias].tensor_content) == (as_content and sent.size > 0 and not dtype.is_string)
        assert_same(to_array(response.outputs[alias]), sent)


@ENCODINGS
def test_an_answer_has_the_official_bytes(as_content):
    want = PredictResponse()
    want.model_spec.name, want.model_spec.signature_name = "m", "serving_default"
    want.model_spec.version.value = 0
    want.outputs["y"].CopyFrom(tensor([[1, 2]], as_content=as_content))
    array = np.array([[1, 2]], np.float32)
    for _ in range(2):  # what a version's answers end with is remembered
        payload = predict_proto.encode({"y": array}, "m", 0, "serving_default", as_content=as_content)
        got = PredictResponse.FromString(payload)
        assert got == want
        assert got.model_spec.HasField("version")
        assert len(payload) == len(want.SerializeToString())


def test_answers_of_other_versions_and_signatures_are_told_apart():
    def answered_by(*model):
        payload = predict_proto.encode({}, *model, as_content=False)
        spec = PredictResponse.FromString(payload).model_spec
        return spec.name, spec.version.value, spec.signature_name

    for model in (("m", 1, "a"), ("m", 2, "a"), ("n", 1, "a"), ("m", 1, "b"), ("m", 1, "a")):
        assert answered_by(*model) == model


def test_an_output_without_a_form_is_not_answered():
    with pytest.raises(UnsupportedType, match="datetime64"):
        predict_proto.encode({"y": np.zeros(1, "datetime64[s]")}, "m", 1, "s", as_content=False)


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, ModelSpec("m")),
        ({"version": 3}, ModelSpec("m", version=3)),
        ({"version": 0}, ModelSpec("m", version=0)),
        ({"version_label": "stable"}, ModelSpec("m", label="stable")),
    ],
)
def test_a_request_says_which_model_it_means(fields, want):
    request = predict_proto.parse(message(signature_name="s", output_filter=["b", "a"], **fields))
    assert (request.spec, request.signature_name, request.output_filter) == (want, "s", ("b", "a"))
    assert request.warnings == []


def test_a_request_may_name_neither_signature_nor_outputs():
    request = predict_proto.parse(message())
    assert (request.signature_name, request.output_filter) == ("", ())


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "Missing ModelSpec"),
        (PredictRequest(output_filter=["y"]).SerializeToString(), "Missing ModelSpec"),
        (message(name=""), "ModelSpec has no name specified"),
        (message(name="", version=1), "ModelSpec has no name specified"),
    ],
)
def test_a_request_that_names_no_model_is_refused(payload, says):
    with pytest.raises(InvalidRequest, match=says):
        predict_proto.parse(payload)


WHOLE = message({"x": [1.0, 2.0]}, version=1)


@pytest.mark.parametrize(
    "payload", [b"\xff", b"{}", WHOLE[:-1], WHOLE + b"\x0a", b"\x0a\x03\x0a\x01\xff"], ids=lambda each: repr(each[-8:])
)
def test_bytes_that_are_no_request_are_told_as_such(payload):
    with pytest.raises(UnreadableMessage, match=f"{len(payload)} bytes are not a tensorflow.serving.PredictRequest"):
        predict_proto.parse(payload)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(payload):
    try:
        predict_proto.parse(payload).bind(signature(spec()))
    except UnstuckError:
        return
    assert PredictRequest.FromString(payload).inputs.keys() == {"x"}


A, B = spec("a", dtypes.FLOAT, (None, 2)), spec("b", dtypes.INT64, (None,))


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({}, "Input size does not match signature: 0 sent, 2 expected."),
        ({}, "Sent extra: {}. Missing but required: {'a', 'b'}."),
        ({}, "The inputs are 'a' (float [-1,2]), 'b' (int64 [-1])."),
        ({"a": 1.0}, "1 sent, 2 expected. Sent extra: {}. Missing but required: {'b'}."),
        (
            {"a": 1.0, "b": 1.0, "zz": 1.0, "c": 1.0},
            "4 sent, 2 expected. Sent extra: {'c', 'zz'}. Missing but required: {}.",
        ),
        ({"a": 1.0, "zz": 1.0}, "2 sent, 2 expected. Sent extra: {'zz'}. Missing but required: {'b'}."),
        ({"A": 1.0, "b": 1.0}, "Did you mean 'a' instead of 'A'?"),
        ({"A": 1.0, "B": 1.0}, "Did you mean 'a' instead of 'A'?"),
        ({"A": 1.0, "B": 1.0}, "Did you mean 'b' instead of 'B'?"),
    ],
)
def test_names_must_be_the_signatures_and_near_ones_are_named(sent, says):
    with pytest.raises(InputNames) as caught:
        bind(sent, A, B)
    assert says in str(caught.value)


def test_an_input_that_is_there_is_not_meant_by_another_name():
    with pytest.raises(InputNames) as caught:
        bind({"a": 1.0, "A": 1.0, "b": 1.0}, A, B)
    assert "Did you mean" not in caught.value.hint


def test_inputs_come_in_the_signatures_order():
    assert [*bind({"b": tensor(1, dtypes.INT64), "a": 1.0}, A, B)] == ["a", "b"]


@pytest.mark.parametrize("sent", DTYPES, ids=lambda dtype: dtype.name)
@EVERY_DTYPE
def test_a_tensor_of_another_dtype_is_refused(dtype, sent):
    given_tensor = zeros(sent)
    expected = spec("x", dtype, (None,))
    if sent is dtype:
        assert bind({"x": given_tensor}, expected)["x"].dtype == dtype.numpy
        return
    with pytest.raises(WrongType) as caught:
        bind({"x": given_tensor}, expected)
    assert caught.value.message == f"Input 'x' expects {dtype.name} [-1], got {sent.name}."
    assert caught.value.hint == f"Send it with dtype {dtype.proto_name}."


@pytest.mark.parametrize("number", [0, 11, 13, 20, 21])
@pytest.mark.parametrize("dtype", [dtypes.FLOAT, dtypes.DOUBLE, dtypes.STRING], ids=lambda dtype: dtype.name)
def test_no_tensor_fits_an_input_without_values(dtype, number):
    with pytest.raises(UnstuckError, match="Input 'x'"):
        bind({"x": zeros(dtype)}, spec("x", dtypes.from_number(number)))


@pytest.mark.parametrize("number", [11, 20, 21])
def test_nor_a_tensor_that_has_none(number):
    opaque = dtypes.from_number(number)
    with pytest.raises(UnsupportedType, match=f"Input 'x' is {opaque.name}, a type whose values cannot be sent"):
        bind({"x": TensorProto(dtype=number)}, spec("x", opaque))


def test_an_input_that_is_a_reference_takes_its_values():
    assert bind({"x": [1.0]}, spec("x", dtypes.from_number(101)))["x"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (TensorProto(), WrongType),
        (TensorProto(dtype="DT_FLOAT", int_val=[1]), WrongType),
        (TensorProto(dtype="DT_RESOURCE"), WrongType),
        (TensorProto(dtype="DT_FLOAT", float_val=[1, 2]), WrongShape),
        (TensorProto(dtype="DT_FLOAT", tensor_content=b"abc"), WrongShape),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused_by_its_name(sent, error):
    with pytest.raises(error, match="Input 'x'"):
        bind({"x": sent}, spec("x"))


def test_a_short_list_is_filled_up_as_tensorflow_does():
    sent = TensorProto(dtype="DT_FLOAT", float_val=[1, 2])
    sent.tensor_shape.dim.add(size=4)
    assert bind({"x": sent}, spec("x"))["x"].tolist() == [1, 2, 2, 2]


# Defaults


def serialised(message):
    """A default as the engine keeps it."""
    return message.SerializeToString()


@EVERY_DTYPE
@ENCODINGS
@QUICK
@given(data=st.data())
def test_a_default_fills_in_for_an_input_that_is_left_out(dtype, as_content, data):
    default = data.draw(arrays(dtype))
    x, defaults = spec("x", dtype), {"x": serialised(tensor(default, dtype, as_content))}
    for bound in (bind({}, x, defaults=defaults), bind({"a": 1.0}, x, spec("a"), defaults=defaults)):
        if default.dtype.kind in "fcV":  # JSON has one NaN
            wide = np.complex128 if default.dtype.kind == "c" else np.float64
            np.testing.assert_array_equal(bound["x"].astype(wide), default.astype(wide))
            assert (bound["x"].dtype, bound["x"].shape) == (default.dtype, default.shape)
        else:
            assert_same(bound["x"], default)


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, np.finfo(np.float32).min, np.finfo(np.float32).tiny, -0.0])
def test_the_largest_and_smallest_floats_are_defaults_too(value):
    defaults = {"x": serialised(tensor([value]))}
    assert_same(bind({}, spec("x"), defaults=defaults)["x"], np.array([value], np.float32))


def test_what_is_sent_is_stronger_than_a_default():
    defaults = {"x": serialised(tensor([5.0]))}
    assert bind({"x": [1.0, 2.0]}, spec("x"), defaults=defaults)["x"].tolist() == [1, 2]


def test_a_default_is_not_missing_but_other_inputs_are():
    with pytest.raises(InputNames) as caught:
        bind({"zz": 1.0}, A, B, defaults={"a": serialised(tensor([[1.0, 2.0]]))})
    assert "Sent extra: {'zz'}. Missing but required: {'b'}." in caught.value.message


def test_a_default_is_a_new_array_for_each_call():
    defaults = {"x": serialised(tensor([5.0]))}
    first = bind({}, spec("x"), defaults=defaults)["x"]
    if first.flags.writeable:
        first[:] = 0
    assert bind({}, spec("x"), defaults=defaults)["x"].tolist() == [5]
