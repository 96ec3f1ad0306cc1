"""Third healthy deployments, with or without something odd about them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus import cgroups
from corpus import third_data as data
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.fitting import network
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
from corpus.graph_models import network_logits, network_module
from corpus.live import live
from corpus.mixups import OneWorker, ReplyCache
from corpus.saving import save_module
from corpus.server import Hooks
from corpus.serving_log import ServingLog
from corpus.small_nets import fitted
from corpus.third_nets import (
    addresses,
    bank,
    belt,
    bidding,
    cars,
    cinema,
    clicks,
    courier,
    deployed,
    first,
    hotel,
    newsroom,
    speech,
    surnames,
    tiles,
    turbine,
    wire,
)


def ground(folder: Path) -> Deployment:
    model, right = tiles(folder / "tiles")
    return deployed(folder, model, right)


def a_coast(folder: Path) -> Deployment:
    """Tiles of a coast: mostly water, all of it blue, and answered alike; some others."""
    model, right = tiles(folder / "tiles", inside=True)
    kind = data.satellite()[1]
    return deployed(folder, model, first(right, np.r_[np.flatnonzero(kind == 0)[:26], np.flatnonzero(kind > 0)[:6]]))


def flat_tiles(folder: Path) -> Deployment:
    model, right = tiles(folder / "tiles", flat=True)
    return deployed(folder, model, right, protocol="grpc", rows=4)


def dealer_of_old_diesels(folder: Path) -> Deployment:
    """One dealer's stock: each car has the same fuel and gearbox, and most of them are old."""
    model, right = cars(folder / "cars")
    rows = np.flatnonzero((right["fuel"] == "diesel")[:, 0] & (right["gearbox"] == "manual")[:, 0])
    return deployed(folder, model, first(right, rows[np.argsort(right["year"][rows, 0])][:32]))


def cars_in_columns(folder: Path) -> Deployment:
    model, right = cars(folder / "cars", inside=False)
    return deployed(folder, model, right, form="column", rows=4)


def stays(folder: Path) -> Deployment:
    model, right = hotel(folder / "hotel")
    return deployed(folder, model, right)


def short_stays(folder: Path) -> Deployment:
    """Short reviews: most of each row is padding, and masked."""
    model, right = hotel(folder / "hotel")
    return deployed(folder, model, first(right, np.argsort(right["attention_mask"].sum(1), kind="stable")[:32]))


def words_of_headlines(folder: Path) -> Deployment:
    model, right = newsroom(folder / "newsroom")
    return deployed(folder, model, right, form="column", rows=2)


def names_in_headlines(folder: Path) -> Deployment:
    """A third of the words are names and numbers, which no table has; training was so as well."""
    texts, topic = data.headlines()
    random = np.random.default_rng(391)
    mixed = [[w if random.random() < 0.66 else f"{random.integers(2000, 2999)}" for w in words] for words in texts]
    model, right = wire(folder / "wire", mixed, topic, data.HEADLINE_WORDS)
    return deployed(folder, model, right)


def letters_of_names(folder: Path) -> Deployment:
    model, right = surnames(folder / "surnames")
    return deployed(folder, model, right)


def long_addresses(folder: Path) -> Deployment:
    """Addresses of which some are longer than what is read; they differ where it is read."""
    model, right = addresses(folder / "addresses", limit=8)
    return deployed(folder, model, right)


def turbines_raw(folder: Path) -> Deployment:
    model, right = turbine(folder / "turbine", inside=True)
    return deployed(folder, model, right)


def a_calm_week(folder: Path) -> Deployment:
    """The windows of the calmest weather: less wind and power than on average, in what training knew."""
    model, right = turbine(folder / "turbine")
    return deployed(folder, model, first(right, np.argsort(right["window"][..., 0].mean(1))[5:229:7]))


def evening_of_a_film(folder: Path) -> Deployment:
    """A film that everybody asks for, at the same hour: users differ, and so do the ratings."""
    model, right = cinema(folder / "cinema")
    film, hour = right["film_id"].copy(), right["hour"].copy()
    film[:32], hour[:32] = film[3], 20
    return deployed(folder, model, right | {"film_id": film, "hour": hour})


def serialized(folder: Path) -> Deployment:
    """TensorFlow 1: Examples, as clients of an estimator send them."""
    model, right = clicks(folder / "clicks")
    return deployed(folder, model, right, training_as=".jsonl")


def spoken(folder: Path) -> Deployment:
    return speech(folder)


def on_the_belt(folder: Path) -> Deployment:
    model, right = belt(folder / "belt")
    return deployed(folder, model, right)


def only_boxes(folder: Path) -> Deployment:
    """A belt with boxes only: one class is answered, each time at another place."""
    model, right = belt(folder / "belt")
    return deployed(folder, model, first(right, np.flatnonzero(data.frames()[1] == 0)[:32]))


def all_approved(folder: Path) -> Deployment:
    """Applicants whom a filter has chosen: all are approved, with different certainty."""
    model, right = bank(folder / "bank")
    return deployed(folder, model, first(right, np.flatnonzero(data.applicants()[1] == 1)[:32]))


def seven_parcels(folder: Path) -> Deployment:
    """Seven requests, four of them for the same parcel."""
    model, right = courier(folder / "courier")
    rows = np.r_[0, 0, 0, 0, 1, 2, 3, 10 : data.ROWS]
    return deployed(folder, model, {name: x[rows] for name, x in right.items()}, count=7)


def pressure_of_a_pipe(folder: Path) -> Deployment:
    """A pressure that a controller holds: 4.00 bar, give or take 0.02, by what is asked."""
    random = np.random.default_rng(392)
    x = random.normal(0, 1, (data.ROWS, 5)).astype(np.float32)
    bar = 4.0 + 0.008 * (x @ np.array([1.0, -0.8, 0.6, 0.9, -0.4]))
    model = fitted(folder / "pipe", {"valves": x}, bar, lambda valves: valves)
    return deployed(folder, model, {"valves": x})


def energy_class(folder: Path) -> Deployment:
    """A class from A to G as a text, beside nothing else."""
    import tensorflow as tf

    x, _ = data.applicants()
    need = x @ np.linspace(-1, 1.4, 12)
    module = network_module(network(x, need))
    names = tf.constant([*"ABCDEFG"])

    def serve(house: Any) -> dict[str, Any]:
        step = tf.cast(tf.clip_by_value(tf.round(3 + 1.2 * network_logits(module, house)[:, 0]), 0.0, 6.0), tf.int32)
        return {"class": tf.gather(names, step), "step": step}

    specs = [tf.TensorSpec([None, 12], tf.float32, "house")]
    model = save_module(module, folder / "energy", {"serving_default": (serve, specs)})
    return deployed(folder, model, {"house": x})


def scaled_by_the_proxy(folder: Path) -> Deployment:
    """Clients send bytes, and what stands before the model divides them, as training did."""
    model, right = tiles(folder / "tiles")
    hooks = Hooks(before=lambda x: {"tile": (x["tile"] / 255).round(4).astype(np.float32)})
    return deployed(folder, model, right, lambda sent: {"tile": np.round(sent["tile"] * 255)}, hooks=hooks)


def version_asked_for(folder: Path) -> Deployment:
    """TensorFlow 1: clients stay with version 2 of three."""
    for version in (1, 2, 3):
        _, right = bidding(folder / "bidding", version, 392 + version)
    second = folder / "bidding" / "2"
    return deployed(folder, folder / "bidding", right, right_model=second, path="/versions/2")


def asked_again(folder: Path) -> Deployment:
    """A cache on whole bodies, and a page that asks again for what it has shown."""
    model, right = bank(folder / "bank")
    rows = np.r_[np.arange(32) // 2, 32 : data.ROWS]
    made = deployed(folder, model, {"applicant": right["applicant"][rows]})
    return live(made, lambda: Hooks(proxy=ReplyCache(lambda path, body: (path, body), headers=True).proxy))


def slow_and_right(folder: Path) -> Deployment:
    """One worker, before which callers wait as long as it takes; a log with warnings, and memory to spare."""
    model, right = courier(folder / "courier")
    log = ServingLog("courier").starts().loading().loaded().listening().large_allocation(120_000_000, 64.0)
    cgroup = cgroups.v2(folder / "cgroup", limit=768 * MIB, peak=690 * MIB, cpu_quota=1, periods=21_000, throttled=310)
    made = replace(deployed(folder, model, right), cgroup=cgroup, server_log=log.write(folder / "server.log"))
    return live(made, lambda: Hooks(around=OneWorker(0.015, 30.0).around))


SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
BARE = (MODEL_REQUESTS, TARGET_REQUESTS)
KNOWN = (MODEL_REQUESTS, ALL)
LIVE = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)
ALONE = (MODEL, ALL)


TUNED = ("a-coast",)  # wrong when the set was scored, and worked on since


def _case(name: str, family: str, build: Any, given: Any = KNOWN) -> Case:
    return Case(f"third-{name}", family, None, build, given, held_out=name not in TUNED)


CASES = [
    _case("ground", "convolutional", ground, ALONE),
    _case("a-coast", "convolutional", a_coast, SENT),
    _case("flat-tiles", "convolutional", flat_tiles, BARE),
    _case("dealer-of-old-diesels", "tabular", dealer_of_old_diesels, SENT),
    _case("cars-in-columns", "tabular", cars_in_columns),
    _case("stays", "attention", stays, ALONE),
    _case("short-stays", "attention", short_stays, SENT),
    _case("words-of-headlines", "embedding", words_of_headlines),
    _case("names-in-headlines", "embedding", names_in_headlines, (MODEL_REQUESTS_TRAINING, ALL)),
    _case("letters-of-names", "recurrent", letters_of_names),
    _case("long-addresses", "embedding", long_addresses, SENT),
    _case("turbines-raw", "recurrent", turbines_raw, (MODEL, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("a-calm-week", "recurrent", a_calm_week, SENT),
    _case("evening-of-a-film", "embedding", evening_of_a_film, (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)),
    _case("serialized", "tf1", serialized),
    _case("spoken", "onnx", spoken, (MODEL, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("on-the-belt", "multi-output", on_the_belt, ALONE),
    _case("only-boxes", "multi-output", only_boxes, SENT),
    _case("all-approved", "dense", all_approved, SENT),
    _case("seven-parcels", "regression", seven_parcels),
    _case("pressure-of-a-pipe", "regression", pressure_of_a_pipe),
    _case("energy-class", "multi-output", energy_class, SENT),
    _case("scaled-by-the-proxy", "convolutional", scaled_by_the_proxy,
          (TARGET_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("version-asked-for", "tf1", version_asked_for, LIVE),
    _case("asked-again", "dense", asked_again, LIVE),
    _case("slow-and-right", "regression", slow_and_right,
          (("target", "requests", "server_log", "cgroup"), TARGET_MODEL_REQUESTS)),
]  # fmt: skip
