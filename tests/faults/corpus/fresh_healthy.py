"""Fresh healthy deployments with something odd about them, each for a reason; none was ever tuned on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus import cgroups, datasets, model_onnx
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.deploy import deploy
from corpus.fresh_model import fare
from corpus.fresh_nets import (
    GOLDEN,
    ROWS,
    SENT,
    TRAINED,
    Columns,
    beats,
    cellar,
    deployed,
    fares,
    incomes,
    menu,
    onnx_deployed,
    ranker,
    rhythm,
    scans,
    trips,
)
from corpus.given import (
    ALL,
    MODEL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)
from corpus.live import live
from corpus.mixups import Quota, ReplyCache
from corpus.server import Hooks
from corpus.small_nets import fitted


def _chosen(right: Columns, rows: np.ndarray) -> Columns:
    """The chosen rows first, then the others: those are what clients send."""
    order = np.concatenate([rows, np.setdiff1d(np.arange(400), rows)])
    return {name: values[order] for name, values in right.items()}


def one_night(folder: Path) -> Deployment:
    """The requests were recorded from two to three at night: one of six columns is the same in all."""
    model, right = fares(folder / "fares")
    sent = {name: values[SENT] for name, values in right.items()} | {"hour": np.full(48, 2)}
    training, golden = ({name: x[part] for name, x in right.items()} for part in (TRAINED, GOLDEN))
    return deploy(folder, model, sent, training=training, right=golden)


def one_rhythm(folder: Path) -> Deployment:
    """A ward where every heart beats alike: all the answers are of one class, and near each other."""
    model, right = rhythm(folder / "rhythm", inside=True)
    rows = np.flatnonzero(beats()[1] == 2)[:48]
    return deployed(folder, model, _chosen(right, rows))


def symmetric(folder: Path) -> Deployment:
    """How far two places are from each other: exchanged, they have the same answer."""
    import tensorflow as tf

    random = np.random.default_rng(91)
    first, second = random.normal(0, 1, (2, ROWS, 3)).astype(np.float32)
    right = {"first": first, "second": second}
    model = fitted(
        folder / "distance", right, np.abs(first - second).sum(1), lambda first, second: tf.abs(first - second)
    )
    return deployed(folder, model, right)


def two_alike(folder: Path) -> Deployment:
    """Two of the measures are the same in each row, in training as well: a laboratory reports one of them twice."""
    import tensorflow as tf

    raw = np.random.default_rng(92).normal([5, 5, 80, 1], [1, 1, 9, 0.2], (ROWS, 4)).astype(np.float32)
    raw[:, 1] = raw[:, 0]
    taste = raw @ np.array([1.0, 0.5, -0.1, 3.0])
    model = fitted(
        folder / "laboratory",
        {"measures": raw},
        taste.astype(np.float64),
        lambda measures: (measures - tf.constant([5.0, 5, 80, 1])) / tf.constant([1.0, 1, 9, 0.2]),
    )
    return deployed(folder, model, {"measures": raw})


def slang(folder: Path) -> Deployment:
    """A third of the words are in no vocabulary, as they are in training."""
    model, accented = menu(folder / "menu", folded=False)
    random = np.random.default_rng(93)
    slang = np.array(["ouf", "meuf", "kiffer", "relou", "chelou", "zarbi"])
    mixed = np.where(random.random(accented.shape) < 0.33, random.choice(slang, accented.shape), accented)
    return deployed(folder, model, {"words": mixed})


def five_digits(folder: Path) -> Deployment:
    """A gateway rounds what it hands on to five digits after the point."""
    model, right = cellar(folder / "cellar")

    def rounded(outputs: Any, inputs: Any) -> Any:
        return {name: np.round(values, 5) for name, values in outputs.items()}

    return deployed(folder, model, right, hooks=Hooks(after=rounded))


def popular(folder: Path) -> Deployment:
    """Half of the requests are of the search on the first page; a cache that looks at the whole body answers them."""
    model, right = ranker(folder / "ranker")
    rows = np.where(np.arange(48) % 2, 0, np.arange(48))
    deployment = deployed(folder, model, _chosen(right, rows))
    return live(deployment, lambda: Hooks(proxy=ReplyCache(lambda path, body: (path, body), headers=True).proxy))


def night_pictures(folder: Path) -> Deployment:
    """ONNX: the camera's pictures of the night are darker than most of the training, and grey."""
    pictures, _ = datasets.images(372, seed=94)
    right = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    right[::3] = np.round(right[::3].mean(1, keepdims=True) * 0.5)
    right[:48] = np.round(right[:48].mean(1, keepdims=True) * 0.5)
    return onnx_deployed(folder, list(model_onnx.SHAPES), model_onnx.shape_weights(), "image", right)


def barometer(folder: Path) -> Deployment:
    """Hardly anything changes, and the answers with it: 1013.2 hPa, give or take three tenths."""
    import tensorflow as tf

    x = np.random.default_rng(95).normal(0, 1, (ROWS, 4)).astype(np.float32)
    target = (x @ np.array([0.2, -0.15, 0.1, 0.1])).astype(np.float64)

    def extra(drift: Any) -> Any:
        return {"pressure": 1013.2 + tf.tensordot(drift, tf.constant([0.2, -0.15, 0.1, 0.1]), 1)}

    model = fitted(folder / "barometer", {"drift": x}, target, lambda drift: drift, extra=extra)
    return deployed(folder, model, {"drift": x})


def pinned(folder: Path) -> Deployment:
    """Clients pin version 1 while 2 is tried out beside it; what the URL asks for is what answers."""
    for version in (1, 2):
        _, right = cellar(folder / "cellar", version=version, seed=version)
    return deployed(folder, folder / "cellar", right, right_model=folder / "cellar" / "1", path="/versions/1")


def slow_and_right(folder: Path) -> Deployment:
    """Eight at a time take eight times as long, and all are answered, and right; now and then it is throttled."""
    model, right = scans(folder / "scans")
    cgroup = cgroups.v2(
        folder / "cgroup", limit=900 * MIB, peak=410 * MIB, cpu_quota=1.5, periods=20_000, throttled=190
    )
    deployment = replace(deployed(folder, model, right), cgroup=cgroup)
    return live(deployment, lambda: Hooks(around=Quota(0.01, 5.0).around))


def missing_jobs(folder: Path) -> Deployment:
    """One in eight leaves the job empty, which the table's default stands for; a season makes people work more."""
    model, right = incomes(folder / "incomes")
    empty = np.arange(ROWS) % 8 == 0
    right = right | {"job": np.where(empty, "", right["job"])}
    right["hours_per_week"] = np.where(np.arange(ROWS) < 48, right["hours_per_week"] + 4, right["hours_per_week"])
    return deployed(folder, model, right)


def paid_fares(folder: Path) -> Deployment:
    """The fares are rounded to fifty cents, as passengers pay them: some answers are equal."""
    fare(folder / "fares", False, fault="halves")
    return deployed(folder, folder / "fares" / "1", trips()[0])


SERVED = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS, ALL)
SENT_SO = (MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)


def _case(name: str, family: str, build: Any, given: Any = SENT_SO) -> Case:
    return Case(f"fresh-{name}", family, None, build, given, held_out=True)


CASES = [
    _case("one-night", "regression", one_night, (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, TARGET_REQUESTS)),
    _case("one-rhythm", "module", one_rhythm),
    _case("symmetric", "two-tower", symmetric, (MODEL, *SENT_SO)),
    _case("two-measures-alike", "dense", two_alike),
    _case("slang", "embedding", slang),
    _case("five-digits", "tf1", five_digits, (*SERVED, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("popular-search", "ranking", popular, SERVED),
    _case("pictures-at-night", "onnx", night_pictures),
    _case("barometer", "regression", barometer, (MODEL, *SENT_SO)),
    _case("pinned", "tf1", pinned, SERVED),
    _case("slow-and-right", "convolutional", slow_and_right, (*SERVED, (*TARGET_MODEL_REQUESTS, "cgroup"))),
    _case("jobs-left-empty", "tabular", missing_jobs),
    _case("paid-fares", "regression", paid_fares),
]
