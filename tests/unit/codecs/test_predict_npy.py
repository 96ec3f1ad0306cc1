import contextlib
import io
import zipfile

import numpy as np
import pytest
from fakes import JSON_DTYPES, signature, spec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unstuck.codecs import predict_npy
from unstuck.core import dtypes
from unstuck.core.dtypes import FLOAT, INT64, STRING
from unstuck.errors import BodyTooLarge, InputNames, MalformedBody, UnwritableOutput, WrongShape, WrongType

LIMIT = 1 << 20
NUMBERS = [
    each for each in [*JSON_DTYPES, dtypes.COMPLEX64, dtypes.COMPLEX128] if each not in (STRING, dtypes.BFLOAT16)
]
ONE = signature(spec("x", FLOAT))
TWO = signature(spec("a", FLOAT), spec("b", INT64))


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed=False, **members):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **members)
    return file.getvalue()


def bound(body, called=ONE, limit=LIMIT):
    return predict_npy.parse(body, "", limit).bind(called)


def same(got, wanted):
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(got, wanted)
    assert got.flags.c_contiguous


def test_a_header_is_no_reason_to_allocate():
    array = np.zeros((1 << 20, 0), np.float32)
    assert bound(npy(array))["x"].shape == (1 << 20, 0)
    with pytest.raises(WrongShape, match=r"The body \(float32 \[1048577,0\]\) has no values and 1,048,577 places"):
        bound(npy(np.zeros(((1 << 20) + 1, 0), np.float32)))
    huge = npy(np.zeros(4, np.float32)).replace(b"(4,)", b"(4" + b"0" * 40 + b",)").replace(b" " * 40 + b"\n", b"\n")
    with pytest.raises(MalformedBody, match="bytes expected, 16 came"):
        bound(huge)


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
def test_text_that_is_no_text_is_refused(code):
    body = npy(np.array(["ab"])).replace(b"a\0\0\0", code.to_bytes(4, "little"))
    with pytest.raises(WrongType, match=f"Input 'x': its text has the code {code:#x}, which is no"):
        bound(body, signature(spec("x", STRING)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_of_any_byte_order_and_shape_is_text(order):
    for array in (np.array([["é", "\U0010ffff"]]), np.array("x"), np.empty((0, 2), "U3"), np.array([["a", "b"]]).T):
        same = bound(npy(array.astype(array.dtype.newbyteorder(order))), signature(spec("x", STRING)))["x"]
        assert same.tolist() == np.char.encode(array, "utf-8").tolist()


@given(st.data())
def test_an_array_comes_as_it_was_saved(data):
    dtype = data.draw(st.sampled_from(NUMBERS))
    array = data.draw(arrays(dtype.numpy, array_shapes(min_dims=0, min_side=0)))
    order = data.draw(st.sampled_from("CF"))
    for sent in (array, array.astype(array.dtype.newbyteorder(">"))):
        same(bound(npy(np.asarray(sent, order=order)), signature(spec("x", dtype)))["x"], array)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_npz_has_inputs_by_name(compressed):
    a, b = np.float32([[1, 2]]), np.int64([3])
    got = bound(npz(compressed, a=a, b=b), TWO)
    same(got["a"], a)
    same(got["b"], b)


def test_text_is_bytes_whether_saved_as_bytes_or_as_unicode():
    text = signature(spec("x", STRING))
    for array in (np.array([["é", "b"]]), np.array([["é".encode(), b"b"]])):
        assert bound(npy(array), text)["x"].tolist() == [["é".encode(), b"b"]]
    assert bound(npy(np.array([""])), text)["x"].tolist() == [b""]
    assert bound(npy(np.array([], "U")), text)["x"].tolist() == []


def test_bfloat16_is_what_ml_dtypes_saves():
    array = np.array([[1.5, -2]], dtypes.BFLOAT16.numpy)
    same(bound(npy(array), signature(spec("x", dtypes.BFLOAT16)))["x"], array)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "neither a .npy nor a .npz"),
        (b'{"instances": [1]}', "neither a .npy nor a .npz"),
        (npy(np.ones(3, np.float32))[:-1], "12 bytes expected, 11 came"),
        (npy(np.ones(3, np.float32)) + b"x", "12 bytes expected, 13 came"),
        (npy(np.ones(3, np.float32))[:9], "not a readable .npy file"),
        (npy(np.ones(3, np.float32)).replace(b"(3,), }", b"(3)**9}"), "not a readable .npy file"),
        (npy(np.ones(3)).replace(b"'<f8'", b"'<q8'"), "not a readable .npy file"),
        (npy(np.ones(3)).replace(b"(3,), }", b"(-3,),}"), "bytes expected"),
        (
            npy(np.empty(0, "S1")).replace(b"'|S1'", b"'|S0'").replace(b"(0,), }", b"(999,)}"),
            "0 bytes expected, 0 came",
        ),
        (npy(np.array([{}], object), allow_pickle=True), "Python objects"),
        (npz(x=np.ones(3))[:-30], "cannot be read"),
        (b"PK\x03\x04" + bytes(40), "cannot be read"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(body, says):
    with pytest.raises(MalformedBody, match=says):
        bound(body)


def test_a_header_that_promises_a_terabyte_allocates_nothing():
    body = npy(np.ones(3, np.float32)).replace(b"(3,), }" + b" " * 12, b"(%d,), }" % 10**12)
    assert b"1000000000000" in body
    with pytest.raises(MalformedBody, match="4,000,000,000,000 bytes expected, 12 came"):
        bound(body)


def test_an_npz_that_inflates_beyond_the_limit_is_refused_before_it_does():
    body = npz(True, x=np.zeros(LIMIT, np.float32))
    assert len(body) < LIMIT / 100
    with pytest.raises(BodyTooLarge, match=r"inflated \.npz"):
        bound(body)


def test_a_member_that_is_longer_than_the_archive_says_is_refused():
    body = bytearray(npz(True, x=np.zeros(1 << 16, np.float32)))
    size = (4 << 16) + 128
    for at in (body.index(size.to_bytes(4, "little")), body.rindex(size.to_bytes(4, "little"))):
        body[at : at + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(MalformedBody):
        bound(bytes(body))


@pytest.mark.parametrize(
    ("body", "called", "error", "says"),
    [
        (npy(np.ones(1)), ONE, WrongType, r"'x' expects float .*, got double"),
        (npy(np.ones(1, np.int32)), ONE, WrongType, "got int32"),
        (npy(np.ones(1, np.float32)), signature(spec("x", STRING)), WrongType, "'x' expects string"),
        (npy(np.array(["a"])), ONE, WrongType, "'x' expects float"),
        (npy(np.ones(1, np.float32)), TWO, MalformedBody, "2 inputs: 'a', 'b'"),
        (npz(a=np.ones(1, np.float32), B=np.ones(1)), TWO, InputNames, "Missing but required: {'b'}"),
    ],
)
def test_what_does_not_fit_the_signature_is_named(body, called, error, says):
    with pytest.raises(error, match=says):
        bound(body, called)


@given(st.data())
def test_answers_are_read_by_numpy(data):
    dtype = data.draw(st.sampled_from(NUMBERS))
    array = data.draw(arrays(dtype.numpy, array_shapes(min_dims=0, min_side=0)))
    same(np.load(io.BytesIO(predict_npy.encode({"y": array}, is_single=True))), array)
    answer = np.load(io.BytesIO(predict_npy.encode({"y": array, "file": array}, is_single=True)))
    same(answer["y"], array)
    same(answer["file"], array)
    assert np.load(io.BytesIO(predict_npy.encode({"y": array}, is_single=False))).files == ["y"]


def test_text_and_bfloat16_are_answered_as_they_are_read():
    outputs = {
        "text": np.array([[b"a", b"\xff\0b"]], object),
        "none": np.empty((0, 2), object),
        "brain": np.array([1.5], dtypes.BFLOAT16.numpy),
    }
    answer = np.load(io.BytesIO(predict_npy.encode(outputs, is_single=False)))
    assert answer["text"].tolist() == [[b"a", b"\xff\0b"]]
    assert answer["none"].shape == (0, 2)
    assert answer["brain"].view(dtypes.BFLOAT16.numpy).tolist() == [1.5]


def test_text_that_ends_with_nul_is_not_cut_in_silence():
    with pytest.raises(UnwritableOutput, match="'y' has text that ends with a NUL"):
        predict_npy.encode({"y": np.array([b"a\0"], object)}, is_single=True)


@given(st.binary(max_size=300), st.sampled_from([b"", predict_npy.NPY, b"PK\x03\x04"]))
def test_any_bytes_are_an_error_of_ours(noise, head):
    with pytest.raises(MalformedBody):
        bound(head + noise)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3), st.booleans())
def test_bytes_changed_anywhere_are_an_array_or_an_error_of_ours(at, noise, zipped):
    body = bytearray(npz(x=np.ones((2, 3), np.float32)) if zipped else npy(np.ones((2, 3), np.float32)))
    body[at : at + len(noise)] = noise
    with contextlib.suppress(MalformedBody, WrongType, InputNames, BodyTooLarge):
        assert "x" in bound(bytes(body))


def test_members_are_read_from_a_stored_archive_of_any_tool():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", npy(np.float32([1, 2])))
    same(bound(file.getvalue())["x"], np.float32([1, 2]))
