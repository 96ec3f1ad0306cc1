"""Features in each other's place, lost, or fed twice: by the client, by the live server, or in the exported graph."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS,
    TARGET_REQUESTS_GOLDEN,
    TARGET_REQUESTS_TRAINING,
)
from corpus.served import Tensors
from corpus.server import Hooks

SWAPPED = "mapping/swapped-features"
DROPPED = "mapping/dropped-feature"
DUPLICATED = "mapping/duplicated-feature"
LIVE = (TARGET_MODEL_REQUESTS, ALL)
BAKED = (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN)
FROM_TRAINING = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)


def swapped_pair(folder: Path) -> Deployment:
    """The server in front concatenates feature_b and feature_a where the model was trained on feature_a, feature_b."""
    right, _ = graph_models.two_features(200, seed=1)
    sent, _ = graph_models.two_features(40, seed=2)
    name = "concatenated_features"
    model = graph_models.concatenated(folder / "feature_concat")
    hooks = Hooks(before=_columns(name, [1, 0]))
    return deploy(folder, model, {name: sent}, training={name: right}, right={name: right[:24]}, hooks=hooks)


def swapped_inputs(folder: Path) -> Deployment:
    """The server binds age and tenure_months to each other's tensors."""
    return _credit(folder, _inputs(age="tenure_months", tenure_months="age"), form="column", rows=2)


def rotated_columns(folder: Path) -> Deployment:
    """Three columns of the vector go round by one place on their way through the server."""
    right = models.standardized_credit(200, seed=1)
    model = models.tf1_graph(folder / "credit")
    hooks = Hooks(before=_columns("x", [0, 2, 3, 1, 4, 5]))
    sent = {"x": models.standardized_credit(40, seed=2)}
    return deploy(folder, model, sent, training={"x": right}, right={"x": right[:24]}, hooks=hooks, protocol="grpc")


def export_order(folder: Path) -> Deployment:
    """The export assembles the vector by its own order: area_m2 and energy_kwh stand in each other's place."""
    order = ("energy_kwh", "rooms", "built_year", "distance_km", "area_m2")
    return _houses(folder, order)


def alphabetical(folder: Path) -> Deployment:
    """The client sorts the columns by name; the model was trained on another order."""
    order = [datasets.HOUSE_COLUMNS.index(name) for name in sorted(datasets.HOUSE_COLUMNS)]
    right, _ = datasets.house_matrix(200, seed=1)
    sent = datasets.house_matrix(60, seed=2)[0][:, order]
    model = models.regression(folder / "prices")
    return deploy(
        folder, model, {"features": sent}, training={"features": right}, right={"features": right[:24]}, rows=2
    )


def lost_income(folder: Path) -> Deployment:
    """The server's feature table has no income: the model gets 0."""

    def lose(inputs: Tensors) -> Tensors:
        return inputs | {"income": np.zeros_like(inputs["income"])}

    return _credit(folder, lose)


def zero_filled(folder: Path) -> Deployment:
    """The client has no distances and sends 0."""
    right, _ = datasets.house_matrix(200, seed=1)
    sent, _ = datasets.house_matrix(40, seed=2)
    sent[:, 3] = 0
    model = models.regression(folder / "prices")
    return deploy(
        folder, model, {"features": sent}, training={"features": right}, right={"features": right[:24]}, form="column"
    )


def signature_default(folder: Path) -> Deployment:
    """The signature declares a default of 0 for debt, and clients do not send it."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    right, _ = datasets.credit(200, seed=1)
    sent, _ = datasets.credit(40, seed=2)
    model = models.tabular_named(folder / "risk")
    saved = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    default = tf.make_tensor_proto(np.zeros((1, 1), np.float32))
    saved.meta_graphs[0].signature_def["serving_default"].defaults["debt"].CopyFrom(default)
    (model / "saved_model.pb").write_bytes(saved.SerializeToString())
    del sent["debt"]
    golden = {name: values[:24] for name, values in right.items()}
    return deploy(folder, model, sent, training=right, training_as=".jsonl", right=golden)


def misread_example(folder: Path) -> Deployment:
    """The exported parser reads ``distance`` from each tf.Example, the clients write ``distance_km``."""
    import tensorflow as tf

    def examples(count: int, seed: int) -> np.ndarray:
        columns, _ = datasets.houses(count, seed)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        features = [
            {name: tf.train.Feature(float_list=tf.train.FloatList(value=[value])) for name, value in row.items()}
            for row in rows
        ]
        messages = [tf.train.Example(features=tf.train.Features(feature=feature)) for feature in features]
        return np.array([message.SerializeToString(deterministic=True) for message in messages], object)

    model = graph_models.example_parser(folder / "prices", {"distance_km": "distance"})
    right_model = graph_models.example_parser(folder / "right")
    right = {"examples": examples(24, seed=1)}
    return deploy(folder, model, {"examples": examples(40, seed=2)}, right=right, right_model=right_model)


def lost_column(folder: Path) -> Deployment:
    """The third column of one of two inputs is 0 once it has gone through the server; three outputs."""
    customer, _ = datasets.credit_matrix(200, seed=1)
    series, _ = datasets.sensors(200, seed=1)
    right = {"customer": customer, "series": series}

    def lose(inputs: Tensors) -> Tensors:
        return inputs | {"customer": inputs["customer"] * np.array([1, 1, 0, 1, 1, 1], np.float32)}

    sent = {"customer": datasets.credit_matrix(32, seed=2)[0], "series": datasets.sensors(32, seed=2)[0]}
    model = models.multi_output(folder / "desk")
    golden = {name: values[:24] for name, values in right.items()}
    return deploy(folder, model, sent, training=right, right=golden, hooks=Hooks(before=lose), protocol="grpc")


def income_twice(folder: Path) -> Deployment:
    """The server reads debt from the field of income as well."""
    return _credit(folder, _inputs(debt="income"))


def column_twice(folder: Path) -> Deployment:
    """The server's loop over columns copies the second one over the fifth."""
    right = models.standardized_credit(200, seed=1)
    sent = {"features": models.standardized_credit(60, seed=2)}
    model = models.dense_tabular(folder / "risk")
    hooks = Hooks(before=_columns("features", [0, 1, 2, 3, 1, 5]))
    return deploy(
        folder,
        model,
        sent,
        training={"features": right},
        right={"features": right[:24]},
        hooks=hooks,
        form="column",
        rows=2,
    )


def exported_twice(folder: Path) -> Deployment:
    """The export puts area_m2 where rooms belongs; nothing reads rooms."""
    return _houses(folder, ("area_m2", "area_m2", "built_year", "distance_km", "energy_kwh"))


def client_twice(folder: Path) -> Deployment:
    """The client fills the column of energy_kwh with the area."""
    right, _ = datasets.house_matrix(200, seed=1)
    meant, _ = datasets.house_matrix(40, seed=2)
    sent = meant.copy()
    sent[:, 4] = sent[:, 0]
    model = models.regression(folder / "prices")
    return deploy(
        folder,
        model,
        {"features": sent},
        training={"features": right},
        right={"features": right[:24]},
        meant={"features": meant},
        protocol="grpc",
    )


def _credit(folder: Path, before: Callable[[Tensors], Tensors], **form: object) -> Deployment:
    """Credit risk by named inputs, right but for the live server."""
    right, _ = datasets.credit(200, seed=1)
    sent, _ = datasets.credit(48, seed=2)
    model = models.tabular_named(folder / "risk")
    golden = {name: values[:24] for name, values in right.items()}
    hooks = Hooks(before=before)
    return deploy(folder, model, sent, training=right, training_as=".csv", right=golden, hooks=hooks, **form)


def _houses(folder: Path, order: Sequence[str]) -> Deployment:
    """House prices by named inputs, assembled wrong in the graph."""
    right, _ = datasets.houses(200, seed=1)
    sent, _ = datasets.houses(40, seed=2)
    model = graph_models.house_columns(folder / "prices", order)
    right_model = graph_models.house_columns(folder / "right")
    golden = {name: values[:32] for name, values in right.items()}
    return deploy(folder, model, sent, training=right, training_as=".csv", right=golden, right_model=right_model)


def _columns(name: str, order: list[int]) -> Callable[[Tensors], Tensors]:
    return lambda inputs: inputs | {name: inputs[name][:, order]}


def _inputs(**sources: str) -> Callable[[Tensors], Tensors]:
    return lambda inputs: inputs | {name: inputs[source] for name, source in sources.items()}


CASES = [
    Case(
        "swapped-pair",
        "dense",
        SWAPPED,
        swapped_pair,
        (*LIVE, TARGET_REQUESTS_GOLDEN),
        {"input": ("concatenated_features",)},
        quick=True,
    ),
    Case(
        "swapped-inputs",
        "tabular",
        SWAPPED,
        swapped_inputs,
        (*LIVE, TARGET_REQUESTS_GOLDEN),
        {"feature": ("age", "tenure_months")},
    ),
    Case("swapped-rotated-columns", "tf1", SWAPPED, rotated_columns, LIVE, {"input": ("x",)}, held_out=True),
    Case(
        "swapped-export-order",
        "module",
        SWAPPED,
        export_order,
        BAKED,
        {"feature": ("area_m2", "energy_kwh"), "node": ("assemble",)},
        held_out=True,
    ),
    Case(
        "swapped-alphabetical",
        "regression",
        SWAPPED,
        alphabetical,
        FROM_TRAINING,
        {"input": ("features",)},
        held_out=True,
    ),
    Case(
        "dropped-income",
        "tabular",
        DROPPED,
        lost_income,
        (*LIVE, TARGET_REQUESTS),
        {"feature": ("income",)},
        quick=True,
    ),
    Case("dropped-zero-filled", "regression", DROPPED, zero_filled, FROM_TRAINING, {"input": ("features",)}),
    Case(
        "dropped-signature-default",
        "tabular",
        DROPPED,
        signature_default,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING),
        {"feature": ("debt",)},
        held_out=True,
    ),
    Case(
        "dropped-misread-example",
        "tf1",
        DROPPED,
        misread_example,
        (MODEL_REQUESTS, MODEL_REQUESTS_GOLDEN),
        {"feature": ("distance",)},
        held_out=True,
    ),
    Case("dropped-column", "multi-output", DROPPED, lost_column, LIVE, {"input": ("customer",)}, held_out=True),
    Case("duplicated-income", "tabular", DUPLICATED, income_twice, LIVE, {"feature": ("income", "debt")}),
    Case("duplicated-column", "dense", DUPLICATED, column_twice, LIVE, {"input": ("features",)}, quick=True),
    Case(
        "duplicated-in-export",
        "module",
        DUPLICATED,
        exported_twice,
        BAKED,
        {"feature": ("area_m2", "rooms")},
        held_out=True,
    ),
    Case(
        "duplicated-by-client",
        "regression",
        DUPLICATED,
        client_twice,
        FROM_TRAINING,
        {"input": ("features",)},
        held_out=True,
    ),
]
