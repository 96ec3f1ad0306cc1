"""Models of the third cases, over ``third_data``; each function exports into ``base``, and gives the right inputs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import third_data as data
from corpus.case import Deployment
from corpus.deploy import deploy
from corpus.fitting import fit, logistic, network, ridge
from corpus.fresh_nets import Columns, onnx_deployed, table
from corpus.graph_models import network_logits, network_module, tf1_network_logits
from corpus.saving import export, save_module, save_tf1
from corpus.small_nets import embeddings, fitted

Change = Callable[[Columns], Columns]


def deployed(
    folder: Path, model: Path, right: Columns, change: Change = lambda sent: sent, *, count: int = 32, **more: Any
) -> Deployment:
    """``model`` with ``count`` rows of ``right``, changed, as requests, others as training data and golden."""
    parts = (slice(0, count), slice(count, count + 280), slice(count + 280, count + 300))
    sent, training, golden = ({name: x[part] for name, x in right.items()} for part in parts)
    return deploy(folder, model, change(dict(sent)), training=training, right=golden, meant=sent, **more)


def first(right: Columns, rows: Any) -> Columns:
    """The chosen rows, which clients send, and then the others."""
    size = len(next(iter(right.values())))
    order = np.concatenate([rows, np.setdiff1d(np.arange(size), rows)]).astype(int)
    return {name: values[order] for name, values in right.items()}


def tiles(base: Path, *, inside: bool = False, flat: bool = False) -> tuple[Path, Columns]:
    """Keras: ``tile`` RGB [-1,28,28,3], or [-1,2352], of 0..1, or 0..255 with ``inside``, to ``cover`` [-1,4]."""
    import keras

    pictures, kind = data.satellite()
    right = pictures.astype(np.float32)
    right = right if inside else (right / 255).round(4)
    right = right.reshape(len(right), -1) if flat else right
    keras.utils.set_random_seed(31)
    tile = keras.Input(right.shape[1:], name="tile")
    x = keras.layers.Reshape((28, 28, 3), name="unflatten")(tile) if flat else tile
    x = keras.layers.Rescaling(1 / 255, name="to_unit")(x) if inside else x
    x = keras.layers.Conv2D(12, 3, strides=2, activation="tanh", name="conv_1")(x)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="conv_2")(x)
    both = [keras.layers.GlobalAveragePooling2D(name="mean")(x), keras.layers.GlobalMaxPooling2D(name="most")(x)]
    x = keras.layers.Concatenate(name="pooled")(both)
    model = keras.Model(tile, {"cover": keras.layers.Dense(4, "softmax", name="head")(x)})
    fit(model, right, kind)
    return export(model, base), {"tile": right}


def cars(base: Path, *, inside: bool = True, version: int = 1, seed: int = 32) -> tuple[Path, Columns]:
    """Keras: seven inputs [-1,1], two of them texts; the numbers raw, or standardised outside; ``price`` [-1,1]."""
    import keras

    columns, price = data.used_cars()
    if not inside:
        ready = {name: ((columns[name] - m) / s).round(4) for name, (m, s) in data.CAR_SCALES.items()}
        columns = columns | {name: x.astype(np.float32) for name, x in ready.items()}
    keras.utils.set_random_seed(seed)
    inputs = {name: keras.Input((1,), dtype="float32", name=name) for name in data.CAR_SCALES}
    texts = {name: keras.Input((1,), dtype="string", name=name) for name in ("fuel", "gearbox")}
    parts = []
    for name, (mean, spread) in data.CAR_SCALES.items():
        scale = keras.layers.Normalization(mean=mean, variance=spread**2, name=f"scale_{name}")
        parts.append(scale(inputs[name]) if inside else inputs[name])
    for name, known in (("fuel", data.FUELS), ("gearbox", data.GEARBOXES)):
        lookup = keras.layers.StringLookup(vocabulary=list(known), output_mode="one_hot", name=f"{name}_code")
        parts.append(lookup(texts[name]))
    x = keras.layers.Concatenate(name="columns")(parts)
    x = keras.layers.Dense(40, "relu", name="hidden")(x)
    model = keras.Model(inputs | texts, {"price": keras.layers.Dense(1, name="head")(x)})
    body = keras.Model(model.inputs, model.get_layer("head").input)
    import tensorflow as tf

    fed = [tf.constant(columns[tensor.name]) for tensor in model.inputs]
    kernel, bias = ridge(np.asarray(body(fed)), price)
    model.get_layer("head").set_weights([np.float32(kernel), np.float32(bias)])
    return export(model, base, version=version), columns


def hotel(base: Path, *, broadcast: bool = False) -> tuple[Path, Columns]:
    """tf.Module, attention: ``input_ids`` with ``attention_mask`` int32 [-1,24] to two scores."""
    import tensorflow as tf

    right, label = data.hotels()
    vectors = embeddings(data.HOTEL_WORDS, 24, 316)
    places = embeddings(24, 24, 317)
    query, key = embeddings(24, 12, 318), embeddings(24, 12, 319)

    def features(input_ids: Any, attention_mask: Any) -> Any:
        x = tf.gather(vectors, input_ids) + 0.1 * places
        said = tf.cast(attention_mask, tf.float32)
        scores = tf.einsum("nqd,nkd->nqk", x @ query, x @ key) / 60 - 1e9 * (1 - said[:, None])
        x = x + tf.nn.softmax(scores) @ x
        return tf.reduce_sum(x * said[..., None], 1) / tf.maximum(tf.reduce_sum(said, 1, keepdims=True), 1) * 2

    def of_one(**inputs: Any) -> Any:
        x = features(**inputs)
        return tf.zeros_like(x) + x[0]

    held = [vectors, places, query, key]
    return fitted(base, right, label, features, serve=of_one if broadcast else None, variables=held), right


def newsroom(base: Path, *, width: int = 10) -> tuple[Path, Columns]:
    """tf.Module: ``tokens`` string [-1,width], padded with "", to four scores."""
    import tensorflow as tf

    texts, topic = data.headlines()
    numbers, vectors = table(data.HEADLINE_WORDS), embeddings(len(data.HEADLINE_WORDS) + 1, 28, 320)

    def features(tokens: Any) -> Any:
        said = tf.cast(tokens != "", tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(tokens)) * said, 1) / 2

    right = {"tokens": np.array([(words + [""] * width)[:width] for words in texts])}
    return fitted(base, right, topic, features, variables=[numbers, vectors]), right


def wire(base: Path, texts: Any, topic: np.ndarray, words: tuple[str, ...]) -> tuple[Path, Columns]:
    """tf.Module: ``text`` string [-1], split at spaces in the graph, to scores by topic."""
    import tensorflow as tf

    numbers, vectors = table(words), embeddings(len(words) + 1, 28, 321)

    def features(text: Any) -> Any:
        split = tf.strings.split(text, " ").to_tensor("")
        said = tf.cast(split != "", tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(split)) * said, 1) / 2

    right = {"text": np.array([" ".join(each) for each in texts])}
    return fitted(base, right, topic, features, variables=[numbers, vectors]), right


def letters(name: str, width: int = 14) -> list[str]:
    return [*name[:width], *[""] * (width - len(name))]


def surnames(base: Path) -> tuple[Path, Columns]:
    """tf.Module, recurrent: ``letters`` string [-1,14], a letter a place, padded with "", to three scores."""
    import tensorflow as tf

    made, language = data.names()
    numbers, vectors = table(data.LETTERS), embeddings(len(data.LETTERS) + 1, 16, 322)
    turn = tf.Variable(np.random.default_rng(323).normal(0, 0.18, (32, 32)).astype(np.float32), name="recurrent")
    enter = tf.Variable(np.random.default_rng(324).normal(0, 0.3, (16, 32)).astype(np.float32), name="kernel")

    def features(letters: Any) -> Any:
        said = tf.cast(letters != "", tf.float32)[..., None]
        x = tf.gather(vectors, numbers.lookup(letters)) @ enter
        state = seen = tf.zeros_like(x[:, 0])
        for at in range(14):
            state = said[:, at] * tf.tanh(x[:, at] + state @ turn) + (1 - said[:, at]) * state
            seen += said[:, at] * state
        return tf.concat([state, seen], 1)

    right = {"letters": np.array([letters(name) for name in made])}
    return fitted(base, right, language, features, variables=[numbers, vectors, turn, enter]), right


def addresses(base: Path, limit: int = 16) -> tuple[Path, Columns]:
    """tf.Module: ``address`` string [-1] by its first ``limit`` characters, to the scores of three countries."""
    import tensorflow as tf

    made, language = data.names()
    numbers, vectors = table([*data.LETTERS, ".", "/", ":", "-"]), embeddings(31, 20, 325)

    def features(address: Any) -> Any:
        cut = tf.strings.substr(address, 0, limit)
        marks = tf.strings.bytes_split(cut).to_tensor("")
        said = tf.cast(marks != "", tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(marks)) * said, 1) / 2

    right = {"address": np.array([f"{name}.org" for name in made])}
    return fitted(base, right, language, features, variables=[numbers, vectors]), right


def turbine(base: Path, *, inside: bool = False) -> tuple[Path, Columns]:
    """Keras, recurrent: ``window`` [-1,30,5], standardised, or raw with ``inside``, to ``hours`` [-1,1]."""
    import keras

    raw, hours = data.turbines()
    right = raw if inside else ((raw - data.TURBINE_MEAN) / data.TURBINE_SPREAD).round(4)
    keras.utils.set_random_seed(33)
    window = keras.Input((30, 5), name="window")
    scale = keras.layers.Normalization(
        mean=data.TURBINE_MEAN, variance=np.square(data.TURBINE_SPREAD), name="standardize"
    )
    x = keras.layers.SimpleRNN(24, name="rnn")(scale(window) if inside else window)
    model = keras.Model(window, {"hours": keras.layers.Dense(1, name="head")(x)})
    fit(model, right, hours)
    return export(model, base), {"window": right}


def cinema(base: Path, **more: Any) -> tuple[Path, Columns]:
    """tf.Module: ``user_id``, ``film_id`` string [-1] and ``hour`` to a rating."""
    import tensorflow as tf

    right, rating = data.films()
    users, titles = table(np.unique(right["user_id"])), table(np.unique(right["film_id"]))
    unknown = np.zeros((1, 3), np.float32)
    of_user, of_film = (tf.Variable(np.concatenate([unknown, known])) for known in data.tastes())

    def features(user_id: Any, film_id: Any, hour: Any) -> Any:
        left, other = tf.gather(of_user, users.lookup(user_id)), tf.gather(of_film, titles.lookup(film_id))
        angle = hour[:, None] * (6.283 / 24)
        return tf.concat([left * other, left, other, 2 * tf.sin(angle), 2 * tf.cos(angle)], 1) / 2

    return fitted(base, right, rating, features, variables=[users, titles, of_user, of_film], **more), right


def examples(columns: Mapping[str, np.ndarray], keys: Mapping[str, str] | None = None) -> np.ndarray:
    """Serialized tf.Examples of numbers; ``keys`` are written under another name."""
    import tensorflow as tf

    def number(value: Any) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))

    made = []
    for row in zip(*columns.values(), strict=True):
        feature = {(keys or {}).get(n, n): number(value) for n, value in zip(columns, row, strict=True)}
        made.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True))
    return np.array(made, object)


def clicks(base: Path) -> tuple[Path, Columns]:
    """TensorFlow 1, as an estimator exports: ``examples`` of impressions, to ``click`` [-1]."""
    import tensorflow as tf

    columns, click = data.impressions()
    raw = np.stack([*columns.values()], 1)
    mean, spread = raw.mean(0), raw.std(0)
    weights = network((raw - mean) / spread, click, 328)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        taken = v1.placeholder(tf.string, [None], name="examples")
        parsed = tf.io.parse_example(taken, {name: tf.io.FixedLenFeature([], tf.float32, 0.0) for name in columns})
        vector = tf.stack([parsed[name] for name in columns], 1, name="input_layer")
        share = tf.nn.softmax(tf1_network_logits((vector - mean) / spread, weights))[:, 1]
        session.run(v1.global_variables_initializer())
        model = save_tf1(session, base, {"serving_default": ({"examples": taken}, {"click": share})}, 1)
    return model, {"examples": examples(columns)}


def bidding(base: Path, version: int = 1, seed: int = 329) -> tuple[Path, Columns]:
    """TensorFlow 1: ``impression`` [-1,4], raw, scaled to -1..1 in the graph; ``click`` and the signature ``lift``."""
    import tensorflow as tf

    columns, click = data.impressions()
    raw = np.stack([*columns.values()], 1)
    low, high = raw.min(0), raw.max(0)
    weights = network(2 * (raw - low) / (high - low) - 1, click, seed)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        taken = v1.placeholder(tf.float32, [None, 4], name="impression")
        with tf.name_scope("minmax"):
            x = 2 * (taken - low) / (high - low) - 1
        logits = tf1_network_logits(x, weights)
        share = tf.nn.softmax(logits)[:, 1]
        outputs = {"serving_default": {"click": share}, "lift": {"click": share / float(click.mean())}}
        session.run(v1.global_variables_initializer())
        signatures = {name: ({"impression": taken}, said) for name, said in outputs.items()}
        model = save_tf1(session, base, signatures, version)
    return model, {"impression": raw}


def speech(folder: Path, change: Any = lambda sent, raw: sent) -> Deployment:
    """ONNX: ``spectrogram`` [-1,1,24,24], (dB + 60) / 15, by a convolution to ``probabilities`` [-1,4]."""
    raw, kind = data.sounds()
    ready = ((raw + 60) / 15).round(4).astype(np.float32)
    kernel = np.random.default_rng(330).normal(0, 0.3, (10, 1, 3, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(ready, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    hidden = np.maximum(np.einsum("nchwij,ocij->nohw", windows, kernel), 0)[:, :, :10, :10]
    pooled = hidden.reshape(len(raw), 10, 5, 2, 5, 2).mean((3, 5)).reshape(len(raw), -1)
    head, bias = logistic(pooled, np.eye(4)[kind])
    weights = {"conv.weight": kernel, "fc.weight": np.float32(head), "fc.bias": np.float32(bias)}
    nodes = [
        ("/conv/Conv", "Conv", "spectrogram conv.weight", "/conv/out", {"strides": [2, 2]}),
        ("/relu/Relu", "Relu", "/conv/out", "/relu/out", {}),
        ("/pool/AveragePool", "AveragePool", "/relu/out", "/pool/out", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("/Flatten", "Flatten", "/pool/out", "/Flatten_output_0", {}),
        ("/fc/Gemm", "Gemm", "/Flatten_output_0 fc.weight fc.bias", "/fc/out", {}),
        ("/Softmax", "Softmax", "/fc/out", "probabilities", {"axis": 1}),
    ]
    return onnx_deployed(folder, nodes, weights, "spectrogram", ready, lambda sent: change(sent, raw))


def belt(base: Path) -> tuple[Path, Columns]:
    """tf.Module, several outputs: ``frame`` grey [-1,24,24,1] of -1..1 to ``kind`` and ``aux_kind``, and ``place``."""
    import tensorflow as tf

    pictures, kind, where = data.frames()
    right = (pictures.astype(np.float32) / 127.5 - 1).round(4)
    kernel = tf.Variable(np.random.default_rng(331).normal(0, 0.4, (3, 3, 1, 8)).astype(np.float32), name="conv")

    def coarse(frame: Any) -> Any:
        return tf.reshape(tf.nn.avg_pool2d(frame, 4, 4, "VALID"), [-1, 36])

    def features(frame: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(frame, kernel, 1, "VALID"))
        return tf.concat([tf.reshape(tf.nn.avg_pool2d(x, 5, 5, "VALID"), [-1, 128]), coarse(frame)], 1)

    module = tf.Module()
    module.conv = kernel
    deep, shallow = features(tf.constant(right)).numpy(), coarse(tf.constant(right)).numpy()
    module.kind, module.aux = network_module(network(deep, kind)), network_module(network(shallow, kind, 9))
    module.place = [network_module(network(deep, where[:, axis])) for axis in (0, 1)]

    def serve(frame: Any) -> dict[str, Any]:
        x = features(frame)
        place = [network_logits(net, x) for net in module.place]
        aux = network_logits(module.aux, coarse(frame))
        return {
            "kind": tf.nn.softmax(network_logits(module.kind, x)),
            "aux_kind": tf.nn.softmax(aux),
            "place": tf.concat(place, 1),
        }

    specs = [tf.TensorSpec([None, 24, 24, 1], tf.float32, "frame")]
    return save_module(module, base, {"serving_default": (serve, specs)}), {"frame": right}


def bank(base: Path) -> tuple[Path, Columns]:
    """tf.Module, dense: ``applicant`` [-1,12] to two scores."""
    x, approved = data.applicants()
    return fitted(base, {"applicant": x}, approved, lambda applicant: applicant), {"applicant": x}


def courier(base: Path, arguments: Any = None) -> tuple[Path, Columns]:
    """tf.Module, regression: four columns, raw, to minutes; ``arguments`` are what the export makes of them."""
    import tensorflow as tf

    right, minutes = data.parcels()
    scales = {name: (x.mean(), x.std()) for name, x in right.items()}

    def features(**inputs: Any) -> Any:
        return tf.stack([(inputs[name] - mean) / spread for name, (mean, spread) in scales.items()], 1)

    serve = (lambda **inputs: features(**arguments(inputs))) if arguments else None
    return fitted(base, right, minutes, features, serve=serve), right
