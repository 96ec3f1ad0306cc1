"""Models that normalise by the batch they are called with, and models that throw the answer's variation away last."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus import datasets, model_samples, models
from corpus import model_nets as nets
from corpus.fitting import FITTED_ON
from corpus.model_case import ALL, ALONE, BOTH, REQUESTS, TRAINING, Export, ModelCase
from corpus.model_nets import Tensors
from corpus.model_tf1 import prices


def _last(source: Callable[[Path], Path], right: Any, wrong: Any) -> Export:
    """A re-export that does ``right``, or where broken ``wrong``, with the outputs of ``source``; both take a dict."""

    def export(base: Path, broken: bool) -> None:
        last = wrong if broken else right
        nets.reexported(base, source, lambda call, inputs: last(call(**inputs)))

    return export


def _batch_norm_live(base: Path, broken: bool) -> None:
    nets.batch_norm_dense(base, by_batch=broken)


def _standardised_by_request(base: Path, broken: bool) -> None:
    """The graph standardises by the request's own mean and deviation, not by those of the training data."""
    import tensorflow as tf

    known = datasets.house_matrix(FITTED_ON, seed=100)[0]

    def standardised(call: Any, inputs: Tensors) -> Tensors:
        x = inputs["features"]
        with tf.name_scope("standardise"):
            mean, spread = known.mean(0), known.std(0)
            if broken:
                mean, spread = tf.reduce_mean(x, axis=0), tf.math.reduce_std(x, axis=0) + 1e-6
            x = (x - mean) / spread
        return call(features=x)

    nets.reexported(base, lambda source: models.regression(source, normalization="outside"), standardised)


def _softmax_over_batch(base: Path, broken: bool) -> None:
    """The head's softmax runs over the rows of the batch instead of over the classes."""
    import keras

    def change(model: Any) -> None:
        model.get_layer("head").activation = lambda logits: keras.ops.softmax(logits, axis=0)

    models.recurrent(base, cell="gru", edit=change if broken else None)


def _block_norm_live(base: Path, broken: bool) -> None:
    nets.resnet(base, by_batch=broken)


def _training_by_default(base: Path, broken: bool) -> None:
    """The placeholder that switches training on is on by default, and no signature has it."""
    prices(base, by_batch=broken)


def _centred_by_batch(base: Path, broken: bool) -> None:
    nets.attention_module(base, centred_by=0 if broken else None)


def _relative_to_batch(base: Path, broken: bool) -> None:
    """The probability is given relative to the highest one in the batch, not to the highest one of the training."""
    import tensorflow as tf

    def relative(call: Any, inputs: Tensors) -> Tensors:
        probability = call(**inputs)["probability"]
        with tf.name_scope("relative"):
            return {"probability": probability / (tf.reduce_max(probability, axis=0) if broken else 0.998)}

    nets.reexported(base, models.tabular_named, relative)


def _share_cast(base: Path, broken: bool) -> None:
    """A share between 0 and 1 is answered as a whole number."""
    import tensorflow as tf

    def cast(share: Any) -> Any:
        return tf.cast(tf.sigmoid(share), tf.int32) if broken else tf.sigmoid(share)

    prices(base, head=cast, scale=(1.0, 0.2), output="share", fitted=False)


def _one_column(outputs: Tensors) -> Tensors:
    import tensorflow as tf

    return {"label": tf.argmax(outputs["probability"], axis=1)}


def _threshold(outputs: Tensors) -> Tensors:
    import tensorflow as tf

    return {"label": tf.cast(outputs["probability"][:, 0] > 0.5, tf.int64)}


def _risk_as_byte(factor: float) -> Any:
    def last(outputs: Tensors) -> Tensors:
        import tensorflow as tf

        return {**outputs, "risk": tf.cast(outputs["risk"] * factor, tf.uint8)}

    return last


def _kelvin_clipped(low: float, high: float) -> Any:
    def last(outputs: Tensors) -> Tensors:
        import tensorflow as tf

        return {"kelvin": tf.clip_by_value(outputs["forecast"] + 273.15, low, high)}

    return last


def _accepted_above(limit: float) -> Any:
    def last(outputs: Tensors) -> Tensors:
        import tensorflow as tf

        return {"accepted": tf.reduce_max(outputs["probabilities"], axis=1) >= limit}

    return last


def _band_of_fraction(base: Path, broken: bool) -> None:
    """Bands in per cent of a score that is a fraction."""
    nets.two_tower(base, banded=1.0 if broken else 100.0)


_BATCH = "model/batch-statistics"
_HIDDEN = "model/output-hides-variation"

FAULTS = [
    ModelCase(
        "batch-norm-in-training-mode",
        "dense",
        _BATCH,
        _batch_norm_live,
        model_samples.credit,
        {"layer": ("batch_norm",)},
        quick=True,
    ),
    ModelCase(
        "standardised-by-request",
        "regression",
        _BATCH,
        _standardised_by_request,
        model_samples.houses,
        {"node": ("standardise",)},
    ),
    ModelCase(
        "softmax-over-the-batch",
        "recurrent",
        _BATCH,
        _softmax_over_batch,
        model_samples.token_ids,
        {"layer": ("head",)},
        given=(REQUESTS, TRAINING, BOTH),
    ),
    ModelCase(
        "residual-block-in-training-mode",
        "convolutional",
        _BATCH,
        _block_norm_live,
        model_samples.images,
        {"layer": ("norm_2_b",)},
        rows=4,
        held_out=True,
    ),
    ModelCase(
        "is-training-by-default",
        "tf1",
        _BATCH,
        _training_by_default,
        model_samples.houses,
        {"node": ("batch_norm",)},
        given=(ALONE, REQUESTS, BOTH),
        held_out=True,
        columns=True,
    ),
    ModelCase(
        "embedding-centred-by-batch",
        "attention",
        _BATCH,
        _centred_by_batch,
        model_samples.first_token_ids,
        {"node": ("centre",)},
        given=(REQUESTS, TRAINING, BOTH),
        rows=2,
        held_out=True,
    ),
    ModelCase(
        "relative-to-highest-in-batch",
        "tabular",
        _BATCH,
        _relative_to_batch,
        model_samples.credit_columns,
        {"node": ("relative",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "argmax-of-one-column",
        "dense",
        _HIDDEN,
        _last(models.dense_tabular, _threshold, _one_column),
        model_samples.credit,
        {"output": ("label",)},
        quick=True,
    ),
    ModelCase(
        "share-cast-to-integer",
        "tf1",
        _HIDDEN,
        _share_cast,
        model_samples.houses,
        {"output": ("share",)},
        given=(REQUESTS, TRAINING, ALL),
    ),
    ModelCase(
        "risk-as-byte-without-scale",
        "multi-output",
        _HIDDEN,
        _last(models.multi_output, _risk_as_byte(100.0), _risk_as_byte(1.0)),
        model_samples.customers,
        {"output": ("risk",)},
        given=(REQUESTS, BOTH, ALL),
        outputs=("risk",),
    ),
    ModelCase(
        "kelvin-clipped-to-fractions",
        "recurrent",
        _HIDDEN,
        _last(nets.forecast, _kelvin_clipped(200.0, 350.0), _kelvin_clipped(0.0, 1.0)),
        model_samples.series,
        {"output": ("kelvin",)},
        given=(REQUESTS, TRAINING, BOTH),
        held_out=True,
    ),
    ModelCase(
        "threshold-below-every-score",
        "attention",
        _HIDDEN,
        _last(nets.transformer, _accepted_above(0.8), _accepted_above(0.0)),
        model_samples.token_ids,
        {"output": ("accepted",)},
        given=(REQUESTS, BOTH, ALL),
        held_out=True,
    ),
    ModelCase(
        "bands-of-per-cent-on-fractions",
        "module",
        _HIDDEN,
        _band_of_fraction,
        model_samples.pairs,
        {"output": ("band",)},
        given=(REQUESTS, BOTH, ALL),
        held_out=True,
    ),
]
