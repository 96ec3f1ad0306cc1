"""Deployments whose values are written otherwise than the model reads them, by more ways."""

import urllib.parse
from collections.abc import Callable
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
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.server import Hooks
from corpus.small_nets import ROWS, fitted

ENCODING = "preprocessing/wrong-encoding"
NUMBERS = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, MODEL_REQUESTS_GOLDEN, ALL)
TEXTS = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)


def _of_houses(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Deployment:
    raw, price = datasets.house_matrix(ROWS, seed=81)
    right = standardize(raw, raw) + np.random.default_rng(82).normal(0, 1e-3, raw.shape).astype(np.float32)
    model = fitted(folder / "houses", {"features": right}, price.astype(np.float64), lambda features: features)
    return deploy(
        folder,
        model,
        {"features": change(right[:60]).astype(np.float32)},
        training={"features": right[60:260]},
        right={"features": right[:24]},
    )


def quantised_columns(folder: Path) -> Deployment:
    """The feature store keeps each column in a byte of its own range, and nobody undoes it."""

    def quantised(x: np.ndarray) -> np.ndarray:
        low, high = x.min(0), x.max(0)
        return np.round((x - low) / (high - low) * 255)

    return _of_houses(folder, quantised)


def signed_bytes(folder: Path) -> Deployment:
    """The client sends int8 of a scale of its own for each column, as after quantising for a phone."""
    return _of_houses(folder, lambda x: np.round(x / np.abs(x).max(0) * 127))


def half_bits(folder: Path) -> Deployment:
    """The client hands over float16 by its bits, read as 16-bit integers."""
    return _of_houses(folder, lambda x: x.astype(np.float16).view(np.uint16))


def one_whole_column(folder: Path) -> Deployment:
    """One column of a row is an integer in the client's table: what is behind the point is lost."""

    def cast(x: np.ndarray) -> np.ndarray:
        found = x.copy()
        found[:, 3] = np.trunc(found[:, 3])
        return found

    return _of_houses(folder, cast)


def quantised_recordings(folder: Path) -> Deployment:
    """Sound of -1..1 is sent as 16-bit samples' upper bytes: from -128 to 127."""
    import tensorflow as tf

    from corpus.more_double import _recordings

    waves, pitch = _recordings(ROWS, 83)
    right = (waves / 32768).astype(np.float32)

    def features(samples: Any) -> Any:
        return 20 * tf.abs(tf.signal.rfft(tf.reshape(samples, [-1, 400])))[:, :24] / 400.0

    model = fitted(folder / "pitch", {"samples": right}, pitch, features)
    sent = np.floor(waves[:60] / 256).astype(np.float32)
    return deploy(folder, model, {"samples": sent}, training={"samples": right[60:260]}, right={"samples": right[:24]})


def _of_texts(folder: Path, write: Callable[[str], str]) -> Deployment:
    texts, _ = datasets.sentences(240, seed=84)
    return deploy(
        folder,
        models.string_text(folder / "topics"),
        {"text": np.array([write(text) for text in texts[:40]])},
        training={"text": np.array(texts)},
        right={"text": np.array(texts[:20])},
    )


def from_a_form(folder: Path) -> Deployment:
    """Texts are sent as a browser's form writes them."""
    return _of_texts(folder, urllib.parse.quote_plus)


def printed_bytes(folder: Path) -> Deployment:
    """The client formats bytes into its requests: b'...'."""
    return _of_texts(folder, lambda text: str(text.encode()))


def data_addresses(folder: Path) -> Deployment:
    """Pictures are sent as the browser's data: addresses to a graph that decodes files."""
    import base64

    files = graph_models.png(datasets.images(120, seed=85)[0])
    sent = np.array(["data:image/png;base64," + base64.b64encode(file).decode() for file in files[:40]])
    return deploy(
        folder,
        graph_models.image_files(folder / "pictures"),
        {"image_bytes": sent},
        training={"image_bytes": files},
        training_as=".jsonl",
    )


def names_cast_by_gateway(folder: Path) -> Deployment:
    """A table between client and model has integer columns for all five standardised features."""
    import tensorflow as tf

    columns, price = datasets.houses(ROWS, seed=86)
    right = {name: ((x - x.mean()) / x.std()).astype(np.float32) for name, x in columns.items()}
    model = fitted(
        folder / "houses", right, price.astype(np.float64), lambda **columns: tf.stack(list(columns.values()), 1)
    )
    hooks = Hooks(before=lambda inputs: {name: np.trunc(x) for name, x in inputs.items()})
    training = {name: x[60:260] for name, x in right.items()}
    golden = {name: x[:24] for name, x in right.items()}
    return deploy(
        folder, model, {name: x[:60] for name, x in right.items()}, training=training, right=golden, hooks=hooks
    )


def printed_by_gateway(folder: Path) -> Deployment:
    """What stands between client and model formats bytes into the texts that it hands on."""
    texts, _ = datasets.sentences(240, seed=87)

    def written(inputs: Any) -> Any:
        return {"text": np.array([str(text).encode() for text in inputs["text"]], object)}

    return deploy(
        folder,
        models.string_text(folder / "topics"),
        {"text": np.array(texts[:40])},
        training={"text": np.array(texts)},
        right={"text": np.array(texts[:20])},
        hooks=Hooks(before=written),
    )


LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING, ALL)
_FEATURES, _TEXT = {"input": ("features",)}, {"input": ("text",)}
CASES = [
    Case("encoding-quantised-columns", "regression", ENCODING, quantised_columns, NUMBERS, _FEATURES),
    Case("encoding-signed-bytes", "regression", ENCODING, signed_bytes, NUMBERS, _FEATURES),
    Case("encoding-half-bits", "regression", ENCODING, half_bits, NUMBERS, _FEATURES),
    Case("encoding-one-whole-column", "regression", ENCODING, one_whole_column, NUMBERS, _FEATURES),
    Case("encoding-quantised-recordings", "module", ENCODING, quantised_recordings, NUMBERS, {"input": ("samples",)}),
    Case("encoding-from-a-form", "embedding", ENCODING, from_a_form, TEXTS, _TEXT),
    Case("encoding-printed-bytes", "embedding", ENCODING, printed_bytes, TEXTS, _TEXT),
    Case(
        "encoding-data-addresses",
        "module",
        ENCODING,
        data_addresses,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING),
        {"input": ("image_bytes",)},
    ),
    Case("encoding-names-cast-by-gateway", "regression", ENCODING, names_cast_by_gateway, LIVE),
    Case("encoding-printed-by-gateway", "embedding", ENCODING, printed_by_gateway, LIVE, _TEXT),
]
