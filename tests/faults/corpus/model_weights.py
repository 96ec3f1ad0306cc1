"""Models with weights that cannot work: not finite, zero or all the same, or too weak to move the answer."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, model_samples, models
from corpus import model_nets as nets
from corpus.fitting import FITTED_ON
from corpus.model_case import ALL, ALONE, BOTH, GOLDEN, REQUESTS, TRAINING, Export, ModelCase
from corpus.model_nets import Tensors
from corpus.model_tf1 import prices
from corpus.saving import Edit

WEAK = 1e-5


def _edited(source: Any, edit: Edit, **structure: Any) -> Export:
    return lambda base, broken: source(base, edit=edit if broken else None, **structure)


def _weights(layer: str, at: int, change: Any) -> Edit:
    """Replaces one of a Keras layer's weights by ``change`` of it."""

    def edit(model: Any) -> None:
        weights = model.get_layer(layer).get_weights()
        weights[at] = np.asarray(change(weights[at].copy()), weights[at].dtype)
        model.get_layer(layer).set_weights(weights)

    return edit


def _row_is_nan(kernel: np.ndarray) -> np.ndarray:
    kernel[3] = np.nan
    return kernel


def _padding_is_nan(embeddings: np.ndarray) -> np.ndarray:
    embeddings[0] = np.nan
    return embeddings


def _mean_is_nan(model: Any) -> None:
    """The training data had gaps in this column, and so has its mean."""
    layer = model.get_layer("normalize_income")
    layer.mean = layer.mean * np.nan


def _prior_in(layer: str, edit: Edit) -> Edit:
    """``edit``, and the biases of the head ``layer`` are the logarithms of how frequent each class was."""

    def change(model: Any) -> None:
        edit(model)
        kernel, _ = model.get_layer(layer).get_weights()
        model.get_layer(layer).set_weights([kernel, np.log([0.4, 0.3, 0.2, 0.1]).astype(np.float32)])

    return change


def _norm_hardly_passes(model: Any) -> None:
    gamma, beta = model.get_layer("norm_2").get_weights()
    model.get_layer("norm_2").set_weights([gamma * 10 * WEAK, beta * 0.01])


def _spread_of_zero(base: Path, broken: bool) -> None:
    """A column's deviation was recorded as zero, and the graph divides by it."""
    spread = datasets.house_matrix(FITTED_ON, seed=100)[0].std(0)
    spread[3] = 0 if broken else spread[3]
    prices(base, spread=spread)


def _logarithm_undone_twice(base: Path, broken: bool) -> None:
    """The graph raises e to the price, as if it were the price's logarithm."""
    import tensorflow as tf

    def raised(call: Any, inputs: Tensors) -> Tensors:
        price = call(**inputs)["price"]
        with tf.name_scope("undo_log"):
            return {"price": tf.exp(price if broken else tf.math.log(tf.nn.softplus(price)))}

    nets.reexported(base, models.regression, raised)


def _half_precision_overflows(base: Path, broken: bool) -> None:
    """A softmax written by hand in float16 that does not take off the largest score."""
    nets.attention_module(base, dtype="float16", temperature=12.0, stable=not broken)


def _padding_poisons(base: Path, broken: bool) -> None:
    """The embedding of padding is NaN; the argmax at the end makes an honest-looking class of it."""
    import tensorflow as tf

    def transformer(source: Path) -> Path:
        return nets.transformer(source, edit=_weights("embedding", 0, _padding_is_nan) if broken else None)

    nets.reexported(
        base, transformer, lambda call, inputs: {"topic": tf.argmax(call(**inputs)["probabilities"], axis=1)}
    )


def _never_restored(base: Path, broken: bool) -> None:
    """Frozen from a session whose variables, initialised to zero, were never restored."""

    def zero(weights: dict[str, np.ndarray]) -> None:
        weights.update({name: np.zeros_like(values) for name, values in weights.items()})

    prices(base, frozen=True, weights=zero if broken else None)


def _items_never_restored(base: Path, broken: bool) -> None:
    nets.two_tower(base, items=np.zeros((80, 8), np.float32) if broken else None)


def _forecast_damped(base: Path, broken: bool) -> None:
    """The forecast keeps to the mean: what is left of its range is known to be too little from golden answers only."""
    nets.looped(base, damping=0.004 if broken else 1.0)


def _prior_only(base: Path, broken: bool) -> None:
    nets.attention_module(base, prior=1 - 4 * WEAK if broken else 0.0)


_NON_FINITE = "model/non-finite"
_DEGENERATE = "model/degenerate-weights"
_COLLAPSED = "model/collapsed"

FAULTS = [
    ModelCase(
        "kernel-row-nan",
        "dense",
        _NON_FINITE,
        _edited(models.dense_tabular, _weights("hidden_1", 0, _row_is_nan)),
        model_samples.credit,
        {"layer": ("hidden_1",)},
        quick=True,
    ),
    ModelCase(
        "column-mean-nan",
        "tabular",
        _NON_FINITE,
        _edited(models.tabular_named, _mean_is_nan),
        model_samples.credit_columns,
        {"layer": ("normalize_income",)},
        given=(REQUESTS, TRAINING, BOTH, ALL),
        columns=True,
    ),
    ModelCase(
        "divided-by-spread-of-zero",
        "tf1",
        _NON_FINITE,
        _spread_of_zero,
        model_samples.houses,
        {"node": ("standardise",)},
        given=(REQUESTS, TRAINING, BOTH),
    ),
    ModelCase(
        "logarithm-undone-twice",
        "regression",
        _NON_FINITE,
        _logarithm_undone_twice,
        model_samples.houses,
        {"node": ("undo_log",)},
        given=(REQUESTS, TRAINING, BOTH),
        rows=2,
    ),
    ModelCase(
        "half-precision-softmax-overflows",
        "attention",
        _NON_FINITE,
        _half_precision_overflows,
        model_samples.first_token_ids,
        {"node": ("attention",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "moving-variance-nan",
        "convolutional",
        _NON_FINITE,
        _edited(nets.resnet, _weights("norm_2_a", 3, lambda variance: variance * np.nan)),
        model_samples.images,
        {"layer": ("norm_2_a",)},
        held_out=True,
    ),
    ModelCase(
        "padding-embedding-nan",
        "attention",
        _NON_FINITE,
        _padding_poisons,
        model_samples.token_ids,
        {"layer": ("embedding",)},
        held_out=True,
        columns=True,
    ),
    ModelCase(
        "hidden-kernel-zero",
        "dense",
        _DEGENERATE,
        _edited(models.dense_tabular, _weights("hidden_2", 0, np.zeros_like)),
        model_samples.credit,
        {"layer": ("hidden_2",)},
        quick=True,
    ),
    ModelCase(
        "head-kernel-all-ones",
        "convolutional",
        _DEGENERATE,
        _edited(models.conv_image, _weights("head", 0, np.ones_like)),
        model_samples.images,
        {"layer": ("head",)},
    ),
    ModelCase(
        "embedding-rows-all-equal",
        "embedding",
        _DEGENERATE,
        _edited(models.embedding_text, _weights("embedding", 0, lambda rows: np.full_like(rows, 0.05))),
        model_samples.token_ids,
        {"layer": ("embedding",)},
        rows=2,
    ),
    ModelCase(
        "frozen-before-restore",
        "tf1",
        _DEGENERATE,
        _never_restored,
        model_samples.houses,
        {"node": ("hidden_1",)},
        given=(ALONE, REQUESTS, BOTH, ALL),
        held_out=True,
    ),
    ModelCase(
        "head-kernel-below-precision",
        "recurrent",
        _DEGENERATE,
        _edited(nets.forecast, _weights("head", 0, lambda kernel: kernel * 1e-12)),
        model_samples.series,
        {"layer": ("head",)},
        held_out=True,
    ),
    ModelCase(
        "item-embedding-never-restored",
        "module",
        _DEGENERATE,
        _items_never_restored,
        model_samples.pairs,
        {"node": ("item",)},
        held_out=True,
    ),
    ModelCase(
        "head-learnt-the-prior",
        "dense",
        _COLLAPSED,
        _edited(models.dense_tabular, _weights("head", 0, lambda kernel: kernel * WEAK)),
        model_samples.credit,
        {"output": ("probability",)},
        given=(REQUESTS, TRAINING, ALL),
        quick=True,
    ),
    ModelCase(
        "price-keeps-to-the-mean",
        "regression",
        _COLLAPSED,
        _edited(models.regression, _weights("head", 0, lambda kernel: kernel * WEAK)),
        model_samples.houses,
        {"output": ("price",)},
        given=(REQUESTS, BOTH, ALL),
    ),
    ModelCase(
        "named-columns-hardly-count",
        "tabular",
        _COLLAPSED,
        _edited(models.tabular_named, _weights("head", 0, lambda kernel: kernel * 3 * WEAK)),
        model_samples.credit_columns,
        {"output": ("probability",)},
        given=(REQUESTS, BOTH, ALL),
    ),
    ModelCase(
        "last-norm-hardly-passes",
        "attention",
        _COLLAPSED,
        _edited(nets.transformer, _prior_in("head", _norm_hardly_passes)),
        model_samples.token_ids,
        {"output": ("probabilities",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "forecast-damped",
        "module",
        _COLLAPSED,
        _forecast_damped,
        model_samples.sequences,
        {"output": ("forecast",)},
        given=(GOLDEN, ALL),
        held_out=True,
    ),
    ModelCase(
        "pictures-hardly-count",
        "convolutional",
        _COLLAPSED,
        _edited(nets.resnet, _prior_in("head", _weights("head", 0, lambda kernel: kernel * WEAK))),
        model_samples.images,
        {"output": ("probabilities",)},
        given=(REQUESTS, TRAINING, ALL),
        held_out=True,
        rows=2,
    ),
    ModelCase(
        "module-learnt-the-prior",
        "attention",
        _COLLAPSED,
        _prior_only,
        model_samples.first_token_ids,
        {"output": ("scores",)},
        given=(REQUESTS, BOTH, ALL),
        held_out=True,
    ),
]
