"""Clients that send the same effective values every time, or values that differ only where they are cut off."""

import json
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)
from corpus.served import Tensors
from corpus.server import Hooks

CONSTANT = "preprocessing/constant-input"
TRUNCATION = "preprocessing/truncation"
FROM_REQUESTS = (MODEL_REQUESTS, TARGET_REQUESTS, TARGET_MODEL_REQUESTS, TARGET_REQUESTS_TRAINING, ALL)
CUT_OFF = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING)


def cast_to_zero(folder: Path) -> Deployment:
    """The client keeps its pictures' integer type when it scales them to 0..1."""
    pictures, _ = datasets.images(200, seed=1)
    scaled = pictures.astype(np.float32) / 256
    sent = (datasets.images(32, seed=2)[0] / 256).astype(np.int32).astype(np.float32)
    model = models.conv_image(folder / "vision")
    return deploy(folder, model, {"image": sent}, training={"image": scaled}, right={"image": scaled[:24]})


def padding_only(folder: Path) -> Deployment:
    """The client's tokenizer finds nothing: padding, as long as the sentence would have been."""
    texts, _ = datasets.sentences(40, seed=2)
    right = datasets.token_ids(datasets.sentences(200, seed=1)[0])
    model = models.recurrent(folder / "topics", cell="gru")
    deployment = deploy(
        folder, model, {"token_ids": right[:40]}, training={"token_ids": right}, right={"token_ids": right[:30]}
    )
    lines = [json.dumps({"instances": [[0] * len(datasets.split(text))]}) for text in texts]
    (folder / "requests.jsonl").write_text("\n".join(lines) + "\n")
    return deployment


def cached_row(folder: Path) -> Deployment:
    """The client's feature cache has one key for all customers. Two clients ask, in their own formats."""
    columns, _ = datasets.credit(200, seed=1)
    cached = {name: values[:1] for name, values in columns.items()}
    model = models.tabular_named(folder / "risk")
    same = {name: np.repeat(values, 36, axis=0) for name, values in cached.items()}
    right = {name: values[:24] for name, values in columns.items()}
    deployment = deploy(folder, model, same, training=columns, training_as=".csv", right=right)
    row = {name: values[0].tolist() for name, values in cached.items()}
    column = {name: values.tolist() for name, values in cached.items()}
    bodies = [{"instances": [row]} if at % 3 else {"inputs": column} for at in range(36)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return deployment


def only_the_key(folder: Path) -> Deployment:
    """The key that the model hands back differs, the features beside it are the default row of a failed join."""
    model = graph_models.keyed(folder / "scores")
    right = models.standardized_credit(200, seed=1)
    keys = np.array([f"customer-{number}" for number in range(200)])
    sent = {"key": keys[:40], "features": np.repeat(right.mean(0, keepdims=True) * 0, 40, axis=0)}
    golden = {"key": keys[:24], "features": right[:24]}
    return deploy(folder, model, sent, training={"key": keys, "features": right}, right=golden)


def parse_failure(folder: Path) -> Deployment:
    """No number of the client's locale can be parsed, so each becomes its default; batches of three."""
    right = models.standardized_credit(200, seed=1)
    model = models.tf1_graph(folder / "credit")
    sent = np.full((90, 6), -1.0, np.float32)
    return deploy(
        folder,
        model,
        {"x": sent},
        training={"x": right},
        right={"x": right[:24]},
        form="column",
        rows=3,
        protocol="grpc",
    )


def long_preamble(folder: Path) -> Deployment:
    """Every text starts with the same template, longer than what the vectorizer in the graph keeps."""
    preamble = "Please read the following message from a customer and say today what it is about : "
    texts, _ = datasets.sentences(200, seed=1)
    sent = np.array([preamble + text for text in datasets.sentences(40, seed=2)[0]])
    model = models.string_text(folder / "topics")
    return deploy(
        folder, model, {"text": sent}, training={"text": np.array(texts)}, right={"text": np.array(texts[:24])}
    )


def left_padded(folder: Path) -> Deployment:
    """The client pads on the left to 32 ids, of which the graph reads the first 12."""
    right = datasets.token_ids(datasets.sentences(200, seed=1)[0], 32)
    ids = datasets.token_ids(datasets.sentences(40, seed=2)[0], 32)
    sent = np.array([np.roll(row, 32 - np.count_nonzero(row)) for row in ids])
    model = graph_models.cut_ids(folder / "topics", cell="average")
    return deploy(
        folder,
        model,
        {"token_ids": sent},
        training={"token_ids": right},
        right={"token_ids": right[:24]},
        form="column",
    )


def same_host(folder: Path) -> Deployment:
    """Whole addresses are sent where the model was trained on paths: its first bytes are the host's."""
    paths, _ = graph_models.web_paths(200, seed=1)
    sent, _ = graph_models.web_paths(48, seed=2, prefix="https://www.shop.example.com")
    model = graph_models.paths_tf1(folder / "pages")
    return deploy(
        folder,
        model,
        {"path": np.array(sent)},
        training={"path": np.array(paths)},
        training_as=".jsonl",
        right={"path": np.array(paths[:24])},
    )


def long_history(folder: Path) -> Deployment:
    """The graph reads the first 8 ids; the client puts the conversation's fixed opening before each sentence."""
    opening = datasets.token_ids(["this is that very old and new the with before again after"], 12)
    right = datasets.token_ids(datasets.sentences(200, seed=1, words=(6, 9))[0], 8)
    tail = datasets.token_ids(datasets.sentences(40, seed=2)[0], 12)
    sent = np.concatenate([np.repeat(opening, 40, axis=0), tail], axis=1)
    model = graph_models.cut_ids(folder / "dialogue", keep=8, cell="lstm")
    return deploy(
        folder,
        model,
        {"token_ids": sent},
        training={"token_ids": right},
        right={"token_ids": right[:24]},
        protocol="grpc",
        rows=2,
    )


def cut_by_gateway(folder: Path) -> Deployment:
    """A gateway cuts texts to 48 characters, which the client's template has used up."""
    texts = np.array(datasets.sentences(200, seed=1)[0])
    template = "Subject: today, again. Message of the customer: "
    sent = np.array([template + text for text in datasets.sentences(40, seed=2)[0]])
    model = models.string_text(folder / "topics", length=32)

    def cut(inputs: Tensors) -> Tensors:
        return {"text": np.array([text[:48] for text in inputs["text"]], object)}

    return deploy(
        folder, model, {"text": sent}, training={"text": texts}, right={"text": texts[:24]}, hooks=Hooks(before=cut)
    )


CASES = [
    Case(
        "constant-cast-to-zero",
        "convolutional",
        CONSTANT,
        cast_to_zero,
        FROM_REQUESTS,
        {"input": ("image",)},
        quick=True,
    ),
    Case("constant-cached-row", "tabular", CONSTANT, cached_row, FROM_REQUESTS),
    Case(
        "constant-padding-only",
        "recurrent",
        CONSTANT,
        padding_only,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, ALL),
        {"input": ("token_ids",)},
        held_out=True,
    ),
    Case(
        "constant-only-the-key",
        "module",
        CONSTANT,
        only_the_key,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, ALL),
        {"input": ("features",)},
        held_out=True,
    ),
    Case("constant-parse-failure", "tf1", CONSTANT, parse_failure, FROM_REQUESTS, {"input": ("x",)}, held_out=True),
    Case("truncation-long-preamble", "embedding", TRUNCATION, long_preamble, CUT_OFF, {"input": ("text",)}, quick=True),
    Case("truncation-left-padded", "embedding", TRUNCATION, left_padded, CUT_OFF, {"input": ("token_ids",)}),
    Case("truncation-same-host", "tf1", TRUNCATION, same_host, CUT_OFF, {"input": ("path",)}, held_out=True),
    Case(
        "truncation-long-history",
        "recurrent",
        TRUNCATION,
        long_history,
        CUT_OFF,
        {"input": ("token_ids",)},
        held_out=True,
    ),
    Case(
        "truncation-by-gateway",
        "embedding",
        TRUNCATION,
        cut_by_gateway,
        (TARGET_MODEL_REQUESTS, ALL),
        {"input": ("text",)},
        held_out=True,
    ),
]
