"""Clients whose numbers or bytes are on another scale, or in another encoding, than the model's."""

import base64
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS_GOLDEN,
    TARGET_REQUESTS_TRAINING,
)
from corpus.served import Tensors
from corpus.server import Hooks

MISSING = "preprocessing/missing-normalization"
DOUBLE = "preprocessing/double-normalization"
ENCODING = "preprocessing/wrong-encoding"
FROM_TRAINING = (
    MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
    MODEL_REQUESTS_GOLDEN,
    TARGET_REQUESTS_GOLDEN,
    ALL,
)
FROM_GRAPH = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
LIVE = (TARGET_MODEL_REQUESTS, ALL)
FROM_BYTES = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)


def raw_pixels(folder: Path) -> Deployment:
    """Pixels of 0..255 to a model of 0..1."""
    right = datasets.images(200, seed=1)[0].astype(np.float32) / 255
    sent = datasets.images(32, seed=2)[0].astype(np.float32)
    model = models.conv_image(folder / "vision")
    return deploy(folder, model, {"image": sent}, training={"image": right}, right={"image": right[:24]})


def raw_columns(folder: Path) -> Deployment:
    """Incomes in full where the model was trained on standardised columns."""
    right = models.standardized_credit(200, seed=1)
    sent, _ = datasets.credit_matrix(60, seed=2)
    model = models.dense_tabular(folder / "risk")
    return deploy(
        folder,
        model,
        {"features": sent},
        training={"features": right},
        right={"features": right[:40]},
        form="column",
        rows=2,
    )


def raw_house(folder: Path) -> Deployment:
    """A regression's standardised columns, all raw: prices become absurd, none is constant."""
    fitted_on, _ = datasets.house_matrix(1500, seed=100)
    right = models.standardize(datasets.house_matrix(200, seed=1)[0], fitted_on)
    sent, _ = datasets.house_matrix(40, seed=2)
    model = models.regression(folder / "prices", normalization="outside")
    return deploy(
        folder,
        model,
        {"features": sent},
        training={"features": right},
        training_as=".jsonl",
        right={"features": right[:40]},
        protocol="grpc",
    )


def one_raw_column(folder: Path) -> Deployment:
    """All columns are standardised but the year that a house was built in."""
    fitted_on, _ = datasets.houses(1500, seed=100)
    right = _standardized_columns(datasets.houses(200, seed=1)[0], fitted_on)
    raw, _ = datasets.houses(40, seed=2)
    sent = _standardized_columns(raw, fitted_on) | {"built_year": raw["built_year"]}
    model = graph_models.house_columns(folder / "prices", normalization="outside")
    golden = {name: values[:40] for name, values in right.items()}
    return deploy(folder, model, sent, training=right, training_as=".csv", right=golden)


def raw_graph(folder: Path) -> Deployment:
    """Raw columns to a TensorFlow 1 graph that takes standardised ones."""
    right = models.standardized_credit(200, seed=1)
    sent, _ = datasets.credit_matrix(40, seed=2)
    model = models.tf1_graph(folder / "credit")
    return deploy(folder, model, {"x": sent}, training={"x": right}, right={"x": right[:40]}, form="column")


def scaled_twice(folder: Path) -> Deployment:
    """The graph divides by 255, and so does the client."""
    right = datasets.images(200, seed=1)[0].astype(np.float32)
    sent = datasets.images(32, seed=2)[0].astype(np.float32) / 255
    model = models.conv_image(folder / "vision", scaling="inside")
    return deploy(folder, model, {"image": sent}, training={"image": right}, right={"image": right[:24]})


def standardized_twice(folder: Path) -> Deployment:
    """The graph's normalization layer gets columns that the client standardised."""
    right, _ = datasets.credit_matrix(200, seed=1)
    sent = models.standardized_credit(40, seed=2)
    model = models.dense_tabular(folder / "risk", normalization="inside")
    return deploy(folder, model, {"features": sent}, training={"features": right}, right={"features": right[:40]})


def standardized_graph(folder: Path) -> Deployment:
    """Mean and deviation are constants of a TensorFlow 1 graph; the client applies them too."""
    right, _ = datasets.credit_matrix(200, seed=1)
    sent = models.standardized_credit(60, seed=2)
    model = models.tf1_graph(folder / "credit", normalization="inside")
    return deploy(
        folder,
        model,
        {"x": sent},
        training={"x": right},
        right={"x": right[:40]},
        form="column",
        rows=2,
        protocol="grpc",
    )


def standardized_series(folder: Path) -> Deployment:
    """Sensor readings standardised by the collector, then by the model."""
    fitted_on, _ = datasets.sensors(1500, seed=100)
    right, _ = datasets.sensors(200, seed=1)
    sent = models.standardize(datasets.sensors(32, seed=2)[0], fitted_on)
    model = models.attention(folder / "forecast")
    return deploy(folder, model, {"series": sent}, training={"series": right}, right={"series": right[:24]})


def scaled_by_gateway(folder: Path) -> Deployment:
    """Clients send 0..255, as the graph expects it; a gateway divides by 255 before the graph does."""
    right = datasets.images(200, seed=1)[0].astype(np.float32)
    sent = datasets.images(32, seed=2)[0].astype(np.float32)
    model = models.conv_image(folder / "vision", scaling="inside")
    hooks = Hooks(before=lambda inputs: {"image": inputs["image"] / np.float32(255)})
    return deploy(folder, model, {"image": sent}, training={"image": right}, right={"image": right[:24]}, hooks=hooks)


def base64_as_text(folder: Path) -> Deployment:
    """Image files as base64 text, without the {"b64": …} that makes the server decode it."""
    right = graph_models.png(datasets.images(24, seed=1)[0])
    files = graph_models.png(datasets.images(32, seed=2)[0])
    sent = np.array([base64.b64encode(file).decode() for file in files])
    model = graph_models.image_files(folder / "vision")
    return deploy(folder, model, {"image_bytes": sent}, right={"image_bytes": right})


def cast_to_integers(folder: Path) -> Deployment:
    """Standardised columns, which the client casts to integers."""
    right = models.standardized_credit(200, seed=1)
    meant = models.standardized_credit(60, seed=2)
    model = models.dense_tabular(folder / "risk")
    return deploy(
        folder,
        model,
        {"features": meant.astype(np.int32)},
        training={"features": right},
        right={"features": right[:40]},
        meant={"features": meant},
    )


def base64_sentences(folder: Path) -> Deployment:
    """A gateway passes texts on in base64: for the model, each is one unknown word."""
    texts = np.array(datasets.sentences(200, seed=1)[0])
    sent = np.array([base64.b64encode(text.encode()).decode() for text in datasets.sentences(40, seed=2)[0]])
    model = models.string_text(folder / "topics")
    return deploy(folder, model, {"text": sent}, training={"text": texts}, right={"text": texts[:24]})


def files_as_text(folder: Path) -> Deployment:
    """Image files read as Latin-1 text and sent as UTF-8: every byte over 127 has become two."""
    right = graph_models.png(datasets.images(24, seed=1)[0])
    files = graph_models.png(datasets.images(32, seed=2)[0])
    sent = np.array([file.decode("latin-1") for file in files], object)
    model = graph_models.image_files(folder / "vision", tf1=True)
    return deploy(folder, model, {"image_bytes": sent}, right={"image_bytes": right})


def quantised_series(folder: Path) -> Deployment:
    """Sensor readings as the 8-bit codes of the transmitter, each channel over its own range."""
    right, _ = datasets.sensors(200, seed=1)
    low, high = right.min((0, 1)), right.max((0, 1))
    sent = np.round((datasets.sensors(32, seed=2)[0] - low) / (high - low) * 255).clip(0, 255)
    model = models.attention(folder / "forecast")
    return deploy(
        folder, model, {"series": sent}, training={"series": right}, right={"series": right[:24]}, form="column"
    )


def cast_by_gateway(folder: Path) -> Deployment:
    """A gateway hands the clients' standardised columns on as integers."""
    right = models.standardized_credit(200, seed=1)
    sent = {"x": models.standardized_credit(40, seed=2)}
    model = models.tf1_graph(folder / "credit")

    def cast(inputs: Tensors) -> Tensors:
        return {"x": np.trunc(inputs["x"])}

    golden, hooks = {"x": right[:24]}, Hooks(before=cast)
    return deploy(folder, model, sent, training={"x": right}, right=golden, hooks=hooks, protocol="grpc")


def _standardized_columns(columns: datasets.Columns, fitted_on: datasets.Columns) -> datasets.Columns:
    return {
        name: models.standardize(values[:, None], fitted_on[name][:, None])[:, 0] for name, values in columns.items()
    }


CASES = [
    Case("unnormalized-pixels", "convolutional", MISSING, raw_pixels, FROM_TRAINING, {"input": ("image",)}, quick=True),
    Case("unnormalized-columns", "dense", MISSING, raw_columns, FROM_TRAINING, {"input": ("features",)}),
    Case(
        "unnormalized-house", "regression", MISSING, raw_house, FROM_TRAINING, {"input": ("features",)}, held_out=True
    ),
    Case(
        "unnormalized-one-column",
        "module",
        MISSING,
        one_raw_column,
        FROM_TRAINING,
        {"input": ("built_year",)},
        held_out=True,
    ),
    Case("unnormalized-graph", "tf1", MISSING, raw_graph, FROM_TRAINING, {"input": ("x",)}, held_out=True),
    Case("double-scaled-pixels", "convolutional", DOUBLE, scaled_twice, FROM_GRAPH, {"input": ("image",)}, quick=True),
    Case("double-standardized", "dense", DOUBLE, standardized_twice, FROM_GRAPH, {"input": ("features",)}),
    Case("double-standardized-graph", "tf1", DOUBLE, standardized_graph, FROM_GRAPH, {"input": ("x",)}, held_out=True),
    Case(
        "double-standardized-series",
        "attention",
        DOUBLE,
        standardized_series,
        FROM_GRAPH,
        {"input": ("series",)},
        held_out=True,
    ),
    Case(
        "encoding-base64-as-text",
        "module",
        ENCODING,
        base64_as_text,
        FROM_BYTES,
        {"input": ("image_bytes",)},
        quick=True,
    ),
    Case("encoding-cast-to-integers", "dense", ENCODING, cast_to_integers, FROM_TRAINING, {"input": ("features",)}),
    Case(
        "encoding-base64-sentences",
        "embedding",
        ENCODING,
        base64_sentences,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL),
        {"input": ("text",)},
        held_out=True,
    ),
    Case(
        "encoding-files-as-text", "tf1", ENCODING, files_as_text, FROM_BYTES, {"input": ("image_bytes",)}, held_out=True
    ),
    Case(
        "double-scaled-by-gateway",
        "convolutional",
        DOUBLE,
        scaled_by_gateway,
        LIVE,
        {"input": ("image",)},
        held_out=True,
    ),
    Case("encoding-cast-by-gateway", "tf1", ENCODING, cast_by_gateway, LIVE, {"input": ("x",)}, held_out=True),
    Case(
        "encoding-quantised-series",
        "attention",
        ENCODING,
        quantised_series,
        (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL),
        {"input": ("series",)},
        held_out=True,
    ),
]
