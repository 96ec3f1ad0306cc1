"""How values are prepared, texts recognised, and distributions compared."""

import base64

import numpy as np
import pytest

from unstuck.core.dtypes import named
from unstuck.core.signatures import TensorSpec
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.preparing import prepared
from unstuck.doctor.experiments.reference import distance
from unstuck.doctor.experiments.splitting import split_rows
from unstuck.doctor.experiments.writings import writing_of, writings_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def texts(*values: bytes) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PNG, ("png", "png")),
        (base64.b64encode(PNG), ("base64", "png")),
        (base64.urlsafe_b64encode(PNG), ("base64", "png")),
        (base64.b64encode(b"a perfectly plain sentence"), ("base64", "text")),
        (PNG.hex().encode(), ("hex", "png")),
        (PNG.decode("latin-1").encode(), ("mojibake", "png")),
        (PNG.decode(errors="replace").encode(), ("damaged", "png")),
        ("Ã©tÃ©".encode(), ("mojibake", "text")),
        ("plain".encode("utf-16"), ("utf-16", "text")),
        (b"b'plain'", ("bytes-repr", "text")),
        (b"salt &amp; pepper", ("html", "text")),
        (b"salt%20and%20pepper", ("url", "text")),
        (rb"\u043e\u0442 \u043d", ("escaped", "text")),
        (rb"two\nlines", ("escaped", "text")),
        (rb"C:\users", None),
        (b'{"text": "a good film"}', ("json", "text")),
        (b"a perfectly plain sentence", None),
        ("été à la plage".encode(), None),
        (b"internationalization", None),
        (b"100% sure", None),
        (b"", None),
    ],
)  # fmt: skip
def test_writing_of(text: bytes, expected: tuple[str, str] | None):
    assert writing_of(text) == expected


def test_a_way_of_writing_is_told_beside_trainings_share():
    (found,) = writings_of([b"a&amp;b"] * 9 + [b"a"], [b"a", b"b&lt;c"])
    assert (found.name, found.share, found.trained_share) == ("html", 0.9, 0.5)


@pytest.mark.parametrize(
    ("decode", "sent", "expected"),
    [
        ("base64", base64.b64encode(PNG), PNG),
        ("hex", PNG.hex().encode(), PNG),
        ("mojibake", "Ã©tÃ©".encode(), "été".encode()),
        ("html", b"salt &amp; pepper", b"salt & pepper"),
        ("json", b'{"id": "1", "text": "a good film"}', b"a good film"),
        ("bytes-repr", b"b'\\x89PNG'", b"\x89PNG"),
        ("escaped", rb"caf\u00e9\ton \ud83d\ude00", "café\ton 😀".encode()),
        ("escaped", rb"caf\xc3\xa9", "café".encode()),
    ],
)
def test_decoded(decode: str, sent: bytes, expected: bytes):
    preparation = Preparation(name=decode, kinds=["decode"], decode=decode)
    assert prepared(preparation, texts(sent)).tolist() == [expected]


def test_numbers_are_prepared_in_their_own_dtype():
    values = np.array([[1.6, -1.6]], np.float32)
    by_place = Preparation(name="", kinds=["affine"], factor=[2.0, 10.0], offset=[1.0, 0.0])
    assert prepared(by_place, values)[0].tolist() == pytest.approx([4.2, -16.0], rel=1e-6)
    assert prepared(Preparation(name="", kinds=["truncate"]), values).tolist() == [[1.0, -1.0]]
    assert prepared(by_place, values).dtype == np.float32


def test_logarithm_is_undone_by_the_exponential():
    values = np.array([0.0, 3.0, 900.0])
    log = prepared(Preparation(name="", kinds=["log"], offset=[1.0]), values)
    assert prepared(Preparation(name="", kinds=["exp"], offset=[1.0]), log) == pytest.approx(values, abs=1e-9)


def test_texts_are_prepared_in_order():
    steps = Preparation(name="", kinds=["lowercase", "remove_punctuation", "strip"])
    assert prepared(steps, texts(b" A Good, Film! ", "ÉTÉ".encode())).tolist() == [b"a good film", "été".encode()]


def test_a_list_of_words_is_cut_or_filled_up_to_its_length():
    string = named("string")
    assert string is not None
    row = {"x": texts(b"A good film")[:, None]}
    split = Preparation(name="", kinds=["lowercase", "split"])
    (long,) = split_rows(TensorSpec("x", "x", string, (None, 4)), row, split)
    (short,) = split_rows(TensorSpec("x", "x", string, (None, 2)), row, split)
    each = list(split_rows(TensorSpec("x", "x", string, (None,)), {"x": texts(b"A good film")}, split))
    assert long["x"].tolist() == [[b"a", b"good", b"film", b""]]
    assert short["x"].tolist() == [[b"a", b"good"]]
    assert [one["x"].tolist() for one in each] == [[b"a"], [b"good"], [b"film"]]


def test_distance():
    random = np.random.default_rng(0)
    one, other = random.normal(size=2000), random.normal(size=2000)
    assert distance(one, other) < 0.06
    assert distance(one, other + 100) == 1.0
    assert distance(one, other + 1) == pytest.approx(0.38, abs=0.05)
    assert distance(np.array([np.nan]), other) == 1.0
