"""Models of the unseen cases, over ``unseen_data``; each function exports into ``base``, and gives the right inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import unseen_data as data
from corpus.case import Deployment
from corpus.fitting import fit, logistic, network
from corpus.fresh_nets import Columns, onnx_deployed, table
from corpus.graph_models import network_logits, network_module, tf1_network_logits
from corpus.saving import export, save_module, save_tf1
from corpus.small_nets import embeddings, fitted


def churn(base: Path, *, inside: bool = True, **more: Any) -> tuple[Path, Columns]:
    """Seven inputs, a column each; the numbers are standardised in the graph, or outside."""
    import tensorflow as tf

    columns, leaves = data.contracts()
    scales = {"tenure": (36, 21), "monthly_charge": (64, 22), "data_gb": (18, 13)}
    scales |= {"support_calls": (1.6, 1.3), "roaming": (18, 15)}
    if not inside:
        ready = {name: ((columns[name] - mean) / spread).astype(np.float32) for name, (mean, spread) in scales.items()}
        columns, scales = columns | ready, dict.fromkeys(scales, (0, 1))
    tables = {"contract": table(data.CONTRACTS), "country": table(data.COUNTRIES)}

    def features(**inputs: Any) -> Any:
        numbers = [(inputs[name] - mean) / spread for name, (mean, spread) in scales.items()]
        codes = [tf.one_hot(found.lookup(inputs[name]), 6) for name, found in tables.items()]
        return tf.concat([tf.stack(numbers, 1), *codes], 1)

    return fitted(base, columns, leaves, features, variables=[*tables.values()], **more), columns


def meter(base: Path, *, inside: bool = False, version: int = 1, seed: int = 1) -> tuple[Path, Columns]:
    """Keras, convolutional: ``image`` [-1,20,20,1] of 0..1, or 0..255 with ``inside``, to ``digit`` [-1,10]."""
    import keras

    pictures, label = data.digits()
    right = pictures.astype(np.float32) / (1 if inside else 255)
    keras.utils.set_random_seed(seed)
    image = keras.Input((20, 20, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image) if inside else image
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv_1")(x)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="conv_2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(image, {"digit": keras.layers.Dense(10, "softmax", name="head")(x)})
    fit(model, right, label)
    return export(model, base, version=version), {"image": right.round(5)}


def plants(base: Path, *, inside: bool, turned: bool = False) -> tuple[Path, Columns]:
    """Keras, separable: ``picture`` RGB [-1,24,24,3] of -1..1, or 0..255 with ``inside``, to ``disease`` [-1,4]."""
    import keras

    pictures, label = data.leaves()
    right = pictures.astype(np.float32)
    right = right if inside else (right / 127.5 - 1).round(4)
    keras.utils.set_random_seed(2)
    picture = keras.Input((24, 24, 3), name="picture")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="rescaling")(picture) if inside else picture
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="stem")(x)
    x = keras.layers.SeparableConv2D(24, 3, activation="relu", name="block")(x)
    x = keras.layers.AveragePooling2D(3, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(picture, {"disease": keras.layers.Dense(4, "softmax", name="head")(x)})
    fit(model, right, label)
    if turned:  # the export wraps the model in what once served another framework's pictures
        wrapped = keras.Input((24, 24, 3), name="picture")
        flipped = keras.layers.Permute((2, 1, 3), name="to_columns")(wrapped)
        model = keras.Model(wrapped, model(flipped))
    return export(model, base), {"picture": right}


def clinic(base: Path, *, inside: bool, version: int = 1, seed: int = 3) -> tuple[Path, Columns]:
    """Keras, dense: ``measures`` [-1,8], raw with ``inside``, else standardised, to ``risk`` [-1,1]."""
    import keras

    raw, ill = data.patients()
    right = raw if inside else ((raw - data.PATIENT_MEAN) / data.PATIENT_SPREAD).round(4)
    keras.utils.set_random_seed(seed)
    measures = keras.Input((8,), name="measures")
    scale = keras.layers.Normalization(
        mean=data.PATIENT_MEAN, variance=np.square(data.PATIENT_SPREAD), name="normalization"
    )
    x = scale(measures) if inside else measures
    x = keras.layers.Dense(32, "relu", name="dense_1")(x)
    x = keras.layers.Dense(16, "relu", name="dense_2")(x)
    model = keras.Model(measures, {"risk": keras.layers.Dense(1, "sigmoid", name="head")(x)})
    fit(model, right, ill.astype(np.float64))
    return export(model, base, version=version), {"measures": right}


def demand(base: Path, *, inside: bool, version: int = 1, seed: int = 4) -> tuple[Path, Columns]:
    """Keras, recurrent: ``history`` [-1,48,2], raw with ``inside``, else standardised, to ``load`` [-1,1] in MW."""
    import keras

    raw, load = data.grid()
    right = raw if inside else ((raw - data.LOAD_MEAN) / data.LOAD_SPREAD).round(4)
    keras.utils.set_random_seed(seed)
    history = keras.Input((48, 2), name="history")
    scale = keras.layers.Normalization(mean=data.LOAD_MEAN, variance=np.square(data.LOAD_SPREAD), name="normalization")
    x = keras.layers.GRU(24, name="gru")(scale(history) if inside else history)
    model = keras.Model(history, {"load": keras.layers.Dense(1, name="head")(x)})
    fit(model, right, load)
    return export(model, base, version=version), {"history": right}


def activity(base: Path, *, flat: bool = False, length: int | None = 64) -> tuple[Path, Columns]:
    """tf.Module: ``motion`` [-1,length,3], or [-1,192] with ``flat``, to the scores of four activities."""
    import tensorflow as tf

    raw, label = data.movements()
    right = raw.reshape(len(raw), -1) if flat else raw

    def features(motion: Any) -> Any:
        x = tf.reshape(motion, [-1, 64, 3]) if flat else motion[:, :64]
        spectrum = tf.abs(tf.signal.rfft(tf.transpose(x, [0, 2, 1])))[:, :, 1:12] / 16
        return tf.concat([tf.reshape(spectrum, [-1, 33]), 2 * tf.reduce_mean(x, 1)], 1)

    specs = None if flat else {"motion": (np.float32, length, 3)}
    return fitted(base, {"motion": right}, label, features, specs), {"motion": right}


def padded(texts: list[list[str]], length: int = 10) -> np.ndarray:
    return np.array([(words + [""] * length)[:length] for words in texts])


def desk(base: Path, vocabulary: Any = data.TICKET_VOCABULARY, **more: Any) -> tuple[Path, Columns]:
    """tf.Module, embedding: ``words`` string [-1,10] to the scores of five intents."""
    import tensorflow as tf

    texts, label = data.tickets()
    numbers, vectors = table(vocabulary), embeddings(len(vocabulary) + 1, 32, 211)

    def features(words: Any) -> Any:
        said = tf.cast(words != "", tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(words)) * said, 1) / 2

    right = {"words": padded(texts)}
    return fitted(base, right, label, features, variables=[numbers, vectors], **more), right


def inbox(base: Path, texts: Any, label: np.ndarray, vocabulary: Any, *, limit: int = 12, lower: bool = False) -> Path:
    """tf.Module: ``message`` string [-1], split in the graph; its first ``limit`` words count. Scores by intent."""
    import tensorflow as tf

    numbers, vectors = table(vocabulary), embeddings(len(vocabulary) + 1, 32, 212)

    def features(message: Any) -> Any:
        text = tf.strings.lower(message) if lower else message
        words = tf.strings.split(text, " ").to_tensor("", shape=[None, limit])
        said = tf.cast(words != "", tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(words)) * said, 1) / 2

    return fitted(base, {"message": np.array(texts)}, label, features, variables=[numbers, vectors])


def mood(base: Path, *, clip: bool = False, length: int | None = 20) -> tuple[Path, Columns]:
    """tf.Module: ``token_ids`` int32 [-1,length], weighed by attention, to two scores; ``clip`` takes unknown ids."""
    import tensorflow as tf

    ids, label = data.opinions()
    vectors = embeddings(data.OPINION_IDS, 24, 213)
    query = tf.Variable(np.random.default_rng(214).normal(0, 0.3, 24).astype(np.float32), name="query")

    def features(token_ids: Any) -> Any:
        known = tf.where(token_ids < data.OPINION_IDS, token_ids, tf.ones_like(token_ids)) if clip else token_ids
        x = tf.gather(vectors, known[:, :20])
        score = tf.tensordot(x, query, 1) - 1e9 * tf.cast(token_ids[:, :20] == 0, tf.float32)
        return tf.einsum("nt,ntf->nf", tf.nn.softmax(score), x) * 3

    held = [vectors, query]
    specs = {"token_ids": (np.int32, length)}
    return fitted(base, {"token_ids": ids}, label, features, specs, variables=held), {"token_ids": ids}


def fraud(base: Path, *, order: Any = range(6), version: int = 1, seed: int = 5) -> tuple[Path, Columns]:
    """TensorFlow 1: an input a column, float [-1], put together in ``order``, logarithms in the graph; ``fraud``."""
    import tensorflow as tf

    names = ("amount", "minutes_since", "distance_km", "card_days", "merchant_score", "device_score")
    raw, label = data.payments()
    logged = np.concatenate([np.log1p(raw[:, :3]), raw[:, 3:]], 1)
    mean, spread = logged.mean(0), logged.std(0)
    weights = network((logged - mean) / spread, label, seed)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = {name: v1.placeholder(tf.float32, [None], name) for name in names}
        vector = tf.stack([inputs[names[at]] for at in order], 1, name="columns")
        ready = (tf.concat([tf.math.log1p(tf.nn.relu(vector[:, :3])), vector[:, 3:]], 1) - mean) / spread
        logits = tf1_network_logits(ready, weights)
        share = tf.nn.softmax(logits)[:, 1]
        outputs = {"serving_default": {"fraud": share}, "log_odds": {"fraud": logits[:, 1] - logits[:, 0]}}
        session.run(v1.global_variables_initializer())
        model = save_tf1(session, base, {name: (inputs, said) for name, said in outputs.items()}, version)
    return model, {name: raw[:, at].copy() for at, name in enumerate(names)}


def bikes(base: Path, *, exchanged: bool = False, version: int = 1) -> tuple[Path, Columns]:
    """tf.Module, several outputs and signatures: the weather and the hour to bikes taken by ``casual``, ``member``."""
    import tensorflow as tf

    random = np.random.default_rng(215)
    hour, warm = random.integers(0, 24, data.ROWS), random.normal(14, 8, data.ROWS)
    wind, weekend = random.gamma(2, 5, data.ROWS), random.integers(0, 2, data.ROWS)
    day = np.sin((hour - 8) * 6.283 / 24)
    casual = 60 + 25 * day + 2.0 * (warm - 14) + 40 * weekend - 0.8 * wind
    member = 260 + 120 * day + 3.0 * (warm - 14) - 70 * weekend - 1.5 * wind
    numbers = {"temperature": warm, "wind": wind}
    right = {name: values.round(1).astype(np.float32) for name, values in numbers.items()}
    right |= {"hour": hour.astype(np.int64), "weekend": weekend.astype(np.int64)}

    def features(temperature: Any, wind: Any, hour: Any, weekend: Any) -> Any:
        angle = tf.cast(hour - 8, tf.float32) * (6.283 / 24)
        day = tf.cast(weekend, tf.float32)
        return tf.stack([(temperature - 14) / 8, (wind - 10) / 7, tf.sin(angle), tf.cos(angle), day], 1)

    made = features(**{name: tf.constant(values) for name, values in right.items()}).numpy()
    module = tf.Module()
    module.nets = [network_module(network(made, target)) for target in (casual, member)]

    def counts(*values: Any) -> Mapping[str, Any]:
        x = features(**dict(zip(right, values, strict=True)))
        found = [network_logits(net, x)[:, 0] for net in module.nets]
        return dict(zip(("member", "casual") if exchanged else ("casual", "member"), found, strict=True))

    def total(*values: Any) -> Mapping[str, Any]:
        return {"bikes": tf.add_n([*counts(*values).values()])}

    specs = [tf.TensorSpec([None], values.dtype, name) for name, values in right.items()]
    signatures = {"serving_default": (counts, specs), "total": (total, specs)}
    return save_module(module, base, signatures, version), right


def shop(base: Path, **more: Any) -> tuple[Path, Columns]:
    """Two towers: ``reader`` and ``book``, int64 [-1], of a hundred each, to how much the one likes the other."""
    import tensorflow as tf

    random = np.random.default_rng(216)
    reader, book = random.integers(0, 100, (2, data.ROWS))
    of_reader, of_book = embeddings(100, 6, 217), embeddings(100, 6, 218)
    liking = (np.asarray(of_reader)[reader] * np.asarray(of_book)[book]).sum(1) + np.asarray(of_book)[book, 0]

    def features(reader: Any, book: Any) -> Any:
        left, right = tf.gather(of_reader, reader), tf.gather(of_book, book)
        return tf.concat([left * right, left - right], 1) / 2

    right = {"reader": reader, "book": book}
    return fitted(base, right, liking, features, variables=[of_reader, of_book], **more), right


def engine_onnx(folder: Path, change: Any = lambda sent, raw: sent) -> Deployment:
    """ONNX: ``readings`` [-1,6], standardised, to ``probabilities`` [-1,3]; tanh. ``change`` of what clients send."""
    raw, label = data.engines()
    ready = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    kernel, bias, head, head_bias = network(ready, label)
    weights = {"fc1.weight": kernel, "fc1.bias": bias, "fc2.weight": head, "fc2.bias": head_bias}
    nodes = [
        ("/fc1/Gemm", "Gemm", "readings fc1.weight fc1.bias", "/fc1/out", {}),
        ("/act/Relu", "Relu", "/fc1/out", "/act/out", {}),
        ("/fc2/Gemm", "Gemm", "/act/out fc2.weight fc2.bias", "logits", {}),
        ("/softmax/Softmax", "Softmax", "logits", "probabilities", {"axis": 1}),
    ]
    return onnx_deployed(folder, nodes, weights, "readings", ready, lambda sent: change(sent, raw))


def leaf_onnx(folder: Path, change: Any = lambda sent, raw: sent) -> Deployment:
    """ONNX: ``input`` RGB [-1,3,24,24] by torchvision's mean and deviation, to ``probabilities`` [-1,4]."""
    pictures, label = data.leaves()
    raw = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    mean = np.float32([0.485, 0.456, 0.406])[:, None, None]
    ready = (raw / 255 - mean) / np.float32([0.229, 0.224, 0.225])[:, None, None]
    ready = ready.round(4).astype(np.float32)
    random = np.random.default_rng(219)
    kernel = random.normal(0, 0.3, (12, 3, 3, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(ready, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    hidden = np.maximum(np.einsum("nchwij,ocij->nohw", windows, kernel), 0)
    pooled = hidden[:, :, :10, :10].reshape(len(raw), 12, 5, 2, 5, 2).mean((3, 5)).reshape(len(raw), -1)
    head, head_bias = logistic(pooled, np.eye(4)[label])
    weights = {"conv": kernel, "head": np.float32(head), "head_bias": np.float32(head_bias)}
    nodes = [
        ("/stem/Conv", "Conv", "input conv", "/stem/out", {"strides": [2, 2]}),
        ("/stem/Relu", "Relu", "/stem/out", "/stem/act", {}),
        ("/pool/AveragePool", "AveragePool", "/stem/act", "/pool/out", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("/flat/Flatten", "Flatten", "/pool/out", "/flat/out", {}),
        ("/head/Gemm", "Gemm", "/flat/out head head_bias", "logits", {}),
        ("/softmax/Softmax", "Softmax", "logits", "probabilities", {"axis": 1}),
    ]
    return onnx_deployed(folder, nodes, weights, "input", ready, lambda sent: change(sent, raw))
