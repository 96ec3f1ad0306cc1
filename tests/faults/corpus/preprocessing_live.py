"""Deployments where what stands between client and model prepares, cuts or writes the values once more."""

from pathlib import Path

import numpy as np

from corpus import datasets, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import ALL, TARGET_MODEL_REQUESTS
from corpus.served import Tensors
from corpus.server import Hooks

LIVE = (TARGET_MODEL_REQUESTS, ALL)
BYTES_KEPT = 16
IDS_KEPT = 3


def standardised_by_proxy(folder: Path) -> Deployment:
    """The server in front scales the columns by 255, as if they were pixels; the client has standardised them."""
    trained = datasets.credit_matrix(240, seed=1)[0]
    mean, deviation = trained.mean(0), trained.std(0)

    def standardised(values: np.ndarray) -> np.ndarray:
        return ((values - mean) / deviation).astype(np.float32)

    prepared, sent = standardised(trained), standardised(datasets.credit_matrix(40, seed=2)[0])
    again = Hooks(before=lambda inputs: inputs | {"features": (inputs["features"] / 255).astype(np.float32)})
    model = models.dense_tabular(folder / "credit")
    return deploy(
        folder,
        model,
        {"features": sent},
        training={"features": prepared},
        right={"features": prepared[:24]},
        hooks=again,
    )


def cut_by_proxy(folder: Path) -> Deployment:
    """The server in front keeps the first bytes of each text, as its column in a database does."""
    trained = np.array(datasets.sentences(200, seed=1)[0])
    sent = np.array(datasets.sentences(40, seed=2)[0])

    def cut(inputs: Tensors) -> Tensors:
        return inputs | {"text": np.array([text[:BYTES_KEPT] for text in inputs["text"]], object)}

    model = models.string_text(folder / "topics")
    return deploy(
        folder, model, {"text": sent}, training={"text": trained}, right={"text": trained[:24]}, hooks=Hooks(before=cut)
    )


def ids_cut_by_proxy(folder: Path) -> Deployment:
    """The server in front hands on the first tokens alone."""
    trained = datasets.token_ids(datasets.sentences(200, seed=1)[0])
    sent = datasets.token_ids(datasets.sentences(40, seed=2)[0])

    def cut(inputs: Tensors) -> Tensors:
        kept = inputs["token_ids"].copy()
        kept[:, IDS_KEPT:] = 0
        return inputs | {"token_ids": kept}

    model = models.embedding_text(folder / "topics")
    training, right = {"token_ids": trained}, {"token_ids": trained[:24]}
    return deploy(folder, model, {"token_ids": sent}, training=training, right=right, hooks=Hooks(before=cut))


CASES = [
    Case(
        "double-standardised-by-proxy",
        "dense",
        "preprocessing/double-normalization",
        standardised_by_proxy,
        LIVE,
        {"input": ("features",)},
    ),
    Case("truncation-by-proxy", "embedding", "preprocessing/truncation", cut_by_proxy, LIVE, {"input": ("text",)}),
    Case(
        "truncation-of-ids-by-proxy",
        "embedding",
        "preprocessing/truncation",
        ids_cut_by_proxy,
        LIVE,
        {"input": ("token_ids",)},
    ),
]
