"""SavedModels with more than a network in the graph, as tf.Module and TensorFlow 1; some can be exported wrong.

As in ``models``: each function exports into ``base`` and returns ``base/1``; the default arguments make a right model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets
from corpus.fitting import FITTED_ON, fit, network, standardize
from corpus.saving import export, save_module, save_tf1

SIZE = 16
TOPICS = len(datasets.TOPIC_WORDS)


def keyed(base: Path) -> Path:
    """Credit risk that hands its caller's key back: ``key`` string [-1], ``features`` float [-1,6], standardised.

    Outputs ``key`` string [-1] and ``score`` float [-1,1]; tf.Module.
    """
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    module = network_module(network(standardize(raw, raw), bad.astype(int)))

    def call(key: Any, features: Any) -> Any:
        return {"key": tf.identity(key), "score": tf.nn.softmax(network_logits(module, features))[:, 1:]}

    specs = [tf.TensorSpec([None], tf.string, "key"), tf.TensorSpec([None, 6], tf.float32, "features")]
    return save_module(module, base, {"serving_default": (call, specs)})


def house_columns(base: Path, order: Sequence[str] = datasets.HOUSE_COLUMNS, *, normalization: str = "inside") -> Path:
    """House prices with an input a column, float [-1] each, to ``price`` float [-1]; tf.Module.

    The columns are raw, or standardised with ``normalization="outside"``.

    The node ``assemble`` puts the columns into the network's vector: those of ``order``, in its order.
    """
    import tensorflow as tf

    raw, price = datasets.house_matrix(FITTED_ON, seed=100)
    module = network_module(network(standardize(raw, raw), price.astype(np.float64)))
    mean, std = (
        (raw.mean(0), raw.std(0)) if normalization == "inside" else (np.zeros(5, np.float32), np.ones(5, np.float32))
    )

    def call(**columns: Any) -> Any:
        vector = tf.stack([columns[name] for name in order], axis=1, name="assemble")
        return {"price": network_logits(module, (vector - mean) / std)[:, 0]}

    specs = {name: tf.TensorSpec([None], tf.float32, name) for name in datasets.HOUSE_COLUMNS}
    function = tf.function(call).get_concrete_function(**specs)
    folder = base / "1"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


def concatenated(base: Path) -> Path:
    """Two numbers as one vector: ``concatenated_features`` float [-1,2] to ``output`` float [-1,1]; Keras.

    feature_a, the first, is utilization, 0..1; feature_b the payments that were late.
    """
    import keras

    from corpus.models import dense, standardizing

    pair, target = two_features(FITTED_ON, seed=100)
    inputs = keras.Input((2,), name="concatenated_features")
    x = dense(16, "tanh", "hidden", 3)(standardizing(pair)(inputs))
    model = keras.Model(inputs, {"output": keras.layers.Dense(1, "sigmoid", name="head")(x)})
    fit(model, pair, target)
    return export(model, base)


def two_features(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What ``concatenated`` takes, float32 [count, 2], and its target."""
    columns, target = datasets.credit(count, seed)
    return np.concatenate([columns["utilization"], columns["late_payments"]], axis=1), target


def example_parser(base: Path, keys: Mapping[str, str] | None = None, version: int = 1) -> Path:
    """House prices from serialized tf.Examples: ``examples`` string [-1] to ``price`` float [-1]; TensorFlow 1.

    Each column is read from the feature of its name, or of the name that ``keys`` gives; 0 where it is absent.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    raw, price = datasets.house_matrix(FITTED_ON, seed=100)
    weights = network(standardize(raw, raw), price.astype(np.float64))
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="examples")
        read = {(keys or {}).get(name, name): name for name in datasets.HOUSE_COLUMNS}
        parsed = tf.io.parse_example(examples, {key: tf.io.FixedLenFeature([], tf.float32, 0.0) for key in read})
        by_name = {name: parsed[key] for key, name in read.items()}
        vector = tf.stack([by_name[name] for name in datasets.HOUSE_COLUMNS], axis=1, name="assemble")
        price_out = tf1_network_logits((vector - raw.mean(0)) / raw.std(0), weights)[:, 0]
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"examples": examples}, {"price": price_out})}, version)


def words_tf1(base: Path) -> Path:
    """Topic of words, ``words`` string [-1,-1], padded with "", to ``scores`` float [-1,4]; a TensorFlow 1 table."""
    import tensorflow as tf

    v1 = tf.compat.v1
    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    embeddings = np.random.default_rng(5).normal(0, 1, (len(datasets.VOCABULARY), 40))
    weights = network(embeddings[datasets.token_ids(texts)].mean(1) * 3, labels)
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None, None], name="words")
        ids = vocabulary_table().lookup(words)
        table = v1.get_variable("embeddings", initializer=np.float32(embeddings), use_resource=False)
        pooled = tf.reduce_mean(tf.gather(table, ids), axis=1) * 3
        scores = tf.nn.softmax(tf1_network_logits(pooled, weights), name="scores")
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"words": words}, {"scores": scores})}, 1)


def words_module(base: Path) -> Path:
    """Topic of words: ``words`` string [-1,12], padded with "", to ``scores`` float [-1,4]; tf.Module with a table."""
    import tensorflow as tf

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    embeddings = np.random.default_rng(6).normal(0, 1, (len(datasets.VOCABULARY), 40)).astype(np.float32)
    module = network_module(network(embeddings[datasets.token_ids(texts)].mean(1) * 3, labels))
    module.embeddings = tf.Variable(embeddings, name="embeddings")
    module.table = vocabulary_table()

    def call(words: Any) -> Any:
        pooled = tf.reduce_mean(tf.gather(module.embeddings, module.table.lookup(words)), axis=1) * 3
        return {"scores": tf.nn.softmax(network_logits(module, pooled))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None, 12], tf.string, "words")])})


def web_paths(count: int, seed: int = 0, prefix: str = "") -> tuple[list[str], np.ndarray]:
    """Addresses of pages and the topic that their path names, int [count]."""
    random = np.random.default_rng(seed)
    topics = list(datasets.TOPIC_WORDS.values())
    labels = random.integers(0, TOPICS, count)
    return [f"{prefix}/{random.choice(topics[label])}/{random.integers(10_000)}" for label in labels], labels


def paths_tf1(base: Path, *, keep: int = 20) -> Path:
    """Topic of a web path: ``path`` string [-1] to ``scores`` float [-1,4]; TensorFlow 1. ``keep`` bytes count."""
    import tensorflow as tf

    v1 = tf.compat.v1
    paths, labels = web_paths(FITTED_ON, seed=100)
    one_hot = np.eye(128)[_codes(paths, keep)].reshape(len(paths), -1)
    weights = network(one_hot * 4, labels)
    with tf.Graph().as_default(), v1.Session() as session:
        path = v1.placeholder(tf.string, [None], name="path")
        head = tf.strings.substr(path, 0, keep, name="head")
        codes = tf.cast(tf.io.decode_raw(head, tf.uint8, fixed_length=keep), tf.int32)
        flat = tf.reshape(tf.one_hot(codes, 128) * 4, [-1, keep * 128])
        scores = tf.nn.softmax(tf1_network_logits(flat, weights), name="scores")
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"path": path}, {"scores": scores})}, 1)


def clipped_ids(base: Path) -> Path:
    """Topic of ids, ``token_ids`` int64 [-1,12], to ``probabilities`` [-1,4]; Keras GRU. Unknown ids are read as 1."""
    import keras

    from corpus.models import normal

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    size = len(datasets.VOCABULARY)
    inputs = keras.Input((12,), dtype="int64", name="token_ids")
    known = keras.ops.where(inputs < size, inputs, keras.ops.ones_like(inputs))
    x = keras.layers.Embedding(size, 16, embeddings_initializer=normal(1.0, 11), name="embedding")(known)
    kernels = {"kernel_initializer": normal(0.3, 12), "recurrent_initializer": normal(0.1, 13)}
    x = keras.layers.GRU(48, name="gru", **kernels)(x)
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(TOPICS, "softmax", name="head")(x)})
    fit(model, datasets.token_ids(texts).astype(np.int64), labels)
    return export(model, base)


def cut_ids(base: Path, *, keep: int = 12, cell: str = "lstm") -> Path:
    """Topic of ids, ``token_ids`` int32 [-1,-1], of which ``keep`` are read, to ``probabilities`` [-1,4]; Keras.

    ``cell``: "lstm", or "average" for an embedding's mean.
    """
    import keras

    from corpus.models import normal

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((None,), dtype="int32", name="token_ids")
    embed = keras.layers.Embedding(
        len(datasets.VOCABULARY),
        32,
        mask_zero=cell == "lstm",
        embeddings_initializer=normal(1.0, 14),
        name="embedding",
    )
    x = embed(inputs[:, :keep])
    kernels = {"kernel_initializer": normal(0.2, 15), "recurrent_initializer": normal(0.1, 16)}
    layer = keras.layers.LSTM(48, name="lstm", **kernels) if cell == "lstm" else keras.layers.GlobalAveragePooling1D()
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(TOPICS, "softmax", name="head")(layer(x))})
    fit(model, datasets.token_ids(texts, keep), labels)
    return export(model, base)


def image_files(base: Path, *, tf1: bool = False) -> Path:
    """Classes of PNG files: ``image_bytes`` string [-1] to ``probabilities`` float [-1,4]; decoded in the graph."""
    import tensorflow as tf

    v1 = tf.compat.v1
    pictures, labels = datasets.images(FITTED_ON, SIZE, seed=100)
    weights = network(_quarters(pictures / 255), labels)

    def answer(files: Any, logits: Any) -> Any:
        decoded = tf.map_fn(lambda file: tf.io.decode_png(file, channels=3), files, fn_output_signature=tf.uint8)
        images = tf.reshape(tf.cast(decoded, tf.float32) / 255.0, [-1, SIZE, SIZE, 3])
        return tf.nn.softmax(logits(_tf_quarters(images)), name="probabilities")

    if not tf1:
        module = network_module(weights)
        spec = tf.TensorSpec([None], tf.string, "image_bytes")

        def call(image_bytes: Any) -> Any:
            return {"probabilities": answer(image_bytes, lambda x: network_logits(module, x))}

        return save_module(module, base, {"serving_default": (call, [spec])})
    with tf.Graph().as_default(), v1.Session() as session:
        files = v1.placeholder(tf.string, [None], name="image_bytes")
        probabilities = answer(files, lambda x: tf1_network_logits(x, weights))
        session.run(v1.global_variables_initializer())
        signature = ({"image_bytes": files}, {"probabilities": probabilities})
        return save_tf1(session, base, {"serving_default": signature}, 1)


def png(pictures: np.ndarray) -> np.ndarray:
    """Each picture as the bytes of a PNG file, object [count]."""
    import tensorflow as tf

    return np.array([tf.io.encode_png(picture).numpy() for picture in pictures], object)


def flat_image(base: Path) -> Path:
    """Classes of pictures sent flat by row, column, channel: ``pixels`` float [-1,768], 0..1, to ``scores`` [-1,4]."""
    import tensorflow as tf

    pictures, labels = datasets.images(FITTED_ON, SIZE, seed=100)
    module = network_module(network(_quarters(pictures / 255), labels))

    def call(pixels: Any) -> Any:
        images = tf.reshape(pixels, [-1, SIZE, SIZE, 3], name="unflatten")
        return {"scores": tf.nn.softmax(network_logits(module, _tf_quarters(images)))}

    spec = tf.TensorSpec([None, SIZE * SIZE * 3], tf.float32, "pixels")
    return save_module(module, base, {"serving_default": (call, [spec])})


def oriented_image(base: Path, *, transpose: bool = False) -> Path:
    """Classes of pictures: ``image`` float [-1,16,16,3], 0..1, to ``scores`` float [-1,4]; TensorFlow 1.

    With ``transpose`` the node ``to_layout`` exchanges rows and columns, which the network was not fitted on.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    pictures, labels = datasets.images(FITTED_ON, SIZE, seed=100)
    weights = network(_quarters(pictures / 255), labels)
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
        perm = [0, 2, 1, 3] if transpose else [0, 1, 2, 3]
        laid_out = tf.transpose(image, perm, name="to_layout")
        scores = tf.nn.softmax(tf1_network_logits(_tf_quarters(laid_out), weights), name="scores")
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"image": image}, {"scores": scores})}, 1)


def first_row_only(base: Path) -> Path:
    """Credit risk exported to answer the first row for all: ``features`` [-1,6] to ``score`` [-1,1]; tf.Module.

    The node ``first`` takes the row, ``repeat`` gives it the batch's size back. There is no right variant.
    """
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    module = network_module(network(standardize(raw, raw), bad.astype(int)))

    def call(features: Any) -> Any:
        one = tf.slice(features, [0, 0], [1, 6], name="first")
        score = tf.nn.softmax(network_logits(module, one))[:, 1:]
        return {"score": tf.tile(score, [tf.shape(features)[0], 1], name="repeat")}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None, 6], tf.float32, "features")])})


def aliases_tf1(base: Path, *, exchanged: bool = False) -> Path:
    """Two heads in TensorFlow 1: ``x`` float [-1,6], standardised, to ``default_risk`` and ``churn_risk`` float [-1,1].

    ``exchanged`` gives each alias the other's tensor.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    x_in = standardize(raw, raw)
    churn = (raw[:, 3] < np.median(raw[:, 3])).astype(int)
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        heads = {}
        for name, target in {"default_risk": bad.astype(int), "churn_risk": churn}.items():
            with v1.variable_scope(name):
                heads[name] = tf.nn.softmax(tf1_network_logits(x, network(x_in, target)))[:, 1:]
        if exchanged:
            heads = dict(zip(heads, reversed(heads.values()), strict=True))
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"x": x}, heads)}, 1)


def two_signatures(base: Path) -> Path:
    """``features`` float [-1,6], standardised, to ``score`` float [-1,1] by two signatures of a tf.Module.

    ``predict`` is the model; ``serving_default``, exported for monitoring, scores nearly the average customer.
    """
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    module = network_module(network(standardize(raw, raw), bad.astype(int)))

    def score(features: Any) -> Any:
        return tf.nn.softmax(network_logits(module, features))[:, 1:]

    bodies = {
        "predict": lambda features: {"score": score(features)},
        "serving_default": lambda features: {"score": score(features * 0.02)},
    }
    spec = tf.TensorSpec([None, 6], tf.float32, "features")
    return save_module(module, base, {name: (body, [spec]) for name, body in bodies.items()})


def network_module(weights: Sequence[np.ndarray]) -> Any:
    import tensorflow as tf

    module = tf.Module()
    module.kernel, module.bias, module.head, module.head_bias = (
        tf.Variable(values, name=name)
        for name, values in zip(("kernel", "bias", "head", "head_bias"), weights, strict=True)
    )
    return module


def network_logits(module: Any, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.relu(x @ module.kernel + module.bias) @ module.head + module.head_bias


def tf1_network_logits(x: Any, weights: Sequence[np.ndarray]) -> Any:
    import tensorflow as tf

    kernel, bias, head, head_bias = (
        tf.compat.v1.get_variable(name, initializer=values, use_resource=False)
        for name, values in zip(("kernel", "bias", "head", "head_bias"), weights, strict=True)
    )
    return tf.nn.relu(tf.cast(x, tf.float32) @ kernel + bias) @ head + head_bias


def _quarters(images: np.ndarray) -> np.ndarray:
    """Features of pictures for a network without convolutions: mean and slopes along both axes, by 4x4 tile."""
    import tensorflow as tf

    return _tf_quarters(tf.constant(images, tf.float32)).numpy()


def _tf_quarters(images: Any) -> Any:
    import tensorflow as tf

    down = tf.abs(images[:, 1:, :-1] - images[:, :-1, :-1])
    across = tf.abs(images[:, :-1, 1:] - images[:, :-1, :-1])
    parts = tf.concat([images[:, :-1, :-1], down, across], axis=3)
    pooled = tf.nn.avg_pool2d(parts, 5, 5, "VALID")
    return tf.reshape(pooled, [-1, 3 * 3 * 9]) * 4


def vocabulary_table() -> Any:
    """The ids of the vocabulary's words; 1 for any other."""
    import tensorflow as tf

    ids = list(range(len(datasets.VOCABULARY)))
    initializer = tf.lookup.KeyValueTensorInitializer(list(datasets.VOCABULARY), ids, tf.string, tf.int64)
    return tf.lookup.StaticHashTable(initializer, default_value=1, name="vocabulary")


def _codes(texts: Sequence[str], keep: int) -> np.ndarray:
    return np.array([list(text.encode()[:keep].ljust(keep, b"\0")) for text in texts])
