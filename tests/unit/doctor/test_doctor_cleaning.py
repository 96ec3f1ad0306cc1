"""What training may have taken out of texts, and files that stand in a vocabulary's place."""

from pathlib import Path

import numpy as np
import pytest

from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.byte_order import swaps, turned_width
from unstuck.doctor.experiments.cleaning import CLEANINGS, cleanings
from unstuck.doctor.experiments.preparing import DECODE, prepared
from unstuck.doctor.experiments.stand_ins import stand_in


@pytest.mark.parametrize(
    ("kind", "sent", "expected"),
    [
        ("strip_accents", "Crème brûlée à la façon", "Creme brulee a la facon"),
        ("remove_markup", '<p class="x">a <b>word</b><br/>more</p>', "a word more"),
        ("remove_markup", "1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("unescape_html", "fish &amp; chips", "fish & chips"),
        ("unquote_url", "fish%20and+chips", "fish and chips"),
        ("unquote_url", "c++ and 100%", "c++ and 100%"),
        ("remove_invisible", "\ufeffa\u200bb\u00adc\x07 d\n", "abc d\n"),
        ("compose_unicode", "\uff21\uff22 \ufb01sh", "AB fish"),
        ("collapse_blanks", "  a\t b \n", "a b"),
    ],
)
def test_a_cleaning(kind: str, sent: str, expected: str):
    assert CLEANINGS[kind](sent.encode()).decode() == expected


def test_bytes_that_are_no_text_stay_as_they_are():
    assert all(clean(b"\xff\xfe\x80") == b"\xff\xfe\x80" for clean in CLEANINGS.values())


def test_only_cleanings_that_change_texts_are_tried_alone_and_together():
    assert cleanings([b"plain", b"words"]) == []
    assert cleanings(["<b>café</b>".encode()]) == [
        ("remove_markup",),
        ("strip_accents",),
        ("remove_markup", "strip_accents"),
    ]


def test_what_a_cleaning_leaves_is_cleaned_as_well():
    assert cleanings([b"&nbsp;word"])[-1] == ("unescape_html", "compose_unicode", "collapse_blanks")


def test_cleanings_are_preparations():
    preparation = Preparation(name="", kinds=["remove_markup", "strip_accents", "lowercase"])
    assert prepared(preparation, np.array(["<i>Été</i>".encode()], object)).tolist() == [b"ete"]


@pytest.mark.parametrize("dtype", ["<i2", "<i4", "<f4", "<f8"])
def test_turned_bytes_of_numbers_are_found(dtype: str):
    random = np.random.default_rng(3)
    known = [random.normal(0, 900, 64).astype(dtype).tobytes() for _ in range(200)]
    sent = [random.normal(0, 900, 64).astype(dtype) for _ in range(40)]
    width = np.dtype(dtype).itemsize
    assert turned_width([each.byteswap().tobytes() for each in sent], known) == width
    assert turned_width([each.tobytes() for each in sent], known) == 0
    assert DECODE[f"swapped-{8 * width}"](sent[0].byteswap().tobytes()) == sent[0].tobytes()


def test_other_numbers_and_texts_are_not_taken_for_turned_ones():
    random = np.random.default_rng(4)
    known = [random.normal(0, 900, 64).astype("<i2").tobytes() for _ in range(200)]
    louder = [random.normal(0, 9000, 64).astype("<i2").tobytes() for _ in range(40)]
    assert turned_width(louder, known) == 0
    assert turned_width([b"abcd", b"efgh"] * 20, [b"badc", b"fehg"] * 20) == 0


@pytest.mark.parametrize("number", ["int16", "int32", "float32", "float64"])
def test_turned_numbers_are_turned_back(number: str):
    right = np.arange(-20, 20).astype(number)
    sent = right.byteswap().astype(np.float64)
    back = [prepared(each, sent) for each in swaps(sent)]
    assert any(np.array_equal(each, right) for each in back)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1284\n", "Git LFS"),
        ("../../.git/annex/objects/aa/bb/SHA256E-s3--x.txt", "git-annex"),
        ("outs:\n- md5: 0cc175b9c0f1b6a831c399e269772661\n  size: 3\n", "DVC"),
        ("<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
        ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>', "XML"),
        ('{"message": "Not Found", "status": 404}', "JSON"),
        ("404: Not Found", "placeholder"),
        ("TODO\n", "placeholder"),
    ],
)
def test_a_stand_in_is_told(tmp_path: Path, content: str, told: str):
    file = tmp_path / "vocab.txt"
    file.write_text(content)
    assert told in stand_in(file)


@pytest.mark.parametrize(
    "content", ["", "the\na\n", "<pad>\n<unk>\nerror\n", "404\n500\n", "version\nhttps\n", '{"a": 1}\n']
)
def test_a_vocabulary_is_no_stand_in(tmp_path: Path, content: str):
    file = tmp_path / "vocab.txt"
    file.write_text(content)
    assert stand_in(file) == ""
    assert stand_in(tmp_path / "none") == ""
