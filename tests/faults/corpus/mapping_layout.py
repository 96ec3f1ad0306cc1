"""Axes or channels in another order than the model's, and batches in which one row answers for all."""

import json
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_GOLDEN,
    TARGET_REQUESTS_TRAINING,
)
from corpus.served import Tensors
from corpus.server import Hooks

LAYOUT = "mapping/wrong-layout"
BROADCAST = "mapping/batch-broadcast"
LIVE = (TARGET_MODEL_REQUESTS, ALL)
FROM_TRAINING = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)


def transposed_images(folder: Path) -> Deployment:
    """The server in front exchanges the pictures' rows and columns."""
    hooks = Hooks(before=lambda inputs: inputs | {"image": inputs["image"].transpose(0, 2, 1, 3)})
    return _vision(folder, _pictures(32, seed=2), hooks)


def blue_first(folder: Path) -> Deployment:
    """The client's library reads pictures as BGR."""
    return _vision(folder, _pictures(40, seed=2)[..., ::-1], None)


def channels_first_flat(folder: Path) -> Deployment:
    """The model takes pictures flat, by row, column and channel; the client flattens channel by channel."""
    right = _pictures(200, seed=1).reshape(200, -1)
    sent = _pictures(40, seed=2).transpose(0, 3, 1, 2).reshape(40, -1)
    model = graph_models.flat_image(folder / "vision")
    return deploy(
        folder, model, {"pixels": sent}, training={"pixels": right}, right={"pixels": right[:24]}, form="column"
    )


def reread_series(folder: Path) -> Deployment:
    """The server reads the memory of [24, 3] readings as [3, 24] and turns it over."""

    def reread(inputs: Tensors) -> Tensors:
        return inputs | {"series": inputs["series"].reshape(-1, 3, 24).transpose(0, 2, 1)}

    right, _ = datasets.sensors(200, seed=1)
    model = models.attention(folder / "forecast")
    sent, golden = {"series": datasets.sensors(40, seed=2)[0]}, {"series": right[:24]}
    hooks = Hooks(before=reread)
    return deploy(folder, model, sent, training={"series": right}, right=golden, hooks=hooks, protocol="grpc")


def exported_transposed(folder: Path) -> Deployment:
    """The export keeps a transpose of rows and columns that the training code did without."""
    right = _pictures(200, seed=1)
    model = graph_models.oriented_image(folder / "vision", transpose=True)
    right_model = graph_models.oriented_image(folder / "right")
    sent, golden = {"image": _pictures(32, seed=2)}, {"image": right[:24]}
    return deploy(folder, model, sent, training={"image": right}, right=golden, right_model=right_model)


def time_major(folder: Path) -> Deployment:
    """The client sends batches of eight sentences with time first: a row holds one word of each."""
    right = datasets.token_ids(datasets.sentences(200, seed=1)[0])
    ids = datasets.token_ids(datasets.sentences(240, seed=2)[0])
    model = models.recurrent(folder / "topics")
    deployment = deploy(
        folder, model, {"token_ids": ids}, training={"token_ids": right}, right={"token_ids": right[:24]}
    )
    bodies = [{"inputs": ids[start : start + 8].T.tolist()} for start in range(0, len(ids), 8)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return deployment


def first_row_answers(folder: Path) -> Deployment:
    """The server copies the first answer of a batch to all its rows."""
    right = models.standardized_credit(200, seed=1)
    model = models.dense_tabular(folder / "risk")
    hooks = Hooks(after=lambda outputs, inputs: {k: np.repeat(v[:1], len(v), axis=0) for k, v in outputs.items()})
    return deploy(
        folder,
        model,
        {"features": models.standardized_credit(150, seed=2)},
        training={"features": right},
        right={"features": right[:40]},
        hooks=hooks,
        rows=5,
    )


def one_buffer(folder: Path) -> Deployment:
    """The server fills its batch from one buffer, where the last row was written last."""

    def fill(inputs: Tensors) -> Tensors:
        return {name: np.repeat(values[-1:], len(values), axis=0) for name, values in inputs.items()}

    right = datasets.token_ids(datasets.sentences(200, seed=1)[0])
    model = models.embedding_text(folder / "topics")
    return deploy(
        folder,
        model,
        {"token_ids": datasets.token_ids(datasets.sentences(128, seed=2)[0])},
        training={"token_ids": right},
        right={"token_ids": right[:24]},
        hooks=Hooks(before=fill),
        form="column",
        rows=4,
    )


def last_row_answers(folder: Path) -> Deployment:
    """The last row's forecast for all rows of a batch, over gRPC."""
    right, _ = datasets.sensors(200, seed=1)
    model = models.attention(folder / "forecast")
    hooks = Hooks(after=lambda outputs, inputs: {k: np.repeat(v[-1:], len(v), axis=0) for k, v in outputs.items()})
    return deploy(
        folder,
        model,
        {"series": datasets.sensors(90, seed=2)[0]},
        training={"series": right},
        right={"series": right[:24]},
        hooks=hooks,
        protocol="grpc",
        rows=3,
    )


def exported_for_one(folder: Path) -> Deployment:
    """The exported graph takes the batch's first row and repeats its answer."""
    right = models.standardized_credit(200, seed=1)
    model = graph_models.first_row_only(folder / "risk")
    return deploy(
        folder, model, {"features": models.standardized_credit(160, seed=2)}, training={"features": right}, rows=4
    )


def _pictures(count: int, seed: int) -> np.ndarray:
    return datasets.images(count, seed=seed)[0].astype(np.float32) / 255


def _vision(folder: Path, sent: np.ndarray, hooks: Hooks | None) -> Deployment:
    right = _pictures(200, seed=1)
    model = models.conv_image(folder / "vision")
    return deploy(folder, model, {"image": sent}, training={"image": right}, right={"image": right[:24]}, hooks=hooks)


CASES = [
    Case(
        "layout-transposed-images",
        "convolutional",
        LAYOUT,
        transposed_images,
        (*LIVE, TARGET_REQUESTS_GOLDEN),
        {"input": ("image",)},
        quick=True,
    ),
    Case("layout-blue-first", "convolutional", LAYOUT, blue_first, FROM_TRAINING, {"input": ("image",)}),
    Case(
        "layout-channels-first-flat",
        "module",
        LAYOUT,
        channels_first_flat,
        FROM_TRAINING,
        {"input": ("pixels",)},
        held_out=True,
    ),
    Case("layout-reread-series", "attention", LAYOUT, reread_series, LIVE, {"input": ("series",)}, held_out=True),
    Case(
        "layout-exported-transposed",
        "tf1",
        LAYOUT,
        exported_transposed,
        (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN),
        {"input": ("image",), "node": ("to_layout",)},
        held_out=True,
    ),
    Case(
        "layout-time-major",
        "recurrent",
        LAYOUT,
        time_major,
        (MODEL_REQUESTS_TRAINING, ALL),
        {"input": ("token_ids",)},
        held_out=True,
    ),
    Case("broadcast-first-row", "dense", BROADCAST, first_row_answers, (*LIVE, TARGET_REQUESTS), quick=True),
    Case("broadcast-one-buffer", "embedding", BROADCAST, one_buffer, (*LIVE, TARGET_REQUESTS)),
    Case("broadcast-last-row", "attention", BROADCAST, last_row_answers, (*LIVE, TARGET_REQUESTS), held_out=True),
    Case(
        "broadcast-exported-for-one",
        "module",
        BROADCAST,
        exported_for_one,
        (MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS, TARGET_MODEL_REQUESTS),
        held_out=True,
    ),
]
