"""More faults of the model, of mechanisms of their own: shut gates, hidden NaN, loops and branches that never run."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, model_samples, models
from corpus.fitting import FITTED_ON
from corpus.model_case import ALL, ALONE, BOTH, REQUESTS, TRAINING, Export, ModelCase
from corpus.model_nets import Tensors, forecast, resnet
from corpus.model_tf1 import prices
from corpus.saving import Edit, save_module


def _edited(build: Any, edit: Edit, **keywords: Any) -> Export:
    return lambda base, broken: build(base, edit=edit if broken else None, **keywords)


def _changed(model: Any, layer: str, at: int, change: Any) -> None:
    """Assigns the ``at``-th weight of ``layer`` what ``change`` makes of it."""
    weight = model.get_layer(layer).weights[at]
    weight.assign(np.float32(change(weight.numpy())))


def _part(values: np.ndarray, part: int, of: int, value: float) -> np.ndarray:
    """Sets one of ``of`` equal parts of the last axis."""
    width = values.shape[-1] // of
    values = values.copy()
    values[..., part * width : (part + 1) * width] = value
    return values


def _tiny_kernel(model: Any) -> None:
    _changed(model, "hidden_2", 0, lambda kernel: kernel * 1e-12)
    _changed(model, "hidden_2", 1, lambda bias: np.linspace(-0.5, -0.1, len(bias)))


def _frozen_zero(base: Path, broken: bool) -> None:
    def emptied(weights: dict[str, np.ndarray]) -> None:
        weights["kernel_1"][:] = 0

    prices(base, frozen=True, activation="tanh", weights=emptied if broken else None)


def houses_module(base: Path, broken: bool, *, fault: str) -> None:
    """House prices, a tf.Module: ``features`` float [-1,5], raw, to ``price`` float [-1]; ``fault`` names what breaks.

    Scopes: standardise, unit, outliers, gate, hidden, head.
    """
    import tensorflow as tf

    raw, _ = datasets.house_matrix(FITTED_ON, seed=100)
    random = np.random.default_rng(31)
    module = tf.Module()
    shapes = {"gate": (5, 16), "kernel": (5, 16), "bias": (16,), "out": (16, 1)}
    for name, shape in shapes.items():
        setattr(module, name, tf.Variable(np.float32(random.normal(0, 0.5, shape)), name=name))
    module.enabled = tf.Variable(not (broken and fault == "branch"), name="enabled")
    module.rounds = tf.Variable(0 if broken and fault == "loop" else 2, name="rounds")
    gate_bias = -80.0 if broken and fault == "gate" else 0.5

    def unit(x: Any) -> Any:
        if fault != "half":
            return x
        half = tf.cast(x * 1e4 if broken else x, tf.float16)
        length = tf.sqrt(tf.reduce_sum(half * half, axis=1, keepdims=True))
        return tf.cast(half / (length + 1), tf.float32)

    def cleaned(x: Any) -> Any:
        if fault != "hidden-nan":
            return x
        logarithm = tf.math.log(-tf.abs(x) if broken else tf.abs(x) + 0.1, name="log")
        return tf.where(tf.math.is_nan(logarithm), tf.zeros_like(logarithm), logarithm)

    def body(x: Any) -> Any:
        with tf.name_scope("gate"):
            gate = tf.sigmoid(x @ module.gate + gate_bias)
        if fault in ("gelu", "where"):
            with tf.name_scope("hidden"):
                drawn = x @ module.kernel + (-200.0 if broken else 0.1)
                return tf.nn.gelu(drawn) if fault == "gelu" else tf.where(drawn > 0, drawn, tf.zeros_like(drawn))
        with tf.name_scope("hidden"):
            return tf.tanh((x @ module.kernel) * gate + module.bias)

    def hidden(x: Any) -> Any:
        if fault == "branch":
            return tf.cond(module.enabled, lambda: body(x), lambda: tf.zeros([tf.shape(x)[0], 16]))
        if fault != "loop":
            return body(x)
        start = tf.zeros([tf.shape(x)[0], 16])
        return tf.while_loop(
            lambda at, _: at < module.rounds, lambda at, state: (at + 1, tf.tanh(state + body(x))), (0, start)
        )[1]

    def serve(features: Any) -> Tensors:
        with tf.name_scope("standardise"):
            x = (features - np.float32(raw.mean(0))) / np.float32(raw.std(0))
        with tf.name_scope("unit"):
            x = unit(x)
        with tf.name_scope("outliers"):
            x = cleaned(x)
        if fault == "shape" and broken:
            start = tf.zeros([tf.shape(x)[0], 5])
            x = tf.while_loop(lambda at, _: at < 2, lambda at, state: (at + 1, state + tf.ones_like(x)), (0, start))[1]
        h = hidden(x)
        with tf.name_scope("head"):
            return {"price": tf.squeeze(h @ module.out, 1) * 60_000 + 320_000}

    specs = [tf.TensorSpec([None, 5], tf.float32, "features")]
    save_module(module, base, {"serving_default": (serve, specs)})


def towers(base: Path, broken: bool) -> None:
    """Recommender, a tf.Module: ``user_id``, ``item_id`` int64 [-1] to ``score`` float [-1]; the users' are zero."""
    import tensorflow as tf

    random = np.random.default_rng(32)
    module = tf.Module()
    users = random.normal(0, 0.7, (200, 8)) * (not broken)
    module.users = tf.Variable(np.float32(users), name="user_embedding")
    module.items = tf.Variable(np.float32(random.normal(0, 0.7, (80, 8))), name="item_embedding")
    module.mixing = tf.Variable(np.float32(random.normal(0, 0.5, (8, 8))), name="mixing")

    def serve(user_id: Any, item_id: Any) -> Tensors:
        with tf.name_scope("item_tower"):
            item = tf.nn.relu(tf.gather(module.items, item_id) @ module.mixing)
        with tf.name_scope("user_tower"):
            user = tf.gather(module.users, user_id) @ module.mixing
        return {"score": tf.sigmoid(tf.reduce_sum(user * item, axis=1))}

    specs = [tf.TensorSpec([None], tf.int64, "user_id"), tf.TensorSpec([None], tf.int64, "item_id")]
    save_module(module, base, {"serving_default": (serve, specs)})


def masked(base: Path, broken: bool) -> None:
    """Topic of a sentence, a tf.Module: ``token_ids`` int32 [-1,12] to ``scores`` float [-1,4]; a mask hides all."""
    import tensorflow as tf

    random = np.random.default_rng(33)
    size = len(datasets.VOCABULARY)
    module = tf.Module()
    for name, shape in {"embedding": (size, 16), "query": (16, 16), "head": (16, 4)}.items():
        setattr(module, name, tf.Variable(np.float32(random.normal(0, 0.5, shape)), name=name))

    def serve(token_ids: Any) -> Tensors:
        x = tf.gather(module.embedding, token_ids)
        with tf.name_scope("attention"):
            shares = tf.nn.softmax(tf.matmul(x @ module.query, x, transpose_b=True))
            mask = tf.cast(token_ids > (size if broken else 0), tf.float32)
            attended = tf.matmul(shares * mask[:, None, :], x)
        with tf.name_scope("head"):
            return {"scores": tf.nn.softmax(tf.reduce_sum(attended, 1) @ module.head)}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 12], tf.int32, "token_ids")])})


def _houses(name: str, cause: str, fault: str, location: dict[str, tuple[str, ...]]) -> ModelCase:
    export = partial(houses_module, fault=fault)
    return ModelCase(name, "module", cause, export, model_samples.houses, location, given=(REQUESTS, TRAINING, BOTH))


FAULTS = [
    ModelCase(
        "output-gate-of-lstm-shut", "recurrent", "model/dead-activation",
        _edited(forecast, lambda model: _changed(model, "encoder", 2, lambda bias: _part(bias, 3, 4, -300.0))),
        model_samples.series, {"layer": ("encoder",)}, given=(REQUESTS, TRAINING, BOTH),
    ),
    ModelCase(
        "residual-sum-dead", "convolutional", "model/dead-activation",
        _edited(resnet, lambda model: _changed(model, "norm_1_b", 1, lambda beta: beta - 900.0)),
        model_samples.images, {"layer": ("relu_1",)}, given=(REQUESTS, TRAINING, BOTH),
    ),
    ModelCase(
        "tiny-kernel-before-relu", "dense", "model/degenerate-weights", _edited(models.dense_tabular, _tiny_kernel),
        model_samples.credit, {"layer": ("hidden_2",)},
    ),
    ModelCase(
        "class-pinned-by-bias", "embedding", "model/saturated-activation",
        _edited(models.embedding_text, lambda model: _changed(model, "head", 1, lambda bias: bias + np.eye(4)[0] * 90)),
        model_samples.token_ids, {"layer": ("head",)}, given=(REQUESTS, TRAINING, BOTH),
    ),
    ModelCase(
        "forecast-all-but-constant", "recurrent", "model/collapsed",
        _edited(forecast, lambda model: _changed(model, "head", 0, lambda kernel: kernel * 3e-3), cell="GRU"),
        model_samples.series, {"output": ("forecast",)}, given=(ALL,),
    ),
    ModelCase(
        "frozen-kernel-zero", "tf1", "model/degenerate-weights", _frozen_zero, model_samples.houses,
        {"node": ("hidden_1",)}, given=(ALONE, REQUESTS, BOTH),
    ),
    ModelCase(
        "user-embedding-never-restored", "two-tower", "model/degenerate-weights", towers, model_samples.pairs,
        {}, given=(ALONE, REQUESTS, BOTH),
    ),
    ModelCase(
        "attention-mask-hides-all", "attention", "model/dead-activation", masked, model_samples.token_ids,
        {"node": ("attention",)}, given=(REQUESTS, TRAINING, BOTH),
    ),
    _houses("gate-all-but-shut", "model/dead-activation", "gate", {"node": ("gate",)}),
    _houses("nan-replaced-by-zero", "model/non-finite", "hidden-nan", {"node": ("outliers",)}),
    _houses("half-precision-overflow", "model/non-finite", "half", {"node": ("unit",)}),
    _houses("branch-never-taken", "model/disconnected-input", "branch", {}),
    _houses("gelu-dead", "model/dead-activation", "gelu", {"node": ("hidden",)}),
    _houses("relu-by-where-dead", "model/dead-activation", "where", {"node": ("hidden",)}),
    _houses("loop-reads-the-shape-only", "model/disconnected-input", "shape", {}),
    _houses("loop-never-run", "model/disconnected-input", "loop", {}),
]  # fmt: skip
CASES = [fault.case() for fault in FAULTS]
