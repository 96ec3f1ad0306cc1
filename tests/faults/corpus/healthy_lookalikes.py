"""Healthy deployments that look like broken ones: in what is sent or answered, or in how the server behaves."""

import itertools
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus import cgroups, datasets, healthy_models, models
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS,
    TARGET_REQUESTS_GOLDEN,
)
from corpus.live import live, unstuck
from corpus.mixups import OneWorker, ReplyCache
from corpus.server import Forward, Hooks, Reply
from corpus.serving_log import ServingLog

SERVED = (TARGET_MODEL_REQUESTS, TARGET_REQUESTS)


def nearly_the_same(folder: Path) -> Deployment:
    """One station, a reading a minute: the series hardly differ, and so do the forecasts."""
    series, _ = datasets.sensors(240, seed=1)
    drift = np.random.default_rng(4).normal(0, 0.03, (40, *series.shape[1:])).astype(np.float32)
    model = models.attention(folder / "forecast")
    return deploy(folder, model, {"series": series[:1] + drift}, training={"series": series})


def popular_request(folder: Path) -> Deployment:
    """Two of three ask for the same sentence."""
    ids = datasets.token_ids(datasets.sentences(240, seed=1)[0])
    popular = np.random.default_rng(5).random(45) < 0.66
    sent = np.where(popular[:, None], ids[:1], ids[:45])
    return deploy(folder, models.embedding_text(folder / "topics"), {"token_ids": sent}, training={"token_ids": ids})


def few_and_equal(folder: Path) -> Deployment:
    """A dozen of requests of one customer, reloading a page."""
    raw, _ = datasets.credit_matrix(240, seed=1)
    model = models.dense_tabular(folder / "risk", normalization="inside")
    return deploy(folder, model, {"features": np.repeat(raw[:1], 12, axis=0)}, training={"features": raw})


def probe_and_two_users(folder: Path) -> Deployment:
    """A monitor asks the same thing all day; in between, two users."""
    columns, _ = datasets.credit(240, seed=1)
    rows = [0] * 17 + [1] + [0] * 9 + [2, 0, 0]
    sent = {name: values[rows] for name, values in columns.items()}
    return deploy(folder, models.tabular_named(folder / "risk"), sent, training=columns, training_as=".csv")


def rare_label(folder: Path) -> Deployment:
    """Fraud or not: of sixty customers a handful."""
    right = models.standardized_credit(300, seed=1)
    model = healthy_models.suspicious(folder / "fraud", 0.97)
    deployment = deploy(folder, model, {"features": right[:60]}, training={"features": right})
    return replace(deployment, serve=lambda: unstuck({"fraud": folder / "fraud"}))


def only_the_class(folder: Path) -> Deployment:
    """Many neighbours have the same answer, and no answer is another's."""
    pictures, _ = datasets.images(240, seed=1)
    model = healthy_models.picture_class(folder / "vision")
    training = {"image": pictures.astype(np.float32)}
    return deploy(folder, model, {"image": pictures[:48]}, training=training, form="column", protocol="grpc")


def tiny_variance(folder: Path) -> Deployment:
    """50 Hz, more or less 0.02."""
    raw, _ = datasets.house_matrix(240, seed=1)
    model = healthy_models.grid_frequency(folder / "grid")
    right = {"features": raw[40:90]}
    return deploy(folder, model, {"features": raw[:40]}, training={"features": raw}, right=right, protocol="grpc")


def names_unknown(folder: Path) -> Deployment:
    """Every other word is a name that no vocabulary has; the others say enough."""
    texts, _ = datasets.sentences(240, seed=1)
    names = ("Okafor", "Lindqvist", "Tanaka", "Marchetti", "Nowak", "Iyer")
    words = datasets.token_strings(texts, 7).astype("U12")
    tokens = np.full((240, 15), "", "U12")
    tokens[:, 0:14:2], tokens[:, 1:14:2] = words, np.random.default_rng(6).choice(names, (240, 7))
    tokens[:, 1:14:2][words == ""] = ""
    model = models.string_tokens(folder / "headlines")
    return deploy(folder, model, {"tokens": tokens[:40]}, training={"tokens": tokens}, right={"tokens": tokens[40:70]})


def whole_body_cache(folder: Path) -> Deployment:
    """A cache that knows what it does, and customers who ask again."""
    sent = models.standardized_credit(48, seed=1)[np.random.default_rng(7).integers(0, 16, 48)]
    deployment = deploy(folder, models.tf1_graph(folder / "credit"), {"x": sent})
    cache = lambda: ReplyCache(lambda path, body: (path, body), headers=True)  # noqa: E731
    return live(deployment, lambda: Hooks(proxy=cache().proxy))


def six_digits(folder: Path) -> Deployment:
    """Answers are rounded on their way out."""
    pictures, _ = datasets.images(40, seed=1)
    sent = (pictures / 255).astype(np.float32)
    model = models.conv_image(folder / "vision")
    deployment = deploy(folder, model, {"image": sent}, right={"image": sent[:20]})
    hooks = Hooks(after=lambda outputs, inputs: {k: np.round(v.astype(np.float64), 6) for k, v in outputs.items()})
    return live(deployment, lambda: hooks)


def symmetric(folder: Path) -> Deployment:
    """Left and right may be swapped: the similarity is the same."""
    rows = models.standardized_credit(480, seed=1)
    training = {"left": rows[:240], "right": rows[240:]}
    sent = {name: values[:40] for name, values in training.items()}
    right = {name: values[40:70] for name, values in training.items()}
    return deploy(folder, healthy_models.similarity(folder / "twins"), sent, training=training, right=right)


def both_prices_equal(folder: Path) -> Deployment:
    """Fixed prices: the lowest is the highest, as in most of the training data."""
    training = healthy_models.offered(300, seed=1, equal=0.8)
    sent = healthy_models.offered(40, seed=2, equal=1.0)
    right = healthy_models.offered(30, seed=3, equal=0.8)
    return deploy(folder, healthy_models.offers(folder / "offers"), sent, training=training, right=right)


def slow_server(folder: Path) -> Deployment:
    ids = datasets.token_ids(datasets.sentences(32, seed=1)[0])
    deployment = deploy(folder, models.recurrent(folder / "topics", length=12), {"token_ids": ids})

    def around(call: object, answer: object) -> dict[str, np.ndarray]:
        time.sleep(0.15)
        return answer()  # type: ignore[operator]

    return live(deployment, lambda: Hooks(around=around))


def patient_queue(folder: Path) -> Deployment:
    """One call at a time; the others wait, and get their own answers."""
    raw, _ = datasets.house_matrix(40, seed=1)
    deployment = deploy(folder, models.regression(folder / "prices"), {"features": raw})
    return live(deployment, lambda: Hooks(around=OneWorker(0.008, 60).around), protocol="grpc")


def asks_to_come_back(folder: Path) -> Deployment:
    """One answer in fifty is 503 with Retry-After, while pods are replaced, whatever the load."""
    columns, _ = datasets.credit(40, seed=1)

    def hooks() -> Hooks:
        numbers = itertools.count(1)

        def proxy(path: str, body: bytes, forward: Forward) -> Reply:
            if next(numbers) % 50 == 0:
                return 503, b'{"error": "upstream is being replaced"}', {"Retry-After": "1"}
            return forward()

        return Hooks(proxy=proxy)

    return live(deploy(folder, models.tabular_named(folder / "risk"), columns), hooks)


def a_bit_outside(folder: Path) -> Deployment:
    """A new region: incomes half as large again, ages up to 95."""
    raw, _ = datasets.credit_matrix(260, seed=1)
    sent = raw[:40].copy()
    sent[:, 1] *= np.random.default_rng(8).uniform(1.0, 1.7, 40)
    sent[::4, 0] = np.linspace(84, 95, 10)
    model = models.dense_tabular(folder / "risk", normalization="inside")
    return deploy(folder, model, {"features": sent}, training={"features": raw}, right={"features": raw[:30]})


def long_texts(folder: Path) -> Deployment:
    """Thirty words, of which the model reads twelve: these differ."""
    texts = np.array(datasets.sentences(240, seed=1, words=(25, 36))[0])
    model = models.string_text(folder / "topics")
    return deploy(folder, model, {"text": texts[:40]}, training={"text": texts}, right={"text": texts[40:60]})


def last_ids(folder: Path) -> Deployment:
    """A shop for kitchens: its words stand at the vocabulary's end, the last of all among them."""
    ids = datasets.token_ids(datasets.sentences(240, seed=1)[0])
    end = len(datasets.VOCABULARY)
    random = np.random.default_rng(9)
    sent = random.integers(end - 14, end, (40, 12)) * (np.arange(12) < random.integers(4, 13, (40, 1)))
    model = models.embedding_text(folder / "topics")
    return deploy(folder, model, {"token_ids": sent.astype(np.int32)}, training={"token_ids": ids})


def newest_version(folder: Path) -> Deployment:
    """Version 2 answers where none is asked for."""
    base = folder / "risk"
    models.dense_tabular(base, seed=0, version=1)
    models.dense_tabular(base, seed=9, version=2)
    right = models.standardized_credit(70, seed=1)
    return live(deploy(folder, base, {"features": right[:40]}, right={"features": right[40:]}))


def pinned_version(folder: Path) -> Deployment:
    """Version 1 answers, since clients ask for it."""
    base = folder / "credit"
    models.module_signatures(base, seed=0, version=1)
    models.module_signatures(base, seed=9, version=2)
    right = models.standardized_credit(70, seed=1)
    golden = {"right": {"features": right[40:]}, "right_model": base / "1"}
    deployment = replace(deploy(folder, base, {"features": right[:40]}, **golden), version=1)
    return live(deployment, path="/versions/1")


def harmless_warnings(folder: Path) -> Deployment:
    """Large allocations, no GPU, an address family that is not there."""
    series, _ = datasets.sensors(40, seed=1)
    log = ServingLog("forecast").starts()
    log.raw("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR")
    cuda = "Could not find cuda drivers on your machine, GPU will not be used."
    log.line("I", "external/local_xla/xla/tsl/cuda/cudart_stub.cc:32", cuda)
    log.loading().large_allocation(536_870_912, 0.2).loaded().listening()
    for _ in range(5):
        log.large_allocation(201_326_592, 400.0)
    deployment = deploy(folder, models.attention(folder / "forecast"), {"series": series})
    return replace(deployment, server_log=log.write(folder / "server.log"))


def loaded_the_second_time(folder: Path) -> Deployment:
    """The storage was slow to mount: the first try failed, the second did not. The model's name has oom in it."""
    pictures, _ = datasets.images(36, seed=1)
    log = ServingLog("room_zoom").starts().loading()
    retrier, why = "tensorflow_serving/util/retrier.cc", "UNAVAILABLE: /models/room_zoom/1: Transport endpoint is busy"
    log.line("E", f"{retrier}:37", f"Loading servable: {log.servable} failed: {why}", 0.5)
    log.line("I", f"{retrier}:46", f"Retrying of Loading servable: {log.servable} retry: 1", 60.0)
    log.loading().loaded().listening()
    model = models.conv_image(folder / "room_zoom", scaling="inside")
    deployment = replace(deploy(folder, model, {"image": pictures}), server_log=log.write(folder / "server.log"))
    return live(deployment, name="room_zoom")


def ample_memory(folder: Path) -> Deployment:
    """Two CPUs, twelve of 40,000 periods throttled, at start."""
    raw, _ = datasets.house_matrix(40, seed=1)
    cgroup = cgroups.v2(
        folder / "cgroup", limit=4096 * MIB, peak=611 * MIB, cpu_quota=2.0, periods=40_117, throttled=12
    )
    return replace(deploy(folder, models.regression(folder / "prices"), {"features": raw}), cgroup=cgroup)


def met_its_limit_reading_files(folder: Path) -> Deployment:
    """Pages of the model's files filled the limit and were dropped again: nothing was refused or killed."""
    sent = models.standardized_credit(45, seed=1)
    cgroup = cgroups.v1(
        folder / "cgroup", limit=2048 * MIB, peak=2048 * MIB, failures=37, cpu_quota=4.0, periods=9000, throttled=41
    )
    deployment = deploy(folder, models.tf1_graph(folder / "credit"), {"x": sent}, rows=3)
    return replace(deployment, cgroup=cgroup)


def recorded_elsewhere(folder: Path) -> Deployment:
    """Golden answers of another processor: the same but for the seventh digit."""
    customer, _ = datasets.credit_matrix(90, seed=1)
    series, _ = datasets.sensors(90, seed=2)
    given = {"customer": customer, "series": series}
    sent, right = ({name: values[part] for name, values in given.items()} for part in (slice(40), slice(40, 90)))
    deployment = deploy(folder, models.multi_output(folder / "bank"), sent, right=right)
    random = np.random.default_rng(10)
    golden = deployment.golden
    assert golden is not None
    lines = [json.loads(line) for line in golden.read_text().splitlines()]
    for line in lines:
        for name, values in line["outputs"].items():
            noise = 1 + random.uniform(-8e-7, 8e-7, np.shape(values))
            line["outputs"][name] = (np.array(values) * noise).tolist()
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return deployment


CASES = [
    Case("nearly-the-same", "attention", None, nearly_the_same, (*SERVED, MODEL_REQUESTS, MODEL_REQUESTS_TRAINING)),
    Case("popular-request", "embedding", None, popular_request, (*SERVED, MODEL_REQUESTS), quick=True),
    Case("few-and-equal", "dense", None, few_and_equal, (*SERVED, MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)),
    Case("probe-and-two-users", "tabular", None, probe_and_two_users, (*SERVED, MODEL_REQUESTS), held_out=True),
    Case("rare-label", "dense", None, rare_label, (*SERVED, MODEL_REQUESTS_TRAINING), held_out=True),
    Case("only-the-class", "convolutional", None, only_the_class, (*SERVED, MODEL_REQUESTS)),
    Case(
        "tiny-variance",
        "regression",
        None,
        tiny_variance,
        (ALL, MODEL_REQUESTS_TRAINING, MODEL_GOLDEN, TARGET_MODEL_REQUESTS),
        held_out=True,
    ),
    Case("names-unknown", "embedding", None, names_unknown, (ALL, MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, *SERVED)),
    Case("whole-body-cache", "tf1", None, whole_body_cache, SERVED, held_out=True),
    Case("six-digits", "convolutional", None, six_digits, (*SERVED, TARGET_REQUESTS_GOLDEN)),
    Case("symmetric", "module", None, symmetric, (ALL, MODEL_REQUESTS, TARGET_REQUESTS_GOLDEN, *SERVED), quick=True),
    Case(
        "both-prices-equal",
        "tabular",
        None,
        both_prices_equal,
        (ALL, MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_GOLDEN),
        held_out=True,
    ),
    Case("slow-server", "recurrent", None, slow_server, SERVED),
    Case("patient-queue", "regression", None, patient_queue, SERVED, held_out=True),
    Case("asks-to-come-back", "tabular", None, asks_to_come_back, SERVED),
    Case("a-bit-outside", "dense", None, a_bit_outside, (ALL, MODEL_REQUESTS_TRAINING, TARGET_MODEL_REQUESTS_TRAINING)),
    Case(
        "long-texts",
        "embedding",
        None,
        long_texts,
        (ALL, MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_MODEL_REQUESTS),
        held_out=True,
    ),
    Case("last-ids", "embedding", None, last_ids, (MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, *SERVED), held_out=True),
    Case("newest-version", "dense", None, newest_version, (TARGET_MODEL_REQUESTS, TARGET_REQUESTS_GOLDEN)),
    Case(
        "pinned-version",
        "module",
        None,
        pinned_version,
        (TARGET_MODEL_REQUESTS, TARGET_REQUESTS_GOLDEN, (*TARGET_MODEL_REQUESTS, "golden")),
        held_out=True,
    ),
    Case(
        "harmless-warnings",
        "attention",
        None,
        harmless_warnings,
        (("model", "server_log"), (*TARGET_MODEL_REQUESTS, "server_log"), ("target", "server_log")),
    ),
    Case(
        "loaded-the-second-time",
        "convolutional",
        None,
        loaded_the_second_time,
        (("model", "server_log"), (*TARGET_MODEL_REQUESTS, "server_log")),
        held_out=True,
    ),
    Case("ample-memory", "regression", None, ample_memory, (("model", "cgroup"), (*TARGET_MODEL_REQUESTS, "cgroup"))),
    Case(
        "met-its-limit-reading-files",
        "tf1",
        None,
        met_its_limit_reading_files,
        (("model", "cgroup"), (*TARGET_MODEL_REQUESTS, "cgroup")),
        held_out=True,
    ),
    Case(
        "recorded-elsewhere",
        "multi-output",
        None,
        recorded_elsewhere,
        (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN, TARGET_REQUESTS_GOLDEN),
    ),
]
