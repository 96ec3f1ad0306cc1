"""Every kind of pipeline step does what NumPy, Python or Keras does; and a baked model does what a served one does."""

import io
import re
import string
from functools import cache

import numpy as np
import pytest
from pipeline_cases import assert_same, by_engine, by_load, by_loader, export

from unstuck.engines.tensorflow.runtime import tf
from unstuck.errors import EngineError
from unstuck.pipeline.steps import STEPS

ROWS, IMAGES = 10_000, 200
EDGES = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 0.5, 3e38, -3e38, 1e-30, 2**24 + 2.0]
WORDS = ["the", "cat", "sat", "élan", "straße", "漢字", "it's", "e-mail", "a", "b", "zero", "😀", "no", "yes"]
NAMES = ["no", "yes", "peut-être"]


@cache
def texts() -> np.ndarray:
    """Words, punctuation, white space and letters of several scripts; then what is unusual."""
    random = np.random.default_rng(0)
    letters = [*string.printable, *"äÖßÉñÇøŁžΑβΓωЖбЯ漢字かな😀", "\u00a0", "\u2028", "\0"]
    texts = [
        *("", " ", "\t\n", "...", "İstanbul", "ΣΑΣ", "ŉ", "e\u0301", "\ufeffa", "a,b,,c,", ",", "a" * 100_000),
        *("é" * 50_000, "word " * 20_000, "\u2003wide\u3000", "A-B", "0", "🏳️‍🌈"),
    ]
    while len(texts) < ROWS:
        words = random.choice(WORDS, random.integers(0, 12))
        mixed = "".join(random.choice(letters, random.integers(0, 12)))
        texts.append(f"{random.choice([' ', ', ', ' - '])}".join(words).title() + mixed)
    return np.array([text.encode() for text in texts], object)


@cache
def words() -> np.ndarray:
    random = np.random.default_rng(1)
    return np.array([word.encode() for word in ["", " ", "THE", "unknown", *random.choice(WORDS, ROWS - 4)]], object)


@cache
def floats(columns: int | None = 3, dtype: type = np.float32) -> np.ndarray:
    rows = np.random.default_rng(2).normal(0, 100, (ROWS, columns or 1)).astype(dtype)
    rows[: len(EDGES)] = np.array(EDGES, dtype)[:, None]
    rows[: len(EDGES), 0] = EDGES[::-1]
    return rows if columns else rows[:, 0]


def scores() -> np.ndarray:
    """Without NaN, and with ties."""
    rows = np.random.default_rng(3).integers(-20, 20, (ROWS, 5)).astype(np.float32) / 4
    rows[:4] = [[0] * 5, [-np.inf, 0, 0, 1, 1], [np.inf, *[1] * 4], [-0.0, 0, -1, -2, -3]]
    return rows


def ids(dtype: type = np.int64) -> np.ndarray:
    """Most of them from 0 to 7, the others outside of any small depth."""
    info, random = np.iinfo(dtype), np.random.default_rng(4)
    rows = random.integers(0, 8, ROWS).astype(dtype)
    rows[:8] = [info.min, info.max, 3, 4, 100, info.max // 2, 0, 1]
    rows[8:100] = random.integers(info.min, info.max, 92, dtype)
    return rows


def around() -> np.ndarray:
    return np.arange(2**24 - ROWS // 2, 2**24 + ROWS // 2, dtype=np.int32)  # beyond 2**24, floats skip integers


def pixels() -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 255, (ROWS, 2, 4, 3)).astype(np.float32)


@cache
def files(formats: tuple[str, ...] = ("PNG", "JPEG"), size: tuple[int, int] | None = None) -> np.ndarray:
    """Images of random sizes, or of one; in colour and in grey."""
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(6)
    rows = np.empty(IMAGES, object)
    for at in range(IMAGES):
        shape = size or tuple(random.integers(1, 24, 2))
        content = random.integers(0, 256, (*shape, 3)[: 3 - at % 4 // 3], np.uint8)
        file = io.BytesIO()
        image.fromarray(content).save(file, formats[at % len(formats)])
        rows[at] = file.getvalue()
    return rows


def by_pil(mode: str):
    def decoded(rows):
        image = pytest.importorskip("PIL.Image")
        arrays = [np.asarray(image.open(io.BytesIO(row)).convert(mode), np.float32) for row in rows]
        return np.stack(arrays).reshape(len(rows), 5, 7, -1)

    return decoded


def by_tf_image(height, width, channels, method):
    def decoded(rows):
        images = [tf.io.decode_image(row, channels, expand_animations=False) for row in rows]
        return np.stack([np.asarray(tf.image.resize(each, (height, width), method), np.float32) for each in images])

    return decoded


def by_keras(make):
    def answered(rows):
        import keras

        with tf.device("cpu"):
            answer = np.asarray(make(keras.layers)(tf.constant(rows)))
        return answer.astype(np.int64) if answer.dtype.kind == "i" else answer

    return answered


def ascii_lower(text):
    return "".join(each.lower() if each.isascii() else each for each in text)


def each_text(change):
    return lambda rows: np.array([change(row.decode()).encode() for row in rows], object)


def padded(part, length, value=b"", dtype=object):
    def lists(rows):
        whole = np.full((len(rows), length), value, dtype)
        for at, row in enumerate(rows):
            parts = part(row)[:length]
            whole[at, : len(parts)] = parts
        return whole

    return lists


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(x):
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


def one_hot(depth):
    return lambda x: (x[..., None].astype(object) == np.arange(depth)).astype(np.float32)


def named(x):
    return np.array([(NAMES[at] if 0 <= at < len(NAMES) else "?").encode() for at in x], object)


def logarithm(x, offset=1.5):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x + np.float32(offset))


def buckets(x):
    """As Python counts, NaN being above all numbers, as for NumPy and Keras."""
    counted = [len(BOUNDARIES) if y != y else sum(each <= y for each in BOUNDARIES) for y in x.ravel().tolist()]
    return np.reshape(counted, x.shape)


def looked_up(tokens, first_id, unknown):
    ids = {word.encode(): at + first_id for at, word in enumerate(WORDS)}
    return np.array([ids.get(token, unknown) for token in tokens], np.int64)


def without_punctuation(text):
    return text.translate(dict.fromkeys(map(ord, string.punctuation)))


def hashed_words(rows):
    known = sorted({word for row in rows for word in row.split()})
    hashes = dict(zip(known, by_keras(lambda layers: layers.Hashing(7))(np.array(known, object)), strict=True))
    return padded(lambda row: [hashes[word] for word in row.split()], 3, -1, np.int64)(rows)


BOUNDARIES = [-100.0, -1.0, 0.0, 0.5, 16777217.0]
MEANS, STDS = [0.5, -2.0, 100.0], [1.0, 0.25, 30.0]
TEXT = ["lowercase", "remove_punctuation", "split", {"vocabulary": {"file": "words.txt", "first_id": 2, "unknown": 1}}]
TEXT_TO_IDS = [*TEXT, {"pad": {"length": 16, "value": 0}}]


# By the name of a case, which names its signature too: its steps, its raw rows, and what comes of them.
CASES = {
    "lowercase": (["lowercase"], texts, each_text(str.lower)),
    "lowercase as Keras": ([{"lowercase": {"ascii_only": True}}], texts, each_text(ascii_lower)),
    "uppercase": (["uppercase"], texts, each_text(str.upper)),
    "strip": (["strip"], texts, lambda rows: np.array([row.strip() for row in rows], object)),
    "remove_punctuation": (["remove_punctuation"], texts, each_text(without_punctuation)),
    "replace": ([{"replace": {"pattern": "([a-z])-([a-z])|[0-9]+", "by": r"<\2\1>"}}], texts,
        each_text(lambda text: re.sub("([a-z])-([a-z])|[0-9]+", r"<\2\1>", text))),
    "split_words": (["split", {"pad": {"length": 9, "value": ""}}], texts, padded(bytes.split, 9)),
    "split_characters": ([{"split": {"into": "characters"}}, {"pad": {"length": 20, "value": "é"}}], texts,
        padded(lambda row: [character.encode() for character in row.decode()], 20, "é".encode())),
    "split_at": ([{"split": {"separator": ", "}}, {"pad": {"length": 4, "value": "-"}}], texts,
        padded(lambda row: row.split(b", "), 4, b"-")),
    "vocabulary": ([{"vocabulary": {"tokens": WORDS, "unknown": -1}}], words, lambda rows: looked_up(rows, 0, -1)),
    "vocabulary_file": ([{"vocabulary": {"file": "words.txt", "unknown": 0, "first_id": 1}}], words,
        by_keras(lambda layers: layers.StringLookup(vocabulary=WORDS))),
    "hash": ([{"hash": {"buckets": 997}}], texts, by_keras(lambda layers: layers.Hashing(997))),
    "hash_words": (["split", {"hash": {"buckets": 7}}, {"pad": {"length": 3, "value": -1}}], texts, hashed_words),
    "pad": (["split", {"vocabulary": {"tokens": WORDS, "unknown": -1}}, {"pad": {"length": 5, "value": -2}}], texts,
        padded(lambda row: looked_up(row.split(), 0, -1), 5, -2, np.int64)),
    "text": (TEXT_TO_IDS, lambda: np.array([text for text in texts() if text.isascii()], object),
        by_keras(lambda layers: layers.TextVectorization(vocabulary=WORDS, output_sequence_length=16))),
    "text_of_any_script": (TEXT_TO_IDS, texts,
        padded(lambda row: looked_up(without_punctuation(row.decode().lower()).encode().split(), 2, 1), *(16, 0, int))),
    "cast_to_int": ([{"cast": {"dtype": "int32"}}], lambda: floats()[12:], lambda x: x.astype(np.int32)),
    "cast_to_float": ([{"cast": {"dtype": "float"}}], ids, lambda x: x.astype(np.float32)),
    "cast_to_half": ([{"cast": {"dtype": "float16"}}], scores, lambda x: x.astype(np.float16)),
    "cast_to_uint8": ([{"cast": {"dtype": "uint8"}}], lambda: ids() % 256, lambda x: x.astype(np.uint8)),
    "z_score": ([{"z_score": {"mean": 3, "std": 2.5}}], floats, lambda x: (x - np.float32(3)) / np.float32(2.5)),
    "z_score_by_column": ([{"z_score": {"mean": MEANS, "std": STDS}}], floats,
        by_keras(lambda layers: layers.Normalization(mean=MEANS, variance=np.square(STDS)))),
    "z_score_of_integers": ([{"z_score": {"mean": 1, "std": 4}}], ids, lambda x: (x.astype(np.float32) - 1) / 4),
    "z_score_of_doubles": ([{"z_score": {"mean": MEANS, "std": STDS}}], lambda: floats(3, np.float64),
        lambda x: (x - MEANS) / STDS),
    "min_max": ([{"min_max": {"min": -10, "max": 6}}], floats, lambda x: (x + np.float32(10)) / np.float32(16)),
    "min_max_by_column": ([{"min_max": {"min": MEANS, "max": [1.0, 2.0, 400.0]}}], lambda: floats(3, np.float64),
        lambda x: (x - MEANS) / np.subtract([1.0, 2.0, 400.0], MEANS)),
    "scale": ([{"scale": {"factor": 0.5, "offset": [1, 2, 3]}}], floats, lambda x: x / 2 + np.float32([1, 2, 3])),
    "log": ([{"log": {"offset": 1.5}}], lambda: floats(None), logarithm),
    "clip": ([{"clip": {"min": -1.5, "max": 20}}], floats, lambda x: np.clip(x, np.float32(-1.5), np.float32(20))),
    "clip_integers": ([{"clip": {"min": -1, "max": 5}}], ids, lambda x: np.clip(x, -1, 5)),
    "bucketize": ([{"bucketize": {"boundaries": BOUNDARIES}}], floats, buckets),
    "bucketize_integers": ([{"bucketize": {"boundaries": BOUNDARIES}}], around, buckets),
    "bucketize_scalars": ([{"bucketize": {"boundaries": [0.0, 1.0, 10.0]}}], lambda: floats(None),
        by_keras(lambda layers: layers.Discretization(bin_boundaries=[0.0, 1.0, 10.0]))),
    "fill_missing": ([{"fill_missing": {"value": -1}}], floats, lambda x: np.where(np.isnan(x), np.float32(-1), x)),
    "fill_missing_text": ([{"fill_missing": {"value": "none"}}], words, each_text(lambda text: text or "none")),
    **{
        f"one_hot_of_{name}": ([{"one_hot": {"depth": 5}}], lambda name=name: ids(np.dtype(name).type), one_hot(5))
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "one_hot_in_range": ([{"one_hot": {"depth": 8}}], lambda: ids()[100:],
        by_keras(lambda layers: layers.CategoryEncoding(num_tokens=8, output_mode="one_hot"))),
    "reshape": ([{"reshape": {"shape": [2, -1]}}], lambda: scores()[:, :4], lambda x: x.reshape(-1, 2, 2)),
    "reshape_to_scalars": ([{"reshape": {"shape": []}}], lambda: scores()[:, :1], lambda x: x[:, 0]),
    "image": ([{"decode_image": {"height": 8, "width": 9}}, "reverse_channels", {"scale": {"factor": 1 / 255}}], files,
        lambda rows: by_tf_image(8, 9, 3, "bilinear")(rows)[..., ::-1] / np.float32(255)),
    "decode_image_nearest": ([{"decode_image": {"height": 3, "width": 11, "channels": 1, "method": "nearest"}}], files,
        by_tf_image(3, 11, 1, "nearest")),
    "decode_image_exactly": ([{"decode_image": {"height": 5, "width": 7}}], lambda: files(("PNG", "BMP"), (5, 7)),
        by_pil("RGB")),
    "decode_image_with_alpha": ([{"decode_image": {"height": 5, "width": 7, "channels": 4}}],
        lambda: files(("PNG",), (5, 7)), by_pil("RGBA")),
    "reverse_channels": (["reverse_channels"], pixels, lambda x: x[..., ::-1]),
    "channels_first": (["channels_first"], pixels, lambda x: x.transpose(0, 3, 1, 2)),
    "softmax": (["softmax"], lambda: np.delete(scores(), 2, axis=0), softmax),
    "softmax_of_doubles": (["softmax"], lambda: floats(3, np.float64)[len(EDGES) :], softmax),
    "sigmoid": (["sigmoid"], floats, sigmoid),
    "argmax": (["argmax"], scores, lambda x: x.argmax(-1)),
    "threshold": ([{"threshold": {"at": 0.7}}], floats, lambda x: (x >= np.float32(0.7)).astype(np.int64)),
    "threshold_of_integers": ([{"threshold": {"at": 2**24 + 1}}], around, lambda x: (x > 2**24).astype(np.int64)),
    "labels": ([{"labels": {"names": NAMES, "unknown": "?"}}], ids, named),
    "labels_of_bytes": ([{"labels": {"names": NAMES, "unknown": "?"}}], lambda: ids(np.uint8), named),
    "categories": (
        ["strip", "lowercase", {"vocabulary": {"tokens": WORDS, "unknown": len(WORDS)}}, {"one_hot": {"depth": 14}}],
        words, lambda rows: one_hot(14)(looked_up([row.strip().lower() for row in rows], 0, 14))),
    "numbers": (
        [{"fill_missing": {"value": 1}}, {"clip": {"min": 0, "max": 9}}, "log", {"min_max": {"min": -1, "max": 3}}],
        floats, lambda x: (logarithm(np.clip(np.where(np.isnan(x), 1, x), 0, 9), 0) + 1) / 4),
}  # fmt: skip


@cache
def expected(name: str) -> np.ndarray:
    _, rows, reference = CASES[name]
    return reference(rows())


def raw(name: str) -> np.ndarray:
    return CASES[name][1]()


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    """The model, which gives back what it gets, by signature; and its pipeline file."""
    folder = tmp_path_factory.mktemp("pipeline")
    paths = export(folder, CASES)
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return paths


def test_no_kind_of_step_is_forgotten():
    from test_pipeline_dates import CASES as DATES  # they import this module
    from test_pipeline_text import CASES as TEXTS
    from test_pipeline_values import CASES as VALUES

    cases = [*CASES.values(), *DATES.values(), *TEXTS.values(), *VALUES.values()]
    used = {next(iter(step)) if isinstance(step, dict) else step for steps, *_ in cases for step in steps}
    assert used == STEPS.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_step_does_what_its_reference_does(served, name):
    assert_same(served(name, raw(name)), expected(name))


@pytest.mark.parametrize("name", CASES)
def test_a_row_alone_is_answered_as_among_others_and_no_rows_by_none(served, name):
    for part in (slice(0), slice(1), slice(7, 10)):
        assert_same(served(name, raw(name)[part]), expected(name)[part])


def test_scores_that_are_no_numbers_are_no_probabilities_that_look_right(served):
    rows = np.array([[np.nan, 1, 2, 3, 4], [np.inf, 1, 2, 3, 4], [-np.inf] * 5], np.float32)
    assert np.isnan(served("softmax", rows)).any(axis=1).all()


@pytest.mark.parametrize("name", ["image", "decode_image_nearest"])
def test_a_file_that_is_no_image_fails_the_call(served, name):
    for content in (b"", b"no image", files()[1][:40]):
        with pytest.raises(EngineError):
            served(name, np.array([files()[0], content], object))


@pytest.fixture(
    scope="module", params=[by_loader, *(pytest.param(each, marks=pytest.mark.slow) for each in (by_engine, by_load))]
)
def answered(request, baked):
    """``answered(name, rows)``: what the baked model answers, loaded in one of the ways that there are."""
    return request.param(baked)


@pytest.mark.parametrize("name", CASES)
def test_a_baked_model_answers_as_the_served_pipeline(served, answered, name):
    got, wanted = answered(name, raw(name)), served(name, raw(name))
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind == "f":  # the threads of TensorFlow flush what is below the least normal number to 0
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-37)
    else:
        np.testing.assert_array_equal(got, wanted)
