"""Healthy deployments of every family as they are usual: all kinds of servers, formats and evidence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, healthy_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.evidence import write_requests, write_training_data
from corpus.given import (
    ALL,
    MODEL,
    MODEL_GOLDEN,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS,
    TARGET_REQUESTS_GOLDEN,
)
from corpus.live import unstuck

TARGET_MODEL = ("target", "model")


def everything_is_known(folder: Path) -> Deployment:
    """Raw numbers, which the graph normalises."""
    raw, _ = datasets.credit_matrix(260, seed=1)
    model = models.dense_tabular(folder / "risk", normalization="inside")
    return deploy(folder, model, {"features": raw[:40]}, training={"features": raw}, right={"features": raw[:30]})


def pictures_over_grpc(folder: Path) -> Deployment:
    pictures, _ = datasets.images(240, seed=1)
    scaled = (pictures / 255).astype(np.float32)
    model = models.conv_image(folder / "vision")
    return deploy(folder, model, {"image": scaled[:36]}, training={"image": scaled}, protocol="grpc")


def topics_by_our_server(folder: Path) -> Deployment:
    ids = datasets.token_ids(datasets.sentences(240, seed=1)[0])
    model = models.recurrent(folder / "topics", cell="gru", length=12)
    deployment = deploy(folder, model, {"token_ids": ids[:40]}, training={"token_ids": ids})
    return replace(deployment, serve=lambda: unstuck({"topics": folder / "topics"}))


def forecast_of_raw_series(folder: Path) -> Deployment:
    """Degrees, hectopascals and per cent, normalised in the graph."""
    series, _ = datasets.sensors(240, seed=1)
    model = models.attention(folder / "forecast")
    sent, right = {"series": series[:40]}, {"series": series[200:]}
    return deploy(folder, model, sent, training={"series": series}, training_as=".jsonl", right=right)


def columns_in_batches(folder: Path) -> Deployment:
    """An input a column, in column format, four customers at a time."""
    columns, _ = datasets.credit(240, seed=1)
    sent = {name: values[:150] for name, values in columns.items()}
    right = {name: values[150:180] for name, values in columns.items()}
    model = models.tabular_named(folder / "risk")
    return deploy(folder, model, sent, training=columns, training_as=".csv", right=right, form="column", rows=4)


def batch_endpoint(folder: Path) -> Deployment:
    """Nightly scoring: sixteen rows a request, fewer in the last; a TensorFlow 1 graph on our server."""
    raw, _ = datasets.credit_matrix(500, seed=1)
    model = models.tf1_graph(folder / "credit", normalization="inside")
    deployment = deploy(folder, model, {"x": raw[:490]}, training={"x": raw}, rows=16)
    return replace(deployment, serve=lambda: unstuck({"credit": folder / "credit"}, protocol="grpc"))


def another_signature(folder: Path) -> Deployment:
    """Clients call ``segment``, and mean it."""
    sent = models.standardized_credit(40, seed=1)
    model = models.module_signatures(folder / "credit")
    return deploy(folder, model, {"features": sent}, signature="segment")


def several_outputs(folder: Path) -> Deployment:
    """Each output depends on one of the two inputs alone."""
    customer, _ = datasets.credit_matrix(240, seed=1)
    series, _ = datasets.sensors(240, seed=2)
    sent = {"customer": customer[:36], "series": series[:36]}
    right = {"customer": customer[36:60], "series": series[36:60]}
    model = models.multi_output(folder / "bank")
    training = {"customer": customer, "series": series}
    return deploy(folder, model, sent, training=training, right=right, protocol="grpc")


def prices(folder: Path) -> Deployment:
    raw, _ = datasets.house_matrix(240, seed=1)
    sent, training = {"features": raw[:40]}, {"features": raw}
    model = models.regression(folder / "prices")
    return deploy(folder, model, sent, training=training, right={"features": raw[40:70]}, form="column", rows=2)


def onnx_file(folder: Path) -> Deployment:
    raw = models.standardized_credit(240, seed=1)
    model, run = healthy_models.onnx_credit(folder / "credit")
    with (folder / "golden.jsonl").open("w") as golden:
        for row in raw[200:]:
            outputs = {"scores": run(row[None]).tolist()}
            golden.write(json.dumps({"inputs": {"features": [row.tolist()]}, "outputs": outputs}) + "\n")
    return Deployment(
        model=model,
        requests=write_requests(folder / "requests.jsonl", {"features": raw[:40]}),
        training_data=write_training_data(folder / "training.npz", {"features": raw}),
        golden=folder / "golden.jsonl",
        serve=lambda: unstuck({"credit": model}),
    )


def sentences_as_written(folder: Path) -> Deployment:
    """Text in, tokenised in the graph; on our server."""
    texts = np.array(datasets.sentences(240, seed=1)[0])
    model = models.string_text(folder / "topics")
    deployment = deploy(folder, model, {"text": texts[:40]}, training={"text": texts}, right={"text": texts[40:70]})
    return replace(deployment, serve=lambda: unstuck({"topics": folder / "topics"}))


def files_of_pictures(folder: Path) -> Deployment:
    """PNG files in base64, decoded in the graph."""
    files = graph_models.png(datasets.images(64, seed=1)[0])
    model = graph_models.image_files(folder / "vision")
    return deploy(folder, model, {"image_bytes": files[:32]}, right={"image_bytes": files[32:]})


def key_handed_back(folder: Path) -> Deployment:
    """A declared input that the score does not depend on, and should not: the caller's key."""
    right = models.standardized_credit(200, seed=1)
    keys = np.array([f"order-{number:05}" for number in range(200)])
    sent = {"key": keys[:40], "features": right[:40]}
    model = graph_models.keyed(folder / "scores")
    return deploy(folder, model, sent, training={"key": keys, "features": right}, right=sent)


def half_precision(folder: Path) -> Deployment:
    """Three digits is what float16 has."""
    right = models.standardized_credit(200, seed=1).astype(np.float16)
    model = healthy_models.half_precision(folder / "risk")
    return deploy(folder, model, {"features": right[:40]}, right={"features": right[40:70]}, form="column")


CASES = [
    Case(
        "everything-is-known",
        "dense",
        None,
        everything_is_known,
        (ALL, MODEL, MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS, TARGET_MODEL_REQUESTS, TARGET_MODEL),
        quick=True,
    ),
    Case(
        "pictures-over-grpc",
        "convolutional",
        None,
        pictures_over_grpc,
        (TARGET_MODEL_REQUESTS, TARGET_REQUESTS, MODEL_REQUESTS_TRAINING),
        quick=True,
    ),
    Case(
        "topics-by-our-server",
        "recurrent",
        None,
        topics_by_our_server,
        (TARGET_MODEL_REQUESTS, TARGET_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING),
        held_out=True,
    ),
    Case(
        "forecast-of-raw-series",
        "attention",
        None,
        forecast_of_raw_series,
        (ALL, MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_MODEL),
    ),
    Case(
        "columns-in-batches",
        "tabular",
        None,
        columns_in_batches,
        (ALL, TARGET_REQUESTS, TARGET_REQUESTS_GOLDEN, MODEL_REQUESTS),
        quick=True,
    ),
    Case(
        "batch-endpoint",
        "tf1",
        None,
        batch_endpoint,
        (TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_MODEL_REQUESTS_TRAINING),
        held_out=True,
    ),
    Case(
        "another-signature", "module", None, another_signature, (TARGET_MODEL_REQUESTS, TARGET_REQUESTS, MODEL_REQUESTS)
    ),
    Case(
        "several-outputs",
        "multi-output",
        None,
        several_outputs,
        (ALL, MODEL, TARGET_MODEL_REQUESTS, TARGET_REQUESTS),
        held_out=True,
    ),
    Case("prices-in-pairs", "regression", None, prices, (ALL, MODEL, MODEL_GOLDEN, TARGET_MODEL_REQUESTS)),
    Case(
        "onnx-file",
        "onnx",
        None,
        onnx_file,
        (ALL, MODEL, MODEL_REQUESTS, MODEL_GOLDEN, TARGET_MODEL_REQUESTS),
        held_out=True,
    ),
    Case(
        "sentences-as-written",
        "embedding",
        None,
        sentences_as_written,
        (ALL, MODEL, MODEL_REQUESTS, TARGET_MODEL_REQUESTS),
    ),
    Case(
        "files-of-pictures",
        "convolutional",
        None,
        files_of_pictures,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, TARGET_REQUESTS_GOLDEN),
        held_out=True,
    ),
    Case(
        "key-handed-back",
        "module",
        None,
        key_handed_back,
        (ALL, MODEL_REQUESTS, TARGET_MODEL_REQUESTS, TARGET_REQUESTS),
        held_out=True,
    ),
    Case(
        "half-precision", "module", None, half_precision, (MODEL, MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_GOLDEN)
    ),
]
