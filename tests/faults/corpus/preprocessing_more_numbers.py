"""More deployments whose requests hold other numbers or bytes than the model was trained on."""

import base64
import json
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus import preprocessing_models as more
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fitting import FITTED_ON, standardize
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)

MISSING, DOUBLE = "preprocessing/missing-normalization", "preprocessing/double-normalization"
ENCODING = "preprocessing/wrong-encoding"
WITH_MODEL = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)
WITH_TRAINING = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
GRAPH = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING)


def _standardized_houses(count: int, seed: int) -> dict[str, np.ndarray]:
    raw, _ = datasets.house_matrix(count, seed)
    fitted_on, _ = datasets.house_matrix(FITTED_ON, seed=100)
    return dict(zip(datasets.HOUSE_COLUMNS, standardize(raw, fitted_on).T, strict=True))


def _series(count: int, seed: int, *, normalized: bool) -> np.ndarray:
    series, _ = datasets.sensors(count, seed=seed)
    return standardize(series, datasets.sensors(FITTED_ON, seed=100)[0]) if normalized else series


def one_raw_column(folder: Path) -> Deployment:
    """Of five named columns, one is not standardised."""
    right, raw = _standardized_houses(240, 23), datasets.houses(240, 23)[0]
    sent = {name: values[:60] for name, values in right.items()} | {"distance_km": raw["distance_km"][:60]}
    model = graph_models.house_columns(folder / "houses", normalization="outside")
    return deploy(folder, model, sent, training=right, right={name: values[:20] for name, values in right.items()})


def raw_series(folder: Path) -> Deployment:
    """A recurrent network that takes standardised series gets raw ones."""
    right = _series(200, 24, normalized=True)
    sent = _series(40, 24, normalized=False)
    return deploy(
        folder,
        more.sensor_gru(folder / "sensors"),
        {"series": sent},
        training={"series": right},
        right={"series": right[:20]},
    )


def percents(folder: Path) -> Deployment:
    """Shares of 0..1 are sent as percents, in doubles."""
    right, _ = more.rates(240, seed=25)
    sent = np.round(right[:60] * 100, 1)
    return deploy(
        folder,
        more.rates_tf1(folder / "rates"),
        {"rates": sent},
        training={"rates": right},
        right={"rates": right[:20]},
    )


def unsigned_pixels(folder: Path) -> Deployment:
    """The network takes -1..1; the client divides by 255."""
    pictures, _ = datasets.images(120, seed=26)
    right = (pictures / 127.5 - 1).astype(np.float32)
    sent = (pictures[:40] / 255).astype(np.float32)
    return deploy(
        folder,
        more.signed_image(folder / "images"),
        {"image": sent},
        training={"image": right},
        right={"image": right[:20]},
    )


def standardized_names(folder: Path) -> Deployment:
    """Five named columns are standardised by the client, and again by the graph."""
    sent, right = _standardized_houses(60, 27), datasets.houses(240, 27)[0]
    return deploy(
        folder,
        graph_models.house_columns(folder / "houses"),
        sent,
        training=right,
        right={name: values[:20] for name, values in right.items()},
    )


def small_pixels(folder: Path) -> Deployment:
    """A TensorFlow 1 graph divides by 255; so does the client."""
    pictures, _ = datasets.images(120, seed=28)
    right = pictures.astype(np.float32)
    return deploy(
        folder,
        more.scaled_image_tf1(folder / "images"),
        {"image": right[:40] / 255},
        training={"image": right},
        right={"image": right[:20]},
    )


def signed_twice(folder: Path) -> Deployment:
    """Pixels of -1..1 to a Rescaling layer that makes -1..1 of 0..255."""
    pictures, _ = datasets.images(120, seed=29)
    right = pictures.astype(np.float32)
    model = more.signed_image(folder / "images", scaling="inside")
    return deploy(
        folder, model, {"image": right[:40] / 127.5 - 1}, training={"image": right}, right={"image": right[:20]}
    )


def standardized_series(folder: Path) -> Deployment:
    """Series are standardised by the client, and by the recurrent network's own layer."""
    right = _series(200, 30, normalized=False)
    model = more.sensor_gru(folder / "sensors", normalization="inside")
    return deploy(
        folder,
        model,
        {"series": _series(40, 30, normalized=True)},
        training={"series": right},
        right={"series": right[:20]},
    )


def hexadecimal(folder: Path) -> Deployment:
    """Texts are sent as hexadecimal digits."""
    texts, _ = datasets.sentences(240, seed=31)
    sent = np.array([text.encode().hex() for text in texts[:40]])
    return deploy(
        folder,
        models.string_text(folder / "topics"),
        {"text": sent},
        training={"text": np.array(texts)},
        right={"text": np.array(texts[:20])},
    )


def json_in_text(folder: Path) -> Deployment:
    """Each text is a JSON document that holds it."""
    texts, _ = datasets.sentences(240, seed=32)
    right = np.array([" ".join(datasets.split(text)) for text in texts])
    sent = np.array([json.dumps({"id": at, "body": text}) for at, text in enumerate(right[:40])])
    return deploy(
        folder,
        more.ragged_words(folder / "topics"),
        {"text": sent},
        training={"text": right},
        right={"text": right[:20]},
    )


def base64_words(folder: Path) -> Deployment:
    """Texts are sent as base64 to a graph that splits them."""
    texts, _ = datasets.sentences(240, seed=33)
    right = np.array([" ".join(datasets.split(text)) for text in texts])
    sent = np.array([base64.b64encode(text.encode()).decode() for text in right[:40]])
    return deploy(
        folder,
        more.ragged_words(folder / "topics"),
        {"text": sent},
        training={"text": right},
        right={"text": right[:20]},
    )


def wide_characters(folder: Path) -> Deployment:
    """Texts are sent as UTF-16."""
    texts, _ = datasets.sentences(240, seed=34)
    sent = np.array([text.encode("utf-16-le") for text in texts[:40]], object)
    return deploy(
        folder,
        models.string_text(folder / "topics"),
        {"text": sent},
        training={"text": np.array(texts)},
        right={"text": np.array(texts[:20])},
    )


def files_for_pixels(folder: Path) -> Deployment:
    """Raw pixel bytes are read; the client sends the bytes of PNG files."""
    pictures, _ = datasets.images(120, seed=35)
    right = np.array([picture.tobytes() for picture in pictures], object)
    return deploy(
        folder,
        more.raw_pixels(folder / "images"),
        {"pixels": graph_models.png(pictures[:40])},
        training={"pixels": right},
        training_as=".jsonl",
        right={"pixels": right[:20]},
    )


def numbers_as_text(folder: Path) -> Deployment:
    """Numbers of one named column are sent in quotes: each request is refused."""
    right, _ = datasets.houses(240, seed=36)
    sent = {name: values[:40] for name, values in right.items()} | {"rooms": np.char.mod("%d", right["rooms"][:40])}
    return deploy(folder, graph_models.house_columns(folder / "houses"), sent, training=right)


def whole_series(folder: Path) -> Deployment:
    """Standardised series are cast to integers."""
    right = _series(200, 37, normalized=True)
    return deploy(
        folder,
        more.sensor_gru(folder / "sensors"),
        {"series": np.trunc(right[:60])},
        training={"series": right},
        right={"series": right[:20]},
    )


def whole_columns(folder: Path) -> Deployment:
    """Standardised columns, each a named input, are rounded to integers."""
    right = _standardized_houses(240, 38)
    sent = {name: np.round(values[:60]) for name, values in right.items()}
    model = graph_models.house_columns(folder / "houses", normalization="outside")
    return deploy(
        folder,
        model,
        sent,
        meant={name: values[:60] for name, values in right.items()},
        training=right,
        right={name: values[:20] for name, values in right.items()},
    )


SCALES = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, MODEL_REQUESTS_GOLDEN, ALL)
CASES = [
    Case("unnormalized-one-name", "module", MISSING, one_raw_column, SCALES, {"input": ("distance_km",)}),
    Case("unnormalized-series", "recurrent", MISSING, raw_series, SCALES, {"input": ("series",)}),
    Case("unnormalized-percents", "tf1", MISSING, percents, SCALES, {"input": ("rates",)}),
    Case("unnormalized-unsigned-pixels", "convolutional", MISSING, unsigned_pixels, SCALES, {"input": ("image",)}),
    Case("double-standardized-names", "module", DOUBLE, standardized_names, (*GRAPH, TARGET_REQUESTS_TRAINING)),
    Case(
        "double-scaled-pixels-tf1",
        "tf1",
        DOUBLE,
        small_pixels,
        (*GRAPH, TARGET_REQUESTS_TRAINING),
        {"input": ("image",)},
    ),
    Case(
        "double-signed-pixels",
        "convolutional",
        DOUBLE,
        signed_twice,
        (*GRAPH, TARGET_REQUESTS_TRAINING),
        {"input": ("image",)},
    ),
    Case(
        "double-standardized-recurrent",
        "recurrent",
        DOUBLE,
        standardized_series,
        (*GRAPH, TARGET_REQUESTS_TRAINING),
        {"input": ("series",)},
    ),
    Case(
        "encoding-hexadecimal", "embedding", ENCODING, hexadecimal, (*WITH_MODEL, *WITH_TRAINING), {"input": ("text",)}
    ),
    Case(
        "encoding-json-in-text", "module", ENCODING, json_in_text, (*WITH_MODEL, *WITH_TRAINING), {"input": ("text",)}
    ),
    Case(
        "encoding-base64-words", "module", ENCODING, base64_words, (*WITH_MODEL, *WITH_TRAINING), {"input": ("text",)}
    ),
    Case("encoding-utf-16", "embedding", ENCODING, wide_characters, WITH_TRAINING, {"input": ("text",)}),
    Case("encoding-files-for-pixels", "module", ENCODING, files_for_pixels, WITH_TRAINING, {"input": ("pixels",)}),
    Case(
        "encoding-numbers-as-text",
        "module",
        ENCODING,
        numbers_as_text,
        (MODEL_REQUESTS, TARGET_REQUESTS),
        {"input": ("rooms",)},
    ),
    Case("encoding-whole-series", "recurrent", ENCODING, whole_series, SCALES, {"input": ("series",)}),
    Case("encoding-whole-columns", "module", ENCODING, whole_columns, SCALES),
]
