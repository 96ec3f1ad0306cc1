"""Unseen deployments where the right values reach the wrong place."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import unseen_data as data
from corpus.case import Case, Deployment
from corpus.fresh_nets import Columns, deployed
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
from corpus.served import Tensors
from corpus.server import Hooks
from corpus.small_nets import fitted
from corpus.unseen_nets import (
    activity,
    bikes,
    churn,
    clinic,
    demand,
    desk,
    fraud,
    leaf_onnx,
    meter,
    plants,
    shop,
)


def pressures(folder: Path) -> Deployment:
    """A vector whose third and fourth measure, the two pressures, the clinic's new system sends the other way."""
    model, right = clinic(folder / "clinic", inside=True)
    return deployed(folder, model, right, lambda sent: {"measures": sent["measures"][:, [0, 1, 3, 2, 4, 5, 6, 7]]})


def tenure_for_charge(folder: Path) -> Deployment:
    """The gateway's mapping has two columns the wrong way round."""
    model, right = churn(folder / "churn")

    def exchanged(inputs: Tensors) -> Tensors:
        return inputs | {"tenure": inputs["monthly_charge"], "monthly_charge": inputs["tenure"]}

    return deployed(folder, model, right, hooks=Hooks(before=exchanged))


def exported_in_another_order(folder: Path) -> Deployment:
    """TensorFlow 1: the export puts the columns together in the order of a set."""
    model, right = fraud(folder / "fraud", order=[0, 1, 2, 4, 3, 5])
    return deployed(folder, model, right, right_model=fraud(folder / "twin")[0])


def book_for_reader(folder: Path) -> Deployment:
    """Two ids of the same range, exchanged by the gateway."""
    model, right = shop(folder / "shop")

    def exchanged(inputs: Tensors) -> Tensors:
        return {"reader": inputs["book"], "book": inputs["reader"]}

    return deployed(folder, model, right, hooks=Hooks(before=exchanged))


def readings_by_name(folder: Path) -> Deployment:
    """The bus lists its readings by name, the training had them by their sensor's number; both are raw."""
    order = [4, 5, 1, 2, 0, 3]
    raw, label = data.engines()

    def scaled(readings: Any) -> Any:
        return (readings - raw.mean(0)) / raw.std(0)

    model = fitted(folder / "engine", {"readings": raw}, label, scaled)
    return deployed(folder, model, {"readings": raw}, lambda sent: {"readings": sent["readings"][:, order]})


def contract_lost(folder: Path) -> Deployment:
    """The gateway's schema does not know the contract, and hands "" on."""
    model, right = churn(folder / "churn")
    hooks = Hooks(before=lambda x: x | {"contract": np.full_like(x["contract"], b"")})
    return deployed(folder, model, right, hooks=hooks)


def glucose_lost(folder: Path) -> Deployment:
    """The laboratory's field was renamed: the second measure is 0 in each request."""
    model, right = clinic(folder / "clinic", inside=False)
    return deployed(folder, model, right, lambda sent: {"measures": sent["measures"] * (np.arange(8) != 1)})


def weather_lost(folder: Path) -> Deployment:
    """The gateway cannot reach the weather's service any more: the series' second channel is 0."""
    model, right = demand(folder / "demand", inside=True)
    hooks = Hooks(before=lambda x: {"history": x["history"] * np.float32([1, 0])})
    return deployed(folder, model, right, hooks=hooks)


def temperature_lost(folder: Path) -> Deployment:
    """A client that was written before the model took the temperature fills it with 0."""
    model, right = bikes(folder / "bikes")
    return deployed(
        folder, model, right, lambda sent: sent | {"temperature": np.zeros_like(sent["temperature"])}, form="column"
    )


def charge_twice(folder: Path) -> Deployment:
    """The gateway writes one column into two places."""
    model, right = churn(folder / "churn", inside=False)
    return deployed(folder, model, right, hooks=Hooks(before=lambda x: x | {"roaming": x["monthly_charge"]}))


def systolic_twice(folder: Path) -> Deployment:
    """Both pressures are read from the first one's field."""
    model, right = clinic(folder / "clinic", inside=False)
    return deployed(folder, model, right, lambda sent: {"measures": sent["measures"][:, [0, 1, 2, 2, 4, 5, 6, 7]]})


def reader_twice(folder: Path) -> Deployment:
    """One variable of the client's is sent as reader and as book."""
    model, right = shop(folder / "shop")
    return deployed(folder, model, right, lambda sent: sent | {"book": sent["reader"]})


def log_odds(folder: Path) -> Deployment:
    """TensorFlow 1: what answers is the signature of the odds' logarithm, which the server was configured to."""
    model, right = fraud(folder / "fraud")
    hooks = Hooks(route=lambda asked, signature: (asked, signature or "log_odds"))
    return deployed(folder, model, right, hooks=hooks)


def total_asked_for(folder: Path) -> Deployment:
    """Clients name the signature of the total, where the golden answers have both kinds of bikes."""
    model, right = bikes(folder / "bikes")
    return deployed(folder, model, right, signature="total")


def outputs_exchanged(folder: Path) -> Deployment:
    """The export names its two outputs in the order of a list that was turned."""
    model, right = bikes(folder / "bikes", exchanged=True)
    return deployed(folder, model, right, right_model=bikes(folder / "twin")[0])


def outputs_by_gateway(folder: Path) -> Deployment:
    """The gateway hands on the one of two outputs under the name of the other."""
    model, right = bikes(folder / "bikes")

    def renamed(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {"casual": outputs["member"], "member": outputs["casual"]}

    return deployed(folder, model, right, hooks=Hooks(after=renamed))


def columns_of_digits(folder: Path) -> Deployment:
    """The camera's library has columns before rows."""
    model, right = meter(folder / "meter")
    return deployed(folder, model, right, lambda sent: {"image": sent["image"].transpose(0, 2, 1, 3)})


def blue_leaves(folder: Path) -> Deployment:
    """OpenCV reads pictures as BGR."""
    model, right = plants(folder / "plants", inside=True)
    return deployed(folder, model, right, lambda sent: {"picture": sent["picture"][..., ::-1]})


def blue_leaves_onnx(folder: Path) -> Deployment:
    """ONNX: channels first, and in the order of OpenCV: BGR."""
    return leaf_onnx(folder, lambda sent, raw: sent[:, ::-1])


def axis_by_axis(folder: Path) -> Deployment:
    """A flat window that has each axis' samples one after the other, where training had each sample's axes."""
    model, right = activity(folder / "activity", flat=True)

    def by_axis(sent: Columns) -> Columns:
        windows = sent["motion"].reshape(-1, 64, 3)
        return {"motion": windows.transpose(0, 2, 1).reshape(len(windows), -1)}

    return deployed(folder, model, right, by_axis)


def exported_turned(folder: Path) -> Deployment:
    """The export wraps the model in a layer that exchanges rows and columns."""
    model, right = plants(folder / "plants", inside=True, turned=True)
    return deployed(folder, model, right, right_model=plants(folder / "twin", inside=True)[0])


def first_ticket_for_all(folder: Path) -> Deployment:
    """The handler gives the answer of a request's first row to each of its rows."""
    model, right = desk(folder / "desk")

    def first(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {name: np.repeat(x[:1], len(x), 0) for name, x in outputs.items()}

    return deployed(folder, model, right, rows=4, hooks=Hooks(after=first))


def last_over_grpc(folder: Path) -> Deployment:
    """Over gRPC: a loop that keeps the answer of the last row for all."""
    model, right = clinic(folder / "clinic", inside=False)

    def last(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {name: np.repeat(x[-1:], len(x), 0) for name, x in outputs.items()}

    return deployed(folder, model, right, rows=6, hooks=Hooks(after=last), protocol="grpc")


def exported_for_one(folder: Path) -> Deployment:
    """The graph reads the first row of the batch, and repeats what it makes of it."""
    import tensorflow as tf

    raw, label = data.patients()
    ready = ((raw - data.PATIENT_MEAN) / data.PATIENT_SPREAD).round(4)

    def first(measures: Any) -> Any:
        return tf.repeat(measures[:1], tf.shape(measures)[0], axis=0)

    right = {"measures": ready}
    model = fitted(folder / "clinic", right, label, lambda measures: measures, serve=first)
    twin = fitted(folder / "twin", right, label, lambda measures: measures)
    return deployed(folder, model, right, right_model=twin, rows=4)


def week_old_table(folder: Path) -> Deployment:
    """Version 2 is AVAILABLE, and the router's table of versions is a week old: version 1 answers."""
    for version in (1, 2):
        _, right = clinic(folder / "clinic", inside=False, version=version, seed=version)
    hooks = Hooks(route=lambda asked, signature: (1, signature))
    return deployed(folder, folder / "clinic", right, hooks=hooks)


def newest_for_asked(folder: Path) -> Deployment:
    """TensorFlow 1: clients ask for version 2, and a rewrite rule drops what is behind the model's name."""
    for version in (1, 2, 3):
        _, right = fraud(folder / "fraud", version=version, seed=version)
    hooks = Hooks(route=lambda asked, signature: (None, signature))
    return deployed(
        folder, folder / "fraud", right, right_model=folder / "fraud" / "2", hooks=hooks, path="/versions/2"
    )


def other_over_grpc(folder: Path) -> Deployment:
    """Over gRPC: version 1 is asked for and 2 answers."""
    for version in (1, 2):
        _, right = demand(folder / "demand", inside=True, version=version, seed=version)
    hooks = Hooks(route=lambda asked, signature: (2, signature))
    return deployed(
        folder,
        folder / "demand",
        right,
        right_model=folder / "demand" / "1",
        hooks=hooks,
        protocol="grpc",
        path="/versions/1",
    )


LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)
SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
KNOWN = (MODEL_REQUESTS_TRAINING, ALL)
EXPORTED = (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN)
TUNED = ("exported-turned",)  # looked at once it was scored


def _case(name: str, family: str, cause: str, build: Any, given: Any = LIVE, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    return Case(f"unseen-{name}", family, f"mapping/{cause}", build, given, places, held_out=name not in TUNED)


CASES = [
    _case("pressures-exchanged", "dense", "swapped-features", pressures, SENT, input="measures"),
    _case("tenure-for-charge", "tabular", "swapped-features", tenure_for_charge, feature="tenure"),
    _case("exported-in-another-order", "tf1", "swapped-features", exported_in_another_order, EXPORTED,
          feature="card_days"),
    _case("book-for-reader", "two-tower", "swapped-features", book_for_reader, feature="book"),
    _case("readings-by-name", "module", "swapped-features", readings_by_name, KNOWN, input="readings"),
    _case("contract-lost", "tabular", "dropped-feature", contract_lost, feature="contract"),
    _case("glucose-lost", "dense", "dropped-feature", glucose_lost, KNOWN, input="measures"),
    _case("weather-lost", "recurrent", "dropped-feature", weather_lost, input="history"),
    _case("temperature-lost", "multi-output", "dropped-feature", temperature_lost, KNOWN, feature="temperature"),
    _case("charge-twice", "tabular", "duplicated-feature", charge_twice, feature="monthly_charge"),
    _case("systolic-twice", "dense", "duplicated-feature", systolic_twice, KNOWN, input="measures"),
    _case("reader-twice", "two-tower", "duplicated-feature", reader_twice, KNOWN, feature="reader"),
    _case("log-odds", "tf1", "wrong-signature", log_odds),
    _case("total-asked-for", "multi-output", "wrong-signature", total_asked_for, (TARGET_REQUESTS_GOLDEN, ALL)),
    _case("outputs-exchanged", "multi-output", "wrong-signature", outputs_exchanged, EXPORTED),
    _case("outputs-exchanged-by-gateway", "multi-output", "wrong-signature", outputs_by_gateway),
    _case("columns-of-digits", "convolutional", "wrong-layout", columns_of_digits, SENT, input="image"),
    _case("blue-leaves", "convolutional", "wrong-layout", blue_leaves, KNOWN, input="picture"),
    _case("blue-leaves-onnx", "onnx", "wrong-layout", blue_leaves_onnx, KNOWN, input="input"),
    _case("axis-by-axis", "module", "wrong-layout", axis_by_axis, SENT, input="motion"),
    _case("exported-turned", "convolutional", "wrong-layout", exported_turned, EXPORTED, input="picture"),
    _case("first-ticket-for-all", "embedding", "batch-broadcast", first_ticket_for_all),
    _case("last-over-grpc", "dense", "batch-broadcast", last_over_grpc),
    _case("exported-for-one", "module", "batch-broadcast", exported_for_one, (MODEL_REQUESTS_GOLDEN, ALL)),
    _case("week-old-table", "dense", "wrong-version", week_old_table, version="1"),
    _case("newest-for-asked", "tf1", "wrong-version", newest_for_asked, version="3"),
    _case("other-over-grpc", "recurrent", "wrong-version", other_over_grpc, version="2"),
]  # fmt: skip
