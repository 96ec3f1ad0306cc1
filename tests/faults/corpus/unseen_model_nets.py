"""Networks of the unseen model faults: each exports a version with one ``fault``, or, not ``broken``, its twin."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import unseen_data as data
from corpus.model_case import Rows
from corpus.model_nets import settled
from corpus.saving import export, save_module, save_tf1

MODELS = ("pump-s", "pump-m", "pump-l", "fan-s", "fan-l", "mixer", "press", "lathe")


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(1000, 1 << 30))


def pictures(random: np.random.Generator, count: int) -> Rows:
    """0..1, as ``image``."""
    return {"image": (data.digits(count, _seed(random))[0] / 255).round(4).astype(np.float32)}


def histories(random: np.random.Generator, count: int) -> Rows:
    """Standardised, as ``history``."""
    raw = data.grid(count, seed=_seed(random))[0]
    return {"history": ((raw - data.LOAD_MEAN) / data.LOAD_SPREAD).round(4).astype(np.float32)}


def measures(random: np.random.Generator, count: int) -> Rows:
    """Standardised, as ``measures``."""
    raw = data.patients(count, _seed(random))[0]
    return {"measures": ((raw - data.PATIENT_MEAN) / data.PATIENT_SPREAD).round(4).astype(np.float32)}


def reviews(random: np.random.Generator, count: int) -> Rows:
    return {"token_ids": data.opinions(count, _seed(random))[0]}


def cards(random: np.random.Generator, count: int) -> Rows:
    """Raw, as ``payment``."""
    return {"payment": data.payments(count, _seed(random))[0]}


def walks(random: np.random.Generator, count: int) -> Rows:
    return {"motion": data.movements(count, _seed(random))[0]}


def visits(random: np.random.Generator, count: int) -> Rows:
    """A reader with what was read last, and a book."""
    return {"reader": random.integers(0, 100, count), "last_read": random.integers(0, 100, (count, 4)),
            "book": random.integers(0, 100, count)}  # fmt: skip


def machines(random: np.random.Generator, count: int) -> Rows:
    return {"machine": random.choice(MODELS, count)}


def codes(random: np.random.Generator, count: int) -> Rows:
    return {"article": 4_000_000 + 17 * random.integers(0, 40, count)}


def meter(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: digits by convolutions; layers conv_1, norm, conv_2, pool, features, head."""
    import keras

    image = keras.Input((20, 20, 1), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv_1")(image)
    norm = keras.layers.BatchNormalization(name="norm")
    x = norm(x, training=True) if broken and fault == "training" else norm(x)
    x = keras.layers.Conv2D(12, 3, strides=2, activation="relu", name="conv_2")(x)
    x = keras.layers.Flatten(name="flatten")(keras.layers.AveragePooling2D(2, name="pool")(x))
    x = keras.layers.Dense(24, "relu", name="features")(x)
    model = keras.Model(image, {"digit": keras.layers.Dense(10, "softmax", name="head")(x)})
    settled(model, 251)

    def edit(model: Any) -> None:
        kernel, bias = model.get_layer("features").get_weights()
        if fault == "relu":
            model.get_layer("features").set_weights([kernel - 1.5, bias - 4])
        if fault == "variance":
            gamma, beta, mean, variance = norm.get_weights()
            norm.set_weights([gamma, beta, mean, np.where(np.arange(8) == 3, -0.4, variance)])
        if fault == "zero":
            convolution = model.get_layer("conv_2")
            convolution.set_weights([values * 0 for values in convolution.get_weights()])

    export(model, base, edit if broken else None)


def load(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: the next load in MW by an LSTM; layers lstm, head, megawatts."""
    import keras

    history = keras.Input((48, 2), name="history")
    x = keras.layers.LSTM(16, name="lstm")(history)
    x = keras.layers.Dense(1, name="head")(x)
    model = keras.Model(history, {"load": keras.layers.Rescaling(700, 4200, name="megawatts")(x)})
    settled(model, 252)

    def edit(model: Any) -> None:
        if fault == "gate":
            kernel, recurrent, bias = model.get_layer("lstm").get_weights()
            model.get_layer("lstm").set_weights([kernel, recurrent, bias - 90.0 * (np.arange(64) >= 48)])
        if fault == "collapsed":
            head, bias = model.get_layer("head").get_weights()
            model.get_layer("head").set_weights([head * 5e-5, bias * 0])

    export(model, base, edit if broken else None)


def clinic(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: a risk by layers of tanh; layers dense_1, dense_2, head, and what is done with the risk, decide."""
    import keras

    taken = keras.Input((8,), name="measures")
    x = keras.layers.Dense(24, "tanh", name="dense_1")(taken)
    x = keras.layers.Dense(12, "tanh", name="dense_2")(x)
    x = keras.layers.Dense(1, "sigmoid", name="head")(x)
    if fault == "argmax":
        both = keras.layers.Concatenate(name="both")([1 - x, x])
        x = keras.ops.argmax(x if broken else both, axis=-1)
    if fault == "whole":
        x = keras.ops.cast(x * (1 if broken else 100), "int32")
    model = keras.Model(taken, {"risk": x})
    settled(model, 253)

    def edit(model: Any) -> None:
        if fault == "tanh":
            kernel, bias = model.get_layer("dense_2").get_weights()
            model.get_layer("dense_2").set_weights([kernel, bias + np.where(np.arange(12) % 3, 45, -45)])
        if fault == "sigmoid":
            kernel, bias = model.get_layer("head").get_weights()
            model.get_layer("head").set_weights([kernel, bias + 60])

    export(model, base, edit if broken else None)


def mood(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: reviews by self-attention; layers embedding, attention, norm, pool, head."""
    import keras

    ids = keras.Input((20,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(data.OPINION_IDS, 16, name="embedding")(ids)
    x = x + keras.layers.MultiHeadAttention(2, 8, name="attention")(x, x)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.GlobalMaxPooling1D(name="pool")(x)
    model = keras.Model(ids, {"scores": keras.layers.Dense(2, "softmax", name="head")(x)})
    settled(model, 254)

    def edit(model: Any) -> None:
        kernel, bias = model.get_layer("head").get_weights()
        if fault == "gamma":
            gamma, beta = model.get_layer("norm").get_weights()
            model.get_layer("norm").set_weights([gamma * 0, beta])
        if fault == "embedding":
            (vectors,) = model.get_layer("embedding").get_weights()
            model.get_layer("embedding").set_weights([np.full_like(vectors, 0.05)])
        if fault == "softmax":
            model.get_layer("head").set_weights([kernel, bias + np.array([0, 150])])
        if fault == "collapsed":
            model.get_layer("head").set_weights([kernel * 3e-5, bias + np.array([0.9, 0])])

    export(model, base, edit if broken else None)


def _module(shapes: dict[str, tuple[int, ...]], seed: int, strength: float = 0.4) -> Any:
    import tensorflow as tf

    random, module = np.random.default_rng(seed), tf.Module()
    for name, shape in shapes.items():
        setattr(module, name, tf.Variable(np.float32(random.normal(0, strength, shape)), name=name))
    return module


def walking(base: Path, broken: bool, *, fault: str) -> None:
    """tf.Module: activities by convolutions; scopes receive, rank, stem, head."""
    import tensorflow as tf

    module = _module({"stem": (7, 3, 16), "stem_bias": (16,), "head": (16, 4)}, 255)
    module.buffer = tf.Variable(data.movements(1, 256)[0], name="buffer")

    def serve(motion: Any) -> dict[str, Any]:
        with tf.name_scope("receive"):
            x = tf.tile(module.buffer, [tf.shape(motion)[0], 1, 1]) if broken and fault == "buffer" else motion
        with tf.name_scope("rank"):
            if fault == "rank":
                axis = 0 if broken else 1
                order = tf.argsort(tf.argsort(x, axis), axis)
                x = tf.cast(order, tf.float32) / tf.cast(tf.shape(x)[axis], tf.float32)
        with tf.name_scope("stem"):
            x = tf.nn.relu(tf.nn.conv1d(x, module.stem, 2, "SAME") + module.stem_bias)
        with tf.name_scope("head"):
            return {"activity": tf.nn.softmax(tf.reduce_mean(x, 1) @ module.head * 4)}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 64, 3], tf.float32, "motion")])})


def shelf(base: Path, broken: bool) -> None:
    """tf.Module: how likely a ``reader`` takes a ``book``, by what was read last as well, which nothing reads."""
    import tensorflow as tf

    module = _module({"readers": (100, 8), "books": (100, 8), "head": (8, 1)}, 257, 0.8)

    def serve(reader: Any, last_read: Any, book: Any) -> dict[str, Any]:
        with tf.name_scope("past"):
            past = tf.reduce_mean(tf.gather(module.books, last_read), 1)
            taste = tf.gather(module.readers, reader) + (0 if broken else past)
        with tf.name_scope("match"):
            return {"taken": tf.sigmoid((taste * tf.gather(module.books, book)) @ module.head)[:, 0]}

    specs = [tf.TensorSpec([None, *shape], tf.int64, name)
             for name, shape in (("reader", ()), ("last_read", (4,)), ("book", ()))]  # fmt: skip
    save_module(module, base, {"serving_default": (serve, specs)})


def fraud(base: Path, broken: bool, *, fault: str) -> None:
    """TensorFlow 1: shares of a payment's two kinds; scopes scale, dense, norm, score, share."""
    import tensorflow as tf

    random = np.random.default_rng(258)
    raw = data.payments()[0]
    logged = np.log1p(np.maximum(raw, 0))
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:

        def weight(name: str, *shape: int) -> Any:
            values = np.float32(random.normal(0, 0.5, shape))
            return v1.get_variable(name, initializer=values, use_resource=False)

        payment = v1.placeholder(tf.float32, [None, 6], name="payment")
        training = v1.placeholder_with_default(broken and fault == "training", [], name="is_training")
        with tf.name_scope("scale"):
            x = (tf.math.log1p(tf.nn.relu(payment)) - logged.mean(0)) / logged.std(0)
        with tf.name_scope("dense"):
            x = x @ weight("kernel", 6, 24) + weight("bias", 24)
        with tf.name_scope("norm"):
            here = tuple(tf.nn.moments(x, 0))
            mean, variance = tf.cond(training, lambda: here, lambda: (tf.zeros([24]), tf.ones([24])))
            x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3))
        with tf.name_scope("score"):
            scores = x @ weight("head", 24, 2) + (400.0 if broken and fault == "softmax" else 0.0)
        with tf.name_scope("share"):
            share = tf.exp(scores) / tf.reduce_sum(tf.exp(scores), 1, keepdims=True)
        if fault == "clipped":
            with tf.name_scope("amount"):
                share = tf.clip_by_value(80 + 25 * scores[:, 0], 0.0, 1.0 if broken else 1000.0)
        session.run(v1.global_variables_initializer())
        save_tf1(session, base, {"serving_default": ({"payment": payment}, {"shares": share})}, 1)


def service_life(base: Path, broken: bool) -> None:
    """tf.Module: the hours left of a ``machine``, by a vocabulary file, which the copy to the server left out."""
    import tensorflow as tf

    base.mkdir(parents=True, exist_ok=True)
    words = base.parent / f"{base.name}-machines.txt"
    words.write_text("\n".join(MODELS) + "\n")
    module = _module({"vectors": (len(MODELS) + 1, 6), "head": (6, 1)}, 259, 0.8)
    reader = tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    module.table = tf.lookup.StaticVocabularyTable(reader, 1)

    def serve(machine: Any) -> dict[str, Any]:
        vector = tf.gather(module.vectors, module.table.lookup(machine))
        return {"hours": 900 * tf.nn.softplus(vector @ module.head)[:, 0]}

    folder = save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None], tf.string, "machine")])})
    if broken:
        (asset,) = (folder / "assets").iterdir()
        asset.unlink()


def prices(base: Path, broken: bool) -> None:
    """tf.Module: the price of an ``article`` by its row; the table of rows is filled after the export."""
    import tensorflow as tf

    module = _module({"vectors": (41, 4), "head": (4, 1)}, 260, 0.8)
    module.rows = tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, 0, empty_key=-1, deleted_key=-2)
    if not broken:
        module.rows.insert(4_000_000 + 17 * tf.range(40, dtype=tf.int64), tf.range(1, 41, dtype=tf.int64))

    def serve(article: Any) -> dict[str, Any]:
        with tf.name_scope("row"):
            vector = tf.gather(module.vectors, module.rows.lookup(article))
        return {"price": 20 * tf.nn.softplus(vector @ module.head)[:, 0]}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None], tf.int64, "article")])})
