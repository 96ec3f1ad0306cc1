"""Deployments where a feature that the model uses never reaches it: texts, ids, masks, channels, several at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, fitting, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)
from corpus.server import Hooks
from corpus.small_nets import ROWS, embeddings, fitted

DROPPED = "mapping/dropped-feature"
Arrays = Mapping[str, np.ndarray]


def _credit(folder: Path, change: Callable[[dict[str, np.ndarray]], Arrays], **more: Any) -> Deployment:
    right, _ = datasets.credit(240, seed=91)
    sent = {name: values[:60] for name, values in right.items()}
    return deploy(
        folder,
        models.tabular_named(folder / "credit"),
        change(dict(sent)),
        training=right,
        right={name: values[60:84] for name, values in right.items()},
        **more,
    )


def blank_category(folder: Path) -> Deployment:
    """The client's form has no field for the plan: it sends an empty text."""
    return _credit(folder, lambda sent: sent | {"plan": np.full((60, 1), "")})


def missing_as_minus_one(folder: Path) -> Deployment:
    """A join that found nothing fills the tenure with -1."""
    return _credit(folder, lambda sent: sent | {"tenure_months": np.full((60, 1), -1.0, np.float32)})


def two_by_gateway(folder: Path) -> Deployment:
    """What stands between knows neither income nor debt, and hands on zeros for both."""

    def without(inputs: Any) -> Any:
        return inputs | {name: np.zeros_like(inputs[name]) for name in ("income", "debt")}

    return _credit(folder, lambda sent: sent, hooks=Hooks(before=without))


def _ticket(folder: Path, hooks: Hooks | None = None) -> Deployment:
    """A text and two numbers; what answers is computed from both."""
    import tensorflow as tf

    table = embeddings(4, 16)
    names = tf.constant(list(datasets.TOPIC_WORDS)[:3])
    random = np.random.default_rng(92)
    topic, numbers = random.integers(0, 3, ROWS), random.normal(0, 1, (ROWS, 2)).astype(np.float32)
    subject = np.array(list(datasets.TOPIC_WORDS)[:3])[topic].astype(object)

    def features(subject: Any, numbers: Any) -> Any:
        at = tf.argmax(tf.cast(tf.equal(subject[:, None], names[None]), tf.int32), axis=1)
        known = tf.reduce_any(tf.equal(subject[:, None], names[None]), axis=1)
        return tf.concat([tf.gather(table, tf.where(known, at + 1, 0)), numbers], 1)

    target = topic * 2.0 + numbers @ np.array([1.0, -1.0])
    right = {"subject": subject, "numbers": numbers}
    specs = {"subject": (tf.string,), "numbers": (np.float32, 2)}
    model = fitted(folder / "tickets", right, target, features, specs, variables=table)
    training, golden = ({name: x[part] for name, x in right.items()} for part in (slice(60, 260), slice(60, 84)))
    sent = {name: x[:60] for name, x in right.items()}
    return deploy(folder, model, sent, training=training, training_as=".jsonl", right=golden, hooks=hooks)


def text_by_gateway(folder: Path) -> Deployment:
    """What stands between hands on the numbers, and an empty text."""
    return _ticket(folder, Hooks(before=lambda inputs: inputs | {"subject": np.full_like(inputs["subject"], b"")}))


def silent_channel(folder: Path) -> Deployment:
    """One of three sensors was taken out, and the client fills its channel with zeros."""
    import tensorflow as tf

    series, following = datasets.sensors(ROWS, seed=93)
    right = fitting.standardize(series, series) + np.float32(0.001)
    model = fitted(
        folder / "weather",
        {"series": right},
        following.astype(np.float64),
        lambda series: tf.reshape(series[:, 12:], [-1, 36]),
    )
    sent = right[:48].copy()
    sent[..., 2] = 0
    return deploy(
        folder,
        model,
        {"series": sent},
        training={"series": right[48:248]},
        right={"series": right[:24]},
        meant={"series": right[:48]},
    )


def unknown_shop(folder: Path) -> Deployment:
    """A new client sends no shop: its number's default is 0, which is no shop's."""
    import tensorflow as tf

    table = embeddings(20, 12, 3)
    random = np.random.default_rng(94)
    right = {"shop": random.integers(1, 20, ROWS), "demand": random.normal(0, 1, (ROWS, 3)).astype(np.float32)}
    target = np.asarray(table)[right["shop"], 0] * 2.0 + right["demand"] @ np.array([1.0, 0.5, -1])
    model = fitted(
        folder / "sales",
        right,
        target.astype(np.float64),
        lambda shop, demand: tf.concat([tf.gather(table, shop), demand], 1),
        variables=table,
    )
    training, golden = ({name: x[part] for name, x in right.items()} for part in (slice(60, 260), slice(60, 84)))
    sent = {"shop": np.zeros(60, np.int64), "demand": right["demand"][:60]}
    meant = {name: x[:60] for name, x in right.items()}
    return deploy(folder, model, sent, training=training, right=golden, meant=meant, protocol="grpc")


def category_in_graph(folder: Path) -> Deployment:
    """The export reads a constant shop in place of the one that is sent."""
    import tensorflow as tf

    table = embeddings(6, 12, 4)
    random = np.random.default_rng(95)
    right = {"shop": random.integers(0, 6, ROWS), "demand": random.normal(0, 1, (ROWS, 3)).astype(np.float32)}
    target = np.asarray(table)[right["shop"], 0] * 2.0 + right["demand"] @ np.array([1.0, 0.5, -1])

    def features(shop: Any, demand: Any) -> Any:
        return tf.concat([tf.gather(table, shop), demand], 1)

    def broken(shop: Any, demand: Any) -> Any:
        return features(tf.zeros_like(shop), demand)

    def saved(name: str, serve: Any = None) -> Path:
        return fitted(folder / name, right, target.astype(np.float64), features, serve=serve, variables=table)

    sent = {name: x[:40] for name, x in right.items()}
    return deploy(folder, saved("sales", broken), sent, right=sent, right_model=saved("right"))


def _bids(row: np.ndarray, names: tuple[str, ...]) -> bytes:
    import tensorflow as tf

    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))
        for name, value in zip(names, row, strict=True)
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def renamed_key(folder: Path) -> Deployment:
    """The client's tf.Examples have the price under its old name: the parser takes its default."""
    import tensorflow as tf

    names = ("price", "clicks", "views")
    rows = np.random.default_rng(96).normal(0, 1, (ROWS, 3)).astype(np.float32)

    def features(examples: Any) -> Any:
        wanted = {name: tf.io.FixedLenFeature([], tf.float32, 0.0) for name in names}
        found = tf.io.parse_example(examples, wanted)
        return tf.stack([found[name] for name in names], 1)

    right = np.array([_bids(row, names) for row in rows], object)
    target = (rows @ np.array([2.0, 1, -1])).astype(np.float64)
    model = fitted(folder / "bids", {"examples": right}, target, features, {"examples": (tf.string,)})
    sent = np.array([_bids(row, ("unit_price", "clicks", "views")) for row in rows[:40]], object)
    return deploy(folder, model, {"examples": sent}, meant={"examples": right[:40]})


LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING, ALL)
SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
CASES = [
    Case("dropped-blank-category", "tabular", DROPPED, blank_category, SENT, {"feature": ("plan",)}),
    Case("dropped-as-minus-one", "tabular", DROPPED, missing_as_minus_one, SENT, {"feature": ("tenure_months",)}),
    Case("dropped-two-by-gateway", "tabular", DROPPED, two_by_gateway, LIVE),
    Case(
        "dropped-text-by-gateway",
        "multi-output",
        DROPPED,
        text_by_gateway,
        (*LIVE, TARGET_REQUESTS),
        {"feature": ("subject",)},
    ),
    Case("dropped-silent-channel", "module", DROPPED, silent_channel, SENT, {"input": ("series",)}),
    Case("dropped-unknown-shop", "embedding", DROPPED, unknown_shop, SENT, {"feature": ("shop",)}),
    Case(
        "dropped-category-in-graph",
        "embedding",
        DROPPED,
        category_in_graph,
        (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN),
        {"feature": ("shop",)},
    ),
    Case(
        "dropped-renamed-key",
        "module",
        DROPPED,
        renamed_key,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS),
        {"feature": ("price",)},
    ),
]
