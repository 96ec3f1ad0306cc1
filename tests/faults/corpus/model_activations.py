"""Models in which the variation dies in an activation: units and gates shut at zero, or pinned elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import model_nets as nets
from corpus import model_samples, models
from corpus.model_case import ALL, BOTH, REQUESTS, TRAINING, Export, ModelCase
from corpus.model_tf1 import prices
from corpus.saving import Edit

SHUT = -1e4  # further below zero than any plausible input can lift a unit


def _edited(source: Any, edit: Edit, **structure: Any) -> Export:
    return lambda base, broken: source(base, edit=edit if broken else None, **structure)


def _biases(layer: str, values: Any, which: slice = slice(None), at: int = -1) -> Edit:
    """Adds to the biases of a layer of a Keras model; ``at`` is their place among its weights."""

    def change(model: Any) -> None:
        weights = model.get_layer(layer).get_weights()
        weights[at][..., which] += values(weights[at][..., which].shape[-1]) if callable(values) else values
        model.get_layer(layer).set_weights(weights)

    return change


def _either_side(size: int) -> np.ndarray:
    """Far from zero, on both sides, by different amounts."""
    random = np.random.default_rng(41)
    return random.choice([-1, 1], size) * random.uniform(150, 400, size)


def _shifted(key: str, values: Any) -> Any:
    def change(weights: dict[str, np.ndarray]) -> None:
        weights[key] = weights[key] + values

    return change


def _residual_sum_shut(base: Path, broken: bool) -> None:
    """The last block's normalisation shifts its sum with the shortcut far below zero; the ReLU behind is shut."""
    nets.resnet(base, edit=_biases("norm_2_b", SHUT, at=1) if broken else None)


def _everything_masked(base: Path, broken: bool) -> None:
    """The mask takes every id for padding."""
    nets.attention_module(base, padding=10_000 if broken else 0)


def _relu6_shut(base: Path, broken: bool) -> None:
    prices(base, activation="relu6", frozen=True, weights=_shifted("bias_2", SHUT) if broken else None)


def _embedding_pinned(base: Path, broken: bool) -> None:
    def change(module: Any) -> None:
        module.bias.assign_add(_either_side(8).astype(np.float32))

    models.module_signatures(base, edit=change if broken else None)


def _attends_first_token_only(base: Path, broken: bool) -> None:
    """The attention is pinned to the first token, which is the same in every sentence."""
    nets.attention_module(base, first_token_bonus=1e4 if broken else 0.0)


def _tanh_pinned(base: Path, broken: bool) -> None:
    prices(base, activation="tanh", frozen=True, weights=_shifted("bias_2", _either_side(24)) if broken else None)


_DEAD = "model/dead-activation"
_SATURATED = "model/saturated-activation"

FAULTS = [
    ModelCase(
        "hidden-relu-dead",
        "dense",
        _DEAD,
        _edited(models.dense_tabular, _biases("hidden_2", SHUT)),
        model_samples.credit,
        {"layer": ("hidden_2",)},
        quick=True,
    ),
    ModelCase(
        "convolution-relu-dead",
        "convolutional",
        _DEAD,
        _edited(models.conv_image, _biases("conv_2", SHUT)),
        model_samples.images,
        {"layer": ("conv_2",)},
        rows=2,
    ),
    ModelCase(
        "trunk-of-two-heads-dead",
        "multi-output",
        _DEAD,
        _edited(models.multi_output, _biases("hidden_customer", -1e7)),
        model_samples.customers,
        {"layer": ("hidden_customer",)},
        given=(REQUESTS, TRAINING, BOTH),
        outputs=("risk", "segment"),
    ),
    ModelCase(
        "lstm-output-gate-shut",
        "recurrent",
        _DEAD,
        _edited(nets.forecast, _biases("encoder", SHUT, slice(-24, None))),
        model_samples.series,
        {"layer": ("encoder",)},
        held_out=True,
    ),
    ModelCase(
        "mask-hides-every-token",
        "attention",
        _DEAD,
        _everything_masked,
        model_samples.first_token_ids,
        {"node": ("padding_mask",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "frozen-graph-relu6-dead",
        "tf1",
        _DEAD,
        _relu6_shut,
        model_samples.houses,
        {"node": ("hidden_2",)},
        given=(REQUESTS, TRAINING, BOTH, ALL),
        held_out=True,
        columns=True,
    ),
    ModelCase(
        "residual-sum-relu-dead",
        "convolutional",
        _DEAD,
        _residual_sum_shut,
        model_samples.images,
        {"layer": ("relu_2",)},
        held_out=True,
    ),
    ModelCase(
        "sigmoid-head-saturated",
        "dense",
        _SATURATED,
        _edited(models.dense_tabular, _biases("head", 60.0)),
        model_samples.credit,
        {"layer": ("head",)},
        given=(REQUESTS, TRAINING, BOTH),
        quick=True,
    ),
    ModelCase(
        "hidden-tanh-saturated",
        "regression",
        _SATURATED,
        _edited(models.regression, _biases("hidden", _either_side)),
        model_samples.houses,
        {"layer": ("hidden",)},
        given=(REQUESTS, TRAINING, BOTH),
        rows=3,
    ),
    ModelCase(
        "module-embedding-saturated",
        "module",
        _SATURATED,
        _embedding_pinned,
        model_samples.credit,
        {"node": ("embedding",)},
        given=(REQUESTS, TRAINING, BOTH),
        columns=True,
    ),
    ModelCase(
        "softmax-on-one-class",
        "attention",
        _SATURATED,
        _edited(nets.transformer, _biases("head", 300.0, slice(2, 3))),
        model_samples.token_ids,
        {"layer": ("head",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "gru-update-gate-pinned",
        "recurrent",
        _SATURATED,
        _edited(nets.forecast, _biases("encoder", 150.0, slice(0, 24)), cell="GRU"),
        model_samples.series,
        {"layer": ("encoder",)},
        given=(REQUESTS, BOTH, ALL),
        held_out=True,
    ),
    ModelCase(
        "attention-on-first-token",
        "attention",
        _SATURATED,
        _attends_first_token_only,
        model_samples.first_token_ids,
        {"node": ("attention",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "frozen-graph-tanh-saturated",
        "tf1",
        _SATURATED,
        _tanh_pinned,
        model_samples.houses,
        {"node": ("hidden_2",)},
        given=(REQUESTS, TRAINING, ALL),
        held_out=True,
    ),
]
