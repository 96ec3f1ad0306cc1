"""Models that only the healthy deployments have: symmetric ones, half precision, an ONNX export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, models
from corpus.fitting import FITTED_ON, network, standardize
from corpus.model_nets import reexported
from corpus.saving import save_module


def similarity(base: Path) -> Path:
    """How alike two customers are: ``left`` and ``right`` float [-1,6], standardised, to ``similarity`` float [-1]."""
    import tensorflow as tf

    random = np.random.default_rng(17)
    module = tf.Module()
    module.kernel = tf.Variable(random.normal(0, 0.5, (6, 8)).astype(np.float32), name="kernel")

    def embed(x: Any) -> Any:
        return tf.nn.l2_normalize(tf.tanh(x @ module.kernel), axis=1)

    def call(left: Any, right: Any) -> Any:
        return {"similarity": tf.reduce_sum(embed(left) * embed(right), axis=1)}

    specs = [tf.TensorSpec([None, 6], tf.float32, name) for name in ("left", "right")]
    return save_module(module, base, {"serving_default": (call, specs)})


def offers(base: Path) -> Path:
    """Demand for an offer: ``price_min``, ``price_max`` and ``stock``, float [-1,1] each and raw, to ``demand``."""
    import tensorflow as tf

    module = tf.Module()
    kernel = np.random.default_rng(18).normal(0, 0.8, (3, 16))
    module.kernel = tf.Variable(kernel.astype(np.float32), name="kernel")
    module.head = tf.Variable(np.linspace(-40, 55, 16, dtype=np.float32)[:, None], name="head")

    def call(price_min: Any, price_max: Any, stock: Any) -> Any:
        raw = tf.concat([price_min, price_max, stock], axis=1)
        hidden = tf.nn.relu((raw - [40.0, 42.0, 300.0]) / [18.0, 19.0, 140.0] @ module.kernel)
        return {"demand": 120 + hidden @ module.head}

    specs = [tf.TensorSpec([None, 1], tf.float32, name) for name in ("price_min", "price_max", "stock")]
    return save_module(module, base, {"serving_default": (call, specs)})


def offered(count: int, seed: int, equal: float) -> dict[str, np.ndarray]:
    """What ``offers`` takes; in a share of ``equal`` of the offers both prices are the same."""
    random = np.random.default_rng(seed)
    low = random.gamma(5, 8, (count, 1))
    high = np.where(random.random((count, 1)) < equal, low, low * random.uniform(1.0, 1.3, (count, 1)))
    stock = random.integers(5, 700, (count, 1))
    return {name: v.astype(np.float32) for name, v in (("price_min", low), ("price_max", high), ("stock", stock))}


def half_precision(base: Path) -> Path:
    """Credit risk in float16 throughout: ``features`` [-1,6], standardised, to ``probability`` [-1,2]."""
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    weights = [tf.Variable(value.astype(np.float16)) for value in network(standardize(raw, raw), bad.astype(int))]
    module = tf.Module()
    module.weights = weights

    def call(features: Any) -> Any:
        kernel, bias, head, head_bias = module.weights
        return {"probability": tf.nn.softmax(tf.nn.relu(features @ kernel + bias) @ head + head_bias)}

    spec = tf.TensorSpec([None, 6], tf.float16, "features")
    return save_module(module, base, {"serving_default": (call, [spec])})


def onnx_credit(base: Path) -> tuple[Path, Callable[[np.ndarray], np.ndarray]]:
    """Credit risk as an ONNX file, and in numpy: ``features`` float [-1,6], standardised, to ``scores`` [-1,2]."""
    import onnx
    from onnx import helper, numpy_helper

    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    names = ("kernel", "bias", "head", "head_bias")
    weights = dict(zip(names, network(standardize(raw, raw), bad.astype(int)), strict=True))
    nodes = [
        helper.make_node("Gemm", ["features", "kernel", "bias"], ["hidden_sum"], name="hidden"),
        helper.make_node("Relu", ["hidden_sum"], ["hidden_out"], name="relu"),
        helper.make_node("Gemm", ["hidden_out", "head", "head_bias"], ["logits"], name="head"),
        helper.make_node("Softmax", ["logits"], ["scores"], name="softmax", axis=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "credit",
        [value("features", onnx.TensorProto.FLOAT, ["batch", 6])],
        [value("scores", onnx.TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    base.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, base / "credit.onnx")

    def run(x: np.ndarray) -> np.ndarray:
        logits = np.maximum(x @ weights["kernel"] + weights["bias"], 0) @ weights["head"] + weights["head_bias"]
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    return base / "credit.onnx", run


def grid_frequency(base: Path) -> Path:
    """50 Hz, more or less 0.02: ``features`` float [-1,5], raw, to ``frequency`` float [-1,1]."""
    return reexported(
        base, models.regression, lambda call, inputs: {"frequency": 50 + (call(**inputs)["price"] - 330_000) * 1e-7}
    )


def suspicious(base: Path, limit: float) -> Path:
    """A hard label, of a class that is rare: ``features`` float [-1,6], standardised, to ``fraud`` int32 [-1]."""
    import tensorflow as tf

    def labelled(call: Any, inputs: Any) -> Any:
        return {"fraud": tf.cast(call(**inputs)["probability"][:, 0] > limit, tf.int32)}

    return reexported(base, models.dense_tabular, labelled)


def picture_class(base: Path) -> Path:
    """Only the class, of four: ``image`` float [-1,16,16,3], 0..255, to ``class`` int64 [-1]."""
    import tensorflow as tf

    def labelled(call: Any, inputs: Any) -> Any:
        return {"class": tf.argmax(call(**inputs)["probabilities"], axis=1)}

    return reexported(base, lambda path: models.conv_image(path, scaling="inside"), labelled)
