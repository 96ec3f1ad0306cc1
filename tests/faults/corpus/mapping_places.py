"""Calls that another signature, output or version answers than the one that is meant."""

import itertools
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS_GOLDEN,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_GOLDEN,
)
from corpus.served import Tensors
from corpus.server import Hooks

SIGNATURE = "mapping/wrong-signature"
VERSION = "mapping/wrong-version"
LIVE = (TARGET_MODEL_REQUESTS, ALL)


def monitoring_default(folder: Path) -> Deployment:
    """serving_default was exported for monitoring; the model's own signature is ``predict``, which nobody calls."""
    model = graph_models.two_signatures(folder / "risk")
    return _credit(folder, model, "features", right_signature="predict")


def embedding_answers(folder: Path) -> Deployment:
    """The server's router sends calls of the default signature to ``embed``."""
    model = models.module_signatures(folder / "risk")
    return _credit(folder, model, "features", hooks=Hooks(route=lambda version, signature: (version, "embed")))


def segment_called(folder: Path) -> Deployment:
    """Clients ask the signature ``segment``; what was recorded as right is the score of ``serving_default``."""
    model = models.module_signatures(folder / "risk")
    return _credit(folder, model, "features", signature="segment")


def exported_aliases(folder: Path) -> Deployment:
    """The signature's two aliases name each other's tensors."""
    model = graph_models.aliases_tf1(folder / "risks", exchanged=True)
    return _credit(folder, model, "x", right_model=graph_models.aliases_tf1(folder / "right"), form="column")


def exchanged_outputs(folder: Path) -> Deployment:
    """The server zips the outputs' names with their values in another order: risk and forecast are exchanged."""
    right = {"customer": datasets.credit_matrix(200, seed=1)[0], "series": datasets.sensors(200, seed=1)[0]}
    sent = {"customer": datasets.credit_matrix(40, seed=2)[0], "series": datasets.sensors(40, seed=2)[0]}

    def exchange(outputs: Tensors, inputs: Tensors) -> Tensors:
        return outputs | {"risk": outputs["forecast"], "forecast": outputs["risk"]}

    model = models.multi_output(folder / "desk")
    golden = {name: values[:24] for name, values in right.items()}
    return deploy(folder, model, sent, training=right, right=golden, hooks=Hooks(after=exchange), protocol="grpc")


def pinned_to_old(folder: Path) -> Deployment:
    """TARGET asks for version 2, version 1 answers."""
    base = folder / "risk"
    models.dense_tabular(base, version=1, seed=0)
    models.dense_tabular(base, version=2, seed=20)
    hooks = Hooks(route=lambda version, signature: (1, signature))
    return _credit(folder, base, "features", hooks=hooks, path="/versions/2")


def stale_newest(folder: Path) -> Deployment:
    """Version 3 alone is AVAILABLE by its status, and version 2 answers."""
    base = folder / "prices"
    models.regression(base, version=2, seed=0)
    models.regression(base, version=3, seed=9)
    right, _ = datasets.house_matrix(200, seed=1)
    sent, _ = datasets.house_matrix(40, seed=2)
    hooks = Hooks(route=lambda version, signature: (2, signature), states={2: "END"})
    return deploy(
        folder, base, {"features": sent}, training={"features": right}, right={"features": right[:24]}, hooks=hooks
    )


def admitted_by_grpc(folder: Path) -> Deployment:
    """Version 7 is asked for; the answers themselves say that they are version 5's."""
    base = folder / "topics"
    models.embedding_text(base, version=5, seed=0)
    models.embedding_text(base, version=7, seed=4)
    right = datasets.token_ids(datasets.sentences(200, seed=1)[0])
    sent = datasets.token_ids(datasets.sentences(40, seed=2)[0])
    hooks = Hooks(route=lambda version, signature: (5, signature))
    return deploy(
        folder,
        base,
        {"token_ids": sent},
        training={"token_ids": right},
        right={"token_ids": right[:24]},
        hooks=hooks,
        protocol="grpc",
        path="/versions/7",
    )


def one_stale_replica(folder: Path) -> Deployment:
    """Of two replicas behind the address, one still serves version 1."""
    base = folder / "forecast"
    models.attention(base, version=1, seed=0)
    models.attention(base, version=2, seed=30)
    turns = itertools.cycle([1, 2])
    right, _ = datasets.sensors(200, seed=1)
    hooks = Hooks(route=lambda version, signature: (next(turns), signature))
    sent = {"series": datasets.sensors(48, seed=2)[0]}
    return deploy(
        folder, base, sent, training={"series": right}, right={"series": right[:24]}, hooks=hooks, path="/versions/2"
    )


def _credit(folder: Path, model: Path, name: str, **how: object) -> Deployment:
    right = models.standardized_credit(200, seed=1)
    sent: dict[str, np.ndarray] = {name: models.standardized_credit(40, seed=2)}
    return deploy(folder, model, sent, training={name: right}, right={name: right[:24]}, **how)


CASES = [
    Case(
        "signature-monitoring-default",
        "module",
        SIGNATURE,
        monitoring_default,
        (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN, TARGET_REQUESTS_GOLDEN, ALL),
        {"signature": ("predict",)},
        quick=True,
    ),
    Case("signature-embedding-answers", "module", SIGNATURE, embedding_answers, (*LIVE, TARGET_REQUESTS)),
    Case(
        "signature-segment-called",
        "module",
        SIGNATURE,
        segment_called,
        (MODEL_REQUESTS_GOLDEN, TARGET_REQUESTS_GOLDEN, ALL),
        {"signature": ("serving_default",)},
    ),
    Case(
        "signature-exported-aliases",
        "tf1",
        SIGNATURE,
        exported_aliases,
        (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN, TARGET_REQUESTS_GOLDEN),
        {"output": ("default_risk",)},
        held_out=True,
    ),
    Case(
        "signature-exchanged-outputs",
        "multi-output",
        SIGNATURE,
        exchanged_outputs,
        (*LIVE, TARGET_REQUESTS_GOLDEN),
        {"output": ("risk",)},
        held_out=True,
    ),
    Case("version-pinned-to-old", "dense", VERSION, pinned_to_old, LIVE, {"version": ("1",)}, quick=True),
    Case("version-stale-newest", "regression", VERSION, stale_newest, LIVE, {"version": ("2",)}),
    Case(
        "version-admitted-by-grpc",
        "embedding",
        VERSION,
        admitted_by_grpc,
        (*LIVE, TARGET_REQUESTS),
        {"version": ("5",)},
        held_out=True,
    ),
    Case(
        "version-one-stale-replica", "attention", VERSION, one_stale_replica, LIVE, {"version": ("1",)}, held_out=True
    ),
]
