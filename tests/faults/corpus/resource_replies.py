"""Servers that send an earlier answer again, and servers that do not serve."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from corpus import datasets, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import TARGET_MODEL_REQUESTS, TARGET_REQUESTS
from corpus.live import live, nobody, says, silent
from corpus.mixups import Replay, ReplyCache, TensorCache
from corpus.server import Hooks, rest
from corpus.serving_log import ServingLog

STALE, NOT_SERVING = "resources/stale-response", "resources/not-serving"
TARGET = ("target",)
TARGET_LOG = ("target", "server_log")
MODEL_LOG = ("model", "server_log")
SERVED = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def cache_ignores_the_body(folder: Path) -> Deployment:
    """A cache for GET was set up for POST as well: one reply a URL, for good."""
    sent = models.standardized_credit(48, seed=2)
    deployment = deploy(
        folder, models.dense_tabular(folder / "risk"), {"features": sent}, right={"features": sent[:20]}
    )
    return live(deployment, lambda: Hooks(proxy=ReplyCache(lambda path, body: path).proxy))


def proxy_with_ttl(folder: Path) -> Deployment:
    """As a proxy keeps replies, for a second and a half; it says so in its headers."""
    pictures, _ = datasets.images(40, seed=2)
    deployment = deploy(folder, models.conv_image(folder / "vision", scaling="inside"), {"image": pictures})
    cache = partial(ReplyCache, lambda path, body: path, ttl_s=1.5, headers=True)
    return live(deployment, lambda: Hooks(proxy=cache().proxy))


def truncated_key(folder: Path) -> Deployment:
    """The cache looks at the first 64 bytes of a body: the category that comes first, and none of the numbers."""
    columns, _ = datasets.credit(48, seed=2)
    order = ["region", "plan", *datasets.CREDIT_COLUMNS]
    sent = {name: columns[name] for name in order}
    model = models.tabular_named(folder / "risk")
    deployment = deploy(folder, model, sent, right=sent, signature="serving_default")
    return live(deployment, lambda: Hooks(proxy=ReplyCache(lambda path, body: (path, body[:64])).proxy))


def every_third(folder: Path) -> Deployment:
    """Three buffers for answers, one of which is never filled."""
    ids = datasets.token_ids(datasets.sentences(42, seed=2)[0])
    deployment = deploy(folder, models.recurrent(folder / "topics", length=12), {"token_ids": ids})
    return live(deployment, lambda: Hooks(around=Replay(lambda number: number % 3 == 2).around))


def one_behind(folder: Path) -> Deployment:
    """A captured graph of kernels: each answer is the one of the call before."""
    series, _ = datasets.sensors(40, seed=2)
    deployment = deploy(folder, models.attention(folder / "forecast"), {"series": series})
    return live(deployment, lambda: Hooks(around=Replay(lambda number: True, keep_replayed=False).around))


def same_length(folder: Path) -> Deployment:
    """A cache that tells bodies apart by their length."""
    raw, _ = datasets.house_matrix(48, seed=2)
    sent = np.round(raw)
    deployment = deploy(folder, models.regression(folder / "prices"), {"features": sent}, form="column")
    return live(deployment, lambda: Hooks(proxy=ReplyCache(lambda path, body: (path, len(body))).proxy))


def cached_by_shape(folder: Path) -> Deployment:
    """Over gRPC: a cache of compiled calls keeps the result with the shape that it was compiled for."""
    ids = datasets.token_ids(datasets.sentences(40, seed=2)[0])
    model = models.embedding_text(folder / "topics")
    deployment = deploy(folder, model, {"token_ids": ids}, right={"token_ids": ids[:24]})

    def hooks() -> Hooks:
        return Hooks(after=TensorCache(lambda inputs: tuple(sorted((k, v.shape) for k, v in inputs.items()))).after)

    return live(deployment, hooks, protocol="grpc")


def nobody_listens(folder: Path) -> Deployment:
    sent = models.standardized_credit(36, seed=2)
    return replace(deploy(folder, models.dense_tabular(folder / "risk"), {"features": sent}), serve=nobody)


def always_unavailable(folder: Path) -> Deployment:
    """The mesh's proxy is there, and nothing healthy behind it."""
    columns, _ = datasets.credit(36, seed=2)
    deployment = deploy(folder, models.tabular_named(folder / "risk"), columns)
    return replace(deployment, serve=lambda: says(503, "no healthy upstream", "text/plain"))


def hangs(folder: Path) -> Deployment:
    """Connections are taken, requests read, and no answer comes."""
    pictures, _ = datasets.images(36, seed=2)
    deployment = deploy(folder, models.conv_image(folder / "vision", scaling="inside"), {"image": pictures})
    return replace(deployment, serve=silent)


def still_loading(folder: Path) -> Deployment:
    ids = datasets.token_ids(datasets.sentences(36, seed=2)[0])
    deployment = deploy(folder, models.recurrent(folder / "topics", length=12), {"token_ids": ids})
    return live(deployment, lambda: Hooks(states={1: "LOADING"}))


def no_permission(folder: Path) -> Deployment:
    """The server's user may not read the variables; the version ended."""
    texts, _ = datasets.sentences(36, seed=2)
    file = "/models/topics/1/variables/variables.data-00000-of-00001"
    log = ServingLog("topics").starts().loading().load_fails(f"PERMISSION_DENIED: {file}; Permission denied", retries=2)
    deployment = deploy(folder, models.string_text(folder / "topics"), {"text": np.array(texts)})
    deployment = replace(deployment, server_log=log.listening().write(folder / "server.log"))
    failure = ("PERMISSION_DENIED", f"{file}; Permission denied")
    return live(deployment, lambda: Hooks(states={1: "END"}, failures={1: failure}), name="topics")


def unknown_name(folder: Path) -> Deployment:
    """The clients' URL has a hyphen where the model's name has none."""
    sent = models.standardized_credit(40, seed=2)
    model = models.tf1_graph(folder / "credit")
    log = ServingLog("credit_risk").starts().loading().loaded().listening().write(folder / "server.log")

    class Renamed:
        def __enter__(self) -> str:
            self.server = rest({1: model}, name="credit_risk")
            return self.server.__enter__().replace("credit_risk", "credit-risk")

        def __exit__(self, *error: object) -> None:
            self.server.__exit__(None, None, None)

    return replace(deploy(folder, model, {"x": sent}), server_log=log, serve=Renamed)


def gateway(folder: Path) -> Deployment:
    """The address is a gateway's, which does not reach the server."""
    series, _ = datasets.sensors(36, seed=2)
    deployment = deploy(folder, models.attention(folder / "forecast"), {"series": series})
    return replace(deployment, serve=lambda: says(502, BAD_GATEWAY))


def grpc_unavailable(folder: Path) -> Deployment:
    sent = models.standardized_credit(36, seed=2)
    deployment = deploy(folder, models.module_signatures(folder / "credit"), {"features": sent})
    return replace(deployment, serve=lambda: nobody("grpc://{}/model"))


def no_version_folder(folder: Path) -> Deployment:
    """The model lies in the base path itself, so that the server waits for a version for ever."""
    ids = datasets.token_ids(datasets.sentences(36, seed=2)[0])
    log = ServingLog("topics").starts()
    source = "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc:353"
    waits = "No versions of servable topics found under base path /models/topics."
    waits += " Did you forget to name your leaf directory as a number (eg. '/1/')?"
    for _ in range(40):
        log.line("W", source, waits, 1.0)
    model = models.embedding_text(folder / "topics")
    deployment = replace(deploy(folder, model, {"token_ids": ids}), server_log=log.write(folder / "server.log"))
    missing = '{"error": "Could not find any versions of model topics"}'
    return replace(deployment, serve=lambda: says(404, missing, "application/json", "topics"))


CASES = [
    Case(
        "cache-ignores-the-body",
        "dense",
        STALE,
        cache_ignores_the_body,
        (TARGET_MODEL_REQUESTS, (*TARGET_MODEL_REQUESTS, "golden")),
        quick=True,
    ),
    Case("proxy-with-ttl", "convolutional", STALE, proxy_with_ttl, SERVED),
    Case(
        "cache-key-truncated",
        "tabular",
        STALE,
        truncated_key,
        (TARGET_MODEL_REQUESTS, (*TARGET_MODEL_REQUESTS, "golden")),
        held_out=True,
    ),
    Case("every-third-answer-again", "recurrent", STALE, every_third, SERVED),
    Case("one-call-behind", "attention", STALE, one_behind, SERVED, held_out=True),
    Case("cache-by-length", "regression", STALE, same_length, (TARGET_MODEL_REQUESTS,), held_out=True),
    Case(
        "cached-by-shape",
        "embedding",
        STALE,
        cached_by_shape,
        (TARGET_MODEL_REQUESTS, (*TARGET_MODEL_REQUESTS, "golden")),
    ),
    Case(
        "nobody-listens",
        "dense",
        NOT_SERVING,
        nobody_listens,
        (TARGET, ("target", "model"), TARGET_REQUESTS, TARGET_MODEL_REQUESTS),
        quick=True,
    ),
    Case("always-unavailable", "tabular", NOT_SERVING, always_unavailable, (TARGET, TARGET_MODEL_REQUESTS)),
    Case("hangs", "convolutional", NOT_SERVING, hangs, (TARGET, TARGET_MODEL_REQUESTS), held_out=True),
    Case("still-loading", "recurrent", NOT_SERVING, still_loading, (TARGET, TARGET_REQUESTS, TARGET_MODEL_REQUESTS)),
    Case(
        "no-permission-to-read",
        "embedding",
        NOT_SERVING,
        no_permission,
        (TARGET, TARGET_LOG, MODEL_LOG, (*TARGET_MODEL_REQUESTS, "server_log")),
        held_out=True,
    ),
    Case("unknown-name", "tf1", NOT_SERVING, unknown_name, (TARGET, TARGET_MODEL_REQUESTS, TARGET_LOG)),
    Case("bad-gateway", "attention", NOT_SERVING, gateway, (TARGET, TARGET_MODEL_REQUESTS), held_out=True),
    Case("grpc-unavailable", "module", NOT_SERVING, grpc_unavailable, (TARGET, TARGET_MODEL_REQUESTS), held_out=True),
    Case("no-version-folder", "embedding", NOT_SERVING, no_version_folder, (TARGET_LOG, MODEL_LOG)),
]
