"""The largest values, statistics of a file, other vocabularies, other image files: as NumPy, Keras and Pillow do it."""

import io
import json
from functools import cache

import numpy as np
import pytest
from pipeline_cases import assert_same, expected, export
from test_pipeline_steps import WORDS, by_keras, by_tf_image, files, floats, ids, padded, pixels, scores, texts, words

from unstuck.engines.tensorflow.runtime import tf
from unstuck.errors import Code, EngineError

MEANS, STDS = [0.5, -2.0, 100.0], [1.0, 0.25, 30.0]
STATISTICS = {
    "version": 1,
    "features": {
        "age": {"dtype": "float", "count": 7, "mean": 3, "std": 2.5, "min": -10, "max": 6.5},
        "position": {"mean": MEANS, "std": STDS, "min": MEANS, "max": [1.0, 2.0, 400.0], "quantiles": [[0], [1]]},
    },
}
NAMES = ["zero", "one", "two", "three"]
INTEGERS = [10, -7, 0, 3, 2**62, -(2**63), 5]
EVERY_FORMAT = ("PNG", "JPEG", "BMP", "GIF")


def largest(k):
    """Of equal values, the first one comes first."""
    return lambda x: np.argsort(-x.astype(np.float64), axis=-1, kind="stable")[:, :k]


def taken(x, k):
    return np.take_along_axis(x, largest(k)(x), axis=-1)


def named(x):
    return np.array([[(NAMES[at] if at < len(NAMES) else "?").encode() for at in row] for row in largest(3)(x)], object)


def counts() -> np.ndarray:
    return np.random.default_rng(8).integers(-3, 3, (10_000, 6)).astype(np.int32)


def numbers(dtype=np.int64):
    """Half of them of INTEGERS."""

    def rows():
        info, random = np.iinfo(dtype), np.random.default_rng(9)
        known = [each for each in INTEGERS if info.min <= each <= info.max]
        rows = random.integers(info.min, info.max, 10_000, dtype)
        rows[::2] = np.array(random.choice(np.array(known, dtype), 5000))
        return rows

    return rows


def of_integers(first_id, unknown):
    known = {each: at + first_id for at, each in enumerate(INTEGERS)}
    return lambda rows: np.array([known.get(each, unknown) for each in rows.tolist()], np.int64)


def in_static_vocabulary_table(count):
    def looked_up(rows):
        entries = tf.lookup.KeyValueTensorInitializer(WORDS, np.arange(len(WORDS), dtype=np.int64))
        return np.asarray(tf.lookup.StaticVocabularyTable(entries, count).lookup(tf.constant(rows)))

    return looked_up


def words_in_buckets(rows):
    known = sorted({word for row in rows for word in row.split()})
    found = by_keras(lambda layers: layers.StringLookup(vocabulary=WORDS, num_oov_indices=7))(np.array(known, object))
    ids = dict(zip(known, found, strict=True))
    return padded(lambda row: [ids[word] for word in row.split()], 6, -1, np.int64)(rows)


@cache
def mixed() -> np.ndarray:
    return np.concatenate([texts()[:5000], words()[:5000]])


@cache
def known_words() -> np.ndarray:
    return np.array([word for word in words() if word.decode() in WORDS], object)


def by_pillow(mode):
    def decoded(rows):
        image = pytest.importorskip("PIL.Image")
        arrays = [np.asarray(image.open(io.BytesIO(row)).convert(mode), np.float32) for row in rows]
        return np.stack(arrays)

    return decoded


def opaque(rows):
    colours = by_tf_image(5, 7, 3, "nearest")(rows)
    return np.concatenate([colours, np.full((*colours.shape[:3], 1), 255, np.float32)], axis=-1)


def brightness(colours):
    return colours @ np.array([[0.2989], [0.587], [0.114]], np.float32)


def size_5_by_7(*formats):
    return lambda: files(formats, (5, 7))


def grey_bitmaps():
    return files(("BMP",), (5, 7))[3::4]


def image_step(**settings):
    return [{"decode_image": {"height": 5, "width": 7, **settings}}]


CASES = {
    "top_k values": ([{"top_k": {"k": 3, "give": "values"}}], scores, lambda x: taken(x, 3)),
    "top_k places": ([{"top_k": {"k": 3, "give": "places"}}], scores, largest(3)),
    "top_k of all": ([{"top_k": {"k": 6, "give": "places"}}], counts, largest(6)),
    "top_k of integers": ([{"top_k": {"k": 1, "give": "values"}}], counts, lambda x: taken(x, 1)),
    "top_k labels": ([{"top_k": {"k": 3, "give": "places"}}, {"labels": {"names": NAMES, "unknown": "?"}}], scores,
        named),
    "z_score": ([{"z_score": {"file": "statistics.json", "feature": "age"}}], floats,
        lambda x: (x - np.float32(3)) / np.float32(2.5)),
    "z_score by column": ([{"z_score": {"file": "statistics.json", "feature": "position"}}], floats,
        by_keras(lambda layers: layers.Normalization(mean=MEANS, variance=np.square(STDS)))),
    "min_max": ([{"min_max": {"file": "statistics.json", "feature": "age"}}], lambda: floats(None, np.float64),
        lambda x: (x + 10) / 16.5),
    "min_max by column": ([{"min_max": {"file": "statistics.json", "feature": "position"}}],
        lambda: floats(3, np.float64), lambda x: (x - MEANS) / np.subtract([1.0, 2.0, 400.0], MEANS)),
    "no text unknown": ([{"vocabulary": {"tokens": WORDS, "unknown": "error"}}], known_words,
        by_keras(lambda layers: layers.StringLookup(vocabulary=WORDS, num_oov_indices=0))),
    "buckets in front": (
        [{"vocabulary": {"file": "words.txt", "unknown": 0, "hash_buckets": 3, "first_id": 3}}], mixed,
        by_keras(lambda layers: layers.StringLookup(vocabulary=WORDS, num_oov_indices=3))),
    "buckets at the end": ([{"vocabulary": {"tokens": WORDS, "unknown": len(WORDS), "hash_buckets": 100}}], mixed,
        in_static_vocabulary_table(100)),
    "buckets of lists": (
        ["split", {"vocabulary": {"tokens": WORDS, "unknown": 0, "hash_buckets": 7, "first_id": 7}},
         {"pad": {"length": 6, "value": -1}}], texts, words_in_buckets),
    "integers": ([{"vocabulary": {"integers": INTEGERS, "unknown": 0, "first_id": 1}}], numbers(),
        by_keras(lambda layers: layers.IntegerLookup(vocabulary=INTEGERS))),
    "integers of a file": ([{"vocabulary": {"file": "integers.txt", "unknown": -1}}], numbers(), of_integers(0, -1)),
    "integers of 8 bits": ([{"vocabulary": {"integers": INTEGERS, "unknown": 99, "first_id": 2}}], numbers(np.int8),
        of_integers(2, 99)),
    "integers in buckets": (
        [{"vocabulary": {"integers": INTEGERS, "unknown": 0, "hash_buckets": 5, "first_id": 5}}], numbers(),
        by_keras(lambda layers: layers.IntegerLookup(vocabulary=INTEGERS, num_oov_indices=5))),
    "no integer unknown": ([{"vocabulary": {"integers": [*range(8)], "unknown": "error"}}], lambda: ids()[100:],
        lambda x: x),
    "alpha of any file": (image_step(channels=4), size_5_by_7("PNG", "BMP", "GIF"), by_pillow("RGBA")),
    "alpha of a JPEG": (image_step(channels=4), size_5_by_7("JPEG"), opaque),
    "grey of a JPEG or PNG": (image_step(channels=1), size_5_by_7("JPEG", "PNG"), by_tf_image(5, 7, 1, "nearest")),
    "grey of other files": (image_step(channels=1), size_5_by_7("GIF", "BMP"),
        lambda rows: np.rint(brightness(by_pillow("RGB")(rows)))),
    "grey of a grey file": (image_step(channels=1), grey_bitmaps, lambda rows: by_pillow("L")(rows)[..., None]),
    **{
        method: ([{"decode_image": {"height": 13, "width": 9, "method": method}}], lambda: files(EVERY_FORMAT),
            lambda rows, method=method: np.clip(by_tf_image(13, 9, 3, method)(rows), 0, 255))
        for method in ("bicubic", "lanczos3")
    },
    "grayscale": (["grayscale"], pixels, brightness),
}  # fmt: skip


@cache
def wanted(name):
    return expected(CASES[name])


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("values")
    paths = export(folder, CASES)
    (folder / "statistics.json").write_text(json.dumps(STATISTICS))
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (folder / "integers.txt").write_text("".join(f"{each}\n" for each in INTEGERS))
    return paths


@pytest.mark.parametrize("name", CASES)
def test_a_step_does_what_its_reference_does(answered, name):
    assert_same(answered(name, CASES[name][1]()), wanted(name))


@pytest.mark.parametrize("name", CASES)
def test_a_row_alone_is_answered_as_among_others_and_no_rows_by_none(served, name):
    for part in (slice(0), slice(1), slice(7, 10)):
        assert_same(served(name, CASES[name][1]()[part]), wanted(name)[part])


def test_what_resizing_gives_outside_of_the_range_of_pixels_is_in_the_rows():
    unclipped = by_tf_image(13, 9, 3, "bicubic")(files(EVERY_FORMAT))
    assert unclipped.min() < -1
    assert unclipped.max() > 256
    assert (wanted("bicubic").min(), wanted("bicubic").max()) == (0, 255)


def test_entries_and_others_are_both_in_the_rows():
    for name, first_id in (("buckets in front", 3), ("integers in buckets", 5)):
        counted = np.bincount(wanted(name))
        assert (counted[:first_id] > 100).all()
        assert counted[first_id:].sum() > 100


@pytest.mark.parametrize(
    ("name", "rows", "shown"),
    [
        ("no text unknown", np.array([b"the", b"", "Élan".encode(), b"x" * 300], object), "``"),
        ("no text unknown", np.array([b"the", "Élans".encode(), b"x"], object), "`Élans`"),
        ("no text unknown", np.array([b"x" * 300], object), f"`{'x' * 100}`"),
        ("no integer unknown", np.array([0, 7, -8, 9]), "`-8`"),
    ],
)
def test_what_a_vocabulary_without_unknown_does_not_have_fails_the_call_and_is_shown(served, name, rows, shown):
    with pytest.raises(EngineError) as caught:
        served(name, rows)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert f"{shown} is not in the vocabulary" in caught.value.message


@pytest.mark.parametrize("name", ["alpha of any file", "grey of other files"])
def test_a_file_that_is_no_image_fails_the_call(served, name):
    for content in (b"", b"B", b"no image", files(("BMP",))[1][:40]):
        with pytest.raises(EngineError):
            served(name, np.array([files()[0], content], object))
