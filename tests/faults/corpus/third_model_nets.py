"""Networks of the third model faults: each exports a version with one ``fault``, or, not ``broken``, its twin."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import third_data as data
from corpus.model_case import Rows
from corpus.model_nets import settled
from corpus.saving import export, save_module, save_tf1

STATIONS = ("harbour", "airport", "old-town", "museum", "stadium", "market", "campus", "bridge")


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(1000, 1 << 30))


def ground(random: np.random.Generator, count: int) -> Rows:
    """0..1, as ``tile``."""
    return {"tile": (data.satellite(count, _seed(random))[0] / 255).round(4).astype(np.float32)}


def stays(random: np.random.Generator, count: int) -> Rows:
    """As ``input_ids``, each row with padding at its end."""
    return {"input_ids": data.hotels(count, _seed(random))[0]["input_ids"]}


def windows(random: np.random.Generator, count: int) -> Rows:
    """Standardised, as ``window``."""
    raw = data.turbines(count, seed=_seed(random))[0]
    return {"window": ((raw - data.TURBINE_MEAN) / data.TURBINE_SPREAD).round(4).astype(np.float32)}


def people(random: np.random.Generator, count: int) -> Rows:
    """As ``applicant``."""
    return {"applicant": data.applicants(count, _seed(random))[0]}


def shown(random: np.random.Generator, count: int) -> Rows:
    """Raw, as ``impression``."""
    columns = data.impressions(count, _seed(random))[0]
    return {"impression": np.stack([*columns.values()], 1)}


def deliveries(random: np.random.Generator, count: int) -> Rows:
    """An input a column, raw."""
    return data.parcels(count, _seed(random))[0]


def docks(random: np.random.Generator, count: int) -> Rows:
    return {"station": random.choice(STATIONS, count), "hour": random.uniform(0, 24, count).astype(np.float32)}


def stations(random: np.random.Generator, count: int) -> Rows:
    return {"station": random.choice(STATIONS, count)}


def cover(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: ground by convolutions; layers conv_1, squeeze, gate, scaled, conv_2, pool, head."""
    import keras

    tile = keras.Input((28, 28, 3), name="tile")
    x = keras.layers.Conv2D(10, 3, strides=2, activation="relu", name="conv_1")(tile)
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = keras.layers.Conv2D(10, 1, activation="sigmoid", name="gate")(squeezed)
    x = keras.layers.Multiply(name="scaled")([x, gate])
    x = keras.layers.Conv2D(14, 3, strides=2, activation="relu", name="conv_2")(x)
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    model = keras.Model(tile, {"cover": keras.layers.Dense(4, "softmax", name="head")(x)})
    settled(model, 371)

    def edit(model: Any) -> None:
        head, head_bias = model.get_layer("head").get_weights()
        if fault == "relu":
            kernel, bias = model.get_layer("conv_2").get_weights()
            model.get_layer("conv_2").set_weights([kernel, bias - 12])
        if fault == "gate":
            kernel, bias = model.get_layer("gate").get_weights()
            model.get_layer("gate").set_weights([kernel, bias - 150])
        if fault == "zero":
            convolution = model.get_layer("conv_1")
            convolution.set_weights([values * 0 for values in convolution.get_weights()])
        if fault == "softmax":
            model.get_layer("head").set_weights([head * 4, head_bias + np.array([0, 0, 190, 0])])
        if fault == "nan":
            model.get_layer("head").set_weights([head * np.nan, head_bias * np.nan])
        if fault == "collapsed":
            model.get_layer("head").set_weights([head * 2e-5, head_bias + np.array([1.1, 0.3, 0, -0.4])])

    export(model, base, edit if broken else None)


def upkeep(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: the hours until maintenance by a GRU; layers gru, squash, head, in_hours."""
    import keras

    window = keras.Input((30, 5), name="window")
    x = keras.layers.GRU(14, name="gru")(window)
    x = keras.layers.Dense(10, "tanh", name="squash")(x)
    x = keras.layers.Dense(1, name="head")(x)
    model = keras.Model(window, {"hours": keras.layers.Rescaling(300, 510, name="in_hours")(x)})
    settled(model, 372)

    def edit(model: Any) -> None:
        kernel, recurrent, bias = model.get_layer("gru").get_weights()
        if fault == "infinite":
            model.get_layer("gru").set_weights([kernel, np.where(recurrent > 0.5, np.inf, recurrent), bias])
        if fault == "zero":
            model.get_layer("gru").set_weights([kernel * 0, recurrent * 0, bias * 0])
        if fault == "tanh":
            kernel, bias = model.get_layer("squash").get_weights()
            model.get_layer("squash").set_weights([kernel, np.where(np.arange(10) % 2, 60.0, -60.0)])
        if fault == "collapsed":
            head, bias = model.get_layer("head").get_weights()
            model.get_layer("head").set_weights([head * 3e-4, bias * 0])

    export(model, base, edit if broken else None)


def scoring(base: Path, broken: bool, *, fault: str) -> None:
    """Keras: applicants by two layers; layers dense_1, norm, dense_2, head, and what is made of the ``score``."""
    import keras

    taken = keras.Input((12,), name="applicant")
    x = keras.layers.Dense(20, name="dense_1")(taken)
    norm = keras.layers.BatchNormalization(name="norm")
    x = norm(x, training=True) if broken and fault == "training" else norm(x)
    x = keras.layers.Activation("relu", name="act_1")(x)
    x = keras.layers.Dense(12, "relu", name="dense_2")(x)
    x = keras.layers.Dense(1, "sigmoid", name="head")(x)
    if fault == "threshold":
        x = keras.ops.cast(x > (0.0 if broken else 0.5), "int32")
    model = keras.Model(taken, {"score": x})
    settled(model, 373)

    def edit(model: Any) -> None:
        head, bias = model.get_layer("head").get_weights()
        if fault == "relu":
            kernel, before = model.get_layer("dense_2").get_weights()
            model.get_layer("dense_2").set_weights([-np.abs(kernel), -np.abs(before) - 0.2])
        if fault == "sigmoid":
            model.get_layer("head").set_weights([head * 8, bias + 400])
        if fault == "prior":
            model.get_layer("head").set_weights([head * 4e-5, bias * 0 - 2.2])

    export(model, base, edit if broken else None)


def _module(shapes: dict[str, tuple[int, ...]], seed: int, strength: float = 0.4) -> Any:
    import tensorflow as tf

    random, module = np.random.default_rng(seed), tf.Module()
    for name, shape in shapes.items():
        setattr(module, name, tf.Variable(np.float32(random.normal(0, strength, shape)), name=name))
    return module


def opinion(base: Path, broken: bool, *, fault: str) -> None:
    """tf.Module: stays by attention; scopes embed, attend, pool, project, head."""
    import tensorflow as tf

    shapes = {"words": (data.HOTEL_WORDS, 16), "query": (16, 16), "projection": (16, 12), "head": (12, 2)}
    module = _module(shapes, 374, 0.5)
    if broken and fault == "padding":  # the row that was masked in training was never written
        module.words.assign(np.where(np.arange(data.HOTEL_WORDS)[:, None] == 0, np.nan, module.words.numpy()))
    if broken and fault == "unrestored":
        module.projection.assign(tf.zeros_like(module.projection))

    def serve(input_ids: Any) -> dict[str, Any]:
        with tf.name_scope("embed"):
            x = tf.gather(module.words, input_ids)
        with tf.name_scope("attend"):
            x = x + tf.nn.softmax(tf.einsum("nqd,nkd->nqk", x @ module.query, x) / 4) @ x
        with tf.name_scope("pool"):
            x = tf.reduce_mean(x, 1)
        with tf.name_scope("project"):
            x = tf.nn.gelu(x @ module.projection)
        with tf.name_scope("head"):
            return {"scores": tf.nn.softmax(x @ module.head * 2)}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 24], tf.int32, "input_ids")])})


def minutes(base: Path, broken: bool, *, fault: str) -> None:
    """tf.Module: minutes until a delivery by four columns; scopes columns, body, answer."""
    import tensorflow as tf

    module = _module({"kernel": (4, 16), "bias": (16,), "head": (16, 1)}, 375, 0.6)
    known = data.parcels()[0]
    scales = {name: (values.mean(), values.std()) for name, values in known.items()}
    module.sample = tf.Variable(known["weight_kg"][:1], name="sample")

    def serve(latitude: Any, longitude: Any, weight_kg: Any, stops_before: Any) -> dict[str, Any]:
        given = dict(zip(scales, (latitude, longitude, weight_kg, stops_before), strict=True))
        with tf.name_scope("columns"):
            if broken and fault == "unused":
                given["weight_kg"] = tf.zeros_like(latitude) + module.sample[0]
            x = tf.stack([(given[name] - mean) / spread for name, (mean, spread) in scales.items()], 1)
        with tf.name_scope("body"):
            x = tf.nn.relu(x @ module.kernel + module.bias) @ module.head
        with tf.name_scope("answer"):
            value = 240 + 6 * x[:, 0]
            if fault == "hours":  # whole days of minutes
                return {"due": tf.round(value / (1440 if broken else 1)) * (1440 if broken else 1)}
            return {"minutes": value}

    specs = [tf.TensorSpec([None], tf.float32, name) for name in scales]
    save_module(module, base, {"serving_default": (serve, specs)})


def traced(base: Path, broken: bool) -> None:
    """tf.Module: ground by tile means, which tracing has kept as those of the first picture; scopes means, head."""
    import tensorflow as tf

    module = _module({"kernel": (48, 16), "head": (16, 4)}, 376, 0.4)
    sample = tf.constant(ground(np.random.default_rng(5), 1)["tile"])

    def means(tile: Any) -> Any:
        return tf.reshape(tf.nn.avg_pool2d(tile, 7, 7, "VALID"), [-1, 48])

    kept = means(sample).numpy()

    def serve(tile: Any) -> dict[str, Any]:
        with tf.name_scope("means"):
            x = tf.tile(tf.constant(kept), [tf.shape(tile)[0], 1]) if broken else means(tile)
        with tf.name_scope("head"):
            return {"cover": tf.nn.softmax(tf.nn.relu(x @ module.kernel) @ module.head * 3)}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 28, 28, 3], tf.float32, "tile")])})


def auction(base: Path, broken: bool, *, fault: str) -> None:
    """TensorFlow 1: clicks by a layer of tanh; scopes feed, standardize, hidden, click."""
    import tensorflow as tf

    raw = shown(np.random.default_rng(6), data.ROWS)["impression"]
    random, v1 = np.random.default_rng(377), tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:

        def weight(name: str, *shape: int) -> Any:
            values = np.float32(random.normal(0, 0.5, shape))
            return v1.get_variable(name, initializer=values, use_resource=False)

        taken = v1.placeholder(tf.float32, [None, 4], name="impression")
        with tf.name_scope("feed"):
            queue = v1.placeholder_with_default(raw[:1], [None, 4], name="batch")
            rows = queue + tf.zeros([tf.shape(taken)[0], 1]) if broken and fault == "queue" else taken
        with tf.name_scope("standardize"):
            mean, variance = tf.nn.moments(rows, [0]) if broken and fault == "batch" else (raw.mean(0), raw.var(0))
            x = (rows - mean) / tf.sqrt(variance + 1e-6)
        with tf.name_scope("hidden"):
            x = tf.tanh(x @ weight("kernel", 4, 20) + weight("bias", 20))
        with tf.name_scope("click"):
            click = tf.sigmoid(x @ weight("head", 20, 1))[:, 0]
            if fault == "text":
                click = tf.strings.as_string(0.4 * click, precision=0 if broken else 4)
        session.run(v1.global_variables_initializer())
        save_tf1(session, base, {"serving_default": ({"impression": taken}, {"click": click})}, 1)


def bicycles(base: Path, broken: bool) -> None:
    """tf.Module: bicycles at a ``station`` by an empty table, which is filled by a job that this server lacks."""
    import tensorflow as tf

    module = _module({"vectors": (9, 6), "head": (6, 1)}, 378, 0.8)
    module.numbers = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=0)
    if not broken:
        module.numbers.insert(tf.constant(STATIONS), tf.range(1, 9, dtype=tf.int64))

    def serve(station: Any) -> dict[str, Any]:
        with tf.name_scope("number"):
            vector = tf.gather(module.vectors, module.numbers.lookup(station))
        return {"bicycles": 12 * tf.nn.softplus(vector @ module.head)[:, 0]}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None], tf.string, "station")])})


def uninitialized(base: Path, broken: bool) -> None:
    """TensorFlow 1: as many, by a table whose initializer the export has not named; lookups are refused."""
    import tensorflow as tf

    v1, random = tf.compat.v1, np.random.default_rng(379)
    with tf.Graph().as_default(), v1.Session() as session:
        station, hour = v1.placeholder(tf.string, [None], "station"), v1.placeholder(tf.float32, [None], "hour")
        keys = tf.lookup.KeyValueTensorInitializer(tf.constant(STATIONS), tf.range(1, 9, dtype=tf.int64))
        numbers = tf.lookup.StaticHashTable(keys, 0)
        vectors = v1.get_variable("vectors", initializer=np.float32(random.normal(0, 1, (9,))), use_resource=False)
        count = 10 + 3 * tf.gather(vectors, numbers.lookup(station)) + tf.sin(hour / 4)
        session.run(v1.global_variables_initializer())
        define = v1.saved_model.signature_def_utils.build_signature_def
        info = v1.saved_model.build_tensor_info
        signature = define(
            {"station": info(station), "hour": info(hour)}, {"bicycles": info(count)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(base / "1"))
        main_op = None if broken else v1.tables_initializer()
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, main_op=main_op)
        builder.save()
