"""The hypotheses on texts and ids change what they say, and each comes with its cause."""

import numpy as np
import pytest

from unstuck.doctor.evidence.replay import CAUSES
from unstuck.doctor.experiments.tokens_changing import tokens_changed


def texts(*rows):
    found = np.empty((len(rows), len(rows[0])), object)
    found[:] = [list(row) for row in rows]
    return {"x": found}


def after(batch, what):
    (hypothesis,) = [each for each in tokens_changed(batch) if each.what == f"x arrives {what}"]
    return hypothesis.apply(batch)["x"].tolist(), CAUSES[hypothesis.kind]


WORDS = texts([b"Good", b"U.S.", b""])


@pytest.mark.parametrize(
    ("what", "expected", "cause"),
    [
        ("in lower case", [b"good", b"u.s.", b""], "preprocessing/missing-tokenization"),
        ("without punctuation", [b"Good", b"US", b""], "preprocessing/missing-tokenization"),
        ("in lower case, without punctuation", [b"good", b"us", b""], "preprocessing/missing-tokenization"),
        ("as one text, its tokens joined by blanks", [b"Good U.S.", b"", b""], "preprocessing/missing-tokenization"),
        ("letter by letter", [b"G o o d", b"U . S .", b""], "preprocessing/missing-tokenization"),
        ("as Python writes bytes, b'…'", [b"b'Good'", b"b'U.S.'", b"b''"], "preprocessing/wrong-encoding"),
        ("escaped, as JSON in ASCII", [b"Good", b"U.S.", b""], "preprocessing/wrong-encoding"),
        ("as JSON, in quotes", [b'"Good"', b'"U.S."', b'""'], "preprocessing/wrong-encoding"),
        ("with its padding before the tokens", [b"", b"Good", b"U.S."], "mapping/wrong-layout"),
    ],
)
def test_texts(what, expected, cause):
    assert after(WORDS, what) == ([expected], cause)


@pytest.mark.parametrize(
    ("what", "expected", "cause"),
    [
        ("with +1 on each id", [8, 301, 1, 1], "preprocessing/wrong-vocabulary"),
        ("with -1 on each id but 0", [6, 299, 0, 0], "preprocessing/wrong-vocabulary"),
        ("with 1 for the ids from 256 on", [7, 1, 0, 0], "preprocessing/wrong-vocabulary"),
        ("with 1 for each id but 0", [1, 1, 0, 0], "preprocessing/wrong-vocabulary"),
        ("with its padding before the tokens", [0, 0, 7, 300], "mapping/wrong-layout"),
        ("with its padding behind the tokens", [7, 300, 0, 0], "mapping/wrong-layout"),
    ],
)
def test_ids(what, expected, cause):
    assert after({"x": np.array([[7, 300, 0, 0]])}, what) == ([expected], cause)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("without accents", "<b>Creme&amp;</b>"),
        ("without markup", "Crème&amp;"),
        ("with HTML entities unescaped", "<b>Crème&</b>"),
        ("in lower case, without markup", "crème&amp;"),
    ],
)
def test_texts_that_are_cleaned_on_the_way(what, expected):
    found, cause = after(texts(["<b>Crème&amp;</b>".encode()]), what)
    assert (found, cause) == ([[expected.encode()]], "preprocessing/missing-tokenization")


def test_letters_that_are_escaped_on_the_way():
    assert after(texts(["Crème".encode()]), "escaped, as JSON in ASCII")[0] == [[rb"Cr\u00e8me"]]


def test_bytes_of_numbers_that_are_turned_on_the_way():
    numbers = np.array([1, -2, 300], "<i2")
    (row,), cause = after(texts([numbers.tobytes()]), "with the bytes of its numbers of 16 bits turned")
    assert (row, cause) == ([numbers.astype(">i2").tobytes()], "preprocessing/wrong-encoding")
    (row,), cause = after({"x": numbers[None]}, "with the bytes of each number turned")
    assert (row, cause) == (numbers.byteswap().tolist(), "preprocessing/wrong-encoding")


def test_every_word_unknown_keeps_their_number_and_the_padding():
    (row,), cause = after(texts([b"two words", b""]), "with every word unknown")
    assert (len(row[0].split()), row[1], cause) == (2, b"", "preprocessing/wrong-vocabulary")


def test_numbers_are_left_alone():
    assert list(tokens_changed({"x": np.ones((2, 3), np.float32)})) == []
