"""Arrays in TensorProto: equal to what TensorFlow reads and writes, in both encodings; contradictions are refused."""

import contextlib

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework.tensor_pb2 import TensorProto as OfficialTensor

from unstuck.core import dtypes
from unstuck.errors import UnsupportedType, WrongShape, WrongType
from unstuck.proto import tensors
from unstuck.proto.tensors import MAX_EMPTY_ROWS, MAX_RANK, MAX_REPEATED_BYTES, fill, to_array
from unstuck.proto.wire.tensor_pb2 import TensorProto, TensorShapeProto

BITS = {np.dtype(np.float16): np.uint16, np.dtype(ml_dtypes.bfloat16): np.uint16}
NUMBERS = [
    *(dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16, dtypes.COMPLEX64, dtypes.COMPLEX128, dtypes.BOOL),
    *(dtypes.INT8, dtypes.INT16, dtypes.INT32, dtypes.INT64, dtypes.UINT8, dtypes.UINT16, dtypes.UINT32, dtypes.UINT64),
]
FIELDS = {
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "int_val"),
    **dict.fromkeys(("half", "bfloat16"), "half_val"),
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
}  # the others' are named after their dtype
ENCODINGS = pytest.mark.parametrize("as_content", [True, False], ids=["tensor_content", "typed"])
EVERY_DTYPE = pytest.mark.parametrize("dtype", [*NUMBERS, dtypes.STRING], ids=lambda dtype: dtype.name)
QUICK = settings(max_examples=15)  # times 16 dtypes
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def arrays(dtype):
    if dtype.is_string:
        return hnp.arrays(np.object_, SHAPES, elements=st.binary(max_size=300))
    bits = BITS.get(dtype.numpy)
    return (
        hnp.arrays(bits, SHAPES).map(lambda array: array.view(dtype.numpy)) if bits else hnp.arrays(dtype.numpy, SHAPES)
    )


def filled(array, as_content=False):
    tensor = TensorProto()
    fill(tensor, array, as_content=as_content)
    return tensor


def tensor(dtype="FLOAT", shape=(), **values):
    """A TensorProto by hand."""
    dims = [TensorShapeProto.Dim(size=size) for size in shape]
    return TensorProto(dtype=f"DT_{dtype}", tensor_shape=TensorShapeProto(dim=dims), **values)


def received(message, to):
    return to.FromString(message.SerializeToString())


def assert_same(got, expected):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    if got.dtype == object:
        assert got.tolist() == expected.tolist()
    else:
        comparable = np.float32 if got.dtype.name == "bfloat16" else got.dtype  # NumPy knows no NaN of bfloat16
        np.testing.assert_array_equal(got.astype(comparable), expected.astype(comparable))


@EVERY_DTYPE
@ENCODINGS
@QUICK
@given(data=st.data())
def test_an_array_comes_back_bit_for_bit(dtype, as_content, data):
    array = data.draw(arrays(dtype))
    sent = filled(array, as_content)
    assert sent.dtype == dtype.number
    back = to_array(received(sent, TensorProto))
    assert_same(back, array)
    assert dtype.is_string or back.tobytes() == array.tobytes()


@EVERY_DTYPE
@ENCODINGS
@QUICK
@given(data=st.data())
def test_tensorflow_reads_what_we_write(dtype, as_content, data):
    array = data.draw(arrays(dtype))
    assert_same(tf.make_ndarray(received(filled(array, as_content), OfficialTensor)), array)


@EVERY_DTYPE
@QUICK
@given(data=st.data())
def test_we_read_what_tensorflow_writes(dtype, data):
    """make_tensor_proto writes tensor_content where there are two values or more, else the typed field."""
    array = data.draw(arrays(dtype))
    theirs = tf.make_tensor_proto(array, dtype=tf.as_dtype(dtype.number), shape=array.shape)
    assert_same(to_array(received(theirs, TensorProto)), array)
    assert_same(to_array(theirs), array)


@EVERY_DTYPE
@QUICK
@given(data=st.data())
def test_we_read_what_tensorflow_serving_writes(dtype, data):
    """The C++ encoder of tensor_content, where strings have a form of their own."""
    array = data.draw(arrays(dtype))
    serialised = tf.io.serialize_tensor(tf.constant(array, tf.as_dtype(dtype.number), array.shape)).numpy()
    assert_same(to_array(TensorProto.FromString(serialised)), array)


@EVERY_DTYPE
@ENCODINGS
@QUICK
@given(data=st.data())
def test_tensorflow_serving_reads_what_we_write(dtype, as_content, data):
    array = data.draw(arrays(dtype))
    parsed = tf.io.parse_tensor(filled(array, as_content).SerializeToString(), tf.as_dtype(dtype.number))
    assert_same(np.asarray(parsed.numpy(), array.dtype), array)


@EVERY_DTYPE
@ENCODINGS
def test_each_encoding_uses_its_field_alone(dtype, as_content):
    array = np.array([b"a", b"b"], object) if dtype.is_string else np.ones(2, dtype.numpy)
    used = {field.name for field, _ in filled(array, as_content).ListFields()} - {"dtype", "tensor_shape"}
    assert used == {
        "tensor_content" if as_content and not dtype.is_string else FIELDS.get(dtype.name, f"{dtype.name}_val")
    }


def test_a_scalar_has_a_shape():
    assert filled(np.float32(1).reshape(())).HasField("tensor_shape")


@pytest.mark.parametrize("as_content", [True, False])
def test_the_memory_order_of_an_array_does_not_matter(as_content):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for view in (array.T, array[:, ::-1], np.asfortranarray(array)):
        assert_same(to_array(filled(view, as_content)), view)


@EVERY_DTYPE
@QUICK
@given(data=st.data())
def test_a_short_list_repeats_its_last_value_as_tensorflow_does(dtype, data):
    values = data.draw(arrays(dtype)).ravel()[:5]
    sent = filled(values)
    sent.tensor_shape.Clear()
    sent.tensor_shape.dim.add(size=3)
    sent.tensor_shape.dim.add(size=4)
    expected = tf.io.parse_tensor(sent.SerializeToString(), tf.as_dtype(dtype.number)).numpy()
    assert_same(to_array(sent), np.asarray(expected, values.dtype))


def test_no_values_at_all_are_zeros():
    assert_same(to_array(tensor("INT64", (2, 2))), np.zeros((2, 2), np.int64))
    assert_same(to_array(tensor("STRING", (2,))), np.array([b"", b""], object))


def test_the_sixteen_bits_of_a_half_may_be_signed():
    assert_same(to_array(tensor("HALF", (1,), half_val=[-16384])), np.array([-2], np.float16))


@pytest.mark.parametrize(
    ("sent", "error", "message"),
    [
        (tensor(shape=(2,), float_val=[1, 2, 3]), WrongShape, "Input 'x' (float [2]) takes 2 values, got 3."),
        (tensor(shape=(0,), float_val=[1]), WrongShape, "Input 'x' (float [0]) takes 0 values, got 1."),
        (tensor(shape=(), float_val=[1, 2]), WrongShape, "Input 'x' (float []) takes 1 values, got 2."),
        (
            tensor(shape=(2, 3), tensor_content=bytes(20)),
            WrongShape,
            "Input 'x' (float [2,3]) takes 24 bytes of tensor_content, got 20.",
        ),
        (
            tensor("COMPLEX64", (2,), scomplex_val=[1, 2, 3]),
            WrongShape,
            "Input 'x' (complex64 [2]) takes real, imaginary pairs in scomplex_val, got 3 values.",
        ),
        (
            tensor("STRING", (2,), tensor_content=b"\x01\x05ab"),
            WrongShape,
            "Input 'x' (string [2]) takes 2 varint lengths and as many strings in tensor_content, "
            "got 4 bytes of something else. Send strings in string_val.",
        ),
        (
            tensor(shape=(-1, 3), float_val=[1, 2, 3]),
            WrongShape,
            "Input 'x' (float [-1,3]) has a negative size; expected 0 or more in each dimension.",
        ),
        (
            TensorProto(dtype="DT_FLOAT", tensor_shape=TensorShapeProto(unknown_rank=True)),
            WrongShape,
            "Input 'x' has an unknown shape; expected the size of each dimension.",
        ),
        (tensor(shape=(1,) * 33), WrongShape, "Input 'x' has 33 dimensions; expected at most 32."),
        (
            tensor(shape=(0, 2**40, 2**40)),
            WrongShape,
            f"Input 'x' (float [0,{2**40},{2**40}]) is larger than any memory.",
        ),
        (
            tensor(shape=(5000, 5000), float_val=[1]),
            WrongShape,
            "Input 'x' (float [5000,5000]) takes 25,000,000 values, got 1. The last one is repeated only in tensors of "
            "up to 16,777,216 bytes. Send all values.",
        ),
        (tensor("INVALID"), WrongType, "Input 'x' has no dtype. Set dtype, as DT_FLOAT."),
        (
            tensor("FLOAT", (2,), double_val=[1, 2]),
            WrongType,
            "Input 'x' is float: expected its values in float_val, got them in double_val. "
            "Fill float_val, or name the dtype that goes with double_val.",
        ),
        (
            tensor("UINT8", (2,), int_val=[1, 300]),
            WrongType,
            "Input 'x' is uint8, which cannot hold 300 (int_val[1]).",
        ),
        (tensor("QINT8"), UnsupportedType, "Input 'x' is qint8, a type whose values cannot be sent."),
        (TensorProto(dtype=77), UnsupportedType, "Input 'x' is dtype 77, a type whose values cannot be sent."),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_contradiction_is_refused(sent, error, message):
    with pytest.raises(error) as caught:
        to_array(sent, "x")
    assert str(caught.value) == message


def test_the_name_is_optional():
    with pytest.raises(WrongShape, match=r"^The tensor \(float \[2\]\) takes 2 values, got 3\.$"):
        to_array(tensor(shape=(2,), float_val=[1, 2, 3]))


def test_how_far_a_value_may_be_repeated_is_a_parameter():
    sent = tensor(shape=(4,), float_val=[1])
    assert to_array(sent, max_repeated_bytes=16).tolist() == [1, 1, 1, 1]
    with pytest.raises(WrongShape, match="up to 15 bytes"):
        to_array(sent, max_repeated_bytes=15)
    assert to_array(tensor(shape=(4,), float_val=[1, 2, 3, 4]), max_repeated_bytes=0).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("dtype", ["FLOAT", "STRING"])
@pytest.mark.parametrize("shape", [(1000, 1000), (1_000_000, 1_000_000), (1 << 40,)])
def test_a_shape_is_no_reason_to_allocate(dtype, shape, monkeypatch):
    monkeypatch.setattr(tensors, "_repeated", None)
    values = {"float_val": [1]} if dtype == "FLOAT" else {"string_val": [b"a"]}
    with pytest.raises(WrongShape, match=r"got 1\. The last one is repeated only in tensors of up to"):
        to_array(tensor(dtype, shape, **values), max_repeated_bytes=999_999)


def test_a_short_list_is_repeated_up_to_the_limit():
    count = MAX_REPEATED_BYTES // 4
    assert to_array(tensor(shape=(count,), float_val=[2])).sum() == 2 * count
    with pytest.raises(WrongShape, match="up to 16,777,216 bytes"):
        to_array(tensor(shape=(count + 1,), float_val=[2]))


@pytest.mark.parametrize("shape", [(MAX_EMPTY_ROWS, 0), (0, MAX_EMPTY_ROWS), (1 << 10, 0, 1 << 10)])
def test_a_tensor_without_values_has_no_endless_rows_of_nothing(shape):
    assert to_array(tensor(shape=shape)).shape == shape
    with pytest.raises(WrongShape, match=r"has no values and 1,\d+,\d+ places for them; expected at most 1,048,576"):
        to_array(tensor(shape=tuple(size + 1 if size else 0 for size in shape)))


@pytest.mark.parametrize(
    "content",
    [b"\x80", b"\x80" * 40, b"\x01\x01ab" + b"c", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01ab", b"\x00"],
)
def test_damaged_strings_are_refused(content):
    with pytest.raises(WrongShape, match="something else"):
        to_array(tensor("STRING", (2,), tensor_content=content))


def test_as_many_dimensions_as_numpy_has_everywhere():
    assert to_array(tensor(shape=(1,) * MAX_RANK)).ndim == MAX_RANK


@given(st.binary(max_size=60), st.sampled_from([*NUMBERS, dtypes.STRING]), st.lists(st.integers(-1, 9), max_size=3))
def test_any_bytes_are_an_array_or_an_error_of_ours(content, dtype, shape):
    sent = tensor(shape=shape, tensor_content=content)
    sent.dtype = dtype.number
    with contextlib.suppress(WrongShape):
        assert to_array(sent).shape == tuple(shape)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([b"a"]), np.array([1], ">f4"), np.array([1], "M8[s]")])
def test_an_array_without_a_field_is_refused(array):
    with pytest.raises(UnsupportedType, match="cannot be sent"):
        fill(TensorProto(), array, as_content=False)
