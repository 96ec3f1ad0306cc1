"""SavedModels of several families, small and quick to make, that answer sensibly: a fixed random body, a fitted head.

Each function exports into ``base`` and returns the version's folder, ``base/1``. The batch dimension is None. ``edit``
is called with the Keras model (or the tf.Module) once it is fitted and before it is saved: the place to break it.
Inputs, outputs and layers have names; what each model was fitted on is in ``datasets``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets
from corpus.fitting import FITTED_ON, fit, logistic, network, standardize
from corpus.saving import Edit, export, save_module, save_tf1


def dense_tabular(
    base: Path,
    *,
    normalization: str = "outside",
    columns: Sequence[int] = range(6),
    edit: Edit | None = None,
    seed: int = 0,
    version: int = 1,
) -> Path:
    """Credit risk: ``features`` float [-1,6] (``CREDIT_COLUMNS``) to ``probability`` float [-1,1]; Keras.

    Layers: hidden_1, hidden_2 (relu), head (sigmoid). With ``normalization="outside"`` it takes standardised numbers
    (see ``standardize``), with "inside" raw ones, which its layer ``normalization`` standardises.
    """
    import keras

    raw, target = datasets.credit_matrix(FITTED_ON, seed=100)
    raw = raw[:, list(columns)]
    inputs = keras.Input((raw.shape[1],), name="features")
    x = standardizing(raw)(inputs) if normalization == "inside" else inputs
    x = dense(24, "relu", "hidden_1", seed)(x)
    x = dense(24, "relu", "hidden_2", seed + 1)(x)
    model = keras.Model(inputs, {"probability": keras.layers.Dense(1, "sigmoid", name="head")(x)})
    fit(model, raw if normalization == "inside" else standardize(raw, raw), target)
    return export(model, base, edit, version)


def regression(
    base: Path, *, normalization: str = "inside", edit: Edit | None = None, seed: int = 0, version: int = 1
) -> Path:
    """House prices: ``features`` float [-1,5] (``HOUSE_COLUMNS``) to ``price`` float [-1,1], some 100,000s; Keras.

    Layers: normalization (where inside), hidden (tanh), head (linear).
    """
    import keras

    raw, price = datasets.house_matrix(FITTED_ON, seed=100)
    inputs = keras.Input((raw.shape[1],), name="features")
    x = standardizing(raw)(inputs) if normalization == "inside" else inputs
    x = dense(32, "tanh", "hidden", seed, gain=0.5)(x)
    model = keras.Model(inputs, {"price": keras.layers.Dense(1, name="head")(x)})
    fit(model, raw if normalization == "inside" else standardize(raw, raw), price)
    return export(model, base, edit, version)


def conv_image(
    base: Path,
    *,
    size: int = 16,
    channels: int = 3,
    scaling: str = "outside",
    edit: Edit | None = None,
    seed: int = 0,
    version: int = 1,
) -> Path:
    """``datasets.images``: ``image`` float [-1,size,size,channels] to ``probabilities`` float [-1,4]; Keras.

    Layers: conv_1, conv_2 (relu), pool (average over the picture's quarters), head (softmax). With
    ``scaling="outside"`` it takes 0..1, with "inside" 0..255, which its layer ``rescaling`` divides by 255.
    """
    import keras

    pictures, labels = datasets.images(FITTED_ON, size, channels, seed=100)
    inputs = keras.Input((size, size, channels), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(inputs) if scaling == "inside" else inputs
    x = _convolution(12, "conv_1", seed)(x)
    x = keras.layers.MaxPooling2D(2, name="max_pool")(x)
    x = _convolution(16, "conv_2", seed + 1)(x)
    x = keras.layers.AveragePooling2D(size // 4, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(4, "softmax", name="head")(x)})
    fit(model, pictures.astype(np.float32) / (1 if scaling == "inside" else 255), labels)
    return export(model, base, edit, version)


def recurrent(
    base: Path,
    *,
    cell: str = "lstm",
    length: int | None = None,
    edit: Edit | None = None,
    seed: int = 0,
    version: int = 1,
) -> Path:
    """Topic of a sentence: ``token_ids`` int32 [-1,length] to ``probabilities`` float [-1,4]; Keras LSTM or GRU.

    Layers: embedding (mask_zero), lstm or gru, head (softmax). Ids are of ``datasets.token_ids``.
    """
    import keras

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((length,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(
        len(datasets.VOCABULARY), 16, mask_zero=True, embeddings_initializer=normal(1.0, seed), name="embedding"
    )(inputs)
    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    kernels = {"kernel_initializer": normal(0.25, seed + 1), "recurrent_initializer": normal(0.1, seed + 2)}
    x = layer(48, name=cell, **kernels)(x)
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(4, "softmax", name="head")(x)})
    fit(model, datasets.token_ids(texts, length or 12), labels)
    return export(model, base, edit, version)


def attention(base: Path, *, edit: Edit | None = None, seed: int = 0, version: int = 1) -> Path:
    """Next temperature: ``series`` float [-1,24,3] (``SENSOR_COLUMNS``, raw) to ``forecast`` float [-1,1]; Keras.

    Layers: normalization, project, attention (MultiHeadAttention), layer_norm, flatten, hidden (relu), head (linear).
    """
    import keras

    series, target = datasets.sensors(FITTED_ON, seed=100)
    inputs = keras.Input(series.shape[1:], name="series")
    x = dense(8, None, "project", seed)(standardizing(series)(inputs))
    heads = keras.layers.MultiHeadAttention(2, 4, kernel_initializer=normal(0.4, seed + 1), name="attention")
    x = keras.layers.LayerNormalization(name="layer_norm")(keras.layers.Add(name="residual")([x, heads(x, x)]))
    x = dense(48, "relu", "hidden", seed + 2)(keras.layers.Flatten(name="flatten")(x))
    model = keras.Model(inputs, {"forecast": keras.layers.Dense(1, name="head")(x)})
    fit(model, series, target)
    return export(model, base, edit, version)


def embedding_text(
    base: Path, *, length: int | None = 12, edit: Edit | None = None, seed: int = 0, version: int = 1
) -> Path:
    """Topic of a sentence: ``token_ids`` int32 [-1,length] to ``probabilities`` float [-1,4]; Keras.

    Layers: embedding, pool (average), hidden (relu), head (softmax). Ids are of ``datasets.token_ids``.
    """
    import keras

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((length,), dtype="int32", name="token_ids")
    x = _embedding(len(datasets.VOCABULARY), seed)(inputs)
    model = keras.Model(inputs, {"probabilities": _text_head(x, seed)})
    fit(model, datasets.token_ids(texts, length or 12), labels)
    return export(model, base, edit, version)


def string_tokens(base: Path, *, edit: Edit | None = None, seed: int = 0, version: int = 1) -> Path:
    """Topic of a sentence that was split already: ``tokens`` string [-1,-1] to ``probabilities`` float [-1,4]; Keras.

    Layers: lookup (StringLookup), embedding, pool, hidden, head. Words as ``datasets.token_strings`` gives them.
    """
    import keras

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((None,), dtype="string", name="tokens")
    lookup = keras.layers.StringLookup(vocabulary=list(datasets.VOCABULARY[2:]), mask_token="", name="lookup")
    x = _embedding(lookup.vocabulary_size(), seed)(lookup(inputs))
    model = keras.Model(inputs, {"probabilities": _text_head(x, seed)})
    fit(model, datasets.token_strings(texts), labels)
    return export(model, base, edit, version)


def string_text(
    base: Path,
    *,
    standardize: str | None = "lower_and_strip_punctuation",
    split: str | None = "whitespace",
    length: int = 12,
    edit: Edit | None = None,
    seed: int = 0,
    version: int = 1,
) -> Path:
    """Topic of a sentence as it is written: ``text`` string [-1] to ``probabilities`` float [-1,4]; Keras.

    Layers: vectorize (TextVectorization), embedding, pool, hidden, head.
    """
    import keras
    import tensorflow as tf

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((), dtype="string", name="text")
    vectorize = keras.layers.TextVectorization(
        vocabulary=list(datasets.VOCABULARY[2:]),
        standardize=standardize,
        split=split,
        output_sequence_length=length,
        name="vectorize",
    )
    x = _embedding(vectorize.vocabulary_size(), seed)(vectorize(inputs))
    model = keras.Model(inputs, {"probabilities": _text_head(x, seed)})
    clean = [" ".join(datasets.split(text)) for text in texts]
    fit(model, tf.constant(clean), labels)
    return export(model, base, edit, version)


def tabular_named(base: Path, *, edit: Edit | None = None, seed: int = 0, version: int = 1) -> Path:
    """Credit risk with an input a column, each [-1,1], raw: six float ones, ``region`` and ``plan`` string; Keras.

    Output ``probability`` float [-1,1]. Layers: normalize_<name>, lookup_<name>, concat, hidden (relu), head (sigmoid).
    """
    import keras

    columns, target = datasets.credit(FITTED_ON, seed=100)
    inputs, parts = {}, []
    for name, values in columns.items():
        is_text = values.dtype.kind == "U"
        inputs[name] = keras.Input((1,), dtype="string" if is_text else "float32", name=name)
        if is_text:
            lookup = keras.layers.StringLookup(
                vocabulary=sorted(set(values.ravel().tolist())), output_mode="one_hot", name=f"lookup_{name}"
            )
            parts.append(lookup(inputs[name]))
        else:
            parts.append(standardizing(values, f"normalize_{name}")(inputs[name]))
    x = dense(32, "relu", "hidden", seed)(keras.layers.Concatenate(name="concat")(parts))
    model = keras.Model(inputs, {"probability": keras.layers.Dense(1, "sigmoid", name="head")(x)})
    fit(model, columns, target)
    return export(model, base, edit, version)


def multi_output(base: Path, *, edit: Edit | None = None, seed: int = 0, version: int = 1) -> Path:
    """Two inputs and three outputs: ``customer`` float [-1,6] and ``series`` float [-1,24,3], both raw; Keras.

    ``risk`` float [-1,1] (sigmoid, of the customer), ``forecast`` float [-1,1] (of the series), ``segment`` float
    [-1,4] (softmax, of the customer). Layers: normalize_customer, normalize_series, hidden_customer, hidden_series,
    then head_risk, head_forecast, head_segment.
    """
    import keras

    customer, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    series, following = datasets.sensors(FITTED_ON, seed=100)
    segment = 2 * (customer[:, 0] > 50) + (customer[:, 1] > np.median(customer[:, 1]))
    inputs = {
        "customer": keras.Input(customer.shape[1:], name="customer"),
        "series": keras.Input(series.shape[1:], name="series"),
    }
    x = dense(32, "relu", "hidden_customer", seed)(standardizing(customer, "normalize_customer")(inputs["customer"]))
    y = keras.layers.Flatten(name="flatten")(standardizing(series, "normalize_series")(inputs["series"]))
    y = dense(32, "relu", "hidden_series", seed + 1)(y)
    outputs = {
        "risk": keras.layers.Dense(1, "sigmoid", name="head_risk")(x),
        "forecast": keras.layers.Dense(1, name="head_forecast")(y),
        "segment": keras.layers.Dense(4, "softmax", name="head_segment")(x),
    }
    model = keras.Model(inputs, outputs)
    given = {"customer": customer, "series": series}
    for head, target in {"head_risk": bad, "head_forecast": following, "head_segment": segment}.items():
        fit(model, given, target, head)
    return export(model, base, edit, version)


def tf1_graph(
    base: Path, *, normalization: str = "outside", weights: Sequence[np.ndarray] | None = None, version: int = 1
) -> Path:
    """Credit risk of three classes as TensorFlow 1 exports it: ``x`` float [-1,6] to ``probabilities`` float [-1,3].

    Besides ``classes`` int64 [-1] and, as signature ``raw``, ``logits`` float [-1,3]. Nodes: x, dense/Relu, logits,
    probabilities; ref variables kernel, bias, head_kernel, head_bias, to be replaced by ``weights``.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    raw, x_in, target = _three_classes(normalization)
    mean, std = (raw.mean(0), raw.std(0)) if normalization == "inside" else (np.zeros(6), np.ones(6))
    fitted = weights or network((x_in - mean) / std, target)
    with tf.Graph().as_default(), v1.Session() as session:
        names = ("kernel", "bias", "head_kernel", "head_bias")
        kernel, bias, head, head_bias = (
            v1.get_variable(name, initializer=np.float32(value), use_resource=False)
            for name, value in zip(names, fitted, strict=True)
        )
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        scaled = (x - np.float32(mean)) / np.float32(std)
        with tf.name_scope("dense"):
            hidden = tf.nn.relu(scaled @ kernel + bias)
        logits = tf.add(hidden @ head, head_bias, name="logits")
        probabilities = tf.nn.softmax(logits, name="probabilities")
        answers = {"probabilities": probabilities, "classes": tf.argmax(probabilities, axis=1, name="classes")}
        session.run(v1.global_variables_initializer())
        return save_tf1(
            session, base, {"serving_default": ({"x": x}, answers), "raw": ({"x": x}, {"logits": logits})}, version
        )


def module_signatures(base: Path, *, edit: Edit | None = None, seed: int = 0, version: int = 1) -> Path:
    """Credit risk with several signatures of a tf.Module, each from ``features`` float [-1,6], standardised.

    ``serving_default`` gives ``score`` float [-1,1] (a probability), ``segment`` gives ``probabilities`` float [-1,3],
    ``embed`` gives ``embedding`` float [-1,8] (in -1..1). Variables: kernel, bias, head, head_bias, segments.
    """
    import tensorflow as tf

    raw, target = datasets.credit_matrix(FITTED_ON, seed=100)
    x_in = standardize(raw, raw)
    random = np.random.default_rng(seed)
    module = tf.Module()
    kernel, bias = random.normal(0, 0.5, (6, 8)), random.normal(0, 0.2, 8)
    hidden = np.tanh(x_in @ kernel + bias)
    head, head_bias = logistic(hidden, np.stack([1 - target, target], axis=1))
    values = {
        "kernel": kernel,
        "bias": bias,
        "head": head[:, 1:] - head[:, :1],
        "head_bias": head_bias[1:] - head_bias[:1],
        "segments": random.normal(0, 1.0, (8, 3)),
    }
    for name, value in values.items():
        setattr(module, name, tf.Variable(np.float32(value), name=name))
    if edit:
        edit(module)

    def embed(features: Any) -> Any:
        return tf.tanh(features @ module.kernel + module.bias, name="embedding")

    bodies = {
        "serving_default": lambda features: {
            "score": tf.sigmoid(embed(features) @ module.head + module.head_bias, name="score")
        },
        "segment": lambda features: {"probabilities": tf.nn.softmax(embed(features) @ module.segments)},
        "embed": lambda features: {"embedding": embed(features)},
    }
    spec = tf.TensorSpec([None, 6], tf.float32, "features")
    return save_module(module, base, {name: (body, [spec]) for name, body in bodies.items()}, version)


def standardized_credit(count: int, seed: int) -> np.ndarray:
    """The credit columns as the models that normalise outside of the graph take them, float32 [count, 6]."""
    fitted_on, _ = datasets.credit_matrix(FITTED_ON, seed=100)
    return standardize(datasets.credit_matrix(count, seed)[0], fitted_on)


def _three_classes(normalization: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    target = (bad + (bad * (raw[:, 2] > np.median(raw[:, 2])))).astype(int)
    return raw, raw if normalization == "inside" else standardize(raw, raw), target


def normal(deviation: float, seed: int) -> Any:
    """A seeded initialiser."""
    import keras

    return keras.initializers.RandomNormal(stddev=deviation, seed=seed)


def standardizing(training: np.ndarray, name: str = "normalization") -> Any:
    """A layer that standardises as the training data says."""
    import keras

    axes = tuple(range(training.ndim - 1))
    return keras.layers.Normalization(axis=-1, mean=training.mean(axes), variance=training.var(axes), name=name)


def dense(units: int, activation: str | None, name: str, seed: int, gain: float = 1.0) -> Any:
    """A dense layer with seeded weights, and biases that are not zero."""
    import keras

    scale = keras.initializers.VarianceScaling(2.0 * gain, seed=seed)
    return keras.layers.Dense(
        units, activation, kernel_initializer=scale, bias_initializer=normal(0.1, seed + 50), name=name
    )


def _convolution(filters: int, name: str, seed: int) -> Any:
    import keras

    scale = keras.initializers.VarianceScaling(2.0, seed=seed)
    small = normal(0.05, seed + 50)
    return keras.layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer=scale, bias_initializer=small, name=name
    )


def _embedding(size: int, seed: int) -> Any:
    import keras

    return keras.layers.Embedding(size, 48, embeddings_initializer=normal(1.0, seed), name="embedding")


def _text_head(embedded: Any, seed: int) -> Any:
    import keras

    x = keras.layers.GlobalAveragePooling1D(name="pool")(embedded)
    x = dense(64, "relu", "hidden", seed + 1)(x)
    return keras.layers.Dense(4, "softmax", name="head")(x)
