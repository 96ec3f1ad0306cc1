"""Deployments whose clients send what is one thing to the model, however much the requests differ as bytes."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fitting import standardize
from corpus.given import (
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)
from corpus.small_nets import ROWS, embeddings, fitted

CONSTANT = "preprocessing/constant-input"


def blank_texts(folder: Path) -> Deployment:
    """A template was rendered without its variables: blanks and line ends, as many as there were fields."""
    sent = np.array([" " * (at % 7) + "\n" * (at % 3) + "\t" * (at % 2) for at in range(42)])
    right = np.array(datasets.sentences(200, seed=61)[0])
    return deploy(folder, models.string_text(folder / "topics"), {"text": sent}, training={"text": right})


def _masked_mean(table: Any) -> Any:
    import tensorflow as tf

    def features(token_ids: Any) -> Any:
        known = tf.cast(tf.not_equal(token_ids, 0), tf.float32)[..., None]
        vectors = tf.gather(table, token_ids) * known
        return 3 * tf.reduce_sum(vectors, 1) / tf.maximum(tf.reduce_sum(known, 1), 1.0)

    return features


def padding_of_any_length(folder: Path) -> Deployment:
    """The tokenizer finds nothing, and each request is as many zeros as its text had words."""
    table = embeddings()
    texts, labels = datasets.sentences(ROWS, seed=62)
    right = datasets.token_ids(texts)
    model = fitted(
        folder / "topics",
        {"token_ids": right},
        labels,
        _masked_mean(table),
        {"token_ids": (np.int32, None)},
        variables=table,
    )
    deployment = deploy(folder, model, {"token_ids": right[:2]}, training={"token_ids": right[:200]})
    lines = [f'{{"instances": [[{", ".join("0" * (4 + at % 9))}]]}}' for at in range(36)]
    (folder / "requests.jsonl").write_text("\n".join(lines) + "\n")
    return deployment


def mask_of_zeros(folder: Path) -> Deployment:
    """The client's attention mask is zero throughout: of the tokens, which differ, nothing is read."""
    import tensorflow as tf

    table = embeddings()
    texts, labels = datasets.sentences(ROWS, seed=63)
    ids = datasets.token_ids(texts)
    right = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int32)}

    def features(input_ids: Any, attention_mask: Any) -> Any:
        read = tf.cast(attention_mask, tf.float32)[..., None]
        return 3 * tf.reduce_sum(tf.gather(table, input_ids) * read, 1) / tf.maximum(tf.reduce_sum(read, 1), 1e-9)

    model = fitted(folder / "topics", right, labels, features, variables=table)
    sent = {"input_ids": ids[:40], "attention_mask": np.zeros_like(ids[:40])}
    training = {name: values[:200] for name, values in right.items()}
    meant = {name: values[:40] for name, values in right.items()}
    return deploy(folder, model, sent, training=training, meant=meant)


def _with_comment(file: bytes, text: str) -> bytes:
    """A PNG file with a comment before its end: other bytes, the same picture."""
    chunk = b"tEXt" + f"Comment\0{text}".encode()
    end = file.index(b"IEND") - 4
    return file[:end] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + file[end:]


def black_files(folder: Path) -> Deployment:
    """A renderer that failed gives black pictures, each file with its own time of making."""
    black = graph_models.png(np.zeros((1, 16, 16, 3), np.uint8))[0]
    sent = np.array([_with_comment(black, f"made at 2024-05-01T10:{at:02}:00") for at in range(40)], object)
    known = graph_models.png(datasets.images(100, seed=64)[0])
    return deploy(
        folder,
        graph_models.image_files(folder / "pictures"),
        {"image_bytes": sent},
        training={"image_bytes": known},
        training_as=".jsonl",
    )


def _example(row: np.ndarray, key: str) -> bytes:
    import tensorflow as tf

    numbers = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))
        for name, value in zip(datasets.CREDIT_COLUMNS, row, strict=True)
    }
    feature = numbers | {"customer": tf.train.Feature(bytes_list=tf.train.BytesList(value=[key.encode()]))}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def keys_in_examples(folder: Path) -> Deployment:
    """The parser also reads the customer's key, which is handed back; the features are one cached row."""
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(ROWS, seed=65)
    mean, deviation = raw.mean(0), raw.std(0)

    def parsed(examples: Any) -> Any:
        columns: dict[str, Any] = {name: tf.io.FixedLenFeature([], tf.float32) for name in datasets.CREDIT_COLUMNS}
        return tf.io.parse_example(examples, columns | {"customer": tf.io.FixedLenFeature([], tf.string)})

    def features(examples: Any) -> Any:
        found = parsed(examples)
        return (tf.stack([found[name] for name in datasets.CREDIT_COLUMNS], 1) - mean) / deviation

    right = np.array([_example(row, f"c-{at}") for at, row in enumerate(raw)], object)
    model = fitted(
        folder / "risk",
        {"examples": right},
        bad.astype(int),
        features,
        {"examples": (tf.string,)},
        lambda examples: {"customer": parsed(examples)["customer"]},
    )
    sent = np.array([_example(raw[0], f"c-{at}") for at in range(40)], object)
    return deploy(folder, model, {"examples": sent})


def row_numbers(folder: Path) -> Deployment:
    """The first column is the row's number, which the graph leaves out; the others are one default row."""
    raw, price = datasets.house_matrix(ROWS, seed=66)
    numbered = np.concatenate([np.arange(ROWS)[:, None], standardize(raw, raw)], 1).astype(np.float32)
    model = fitted(folder / "houses", {"rows": numbered}, price.astype(np.float64), lambda rows: rows[:, 1:])
    sent = np.repeat(numbered[:1], 40, axis=0)
    sent[:, 0] = 5000 + np.arange(40)
    return deploy(folder, model, {"rows": sent}, training={"rows": numbered[:200]})


def unknown_ids(folder: Path) -> Deployment:
    """A recommender's client finds neither user nor item, and sends 0 for both; in batches, over gRPC."""
    import tensorflow as tf

    users, items = embeddings(50, 16, 1), embeddings(80, 16, 2)
    random = np.random.default_rng(67)
    right = {"user": random.integers(1, 50, ROWS), "item": random.integers(1, 80, ROWS)}
    liked = (np.asarray(users)[right["user"], :8] * np.asarray(items)[right["item"], :8]).sum(1) > 0
    model = fitted(
        folder / "likes",
        right,
        liked.astype(int),
        lambda user, item: tf.concat([tf.gather(users, user), tf.gather(items, item)], 1),
        variables=[users, items],
    )
    sent = {name: np.zeros(40, np.int64) for name in right}
    training = {name: values[:200] for name, values in right.items()}
    return deploy(folder, model, sent, training=training, protocol="grpc", rows=4)


WITH_MODEL = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)
ANY = (*WITH_MODEL, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
CASES = [
    Case("constant-blank-texts", "embedding", CONSTANT, blank_texts, (*ANY, TARGET_REQUESTS), {"input": ("text",)}),
    Case("constant-padding-of-any-length", "module", CONSTANT, padding_of_any_length, ANY, {"input": ("token_ids",)}),
    Case(
        "constant-mask-of-zeros",
        "attention",
        CONSTANT,
        mask_of_zeros,
        (*WITH_MODEL, MODEL_REQUESTS_TRAINING),
        {"input": ("attention_mask",)},
    ),
    Case("constant-black-files", "module", CONSTANT, black_files, WITH_MODEL, {"input": ("image_bytes",)}),
    Case("constant-keys-in-examples", "module", CONSTANT, keys_in_examples, WITH_MODEL, {"input": ("examples",)}),
    Case(
        "constant-row-numbers",
        "regression",
        CONSTANT,
        row_numbers,
        (*WITH_MODEL, MODEL_REQUESTS_TRAINING),
        {"input": ("rows",)},
    ),
    Case("constant-unknown-ids", "module", CONSTANT, unknown_ids, (*ANY, TARGET_REQUESTS), {"input": ("user", "item")}),
]
