"""Healthy models that look like faulty ones: what they do has a reason, and their answers follow what they are sent."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import model_nets as nets
from corpus import model_samples, models
from corpus.model_case import ALONE, BOTH, REQUESTS, TRAINING, ModelCase
from corpus.model_nets import Tensors
from corpus.model_tf1 import prices


def _most_units_dead(base: Path, broken: bool) -> None:
    """Three quarters of both layers' units are dead, as a high learning rate leaves them; the others do the work."""

    def edit(model: Any) -> None:
        for layer in (model.get_layer("hidden_1"), model.get_layer("hidden_2")):
            kernel, bias = layer.get_weights()
            bias[6:] -= 1e4
            layer.set_weights([kernel, bias])

    models.dense_tabular(base, edit=edit)


def _confident(base: Path, broken: bool) -> None:
    """A classifier so sure that most answers are 0 or 1 to the last digit, of whichever class it is."""

    def edit(model: Any) -> None:
        head = model.get_layer("head")
        head.set_weights([weight * 30 for weight in head.get_weights()])

    models.conv_image(base, edit=edit)


def _pressure(base: Path, broken: bool) -> None:
    """1013.2 hPa, more or less 0.3."""
    nets.reexported(
        base, models.attention, lambda call, inputs: {"pressure": 1013.2 + (call(**inputs)["forecast"] - 12) * 0.02}
    )


def _several_classes(base: Path, broken: bool) -> None:
    import tensorflow as tf

    nets.reexported(
        base, nets.resnet, lambda call, inputs: {"class": tf.argmax(call(**inputs)["probabilities"], axis=1)}
    )


def _rare(limit: float) -> Any:
    def export(base: Path, broken: bool) -> None:
        import tensorflow as tf

        def labelled(call: Any, inputs: Tensors) -> Tensors:
            return {"fraud": tf.cast(call(**inputs)["probability"][:, 0] > limit, tf.int32)}

        nets.reexported(base, models.dense_tabular, labelled)

    return export


def _training_placeholder_off(base: Path, broken: bool) -> None:
    """A placeholder ``is_training`` that nothing feeds, by default off."""
    prices(base, by_batch=False)


def _batch_norm_in_inference(base: Path, broken: bool) -> None:
    nets.batch_norm_dense(base)


def _whole_steps(base: Path, broken: bool) -> None:
    """A price band as a whole number."""
    import tensorflow as tf

    nets.reexported(
        base, models.regression, lambda call, inputs: {"band": tf.cast(call(**inputs)["price"] / 50_000, tf.int32)}
    )


def _as_initialised(base: Path, broken: bool) -> None:
    """Scales that are all one and biases that are all zero: a model frozen in these, or made without them."""

    def edit(model: Any) -> None:
        for weight in model.trainable_weights:
            if weight.name in ("gamma", "beta", "bias"):
                weight.assign(np.full(weight.shape, float(weight.name == "gamma"), np.float32))

    nets.resnet(base, edit=edit)


def _infinite_mask(base: Path, broken: bool) -> None:
    """Padding is given the score minus infinity."""
    nets.attention_module(base, infinite=True)


def _guarded_logarithm(base: Path, broken: bool) -> None:
    """tf.where chooses between a logarithm, not a number for half of the values, and the value itself."""
    import tensorflow as tf

    def guarded(call: Any, inputs: Tensors) -> Tensors:
        x = inputs["features"]
        return call(features=tf.where(x > 0, tf.math.log(x) + x, x))

    nets.reexported(base, models.dense_tabular, guarded)


def _names_its_version(base: Path, broken: bool) -> None:
    """One of the outputs says which model it is: always the same."""
    import tensorflow as tf

    def named(call: Any, inputs: Tensors) -> Tensors:
        outputs = call(**inputs)
        return {**outputs, "model_version": tf.fill([tf.shape(outputs["forecast"])[0]], "sensors-7.2")}

    nets.reexported(base, nets.forecast, named)


def _mostly_zero(base: Path, broken: bool) -> None:
    """What a house costs above a limit, which few houses reach."""
    import tensorflow as tf

    prices(base, head=lambda price: tf.nn.relu(price - 380_000), output="excess")


def _unused_for_now(base: Path, broken: bool) -> None:
    """One unit of the item tower is zero for every item, and one user row was never trained."""
    items = np.random.default_rng(61).normal(0, 0.7, (80, 8)).astype(np.float32)
    items[:, 3] = 0
    nets.two_tower(base, items=items)


_ANY = (ALONE, REQUESTS, TRAINING, BOTH)
_FED = (REQUESTS, TRAINING, BOTH)

MODELS = [
    ModelCase("most-units-dead", "dense", None, _most_units_dead, model_samples.credit, {}, _ANY, quick=True),
    ModelCase("confident-classes", "convolutional", None, _confident, model_samples.images, {}, _ANY),
    ModelCase("pressure-varies-little", "attention", None, _pressure, model_samples.series, {}, _FED),
    ModelCase("argmax-of-several-classes", "convolutional", None, _several_classes, model_samples.images, {}, _ANY),
    ModelCase("rare-class-seen-twice", "dense", None, _rare(0.995), model_samples.credit, {}, _FED, requests=60),
    ModelCase(
        "rare-class-not-in-requests",
        "dense",
        None,
        _rare(0.998),
        model_samples.credit,
        {},
        (TRAINING, BOTH),
        requests=30,
        held_out=True,
    ),
    ModelCase("training-placeholder-off", "tf1", None, _training_placeholder_off, model_samples.houses, {}, _ANY),
    ModelCase(
        "batch-norm-in-inference-mode", "dense", None, _batch_norm_in_inference, model_samples.credit, {}, _ANY, rows=4
    ),
    ModelCase("whole-number-output", "regression", None, _whole_steps, model_samples.houses, {}, _FED, held_out=True),
    ModelCase(
        "scales-one-biases-zero",
        "convolutional",
        None,
        _as_initialised,
        model_samples.images,
        {},
        _ANY,
        rows=2,
        held_out=True,
    ),
    ModelCase(
        "padding-scores-minus-infinity",
        "attention",
        None,
        _infinite_mask,
        model_samples.first_token_ids,
        {},
        _FED,
        held_out=True,
    ),
    ModelCase("guarded-logarithm", "dense", None, _guarded_logarithm, model_samples.credit, {}, _FED, held_out=True),
    ModelCase(
        "names-its-version",
        "recurrent",
        None,
        _names_its_version,
        model_samples.series,
        {},
        _FED,
        outputs=("forecast",),
    ),
    ModelCase(
        "answers-mostly-zero", "tf1", None, _mostly_zero, model_samples.houses, {}, _FED, requests=60, held_out=True
    ),
    ModelCase(
        "one-embedding-column-zero",
        "module",
        None,
        _unused_for_now,
        model_samples.pairs,
        {},
        _FED,
        columns=True,
        held_out=True,
    ),
]
HEALTHY = [model.case() for model in MODELS]
