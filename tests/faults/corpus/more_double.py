"""Deployments whose numbers are normalised twice: by logarithms, ranges, channels, and by what stands between."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fitting import standardize
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.server import Hooks
from corpus.small_nets import ROWS, fitted, tiles

DOUBLE = "preprocessing/double-normalization"
KNOWN = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, MODEL_REQUESTS_GOLDEN, ALL)


def logarithms(folder: Path) -> Deployment:
    """Amounts are sent as log(1 + x) to a graph that takes the logarithm itself."""
    import tensorflow as tf

    random = np.random.default_rng(71)
    amounts = random.lognormal([3, 5, 8, 6], [1.0, 1.2, 0.8, 1.5], (ROWS, 4)).astype(np.float32)
    target = (np.log1p(amounts) @ np.array([1.0, -1, 1, 0.5])).astype(np.float64)
    model = fitted(folder / "spend", {"amounts": amounts}, target, lambda amounts: tf.math.log1p(amounts) - 4)
    right = {"amounts": amounts[:200]}
    return deploy(folder, model, {"amounts": np.log1p(amounts[:60])}, training=right, right={"amounts": amounts[:24]})


def ranges(folder: Path) -> Deployment:
    """The graph brings each column from its range to 0..1; so does the client."""
    raw, price = datasets.house_matrix(ROWS, seed=72)
    low, width = raw.min(0), np.ptp(raw, axis=0)

    def features(features: Any) -> Any:
        return (features - low) / width

    model = fitted(folder / "houses", {"features": raw}, price.astype(np.float64), features)
    sent = {"features": ((raw[:60] - low) / width).astype(np.float32)}
    return deploy(folder, model, sent, training={"features": raw[:200]}, right={"features": raw[:24]})


def photographs(folder: Path) -> Deployment:
    """The graph scales pixels and standardises each channel, as for ImageNet; the client's transform did it already."""
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    pictures, labels = datasets.images(ROWS, seed=73)
    right = pictures.astype(np.float32)
    model = fitted(
        folder / "photographs", {"image": right}, labels, lambda image: tiles((image / 255.0 - mean) / deviation, 4)
    )
    sent = ((right[:48] / 255 - mean) / deviation).astype(np.float32)
    return deploy(folder, model, {"image": sent}, training={"image": right[:100]}, right={"image": right[:24]})


def _recordings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sound as 16-bit samples, float32 [count, 400], of four pitches, at any loudness."""
    random = np.random.default_rng(seed)
    pitch = random.integers(0, 4, count)
    loud = random.uniform(3000, 20000, (count, 1))
    waves = np.sin(np.arange(400) * (0.02 * (2 + pitch[:, None])) + random.uniform(0, 6, (count, 1)))
    return np.round(waves * loud + random.normal(0, 200, (count, 400))).astype(np.float32), pitch


def recordings(folder: Path) -> Deployment:
    """The graph divides 16-bit samples by 32768; the client's audio library gives -1..1."""
    import tensorflow as tf

    waves, pitch = _recordings(ROWS, 74)

    def features(samples: Any) -> Any:
        scaled = tf.reshape(samples / 32768.0, [-1, 400])
        return 20 * tf.abs(tf.signal.rfft(scaled))[:, :24] / 400.0

    model = fitted(folder / "pitch", {"samples": waves}, pitch, features)
    training, right = {"samples": waves[:200]}, {"samples": waves[:24]}
    return deploy(folder, model, {"samples": waves[:48] / np.float32(32768)}, training=training, right=right)


def first_batch_norm(folder: Path) -> Deployment:
    """The network begins with a BatchNormalization by the training data's statistics; the client standardises."""
    import keras

    from corpus.fitting import fit
    from corpus.saving import export

    raw, bad = datasets.credit_matrix(ROWS, seed=75)
    inputs = keras.Input((6,), name="features")
    norm = keras.layers.BatchNormalization(name="first")
    x = models.dense(24, "relu", "hidden", 1)(norm(inputs))
    model = keras.Model(inputs, {"risk": keras.layers.Dense(1, "sigmoid", name="head")(x)})
    norm.set_weights([np.ones(6), np.zeros(6), raw.mean(0), raw.var(0)])
    fit(model, raw, bad)
    sent = standardize(raw[:60], raw)
    training, right = {"features": raw[:200]}, {"features": raw[:24]}
    return deploy(folder, export(model, folder / "risk"), {"features": sent}, training=training, right=right)


def one_of_two(folder: Path) -> Deployment:
    """Of a picture and a row of numbers, the picture alone is scaled twice."""
    import tensorflow as tf

    pictures, labels = datasets.images(ROWS, seed=76)
    numbers = np.random.default_rng(77).normal([5, 50, 500], [2, 10, 90], (ROWS, 3)).astype(np.float32)
    right = {"image": pictures.astype(np.float32), "numbers": numbers}
    mean, deviation = numbers.mean(0), numbers.std(0)

    def features(image: Any, numbers: Any) -> Any:
        return tf.concat([tiles(image / 255.0, 4), (numbers - mean) / deviation], 1)

    target = ((labels % 2) * 2 + (numbers[:, 1] > 50)).astype(int)
    model = fitted(folder / "both", right, target, features)
    sent = {"image": right["image"][:48] / np.float32(255), "numbers": numbers[:48]}
    training = {name: values[:120] for name, values in right.items()}
    return deploy(folder, model, sent, training=training, right={name: values[:24] for name, values in right.items()})


def _between(
    folder: Path,
    model: Path,
    prepared: Mapping[str, np.ndarray],
    again: Callable[[np.ndarray, str], np.ndarray],
    count: int = 48,
) -> Deployment:
    """What stands between prepares every input once more by ``again``."""
    hooks = Hooks(before=lambda inputs: {name: again(x, name).astype(x.dtype) for name, x in inputs.items()})
    parts = {"training": slice(count, count + 200), "right": slice(count, count + 24)}
    known = {kind: {name: values[part] for name, values in prepared.items()} for kind, part in parts.items()}
    return deploy(folder, model, {name: values[:count] for name, values in prepared.items()}, hooks=hooks, **known)


def names_by_gateway(folder: Path) -> Deployment:
    """A feature service brings all five named columns, which the client standardised, to 0..1 of their range."""
    import tensorflow as tf

    columns, price = datasets.houses(ROWS, seed=78)
    prepared = {name: ((x - x.mean()) / x.std()).astype(np.float32) for name, x in columns.items()}
    model = fitted(
        folder / "houses", prepared, price.astype(np.float64), lambda **columns: tf.stack(list(columns.values()), 1)
    )
    low = {name: x[48:248].min() for name, x in prepared.items()}
    width = {name: np.ptp(x[48:248]) for name, x in prepared.items()}
    return _between(folder, model, prepared, lambda x, name: (x - low[name]) / width[name])


def series_by_gateway(folder: Path) -> Deployment:
    """A stream processor still standardises the sensors, which has moved into the graph."""
    import tensorflow as tf

    series, following = datasets.sensors(ROWS, seed=79)
    mean, deviation = series.mean((0, 1)), series.std((0, 1))
    model = fitted(
        folder / "weather",
        {"series": series},
        following.astype(np.float64),
        lambda series: tf.reshape(((series - mean) / deviation)[:, 12:], [-1, 36]),
    )
    return _between(folder, model, {"series": series}, lambda x, name: (x - mean) / deviation)


def percents_by_gateway(folder: Path) -> Deployment:
    """Percents become shares in the client, and again in the gateway; six named inputs."""
    import tensorflow as tf

    random = np.random.default_rng(80)
    shares = {f"rate_{at}": random.beta(2, 3, ROWS).astype(np.float32) for at in range(6)}
    mixed = np.stack(list(shares.values()), 1) @ np.array([3, -2, 2, 1, -1, 1.5])
    model = fitted(folder / "rates", shares, mixed.astype(np.float64), lambda **x: 4 * tf.stack(list(x.values()), 1))
    return _between(folder, model, shares, lambda x, name: x / 100)


GRAPH = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)
LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING, ALL)
CASES = [
    Case("double-logarithms", "module", DOUBLE, logarithms, KNOWN, {"input": ("amounts",)}),
    Case("double-ranges", "regression", DOUBLE, ranges, (*KNOWN, *GRAPH), {"input": ("features",)}),
    Case("double-photographs", "module", DOUBLE, photographs, (*KNOWN, *GRAPH), {"input": ("image",)}),
    Case("double-recordings", "module", DOUBLE, recordings, (*KNOWN, *GRAPH), {"input": ("samples",)}),
    Case("double-first-batch-norm", "dense", DOUBLE, first_batch_norm, (*KNOWN, *GRAPH), {"input": ("features",)}),
    Case("double-one-of-two", "multi-output", DOUBLE, one_of_two, (*KNOWN, *GRAPH), {"input": ("image",)}),
    Case("double-names-by-gateway", "regression", DOUBLE, names_by_gateway, (TARGET_MODEL_REQUESTS_TRAINING, ALL)),
    Case(
        "double-series-by-gateway",
        "module",
        DOUBLE,
        series_by_gateway,
        LIVE,
        {"input": ("series",)},
    ),
    Case("double-percents-by-gateway", "module", DOUBLE, percents_by_gateway, LIVE),
]
