"""Unseen healthy deployments, with or without something odd about them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus import cgroups
from corpus import unseen_data as data
from corpus import unseen_model_nets as nets
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.deploy import deploy
from corpus.fitting import logistic, network
from corpus.fresh_nets import Columns, deployed, table
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
from corpus.mixups import Quota, ReplyCache
from corpus.saving import save_module
from corpus.server import Hooks
from corpus.serving_log import ServingLog
from corpus.small_nets import embeddings, fitted
from corpus.unseen_nets import (
    activity,
    bikes,
    churn,
    clinic,
    demand,
    desk,
    engine_onnx,
    fraud,
    inbox,
    leaf_onnx,
    meter,
    mood,
    plants,
)


def _first(right: Columns, rows: np.ndarray) -> Columns:
    """The chosen rows, which clients send, and then the others."""
    order = np.concatenate([rows, np.setdiff1d(np.arange(data.ROWS), rows)])
    return {name: values[order] for name, values in right.items()}


def pictures_of_a_meter(folder: Path) -> Deployment:
    model, right = meter(folder / "meter")
    return deployed(folder, model, right)


def only_low_digits(folder: Path) -> Deployment:
    """A new meter that shows 0 and 1 so far: two of ten classes are answered."""
    model, right = meter(folder / "meter", inside=True)
    return deployed(folder, model, _first(right, np.flatnonzero(data.digits()[1] < 2)[:48]))


def plants_over_grpc(folder: Path) -> Deployment:
    model, right = plants(folder / "plants", inside=True)
    return deployed(folder, model, right, protocol="grpc", rows=4)


def rare_fraud(folder: Path) -> Deployment:
    """A day without fraud: every answer is a low share, and they differ."""
    model, right = fraud(folder / "fraud")
    return deployed(folder, model, _first(right, np.flatnonzero(data.payments()[1] == 0)[:48]))


def one_account(folder: Path) -> Deployment:
    """A customer's account is looked at 48 times while it hardly changes: the months and the use of data grow."""
    model, right = churn(folder / "churn")
    sent = {name: np.repeat(values[7:8], 48) for name, values in right.items()}
    sent |= {"data_gb": (sent["data_gb"] + np.arange(48) * 0.05).astype(np.float32)}
    training, golden = ({name: x[part] for name, x in right.items()} for part in (slice(48, 348), slice(348, 372)))
    return deploy(folder, model, sent, training=training, right=golden)


def roof_with_an_inverter(folder: Path) -> Deployment:
    """A plant's power, cut off at nothing and at what its inverter gives: a third of the answers are one of both."""
    import tensorflow as tf

    random = np.random.default_rng(271)
    x = random.normal(0, 1, (data.ROWS, 4)).astype(np.float32)
    power = 2.5 + x @ np.array([2.2, -1.3, 0.8, 0.4])
    module = network_module(network(x, power))

    def serve(weather: Any) -> dict[str, Any]:
        return {"kilowatts": tf.clip_by_value(network_logits(module, weather)[:, 0], 0.0, 5.0)}

    specs = [tf.TensorSpec([None, 4], tf.float32, "weather")]
    model = save_module(module, folder / "roof", {"serving_default": (serve, specs)})
    return deployed(folder, model, {"weather": x})


def half_unknown(folder: Path) -> Deployment:
    """Half of the words are names and numbers of orders, which no table has, in training as well."""
    texts, label = data.tickets(words=(8, 11))
    random = np.random.default_rng(272)
    mixed = [[w if random.random() < 0.55 else f"#{random.integers(1e6)}" for w in words] for words in texts]
    model = inbox(folder / "inbox", [" ".join(words) for words in mixed], label, data.TICKET_VOCABULARY)
    return deployed(folder, model, {"message": np.array([" ".join(words) for words in mixed])})


def as_people_write(folder: Path) -> Deployment:
    """Capitals and line ends: the graph takes lower case and splits, as it did for training."""
    texts, label = data.tickets()
    written = np.array([" ".join(words).capitalize() for words in texts])
    model = inbox(folder / "inbox", written, label, data.TICKET_VOCABULARY, lower=True)
    return deployed(folder, model, {"message": written})


def words_of_tickets(folder: Path) -> Deployment:
    model, right = desk(folder / "desk")
    return deployed(folder, model, right, form="column", rows=3)


def short_reviews(folder: Path) -> Deployment:
    """Reviews of eight to ten words: more than half of what is sent is padding."""
    model, right = mood(folder / "mood")
    length = (right["token_ids"] > 0).sum(1)
    return deployed(folder, model, _first(right, np.flatnonzero(length <= 11)[:48]))


def total_of_bikes(folder: Path) -> Deployment:
    """Clients name the signature that they mean, which is not the default one."""
    model, right = bikes(folder / "bikes")
    return replace(deployed(folder, model, right, signature="total"), golden=None)


def both_kinds_of_bikes(folder: Path) -> Deployment:
    model, right = bikes(folder / "bikes")
    return deployed(folder, model, right, form="column", rows=6)


def five_networks(folder: Path) -> Deployment:
    """The mean of five networks, with how far apart they are."""
    import tensorflow as tf

    raw, label = data.patients()
    x = ((raw - data.PATIENT_MEAN) / data.PATIENT_SPREAD).round(4)
    module = tf.Module()
    module.members = [network_module(network(x, label, seed)) for seed in range(5)]

    def serve(measures: Any) -> dict[str, Any]:
        risks = tf.stack([tf.nn.softmax(network_logits(member, measures))[:, 1] for member in module.members])
        return {"risk": tf.reduce_mean(risks, 0), "spread": tf.math.reduce_std(risks, 0)}

    specs = [tf.TensorSpec([None, 8], tf.float32, "measures")]
    model = save_module(module, folder / "clinic", {"serving_default": (serve, specs)})
    return deployed(folder, model, {"measures": x})


def prepared_by_the_server(folder: Path) -> Deployment:
    """What stands before the model standardises, as the model was trained; clients send what they measure."""
    model, right = clinic(folder / "clinic", inside=False)
    raw = data.patients()[0]

    def scaled(inputs: Columns) -> Columns:
        return {"measures": ((inputs["measures"] - data.PATIENT_MEAN) / data.PATIENT_SPREAD).round(4)}

    return deployed(folder, model, right, lambda sent: {"measures": raw[:48]}, hooks=Hooks(before=scaled))


def winter(folder: Path) -> Deployment:
    """Trained on a whole year, and asked in its colder half: less warmth and more load than on average."""
    model, right = demand(folder / "demand", inside=True)
    return deployed(folder, model, _first(right, np.argsort(right["history"][..., 1].mean(1))[10:346:7]))


def load_of_the_grid(folder: Path) -> Deployment:
    model, right = demand(folder / "demand", inside=False)
    return deployed(folder, model, right, rows=8)


def mostly_still(folder: Path) -> Deployment:
    """Most people sit: two thirds of the answers are nearly certain, and nearly equal."""
    model, right = activity(folder / "activity")
    still, moving = (np.flatnonzero((data.movements()[1] == 0) == rests) for rests in (True, False))
    return deployed(folder, model, _first(right, np.concatenate([still[:32], moving[:16]])))


def engine(folder: Path) -> Deployment:
    return engine_onnx(folder)


def leaves_by_onnx(folder: Path) -> Deployment:
    return leaf_onnx(folder)


def newest_of_two(folder: Path) -> Deployment:
    """TensorFlow 1: the newest of two answers, and nobody asks for another."""
    for version in (1, 2):
        _, right = fraud(folder / "fraud", version=version, seed=version)
    return deployed(folder, folder / "fraud", right)


def trial_beside(folder: Path) -> Deployment:
    """Over gRPC: clients ask for version 1 while 2 is tried."""
    for version in (1, 2):
        _, right = demand(folder / "demand", inside=True, version=version, seed=version)
    first = folder / "demand" / "1"
    return deployed(folder, folder / "demand", right, right_model=first, protocol="grpc", path="/versions/1")


def stars(folder: Path) -> Deployment:
    """Whole stars, one to five, beside nothing else: a coarse answer that was meant so."""
    import tensorflow as tf

    ids, _ = data.opinions()
    vectors = embeddings(data.OPINION_IDS, 16, 273)
    liking = (((ids > 1) & (ids < 15)).sum(1) - ((ids > 14) & (ids < 28)).sum(1)) / 3.0
    features = lambda token_ids: tf.reduce_sum(tf.gather(vectors, token_ids), 1) / 4  # noqa: E731
    module = network_module(network(features(tf.constant(ids)).numpy(), liking))
    module.vectors = vectors

    def serve(token_ids: Any) -> dict[str, Any]:
        liked = network_logits(module, features(token_ids))[:, 0]
        return {"stars": tf.cast(tf.clip_by_value(tf.round(3 + liked), 1.0, 5.0), tf.int32)}

    specs = [tf.TensorSpec([None, 20], tf.int32, "token_ids")]
    model = save_module(module, folder / "stars", {"serving_default": (serve, specs)})
    return deployed(folder, model, {"token_ids": ids})


def pruned(folder: Path) -> Deployment:
    """Four of five weights were pruned to zero, and a third of the units with them."""
    raw, label = data.engines()
    x = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    weights = network(x, label)
    mask = np.random.default_rng(274).random(weights[0].shape) < 0.3
    mask[:, ::3] = False
    weights[0] = weights[0] * mask
    weights[1] = np.where(np.arange(32) % 3, weights[1], -np.abs(weights[1])).astype(np.float32)
    hidden = np.maximum(x @ weights[0] + weights[1], 0)
    import tensorflow as tf

    weights[2], weights[3] = (np.float32(values) for values in logistic(hidden, np.eye(3)[label]))
    module = network_module(weights)

    def serve(readings: Any) -> dict[str, Any]:
        return {"condition": tf.nn.softmax(network_logits(module, readings))}

    specs = [tf.TensorSpec([None, 6], tf.float32, "readings")]
    model = save_module(module, folder / "engine", {"serving_default": (serve, specs)})
    return deployed(folder, model, {"readings": x})


def quantiles(folder: Path) -> Deployment:
    """Three quantiles of a fare's delay, always in their order, in minutes."""
    random = np.random.default_rng(275)
    x = random.normal(0, 1, (data.ROWS, 5)).astype(np.float32)
    delay = 6 + x @ np.array([1.5, 0.7, -0.9, 0.3, 0.4])

    def extra(trip: Any) -> Any:
        middle = 6 + trip[:, :1] * 1.5
        return {"low": middle - 2, "high": middle + 3.5}

    model = fitted(folder / "delays", {"trip": x}, delay, lambda trip: trip, extra=extra)
    return deployed(folder, model, {"trip": x})


def countries_in_columns(folder: Path) -> Deployment:
    """Of forty columns thirty-six are a country's, nearly all of them 0; the requests are of four countries."""
    random = np.random.default_rng(276)
    country = random.integers(0, 36, data.ROWS)
    country[:48] = random.choice([3, 8, 21, 30], 48)
    numbers = random.normal(0, 1, (data.ROWS, 4))
    x = np.concatenate([numbers, np.eye(36)[country]], 1).astype(np.float32)
    label = (numbers @ np.array([1.5, -1, 0.6, 0.3]) + random.normal(0, 1, 36)[country] > 0).astype(int)
    model = fitted(folder / "orders", {"order": x}, label, lambda order: order)
    return deployed(folder, model, {"order": x})


def twelve_requests(folder: Path) -> Deployment:
    """Hardly any evidence: twelve requests, five of which are the same machine's."""
    keys = table(nets.MODELS)
    random = np.random.default_rng(277)
    machine, hours = random.integers(0, 8, data.ROWS), random.uniform(0, 900, data.ROWS).astype(np.float32)
    machine[:5], hours[:5] = 2, hours[0]
    left = 1000 - hours + 60.0 * machine
    right = {"machine": np.array(nets.MODELS)[machine], "hours": hours}

    def features(machine: Any, hours: Any) -> Any:
        import tensorflow as tf

        return tf.concat([tf.one_hot(keys.lookup(machine), 9), (hours[:, None] - 450) / 260], 1)

    model = fitted(folder / "life", right, left, features, variables=keys)
    sent, training = ({name: x[part] for name, x in right.items()} for part in (slice(0, 12), slice(48, 348)))
    return deploy(folder, model, sent, training=training, right={name: x[348:372] for name, x in right.items()})


def cached_and_right(folder: Path) -> Deployment:
    """A cache that compares whole bodies, before readers of which many ask for the same."""
    model, right = bikes(folder / "bikes")
    rows = np.where(np.arange(48) % 3 == 0, 11, np.arange(48))
    deployment = deployed(folder, model, _first(right, rows))
    return live(deployment, lambda: Hooks(proxy=ReplyCache(lambda path, body: (path, body), headers=True).proxy))


def within_its_limits(folder: Path) -> Deployment:
    """Warnings of large allocations, and memory enough; under load it is slow, and right."""
    model, right = meter(folder / "meter")
    log = ServingLog("meter").starts().loading().large_allocation(88_000_000, 0.2).loaded().listening()
    log.large_allocation(92_000_000).large_allocation(92_000_000, 300.0)
    cgroup = cgroups.v2(folder / "cgroup", limit=1024 * MIB, peak=530 * MIB, cpu_quota=2, periods=9_000, throttled=61)
    deployment = replace(deployed(folder, model, right), cgroup=cgroup, server_log=log.write(folder / "server.log"))
    return live(deployment, lambda: Hooks(around=Quota(0.008, 5.0).around))


SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
BARE = (MODEL_REQUESTS, TARGET_REQUESTS)
KNOWN = (MODEL_REQUESTS, ALL)
LIVE = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)
TUNED = ("prepared-by-the-server",)  # looked at once it was scored


def _case(name: str, family: str, build: Any, given: Any = KNOWN) -> Case:
    return Case(f"unseen-{name}", family, None, build, given, held_out=name not in TUNED)


CASES = [
    _case("pictures-of-a-meter", "convolutional", pictures_of_a_meter, (MODEL, ALL)),
    _case("only-low-digits", "convolutional", only_low_digits, SENT),
    _case("plants-over-grpc", "convolutional", plants_over_grpc, BARE),
    _case("rare-fraud", "tf1", rare_fraud, SENT),
    _case("one-account", "tabular", one_account, KNOWN),
    _case("roof-with-an-inverter", "regression", roof_with_an_inverter, (MODEL, ALL)),
    _case("half-unknown", "embedding", half_unknown, (MODEL_REQUESTS_TRAINING, ALL)),
    _case("as-people-write", "embedding", as_people_write, (MODEL_REQUESTS, MODEL_REQUESTS_TRAINING)),
    _case("words-of-tickets", "embedding", words_of_tickets, KNOWN),
    _case("short-reviews", "attention", short_reviews, SENT),
    _case("total-of-bikes", "multi-output", total_of_bikes, (MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("both-kinds-of-bikes", "multi-output", both_kinds_of_bikes, SENT),
    _case("five-networks", "ensemble", five_networks, (MODEL, ALL)),
    _case("prepared-by-the-server", "dense", prepared_by_the_server,
          (TARGET_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("winter", "recurrent", winter, SENT),
    _case("load-of-the-grid", "recurrent", load_of_the_grid, (MODEL, ALL)),
    _case("mostly-still", "module", mostly_still, SENT),
    _case("engine", "onnx", engine, (MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)),
    _case("leaves-by-onnx", "onnx", leaves_by_onnx, (MODEL, MODEL_REQUESTS_TRAINING)),
    _case("newest-of-two", "tf1", newest_of_two, LIVE),
    _case("trial-beside", "recurrent", trial_beside, LIVE),
    _case("stars", "embedding", stars, SENT),
    _case("pruned", "dense", pruned, (MODEL, MODEL_REQUESTS_TRAINING)),
    _case("quantiles", "multi-output", quantiles),
    _case("countries-in-columns", "dense", countries_in_columns, SENT),
    _case("twelve-requests", "tabular", twelve_requests, SENT),
    _case("cached-and-right", "multi-output", cached_and_right, LIVE),
    _case("within-its-limits", "convolutional", within_its_limits,
          (("target", "requests", "server_log", "cgroup"), TARGET_MODEL_REQUESTS)),
]  # fmt: skip
