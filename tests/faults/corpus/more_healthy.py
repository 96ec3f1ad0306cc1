"""Healthy deployments that look like the cases beside them: what is constant, short, whole or alike is so by right."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fitting import standardize
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)
from corpus.more_dropped import _bids, _ticket
from corpus.server import Hooks
from corpus.small_nets import ROWS, embeddings, fitted

EVERY = (
    MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
    ALL,
)


def one_region(folder: Path) -> Deployment:
    """All requests come from one branch, which a quarter of training did; none has a plan of the dearest kind."""
    right, _ = datasets.credit(400, seed=111)
    kept = (right["region"][:, 0] == "south") & (right["plan"][:, 0] != "pro")
    sent = {name: values[kept][:40] for name, values in right.items()}
    model = models.tabular_named(folder / "credit")
    return deploy(folder, model, sent, training=right, right={name: values[:24] for name, values in right.items()})


def rare_option(folder: Path) -> Deployment:
    """An optional number that is 0 in nine of ten training rows is 0 in all requests."""
    random = np.random.default_rng(112)
    right = random.normal(0, 1, (ROWS, 4)).astype(np.float32)
    right[:, 2] = np.where(random.random(ROWS) < 0.9, 0, right[:, 2])
    model = fitted(
        folder / "offers",
        {"features": right},
        (right @ np.array([1.0, 2, 1, -1])).astype(np.float64),
        lambda features: features,
    )
    sent = right[right[:, 2] == 0][:30]
    return deploy(folder, model, {"features": sent}, training={"features": right[:300]}, right={"features": right[:24]})


def hardly_used(folder: Path) -> Deployment:
    """The fourth column moves the answer by a ten-millionth of its range, as the model learnt."""
    random = np.random.default_rng(113)
    right = random.normal(0, 1, (ROWS, 4)).astype(np.float32)
    weight = np.float32([1, 1, 1, 1e-7])
    target = (right[:, :3] @ np.array([1.0, 2, -1])).astype(np.float64)
    model = fitted(folder / "scores", {"features": right}, target, lambda features: features * weight)
    known = {"features": right[100:400]}
    return deploy(folder, model, {"features": right[:40]}, training=known, right={"features": right[100:124]})


def short_texts(folder: Path) -> Deployment:
    """Searches of one or two words, some empty, to a model that was trained on such."""
    random = np.random.default_rng(114)
    words = [word for topic in datasets.TOPIC_WORDS.values() for word in topic]

    def searches(count: int) -> np.ndarray:
        return np.array(
            [" ".join(random.choice(words, at)) for at in random.choice([0, 1, 2], count, p=[0.2, 0.5, 0.3])]
        )

    model = models.string_text(folder / "topics")
    sent, known = searches(40), searches(200)
    return deploy(folder, model, {"text": sent}, training={"text": known}, right={"text": known[:24]})


def normal_by_nature(folder: Path) -> Deployment:
    """Measured deviations, around 0 and of deviation near 1, to a graph that standardises by 0.02 and 1.1."""
    random = np.random.default_rng(115)
    right = random.normal(0.02, 1.1, (ROWS, 5)).astype(np.float32)
    model = fitted(
        folder / "drift",
        {"deviations": right},
        (right @ np.arange(1, 6)).astype(np.float64),
        lambda deviations: (deviations - np.float32(0.02)) / np.float32(1.1),
    )
    known = {"deviations": right[100:400]}
    return deploy(folder, model, {"deviations": right[:40]}, training=known, right={"deviations": right[100:124]})


def unit_vectors(folder: Path) -> Deployment:
    """Both client and graph bring vectors to length 1: the second time changes nothing."""
    import tensorflow as tf

    random = np.random.default_rng(116)
    raw = random.normal(0, 1, (ROWS, 12)).astype(np.float32)
    right = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    model = fitted(
        folder / "faces",
        {"vector": right},
        (right[:, 0] > 0).astype(int),
        lambda vector: 3 * tf.math.l2_normalize(vector, 1),
    )
    known = {"vector": right[100:400]}
    return deploy(folder, model, {"vector": right[:40]}, training=known, right={"vector": right[100:124]})


def symmetric_tables(folder: Path) -> Deployment:
    """Distances between 10 places: rows and columns are one."""
    import tensorflow as tf

    random = np.random.default_rng(117)
    where = random.uniform(0, 10, (ROWS, 10, 2)) * random.uniform(0.5, 1.5, (ROWS, 1, 1))
    right = np.linalg.norm(where[:, :, None] - where[:, None], axis=-1).astype(np.float32)
    target = right.mean((1, 2)).astype(np.float64)
    model = fitted(
        folder / "tours", {"distances": right}, target, lambda distances: tf.reshape(distances / 10.0, [-1, 100])
    )
    known = {"distances": right[100:400]}
    return deploy(folder, model, {"distances": right[:60]}, training=known, right={"distances": right[100:124]})


def whole_amounts(folder: Path) -> Deployment:
    """Amounts are whole in three of four training rows, and in all of few requests."""
    random = np.random.default_rng(118)
    right = random.gamma(2, 30, (ROWS, 4)).astype(np.float32)
    right = np.where((random.random(ROWS) < 0.75)[:, None], np.round(right), right).astype(np.float32)
    model = fitted(
        folder / "orders",
        {"amounts": right},
        (right @ np.array([1.0, 2, -1, 1])).astype(np.float64),
        lambda amounts: amounts / np.float32(60) - 1,
    )
    sent = right[(right == np.round(right)).all(1)][:40]
    return deploy(folder, model, {"amounts": sent}, training={"amounts": right[:300]}, right={"amounts": right[:24]})


def hashes(folder: Path) -> Deployment:
    """Categories are hexadecimal digests, as they were in training."""
    import hashlib

    import tensorflow as tf

    names = [hashlib.sha1(f"device {at}".encode()).hexdigest() for at in range(12)]
    table, known = embeddings(12, 16, 5), tf.constant(names)
    at = np.random.default_rng(119).integers(0, 12, ROWS)

    def features(device: Any) -> Any:
        return tf.gather(table, tf.argmax(tf.cast(tf.equal(device[:, None], known[None]), tf.int32), axis=1))

    right = np.array(names)[at].astype(object)
    model = fitted(folder / "devices", {"device": right}, at % 3, features, {"device": (tf.string,)}, variables=[table])
    training = {"device": right[100:300]}
    return deploy(
        folder, model, {"device": right[:40]}, training=training, training_as=".jsonl", right={"device": right[100:124]}
    )


def partly_masked(folder: Path) -> Deployment:
    """Short texts, most of whose attention mask is zero."""
    import tensorflow as tf

    table = embeddings()
    texts, labels = datasets.sentences(ROWS, seed=120, words=(2, 5))
    ids = datasets.token_ids(texts, 32)
    right = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int32)}

    def features(input_ids: Any, attention_mask: Any) -> Any:
        read = tf.cast(attention_mask, tf.float32)[..., None]
        return 3 * tf.reduce_sum(tf.gather(table, input_ids) * read, 1) / tf.maximum(tf.reduce_sum(read, 1), 1e-9)

    model = fitted(folder / "topics", right, labels, features, variables=table)
    parts = {"training": slice(100, 400), "right": slice(100, 124)}
    known = {kind: {name: x[part] for name, x in right.items()} for kind, part in parts.items()}
    return deploy(folder, model, {name: x[:40] for name, x in right.items()}, **known)


def row_numbers_beside(folder: Path) -> Deployment:
    """The first column is the row's number, which the graph leaves out; the others differ."""
    raw, price = datasets.house_matrix(ROWS, seed=121)
    numbered = np.concatenate([np.arange(ROWS)[:, None], standardize(raw, raw)], 1).astype(np.float32)
    model = fitted(folder / "houses", {"rows": numbered}, price.astype(np.float64), lambda rows: rows[:, 1:])
    sent = numbered[:40].copy()
    sent[:, 0] += 5000
    return deploy(folder, model, {"rows": sent}, training={"rows": numbered[100:400]}, right={"rows": numbered[:24]})


def rounded_by_gateway(folder: Path) -> Deployment:
    """What stands between writes numbers with six digits."""

    def short(inputs: Any) -> Any:
        return {
            name: np.float32([[float(f"{x:.6g}") for x in row] for row in values]) for name, values in inputs.items()
        }

    right = models.standardized_credit(300, seed=122)
    model = models.dense_tabular(folder / "credit")
    known = {"features": right[60:260]}
    return deploy(
        folder,
        model,
        {"features": right[:40]},
        training=known,
        right={"features": right[60:84]},
        hooks=Hooks(before=short),
    )


def same_pictures_again(folder: Path) -> Deployment:
    """Three of four requests are for the picture of the day, whose file is one."""
    files = graph_models.png(datasets.images(120, seed=123)[0])
    sent = np.array([files[0] if at % 4 else files[at] for at in range(40)], object)
    model = graph_models.image_files(folder / "pictures")
    return deploy(
        folder,
        model,
        {"image_bytes": sent},
        training={"image_bytes": files},
        training_as=".jsonl",
        right={"image_bytes": files[:24]},
    )


def raw_by_nature(folder: Path) -> Deployment:
    """Small shares to a graph that divides percents by 100, which three requests in four hold next to nothing of."""
    random = np.random.default_rng(124)
    right = (100 * random.beta(0.4, 8, (ROWS, 5))).astype(np.float32)
    model = fitted(
        folder / "rates",
        {"percents": right},
        (right @ np.arange(1, 6)).astype(np.float64),
        lambda percents: percents / np.float32(100) * 10,
    )
    sent = right[(right < 25).all(1)][:40]
    return deploy(folder, model, {"percents": sent}, training={"percents": right[:300]}, right={"percents": right[:24]})


def optional_key(folder: Path) -> Deployment:
    """tf.Examples have a count that nothing reads, and no discount, which is optional and seldom sent."""
    import tensorflow as tf

    names = ("price", "clicks", "discount")
    rows = np.random.default_rng(125).normal(0, 1, (ROWS, 3)).astype(np.float32)

    def features(examples: Any) -> Any:
        found = tf.io.parse_example(examples, {name: tf.io.FixedLenFeature([], tf.float32, 0.0) for name in names})
        return tf.stack([found[name] for name in names], 1)

    right = np.array([_bids(row, names) for row in rows], object)
    target = (rows @ np.array([2.0, 1, -1])).astype(np.float64)
    model = fitted(folder / "bids", {"examples": right}, target, features, {"examples": (tf.string,)})
    sent = np.array([_bids(row, ("price", "clicks", "count")) for row in rows[:40]], object)
    return deploy(folder, model, {"examples": sent}, right={"examples": right[:24]})


CASES = [
    Case(
        "healthy-optional-key",
        "module",
        None,
        optional_key,
        (MODEL_REQUESTS, TARGET_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_GOLDEN),
    ),
    Case("healthy-one-region", "tabular", None, one_region, EVERY),
    Case("healthy-rare-option", "regression", None, rare_option, EVERY),
    Case("healthy-hardly-used", "regression", None, hardly_used, EVERY),
    Case("healthy-short-texts", "embedding", None, short_texts, EVERY),
    Case("healthy-normal-by-nature", "regression", None, normal_by_nature, EVERY),
    Case("healthy-unit-vectors", "module", None, unit_vectors, EVERY),
    Case("healthy-symmetric-tables", "regression", None, symmetric_tables, EVERY),
    Case("healthy-whole-amounts", "regression", None, whole_amounts, EVERY),
    Case("healthy-hashes", "embedding", None, hashes, EVERY),
    Case("healthy-partly-masked", "attention", None, partly_masked, EVERY),
    Case("healthy-row-numbers-beside", "regression", None, row_numbers_beside, EVERY),
    Case("healthy-rounded-by-gateway", "dense", None, rounded_by_gateway, EVERY),
    Case("healthy-same-pictures-again", "module", None, same_pictures_again, EVERY),
    Case("healthy-shares-by-nature", "regression", None, raw_by_nature, EVERY),
    Case("healthy-text-and-numbers", "multi-output", None, _ticket, EVERY),
]
