"""Models as TensorFlow 1 wrote them: sessions, placeholders, collections; variables, or frozen to constants."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets
from corpus.fitting import FITTED_ON, standardize
from corpus.saving import save_tf1

DEVICES = ("phone", "tablet", "laptop", "desktop", "watch", "console", "tv", "car")


def prices(
    base: Path,
    *,
    activation: str = "relu",
    frozen: bool = False,
    fed: bool = True,
    spread: np.ndarray | None = None,
    by_batch: bool | None = None,
    weights: Callable[[dict[str, np.ndarray]], None] | None = None,
    head: Callable[[Any], Any] | None = None,
    scale: tuple[float, float] = (60_000.0, 320_000.0),
    output: str = "price",
    fitted: bool = True,
) -> Path:
    """House prices: ``features`` float [-1,5], raw, to ``price`` float [-1,1].

    Nodes: standardise, hidden_1, hidden_2, head.

    Args:
        activation: of tf.nn, of both hidden layers.
        frozen: weights are constants of the graph, not variables.
        fed: the network reads what is fed; else a placeholder with a default that nothing feeds.
        spread: the deviations to divide by; None for those of the data.
        by_batch: adds a batch normalisation behind hidden_1 with a placeholder ``is_training`` of this default.
        weights: changes the weights before they are saved: kernel_1, bias_1, kernel_2, bias_2, kernel, bias.
        head: what is done with the price last.
        scale: the price is the first times the network's output plus the second.
        fitted: the last layer is fitted to prices; else it is random.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    raw, price = datasets.house_matrix(FITTED_ON, seed=100)
    target = (price - scale[1]) / scale[0]
    values = _price_weights(standardize(raw, raw), target if fitted else None, activation)
    if weights:
        weights(values)
    with tf.Graph().as_default(), v1.Session() as session:

        def weight(name: str) -> Any:
            value = np.float32(values[name])
            return (
                tf.constant(value, name=name)
                if frozen
                else v1.get_variable(name, initializer=value, use_resource=False)
            )

        x = v1.placeholder(tf.float32, [None, 5], name="features")
        used = (
            x if fed else v1.placeholder_with_default(tf.zeros([tf.shape(x)[0], 5]) + raw[0], [None, 5], name="input")
        )
        with tf.name_scope("standardise"):
            h = (used - raw.mean(0)) / (raw.std(0) if spread is None else spread)
        for layer in ("1", "2"):
            with tf.name_scope(f"hidden_{layer}"):
                h = h @ weight(f"kernel_{layer}") + weight(f"bias_{layer}")
                if layer == "1" and by_batch is not None:
                    h = _batch_norm(h, by_batch)
                h = getattr(tf.nn, activation)(h)
        with tf.name_scope("head"):
            answer = (h @ weight("kernel") + weight("bias")) * scale[0] + scale[1]
        answer = tf.identity(head(answer) if head else answer, name=output)
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"features": x}, {output: answer})}, 1)


def devices(base: Path, *, table: str = "constant", full: bool = True, initialised: bool = True) -> Path:
    """Click rate: ``device`` string [-1] and, as the table's default has it, id 0 for others, to ``rate`` float [-1].

    Args:
        table: "constant" (a static table of the graph's constants) or "mutable" (filled while training).
        full: a mutable table's rows are in the checkpoint.
        initialised: the export runs the static table's initialiser.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    ids = np.arange(1, len(DEVICES) + 1)
    with tf.Graph().as_default(), v1.Session() as session:
        device = v1.placeholder(tf.string, [None], name="device")
        if table == "mutable":
            lookup = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0, name="device_table")
            if full:
                session.run(lookup.insert(tf.constant(DEVICES), tf.constant(ids)))
        else:
            known = tf.lookup.KeyValueTensorInitializer(tf.constant(DEVICES), tf.constant(ids))
            lookup = tf.lookup.StaticHashTable(known, 0, name="device_table")
        weights = np.random.default_rng(21).normal(-2, 1, len(DEVICES) + 1)
        embedding = v1.get_variable("device_weights", initializer=np.float32(weights), use_resource=False)
        rate = tf.sigmoid(tf.gather(embedding, lookup.lookup(device)), name="rate")
        if not initialised:
            v1.get_default_graph().clear_collection(v1.GraphKeys.TABLE_INITIALIZERS)
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"device": device}, {"rate": rate})}, 1)


def _batch_norm(h: Any, by_batch: bool) -> Any:
    import tensorflow as tf

    with tf.name_scope("batch_norm"):
        training = tf.compat.v1.placeholder_with_default(by_batch, [], name="is_training")
        mean, variance = tf.nn.moments(h, axes=[0])
        learnt = np.float32(np.linspace(-0.5, 0.5, 24)), np.float32(np.linspace(0.8, 3.0, 24))
        mean = tf.where(training, mean, learnt[0])
        variance = tf.where(training, variance, learnt[1])
        return tf.nn.batch_normalization(h, mean, variance, None, None, 1e-3)


def _price_weights(x: np.ndarray, target: np.ndarray | None, activation: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(22)
    values = {
        "kernel_1": random.normal(0, 0.5, (5, 24)),
        "bias_1": random.normal(0, 0.2, 24),
        "kernel_2": random.normal(0, 0.3, (24, 24)),
        "bias_2": random.normal(0, 0.2, 24),
        "kernel": random.normal(0, 0.15, (24, 1)),
        "bias": random.normal(0, 0.1, 1),
    }
    if target is None:
        return values
    apply = {"relu": lambda h: np.maximum(h, 0), "relu6": lambda h: np.clip(h, 0, 6), "tanh": np.tanh}[activation]
    h = apply(apply(x @ values["kernel_1"] + values["bias_1"]) @ values["kernel_2"] + values["bias_2"])
    h = np.concatenate([h, np.ones((len(h), 1))], axis=1)
    solved = np.linalg.solve(h.T @ h + 0.1 * np.eye(25), h.T @ target[:, None])
    return values | {"kernel": solved[:-1], "bias": solved[-1]}
