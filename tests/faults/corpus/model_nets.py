"""Families of models beyond ``models``, with places to put a fault of structure: what a change of weights cannot make.

Each function exports into ``base``, version 1. As in ``models``, bodies are random and fixed, heads are fitted, and
``edit`` gets the Keras model before it is saved. Structure comes by keyword; the defaults are the sensible model.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets
from corpus.fitting import FITTED_ON, fit, logistic, standardize
from corpus.saving import Edit, export, save_module

Tensors = dict[str, Any]


def settled(model: Any, seed: int) -> None:
    """Gives every weight a value as training leaves them: units of different strength, biases that are not zero."""
    random = np.random.default_rng(seed)
    draws: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
        "bias": lambda shape: random.normal(0, 0.1, shape),
        "beta": lambda shape: random.normal(0, 0.2, shape),
        "gamma": lambda shape: random.lognormal(0, 0.2, shape),
        "embeddings": lambda shape: random.normal(0, 0.8, shape),
    }
    for weight in model.trainable_weights:
        shape = tuple(weight.shape)
        draw = draws.get(weight.name)
        if draw is None:
            fan_in = int(np.prod(shape[:-1]))
            values = random.normal(0, np.sqrt(1.6 / fan_in), shape) * random.lognormal(0, 0.25, shape[-1])
        else:
            values = draw(shape)
        weight.assign(np.float32(values))


def reexported(
    base: Path, source: Callable[[Path], Path], body: Callable[[Any, Tensors], Tensors], **used: Any
) -> Path:
    """Loads what ``source`` exports and saves it anew, with ``body`` around it.

    ``body`` gets the loaded signature, to be called by the inputs' names, and the inputs; it returns the outputs. What
    else it reads is ``used``: variables and tables, saved by these names.
    """
    import tensorflow as tf

    holder = tf.Module()
    for name, tracked in used.items():
        setattr(holder, name, tracked)
    holder.loaded = tf.saved_model.load(str(source(base.with_name(f"{base.name}-source"))))
    call = holder.loaded.signatures["serving_default"]
    specs = {spec.name: spec for spec in call.structured_input_signature[1].values()}
    served = tf.function(lambda **inputs: body(call, inputs)).get_concrete_function(**specs)
    tf.saved_model.save(holder, str(base / "1"), signatures=served)
    return base / "1"


def batch_norm_dense(base: Path, *, by_batch: bool = False, edit: Edit | None = None) -> Path:
    """Credit risk: ``features`` float [-1,6], standardised, to ``probability`` float [-1,1].

    Layers: hidden_1, batch_norm, relu, hidden_2, head.
    """
    import keras

    raw, target = datasets.credit_matrix(FITTED_ON, seed=100)
    inputs = keras.Input((6,), name="features")
    x = keras.layers.Dense(32, name="hidden_1")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.0, name="batch_norm")(x, training=True if by_batch else None)
    x = keras.layers.Dense(16, "relu", name="hidden_2")(keras.layers.ReLU(name="relu")(x))
    model = keras.Model(inputs, {"probability": keras.layers.Dense(1, "sigmoid", name="head")(x)})
    settled(model, 11)
    x_in = standardize(raw, raw)
    model(x_in, training=True)
    fit(model, x_in, target)
    return export(model, base, edit)


def resnet(base: Path, *, by_batch: bool = False, edit: Edit | None = None) -> Path:
    """``datasets.images``, 0..1: ``image`` float [-1,16,16,3] to ``probabilities`` float [-1,4]; two residual blocks.

    Layers: stem, then per block conv_N_a, norm_N_a, relu_N_a, conv_N_b, norm_N_b, join_N, relu_N; pool, head.
    """
    import keras

    pictures, labels = datasets.images(FITTED_ON, seed=100)
    x_in = pictures.astype(np.float32) / 255
    inputs = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(12, 3, 2, "same", activation="relu", name="stem")(inputs)
    for block in (1, 2):
        y = keras.layers.Conv2D(12, 3, padding="same", use_bias=False, name=f"conv_{block}_a")(x)
        y = keras.layers.BatchNormalization(momentum=0.0, name=f"norm_{block}_a")(y)
        y = keras.layers.ReLU(name=f"relu_{block}_a")(y)
        y = keras.layers.Conv2D(12, 3, padding="same", use_bias=False, name=f"conv_{block}_b")(y)
        live = by_batch and block == 2
        y = keras.layers.BatchNormalization(momentum=0.0, name=f"norm_{block}_b")(y, training=True if live else None)
        x = keras.layers.ReLU(name=f"relu_{block}")(keras.layers.Add(name=f"join_{block}")([x, y]))
    x = keras.layers.Flatten(name="flatten")(keras.layers.AveragePooling2D(4, name="pool")(x))
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(4, "softmax", name="head")(x)})
    settled(model, 12)
    model(x_in[:400], training=True)
    fit(model, x_in, labels)
    return export(model, base, edit)


def transformer(base: Path, *, edit: Edit | None = None) -> Path:
    """Topic of a sentence: ``token_ids`` int32 [-1,12] to ``probabilities`` float [-1,4]; one encoder block.

    Layers: embedding, positions, attention, norm_1, feed_forward_1 (gelu), feed_forward_2, norm_2, flatten, head.
    """
    import keras

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((12,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(len(datasets.VOCABULARY), 24, name="embedding")(inputs)
    x = keras.layers.Dense(24, name="positions")(x)
    heads = keras.layers.MultiHeadAttention(2, 12, name="attention")(x, x)
    x = keras.layers.LayerNormalization(name="norm_1")(keras.layers.Add(name="residual_1")([x, heads]))
    y = keras.layers.Dense(48, "gelu", name="feed_forward_1")(x)
    y = keras.layers.Dense(24, name="feed_forward_2")(y)
    x = keras.layers.LayerNormalization(name="norm_2")(keras.layers.Add(name="residual_2")([x, y]))
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(4, "softmax", name="head")(x)})
    settled(model, 13)
    fit(model, datasets.token_ids(texts), labels)
    return export(model, base, edit)


def forecast(base: Path, *, cell: str = "LSTM", edit: Edit | None = None) -> Path:
    """Next temperature: ``series`` float [-1,24,3], raw, to ``forecast`` float [-1,1].

    Layers: normalization, encoder (LSTM or GRU), head.
    """
    import keras

    series, target = datasets.sensors(FITTED_ON, seed=100)
    inputs = keras.Input((24, 3), name="series")
    x = keras.layers.Normalization(mean=series.mean((0, 1)), variance=series.var((0, 1)), name="normalization")(inputs)
    x = getattr(keras.layers, cell)(24, name="encoder")(x)
    model = keras.Model(inputs, {"forecast": keras.layers.Dense(1, name="head")(x)})
    settled(model, 14)
    fit(model, series, target)
    return export(model, base, edit)


def two_tower(base: Path, *, user_joined: bool = True, items: np.ndarray | None = None, banded: float = 0) -> Path:
    """Recommender, a tf.Module: ``user_id`` and ``item_id`` int64 [-1] to ``score`` float [-1].

    With ``banded`` the only output is ``band`` int32 [-1]: between which of 1, 25, 50 and 75 the score times it lies.
    """
    import tensorflow as tf

    random = np.random.default_rng(15)
    module = tf.Module()
    module.users = tf.Variable(np.float32(random.normal(0, 0.7, (200, 8))), name="user_embedding")
    values = np.float32(random.normal(0, 0.7, (80, 8))) if items is None else items
    module.items = tf.Variable(values, name="item_embedding")
    module.popularity = tf.Variable(np.float32(random.normal(0, 0.3, 80)), name="item_popularity")
    module.mixing = tf.Variable(np.float32(random.normal(0, 0.5, (8, 8))), name="user_mixing")

    def serve(user_id: Any, item_id: Any) -> Tensors:
        with tf.name_scope("user_tower"):
            user = tf.tanh(tf.gather(module.users, user_id) @ module.mixing)
        with tf.name_scope("item_tower"):
            item = tf.gather(module.items, item_id)
        with tf.name_scope("match"):
            match = tf.reduce_sum(user * item, axis=1)
            if not user_joined:
                match = tf.reduce_sum(item * item, axis=1) + tf.gather(module.popularity, item_id)
            score = tf.sigmoid(match)
        if banded:
            return {"band": tf.raw_ops.Bucketize(input=score * banded, boundaries=[1.0, 25.0, 50.0, 75.0])}
        return {"score": score}

    specs = [tf.TensorSpec([None], tf.int64, "user_id"), tf.TensorSpec([None], tf.int64, "item_id")]
    return save_module(module, base, {"serving_default": (serve, specs)})


def looped(base: Path, *, steps: int | None = None, damping: float = 1.0) -> Path:
    """Next temperature by a hand-written recurrence, a tf.Module: ``sequence`` float [-1,24,3], standardised.

    A tf.while over ``steps`` (None: as many as the sequence has), and a tf.cond that clips when a batch is extreme;
    to ``forecast`` float [-1,1]. The last kernel is multiplied by ``damping``.
    """
    import tensorflow as tf

    random = np.random.default_rng(16)
    module = tf.Module()
    shapes = {"into": (3, 16), "again": (16, 16), "bias": (16,), "out": (16, 1), "out_bias": (1,)}
    for name, shape in shapes.items():
        scale = 0.8 if name == "into" else 0.3 if name == "again" else 0.5
        setattr(module, name, tf.Variable(np.float32(random.normal(0, scale, shape)), name=name))

    module.out.assign(module.out * damping)

    def serve(sequence: Any) -> Tensors:
        count = tf.shape(sequence)[1] if steps is None else tf.constant(steps)

        def step(index: Any, state: Any) -> tuple[Any, Any]:
            return index + 1, tf.tanh(sequence[:, index] @ module.into + state @ module.again + module.bias)

        state = tf.zeros([tf.shape(sequence)[0], 16])
        _, state = tf.while_loop(
            lambda index, _: index < count, step, (0, state), shape_invariants=(tf.TensorShape([]), state.shape)
        )
        answer = state @ module.out + module.out_bias
        answer = tf.cond(
            tf.reduce_any(tf.abs(answer) > 50), lambda: tf.clip_by_value(answer, -50.0, 50.0), lambda: answer
        )
        return {"forecast": answer * 7 + 12}

    return save_module(
        module, base, {"serving_default": (serve, [tf.TensorSpec([None, 24, 3], tf.float32, "sequence")])}
    )


def attention_module(
    base: Path,
    *,
    dtype: str = "float32",
    padding: int = 0,
    first_token_bonus: float = 0.0,
    temperature: float = 1.0,
    stable: bool = True,
    infinite: bool = False,
    centred_by: int | None = None,
    remembered: Mapping[str, Any] | None = None,
    prior: float = 0.0,
) -> Path:
    """Topic of a sentence, a tf.Module: ``token_ids`` int32 [-1,13], the first always 1, to ``scores`` float [-1,4].

    Args:
        padding: ids up to this are masked out.
        first_token_bonus: added to the attention to the first token.
        temperature: the attention's scores are multiplied by it.
        stable: whether the softmax takes off the largest score first.
        infinite: the scores of padding are minus infinity, as in many a transformer.
        centred_by: the axis whose mean is taken off the embeddings.
        remembered: ``{"token_ids": example}``: the encoder's state for it is kept instead of computed.
        prior: how far the head's kernel gives way to its bias, 0 to 1.
    """
    import tensorflow as tf

    random = np.random.default_rng(17)
    size = len(datasets.VOCABULARY)
    shapes = {"embedding": (size, 16), "query": (16, 1), "value": (16, 24), "bias": (24,)}
    weights = {name: random.normal(0, 0.6, shape) for name, shape in shapes.items()}
    weights["query"] *= 1.5
    ids = attended_ids(np.random.default_rng(100), FITTED_ON)
    _, labels = datasets.sentences(FITTED_ON, seed=int(np.random.default_rng(100).integers(1 << 30)))
    module = tf.Module()
    for name, value in weights.items():
        setattr(module, name, tf.Variable(tf.cast(value, dtype), name=name))

    def encode(token_ids: Any) -> Any:
        with tf.name_scope("embed"):
            x = tf.gather(module.embedding, token_ids)
        if centred_by is not None:
            with tf.name_scope("centre"):
                x = x - tf.reduce_mean(x, axis=centred_by, keepdims=True)
        with tf.name_scope("attention"):
            bonus = tf.one_hot([0], 13, on_value=first_token_bonus, dtype=dtype)
            scores = tf.cast(temperature, dtype) * tf.squeeze(x @ module.query, 2) + bonus
            if infinite:
                scores = tf.where(token_ids > 0, scores, tf.constant(-np.inf, dtype))
            if stable:
                scores = scores - tf.reduce_max(scores, axis=1, keepdims=True)
            raised = tf.exp(scores)
        with tf.name_scope("padding_mask"):
            masked = x * tf.cast(token_ids > padding, dtype)[:, :, None]
        with tf.name_scope("pool"):
            shares = raised / tf.reduce_sum(raised, axis=1, keepdims=True)
            pooled = tf.reduce_sum(masked * shares[:, :, None], axis=1)
        with tf.name_scope("hidden"):
            return tf.tanh(pooled @ module.value + module.bias)

    head, head_bias = logistic(np.float64(_plain_encode(weights, ids)), np.eye(4)[labels])
    kept = 1 - prior
    module.head = tf.Variable(tf.cast(kept * head, dtype), name="head")
    head_bias = kept * head_bias + prior * np.log([0.5, 0.25, 0.15, 0.1])
    module.head_bias = tf.Variable(tf.cast(head_bias, dtype), name="head_bias")
    state = tf.constant(encode(tf.constant(remembered["token_ids"])).numpy()) if remembered else None

    def serve(token_ids: Any) -> Tensors:
        hidden = encode(token_ids) if state is None else tf.repeat(state, tf.shape(token_ids)[0], axis=0)
        with tf.name_scope("classify"):
            return {"scores": tf.cast(tf.nn.softmax(hidden @ module.head + module.head_bias), tf.float32)}

    return save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 13], tf.int32, "token_ids")])})


def attended_ids(random: np.random.Generator, count: int) -> np.ndarray:
    """Sentences as ids behind a first token that is always 1, int32 [count, 13]."""
    texts, _ = datasets.sentences(count, seed=int(random.integers(1 << 30)))
    return np.concatenate([np.ones((count, 1), np.int32), datasets.token_ids(texts)], axis=1)


def _plain_encode(weights: Mapping[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    x = weights["embedding"][ids]
    raised = np.exp(x @ weights["query"])[..., 0]
    pooled = ((x * (ids > 0)[..., None]) * (raised / raised.sum(1, keepdims=True))[..., None]).sum(1)
    return np.tanh(pooled @ weights["value"] + weights["bias"])
