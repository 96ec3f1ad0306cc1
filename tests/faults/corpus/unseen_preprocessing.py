"""Unseen deployments where what reaches the model is not what it was trained on: numbers and pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import unseen_data as data
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fresh_nets import Columns, deployed
from corpus.given import (
    ALL,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.server import Hooks
from corpus.small_nets import fitted
from corpus.unseen_nets import (
    activity,
    bikes,
    churn,
    clinic,
    demand,
    engine_onnx,
    fraud,
    leaf_onnx,
    meter,
    plants,
)


def before_it_has_loaded(folder: Path) -> Deployment:
    """The page predicts before the picture has loaded: it reads an empty canvas each time."""
    model, right = plants(folder / "plants", inside=True)
    return deployed(folder, model, right, lambda sent: {"picture": np.zeros_like(sent["picture"])})


def scaler_fitted_to_a_request(folder: Path) -> Deployment:
    """The client fits its scaler anew to each request of one row: what is left is 0 in each column."""
    model, right = clinic(folder / "clinic", inside=False)
    return deployed(folder, model, right, lambda sent: {"measures": np.zeros_like(sent["measures"])})


def same_window(folder: Path) -> Deployment:
    """A loop over a day's windows that never moves its index: the first is sent each time."""
    model, right = demand(folder / "demand", inside=True)
    return deployed(folder, model, right, lambda sent: {"history": np.repeat(sent["history"][:1], 48, 0)})


def first_record(folder: Path) -> Deployment:
    """ONNX: readings are taken from a buffer that was filled once, when the client started."""
    return engine_onnx(folder, lambda sent, raw: np.repeat(sent[5:6], len(sent), 0))


def bytes_of_pictures(folder: Path) -> Deployment:
    """Pictures as a camera gives them, 0..255, where training divided by 255."""
    model, right = meter(folder / "meter")
    return deployed(folder, model, right, lambda sent: {"image": np.round(sent["image"] * 255)})


def bytes_for_minus_one_to_one(folder: Path) -> Deployment:
    """Pictures of 0..255 to a network that was trained on -1..1."""
    model, right = plants(folder / "plants", inside=False)
    return deployed(folder, model, right, lambda sent: {"picture": np.round((sent["picture"] + 1) * 127.5)})


def measures_as_measured(folder: Path) -> Deployment:
    """The scaler stayed in the notebook."""
    model, right = clinic(folder / "clinic", inside=False)
    raw = data.patients()[0]
    return deployed(folder, model, right, lambda sent: {"measures": raw[: len(sent["measures"])]})


def megawatts(folder: Path) -> Deployment:
    """Raw load and temperature to a recurrent network of standardised series."""
    model, right = demand(folder / "demand", inside=False)
    raw = data.grid()[0]
    return deployed(folder, model, right, lambda sent: {"history": raw[: len(sent["history"])]})


def two_columns_forgotten(folder: Path) -> Deployment:
    """Of five numbers the client's list of columns to standardise has three."""
    model, right = churn(folder / "churn", inside=False)
    raw = data.contracts()[0]
    return deployed(folder, model, right, lambda sent: sent | {n: raw[n][:48] for n in ("monthly_charge", "roaming")})


def mean_not_taken_off(folder: Path) -> Deployment:
    """ONNX: pictures of 0..255 to a network by torchvision's mean and deviation."""
    return leaf_onnx(folder, lambda sent, raw: raw[: len(sent)])


def readings_as_read(folder: Path) -> Deployment:
    """ONNX: rpm, degrees and hours as the engine's bus gives them."""
    return engine_onnx(folder, lambda sent, raw: raw[: len(sent)])


def scaled_by_both(folder: Path) -> Deployment:
    """Client and graph both take pictures to -1..1."""
    model, right = plants(folder / "plants", inside=True)
    return deployed(folder, model, right, lambda sent: {"picture": (sent["picture"] / 127.5 - 1).round(5)})


def divided_by_both(folder: Path) -> Deployment:
    """The client divides by 255, and so does the model's first layer."""
    model, right = meter(folder / "meter", inside=True)
    return deployed(folder, model, right, lambda sent: {"image": (sent["image"] / 255).round(5)})


def standardised_by_both(folder: Path) -> Deployment:
    """The old service's scaler still runs before a model that has learnt to standardise."""
    model, right = clinic(folder / "clinic", inside=True)

    def scaled(sent: Columns) -> Columns:
        return {"measures": ((sent["measures"] - data.PATIENT_MEAN) / data.PATIENT_SPREAD).round(4)}

    return deployed(folder, model, right, scaled)


def gateway_standardises(folder: Path) -> Deployment:
    """The gateway standardises series for a graph that does so as well."""
    model, right = demand(folder / "demand", inside=True)

    def scaled(inputs: Columns) -> Columns:
        return {"history": ((inputs["history"] - data.LOAD_MEAN) / data.LOAD_SPREAD).astype(np.float32)}

    return deployed(folder, model, right, hooks=Hooks(before=scaled))


def logarithms_of_both(folder: Path) -> Deployment:
    """TensorFlow 1: the client takes the amount's logarithm, and the graph takes it again."""
    model, right = fraud(folder / "fraud")
    return deployed(folder, model, right, lambda sent: sent | {"amount": np.log1p(sent["amount"]).round(4)})


def base64_as_text(folder: Path) -> Deployment:
    """The picture's file in base64, as a string instead of {"b64": ...}: what arrives is no PNG."""
    import base64

    import tensorflow as tf

    pictures, label = data.leaves(400)
    files = np.array([tf.io.encode_png(picture).numpy() for picture in pictures], object)

    def features(file: Any) -> Any:
        decode = lambda png: tf.ensure_shape(tf.io.decode_png(png, 3), [24, 24, 3])  # noqa: E731
        x = tf.map_fn(decode, file, fn_output_signature=tf.TensorSpec([24, 24, 3], tf.uint8))
        pooled = tf.nn.avg_pool2d(tf.cast(x, tf.float32) / 255, 3, 3, "VALID")
        return tf.reshape(pooled, [-1, 192]) * 2

    model = fitted(folder / "plants", {"file": files}, label, features, {"file": (tf.string,)})
    texts = np.array([base64.b64encode(file).decode() for file in files[:48]])
    right = {"file": files}
    return deployed(folder, model, right, lambda sent: {"file": texts}, training_as=".jsonl")


def other_byte_first(folder: Path) -> Deployment:
    """A window of 32 floats as bytes; the client's array is of the other end first."""
    import tensorflow as tf

    raw, label = data.movements()
    windows = (raw[:, :32, 2] * 2).astype("<f4")

    def features(window: Any) -> Any:
        x = tf.reshape(tf.io.decode_raw(window, tf.float32), [-1, 32])
        x = tf.clip_by_value(tf.where(tf.math.is_finite(x), x, tf.zeros_like(x)), -20.0, 20.0)
        mean = tf.reduce_mean(x, 1, keepdims=True)
        return tf.concat([tf.abs(tf.signal.rfft(x - mean))[:, :12] / 8, mean], 1)

    right = {"window": np.array([x.tobytes() for x in windows], object)}
    model = fitted(folder / "moves", right, label, features, {"window": (tf.string,)})
    other = np.array([x.astype(">f4").tobytes() for x in windows[:48]], object)
    return deployed(folder, model, right, lambda sent: {"window": other}, training_as=".jsonl")


def whole_numbers(folder: Path) -> Deployment:
    """Accelerations in g are kept in a column of integers: -0.2, 0.1 and 1.3 become 0, 0 and 1."""
    model, right = activity(folder / "activity")
    return deployed(folder, model, right, lambda sent: {"motion": np.trunc(sent["motion"])})


def degrees_in_a_byte(folder: Path) -> Deployment:
    """The gateway's message has unsigned bytes for degrees and wind, which wrap below 0 and drop what is after it."""
    model, right = bikes(folder / "bikes")

    def cast(inputs: Columns) -> Columns:
        whole = {name: inputs[name].astype(np.int64) % 256 for name in ("temperature",)}
        return inputs | {name: values.astype(np.float32) for name, values in whole.items()}

    return deployed(folder, model, right, hooks=Hooks(before=cast))


def calibration_first(folder: Path) -> Deployment:
    """Recordings that begin with the sensor's self-test, 70 samples of it, where the graph reads 64."""
    model, right = activity(folder / "activity", length=None)
    test = np.stack([np.linspace(-1, 1, 70), np.zeros(70), np.tile([1.0, -1.0], 35)], 1).astype(np.float32)
    moves = right["motion"]
    sent = {"motion": np.concatenate([np.repeat(test[None], 40, 0), moves[:40]], 1)}
    training, golden = {"motion": moves[48:348]}, {"motion": moves[348:372]}
    return deploy(folder, model, sent, training=training, right=golden, meant={"motion": moves[:40]})


SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)
KNOWN = (MODEL_REQUESTS_TRAINING, ALL)
TUNED = ("bytes-of-pictures", "two-columns-forgotten", "degrees-in-a-byte")  # looked at once they were scored


def _case(name: str, family: str, cause: str, build: Any, given: Any = SENT, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    is_held = name not in TUNED
    return Case(f"unseen-{name}", family, f"preprocessing/{cause}", build, given, places, held_out=is_held)


CASES = [
    _case("before-it-has-loaded", "convolutional", "constant-input", before_it_has_loaded),
    _case("scaler-fitted-to-a-request", "dense", "constant-input", scaler_fitted_to_a_request),
    _case("same-window", "recurrent", "constant-input", same_window),
    _case("first-record", "onnx", "constant-input", first_record, KNOWN),
    _case("bytes-of-pictures", "convolutional", "missing-normalization", bytes_of_pictures, input="image"),
    _case("bytes-for-minus-one-to-one", "convolutional", "missing-normalization", bytes_for_minus_one_to_one, KNOWN,
          input="picture"),
    _case("measures-as-measured", "dense", "missing-normalization", measures_as_measured, input="measures"),
    _case("megawatts", "recurrent", "missing-normalization", megawatts, KNOWN, input="history"),
    _case("two-columns-forgotten", "tabular", "missing-normalization", two_columns_forgotten, KNOWN),
    _case("mean-not-taken-off", "onnx", "missing-normalization", mean_not_taken_off, KNOWN, input="input"),
    _case("readings-as-read", "onnx", "missing-normalization", readings_as_read, input="readings"),
    _case("scaled-by-both", "convolutional", "double-normalization", scaled_by_both, input="picture"),
    _case("divided-by-both", "convolutional", "double-normalization", divided_by_both, KNOWN, input="image"),
    _case("standardised-by-both", "dense", "double-normalization", standardised_by_both, input="measures"),
    _case("gateway-standardises", "recurrent", "double-normalization", gateway_standardises, LIVE, input="history"),
    _case("logarithms-of-both", "tf1", "double-normalization", logarithms_of_both, KNOWN, input="amount"),
    _case("base64-as-text", "module", "wrong-encoding", base64_as_text, input="file"),
    _case("other-byte-first", "module", "wrong-encoding", other_byte_first, input="window"),
    _case("whole-numbers", "module", "wrong-encoding", whole_numbers, KNOWN, input="motion"),
    _case("degrees-in-a-byte", "multi-output", "wrong-encoding", degrees_in_a_byte, LIVE, input="temperature"),
    _case("calibration-first", "module", "truncation", calibration_first, KNOWN, input="motion"),
]  # fmt: skip
