"""Third deployments where the right values reach the wrong place."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from corpus import third_data as data
from corpus.case import Case, Deployment
from corpus.fitting import network
from corpus.fresh_nets import Columns
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_GOLDEN,
    TARGET_REQUESTS_TRAINING,
)
from corpus.graph_models import network_logits, network_module
from corpus.live import live
from corpus.saving import save_module
from corpus.served import Tensors
from corpus.server import Hooks
from corpus.third_nets import (
    bank,
    belt,
    bidding,
    cars,
    cinema,
    clicks,
    courier,
    deployed,
    examples,
    hotel,
    speech,
    tiles,
    turbine,
)


def categories_first(folder: Path) -> Deployment:
    """The client puts its columns of 0 and 1 before the numbers, where training had the numbers first."""
    model, right = bank(folder / "bank")
    return deployed(folder, model, right, lambda sent: {"applicant": np.roll(sent["applicant"], 7, axis=1)})


def _impressions(folder: Path, change: Any, keys: dict[str, str] | None = None) -> Deployment:
    """Clients write tf.Examples of ``change`` of the columns, some under other ``keys``."""
    model, right = clicks(folder / "clicks")
    columns = {name: values[:32] for name, values in data.impressions()[0].items()}
    sent = {"examples": examples(change(columns), keys)}
    return deployed(folder, model, right, lambda _: sent, training_as=".jsonl")


def keys_exchanged(folder: Path) -> Deployment:
    """TensorFlow 1: the writer of Examples has two keys the wrong way round."""
    return _impressions(folder, lambda columns: columns, {"bid": "age", "age": "bid"})


def arguments_by_name(folder: Path) -> Deployment:
    """The export hands its inputs on in alphabetical order; two of them had another."""

    def sorted_ones(given: dict[str, Any]) -> dict[str, Any]:
        return given | {"weight_kg": given["stops_before"], "stops_before": given["weight_kg"]}

    model, right = courier(folder / "courier", sorted_ones)
    return deployed(folder, model, right, right_model=courier(folder / "twin")[0])


def power_for_consumption(folder: Path) -> Deployment:
    """Over gRPC: the proxy's list of fields has two of them exchanged."""
    model, right = cars(folder / "cars")

    def exchanged(inputs: Tensors) -> Tensors:
        return inputs | {"power_kw": inputs["consumption"], "consumption": inputs["power_kw"]}

    return deployed(folder, model, right, hooks=Hooks(before=exchanged), protocol="grpc")


def mileage_misspelt(folder: Path) -> Deployment:
    """The gateway's schema spells a field in another way, and fills what it misses with 0."""
    model, right = cars(folder / "cars", inside=False)
    hooks = Hooks(before=lambda x: x | {"mileage_km": np.zeros_like(x["mileage_km"])})
    return deployed(folder, model, right, hooks=hooks)


def dwell_renamed(folder: Path) -> Deployment:
    """TensorFlow 1: Examples have ``dwell_s`` since the last release; the parser takes its default for ``dwell``."""
    return _impressions(folder, lambda columns: columns, {"dwell": "dwell_s"})


def hour_not_handed_on(folder: Path) -> Deployment:
    """The edge strips the hour as personal data, and the model gets midnight."""
    model, right = cinema(folder / "cinema")
    hooks = Hooks(before=lambda x: x | {"hour": np.zeros_like(x["hour"])})
    return deployed(folder, model, right, hooks=hooks)


def stops_by_weight(folder: Path) -> Deployment:
    """The export gives the weight to two arguments."""
    model, right = courier(folder / "courier", lambda given: given | {"stops_before": given["weight_kg"]})
    return deployed(folder, model, right, right_model=courier(folder / "twin")[0])


def position_as_dwell(folder: Path) -> Deployment:
    """TensorFlow 1: a line was copied, and its second half not changed: the position is written twice."""
    return _impressions(folder, lambda columns: columns | {"dwell": columns["position"]})


def year_as_power(folder: Path) -> Deployment:
    """The gateway's template uses one placeholder in two places; numbers are standardised before."""
    model, right = cars(folder / "cars", inside=False)
    return deployed(folder, model, right, hooks=Hooks(before=lambda x: x | {"power_kw": x["year"]}))


def lift_asked_for(folder: Path) -> Deployment:
    """TensorFlow 1: clients name the signature of the report, where the golden answers are probabilities."""
    model, right = bidding(folder / "bidding")
    return deployed(folder, model, right, signature="lift")


def auxiliary_head(folder: Path) -> Deployment:
    """The gateway hands on the head that only training used, under the name of the other."""
    model, right = belt(folder / "belt")
    return deployed(folder, model, right, hooks=Hooks(after=lambda out, _: out | {"kind": out["aux_kind"]}))


def documents_encoder(folder: Path) -> Deployment:
    """A model with an encoder for each of two sides: the router sends queries to that of documents."""
    import tensorflow as tf

    x = np.random.default_rng(351).normal(0, 1, (data.ROWS, 10)).astype(np.float32)
    module = tf.Module()
    module.query, module.document = (
        network_module(network(x, np.random.default_rng(seed).integers(0, 6, data.ROWS), seed)) for seed in (352, 353)
    )

    def encoder(side: Any) -> Any:
        return lambda terms: {"vector": tf.math.l2_normalize(network_logits(side, terms), 1)}

    specs = [tf.TensorSpec([None, 10], tf.float32, "terms")]
    signatures = {"serving_default": (encoder(module.query), specs), "document": (encoder(module.document), specs)}
    model = save_module(module, folder / "search", signatures)
    hooks = Hooks(route=lambda asked, signature: (asked, "document"))
    return deployed(folder, model, {"terms": x}, hooks=hooks)


def frames_by_bands(folder: Path) -> Deployment:
    """ONNX: spectrograms with time before frequency."""
    return speech(folder, lambda sent, raw: sent.transpose(0, 1, 3, 2))


def planes_one_by_one(folder: Path) -> Deployment:
    """A flat picture with all of its red first, then green, then blue."""
    model, right = tiles(folder / "tiles", flat=True)

    def planes(sent: Columns) -> Columns:
        pictures = sent["tile"].reshape(-1, 28, 28, 3)
        return {"tile": pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)}

    return deployed(folder, model, right, planes)


def blue_first_on_the_way(folder: Path) -> Deployment:
    """The resizing proxy reads pictures by OpenCV and hands them on as BGR."""
    model, right = tiles(folder / "tiles", inside=True)
    return deployed(folder, model, right, hooks=Hooks(before=lambda x: {"tile": x["tile"][..., ::-1]}), protocol="grpc")


def channels_of_the_new_logger(folder: Path) -> Deployment:
    """The new logger has the series' channels in another order."""
    model, right = turbine(folder / "turbine", inside=True)
    return deployed(folder, model, right, lambda sent: {"window": sent["window"][..., [1, 0, 3, 2, 4]]})


def first_of_eight(folder: Path) -> Deployment:
    """The handler answers with one value for all tiles of a request: its first."""
    model, right = tiles(folder / "tiles")

    def first(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {name: np.broadcast_to(x[:1], x.shape).copy() for name, x in outputs.items()}

    return deployed(folder, model, right, count=40, rows=8, hooks=Hooks(after=first))


def traced_with_one(folder: Path) -> Deployment:
    """Exported with the batch of one that it was traced with: the graph reads row 0 for all."""
    model, right = hotel(folder / "hotel", broadcast=True)
    return deployed(folder, model, right, right_model=hotel(folder / "twin")[0], rows=4)


def last_car_for_all(folder: Path) -> Deployment:
    """Over gRPC: answers are collected in a closure, which the loop has left at the last."""
    model, right = cars(folder / "cars")

    def last(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {name: np.broadcast_to(x[-1:], x.shape).copy() for name, x in outputs.items()}

    return deployed(folder, model, right, count=36, rows=6, hooks=Hooks(after=last), protocol="grpc")


def half_of_a_canary(folder: Path) -> Deployment:
    """Version 2 is asked for, and every other call still goes to version 1."""
    for version, seed in ((1, 32), (2, 91)):
        _, right = cars(folder / "cars", version=version, seed=seed)
    made = deployed(folder, folder / "cars", right, right_model=folder / "cars" / "2")

    def hooks() -> Hooks:
        calls = count()
        return Hooks(route=lambda asked, signature: (1 if next(calls) % 2 else 2, signature))

    return live(made, hooks, path="/versions/2")


def pinned_long_ago(folder: Path) -> Deployment:
    """TensorFlow 1: three versions are AVAILABLE, and a forgotten rule of the proxy pins the first."""
    for version in (1, 2, 3):
        _, right = bidding(folder / "bidding", version, 360 + version)
    hooks = Hooks(route=lambda asked, signature: (1, signature))
    return deployed(folder, folder / "bidding", right, hooks=hooks)


LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)
SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
KNOWN = (MODEL_REQUESTS_TRAINING, ALL)
EXPORTED = (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN)


TUNED = ("categories-first",)  # wrong when the set was scored, and worked on since


def _case(name: str, family: str, cause: str, build: Any, given: Any = LIVE, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    return Case(f"third-{name}", family, f"mapping/{cause}", build, given, places, held_out=name not in TUNED)


CASES = [
    _case("categories-first", "dense", "swapped-features", categories_first, SENT, input="applicant"),
    _case("keys-exchanged", "tf1", "swapped-features", keys_exchanged, KNOWN, input="examples"),
    _case("arguments-by-name", "regression", "swapped-features", arguments_by_name, EXPORTED, feature="weight_kg"),
    _case("power-for-consumption", "tabular", "swapped-features", power_for_consumption, feature="consumption"),
    _case("mileage-misspelt", "tabular", "dropped-feature", mileage_misspelt, feature="mileage_km"),
    _case("dwell-renamed", "tf1", "dropped-feature", dwell_renamed, KNOWN, input="examples"),
    _case("hour-not-handed-on", "embedding", "dropped-feature", hour_not_handed_on,
          (TARGET_REQUESTS_GOLDEN, TARGET_MODEL_REQUESTS), feature="hour"),
    _case("stops-by-weight", "regression", "duplicated-feature", stops_by_weight, EXPORTED, feature="weight_kg"),
    _case("position-as-dwell", "tf1", "duplicated-feature", position_as_dwell, KNOWN, input="examples"),
    _case("year-as-power", "tabular", "duplicated-feature", year_as_power, feature="year"),
    _case("lift-asked-for", "tf1", "wrong-signature", lift_asked_for, (MODEL_REQUESTS_GOLDEN, ALL)),
    _case("auxiliary-head", "multi-output", "wrong-signature", auxiliary_head),
    _case("documents-encoder", "module", "wrong-signature", documents_encoder),
    _case("frames-by-bands", "onnx", "wrong-layout", frames_by_bands, KNOWN, input="spectrogram"),
    _case("planes-one-by-one", "convolutional", "wrong-layout", planes_one_by_one, KNOWN, input="tile"),
    _case("blue-first-on-the-way", "convolutional", "wrong-layout", blue_first_on_the_way, input="tile"),
    _case("channels-of-the-new-logger", "recurrent", "wrong-layout", channels_of_the_new_logger, SENT, input="window"),
    _case("first-of-eight", "convolutional", "batch-broadcast", first_of_eight),
    _case("traced-with-one", "attention", "batch-broadcast", traced_with_one, (MODEL_REQUESTS_GOLDEN, ALL)),
    _case("last-car-for-all", "tabular", "batch-broadcast", last_car_for_all),
    _case("half-of-a-canary", "tabular", "wrong-version", half_of_a_canary, version="1"),
    _case("pinned-long-ago", "tf1", "wrong-version", pinned_long_ago, version="1"),
]  # fmt: skip
