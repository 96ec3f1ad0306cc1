"""SavedModels that read their inputs in more ways: bytes, sub-words, characters, ragged words, named and wide numbers.

As in ``models``: each function exports into ``base`` and returns ``base/1``.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets
from corpus.fitting import FITTED_ON, fit, network, standardize
from corpus.graph_models import network_logits, network_module, tf1_network_logits, vocabulary_table, web_paths
from corpus.models import dense, normal
from corpus.saving import export, save_module, save_tf1

WINDOW = 8
RATES = ("click_rate", "open_rate", "bounce_rate", "return_rate", "fill_rate")


def watched_rows(base: Path) -> Path:
    """Credit risk: ``features`` float [-1,6], standardised, ``sent_at`` int64 [-1] that nothing reads; ``score``."""
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    module = network_module(network(standardize(raw, raw), bad.astype(int)))

    def call(features: Any, sent_at: Any) -> Any:
        return {"score": tf.nn.softmax(network_logits(module, features))[:, 1:], "rows": tf.shape(sent_at)}

    specs = [tf.TensorSpec([None, 6], tf.float32, "features"), tf.TensorSpec([None], tf.int64, "sent_at")]
    return save_module(module, base, {"serving_default": (call, specs)})


def last_events(base: Path) -> Path:
    """Topic of a history of ids, ``events`` int64 [-1,-1], of which the last 8 are read; tf.Module."""
    import tensorflow as tf

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    embeddings = np.random.default_rng(8).normal(0, 1, (len(datasets.VOCABULARY), 40)).astype(np.float32)
    module = network_module(network(embeddings[left_padded(texts, 24)[:, -WINDOW:]].mean(1) * 3, labels))
    module.embeddings = tf.Variable(embeddings, name="embeddings")

    def call(events: Any) -> Any:
        recent = events[:, -WINDOW:]
        pooled = tf.reduce_mean(tf.gather(module.embeddings, recent), axis=1) * 3
        return {"scores": tf.nn.softmax(network_logits(module, pooled))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None, None], tf.int64, "events")])})


def left_padded(texts: Sequence[str], length: int) -> np.ndarray:
    """As ``datasets.token_ids``, padded at the front; int64 [len(texts), length]."""
    ids = datasets.token_ids(texts, length).astype(np.int64)
    return np.array([np.roll(row, length - np.count_nonzero(row)) for row in ids])


def letters(base: Path, *, keep: int = 20) -> Path:
    """Topic of a web path by its letters: ``path`` string [-1] to ``scores``; tf.Module, ragged letters."""
    import tensorflow as tf

    paths, labels = web_paths(FITTED_ON, seed=100)
    codes = np.array([list(path.encode()[:keep].ljust(keep, b"\0")) for path in paths])
    module = network_module(network(np.eye(128)[codes].reshape(len(paths), -1) * 4, labels))

    def call(path: Any) -> Any:
        points = tf.strings.unicode_decode(path, "UTF-8")
        kept = points.to_tensor(default_value=0, shape=[None, keep])
        flat = tf.reshape(tf.one_hot(kept, 128) * 4, [-1, keep * 128])
        return {"scores": tf.nn.softmax(network_logits(module, flat))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None], tf.string, "path")])})


def window_signal(base: Path, *, keep: int = 12) -> Path:
    """The next temperature by the first ``keep`` hours of ``series`` float [-1,48,3], raw; Keras, Conv1D."""
    import keras

    series, target = datasets.sensors(FITTED_ON, length=48, seed=100)
    target = series[:, keep, 0]
    mean, variance = series.mean((0, 1)), series.var((0, 1))
    inputs = keras.Input((48, 3), name="series")
    x = keras.layers.Cropping1D((0, 48 - keep), name="crop")(inputs)
    x = keras.layers.Normalization(axis=-1, mean=mean, variance=variance, name="normalization")(x)
    x = keras.layers.Conv1D(16, 3, activation="relu", kernel_initializer=normal(0.4, 3), name="conv")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(inputs, {"forecast": keras.layers.Dense(1, name="head")(x)})
    fit(model, series, target)
    return export(model, base)


def sensor_gru(base: Path, *, normalization: str = "outside") -> Path:
    """The next temperature: ``series`` float [-1,24,3], standardised, or raw with "inside", to ``forecast``; a GRU."""
    import keras

    series, target = datasets.sensors(FITTED_ON, seed=100)
    inputs = keras.Input((24, 3), name="series")
    mean, variance = series.mean((0, 1)), series.var((0, 1))
    scale = keras.layers.Normalization(axis=-1, mean=mean, variance=variance, name="normalization")
    x = scale(inputs) if normalization == "inside" else inputs
    kernels = {"kernel_initializer": normal(0.4, 21), "recurrent_initializer": normal(0.1, 22)}
    x = keras.layers.GRU(32, name="gru", **kernels)(x)
    model = keras.Model(inputs, {"forecast": keras.layers.Dense(1, name="head")(x)})
    fit(model, series if normalization == "inside" else standardize(series, series), target)
    return export(model, base)


def ragged_words(base: Path) -> Path:
    """Topic of a text that the graph splits at blanks, ``text`` string [-1]; ragged, looked up, summed by segment."""
    import tensorflow as tf

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    embeddings = np.random.default_rng(9).normal(0, 1, (len(datasets.VOCABULARY), 40)).astype(np.float32)
    ids = datasets.token_ids(texts)
    means = np.stack([embeddings[row[row > 0]].mean(0) for row in ids]) * 3
    module = network_module(network(means, labels))
    module.embeddings, module.table = tf.Variable(embeddings, name="embeddings"), vocabulary_table()

    def call(text: Any) -> Any:
        found = tf.strings.split(text)
        known = tf.ragged.map_flat_values(module.table.lookup, found)
        sparse = known.to_sparse()
        pooled = tf.nn.safe_embedding_lookup_sparse([module.embeddings], sparse, combiner="mean") * 3
        return {"scores": tf.nn.softmax(network_logits(module, pooled))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None], tf.string, "text")])})


def pieces_of(word: str) -> list[str]:
    """A word as sub-words of three letters, those after the first marked."""
    parts = [word[at : at + 3] for at in range(0, len(word), 3)]
    return [parts[0], *(f"##{part}" for part in parts[1:])]


def sub_words(texts: Sequence[str], length: int = 32) -> np.ndarray:
    """Each sentence as sub-words, str [len(texts), length], padded with ""."""
    rows = [[piece for word in datasets.split(text) for piece in pieces_of(word)] for text in texts]
    return np.array([(row + [""] * length)[:length] for row in rows])


def characters(texts: Sequence[str], length: int = 80) -> np.ndarray:
    """Each sentence as characters, str [len(texts), length], padded with ""."""
    rows = [list(" ".join(datasets.split(text))) for text in texts]
    return np.array([(row + [""] * length)[:length] for row in rows])


def token_list(base: Path, split: Callable[[Sequence[str]], np.ndarray], name: str = "pieces") -> Path:
    """Topic of tokens that ``split`` makes, ``name`` string [-1,-1], padded with ""; tf.Module, a table, an average."""
    import tensorflow as tf

    texts, labels = datasets.sentences(FITTED_ON, seed=100)
    rows = split(texts)
    vocabulary = ["", "[UNK]", *sorted(set(rows.ravel().tolist()) - {""})]
    at = {token: index for index, token in enumerate(vocabulary)}
    ids = np.vectorize(at.__getitem__)(rows)
    embeddings = np.random.default_rng(10).normal(0, 1, (len(vocabulary), 40)).astype(np.float32)
    embeddings[0] = 0
    counts = (ids > 0).sum(1, keepdims=True)
    module = network_module(network(embeddings[ids].sum(1) / counts * 3, labels))
    module.embeddings = tf.Variable(embeddings, name="embeddings")
    keys = tf.lookup.KeyValueTensorInitializer(vocabulary, list(range(len(vocabulary))), tf.string, tf.int64)
    module.table = tf.lookup.StaticHashTable(keys, default_value=1, name="vocabulary")

    def call(tokens: Any) -> Any:
        found = module.table.lookup(tokens)
        count = tf.reduce_sum(tf.cast(found > 0, tf.float32), axis=1, keepdims=True)
        pooled = tf.reduce_sum(tf.gather(module.embeddings, found), axis=1) / tf.maximum(count, 1.0) * 3
        return {"scores": tf.nn.softmax(network_logits(module, pooled))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None, None], tf.string, name)])})


def rates_tf1(base: Path) -> Path:
    """Five shares of 0..1, ``rates`` double [-1,5], to ``risk`` float [-1,1]; TensorFlow 1."""
    import tensorflow as tf

    v1 = tf.compat.v1
    shares, target = rates(FITTED_ON, seed=100)
    weights = network((shares - 0.3) * 4, target)
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float64, [None, len(RATES)], name="rates")
        risk = tf.nn.softmax(tf1_network_logits((x - 0.3) * 4, weights))[:, 1:]
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"rates": x}, {"risk": risk})}, 1)


def rates(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shares, float64 [count, 5], and a target of 0 or 1."""
    random = np.random.default_rng(seed)
    shares = random.beta([2, 3, 1.5, 2, 4], [5, 4, 4, 3, 4], (count, 5))
    return shares, (shares @ [1.0, -1.5, 2.0, 1.2, -0.8] + random.normal(0, 0.1, count) > 0.35).astype(int)


def signed_image(base: Path, *, scaling: str = "outside") -> Path:
    """``datasets.images``: ``image`` float [-1,16,16,3] to ``probabilities``; the network takes -1..1; Keras.

    With ``scaling="inside"`` it takes 0..255, which its layer ``rescaling`` brings to -1..1.
    """
    import keras

    pictures, labels = datasets.images(FITTED_ON, seed=100)
    inputs = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="rescaling")(inputs) if scaling == "inside" else inputs
    for at, filters in enumerate((12, 16)):
        conv = keras.layers.Conv2D(
            filters, 3, activation="relu", kernel_initializer=normal(0.25, at), name=f"conv_{at}"
        )
        x = keras.layers.MaxPooling2D(2, name=f"pool_{at}")(conv(x))
    x = dense(32, "relu", "hidden", 5)(keras.layers.Flatten(name="flatten")(x))
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(4, "softmax", name="head")(x)})
    fit(model, pictures.astype(np.float32) / (1 if scaling == "inside" else 127.5) - (scaling != "inside"), labels)
    return export(model, base)


def scaled_image_tf1(base: Path) -> Path:
    """``image`` float [-1,16,16,3] of 0..255, divided by 255 in the graph, to ``scores`` float [-1,4]; TensorFlow 1."""
    import tensorflow as tf

    v1 = tf.compat.v1
    pictures, labels = datasets.images(FITTED_ON, seed=100)
    tiles = pictures.reshape(-1, 8, 2, 8, 2, 3).mean((2, 4)).reshape(len(pictures), -1) / 255
    weights = network(tiles * 2, labels)
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, 16, 16, 3], name="image")
        pooled = tf.nn.avg_pool2d(image / 255.0, 2, 2, "VALID")
        scores = tf.nn.softmax(tf1_network_logits(tf.reshape(pooled, [-1, 192]) * 2, weights), name="scores")
        session.run(v1.global_variables_initializer())
        return save_tf1(session, base, {"serving_default": ({"image": image}, {"scores": scores})}, 1)


def raw_pixels(base: Path) -> Path:
    """Classes of raw pixel bytes: ``pixels`` string [-1] of 768 bytes to ``probabilities`` float [-1,4]; tf.Module."""
    import tensorflow as tf

    pictures, labels = datasets.images(FITTED_ON, seed=100)
    module = network_module(network(pictures.reshape(len(pictures), -1) / 255 * 2, labels))

    def call(pixels: Any) -> Any:
        numbers = tf.io.decode_raw(pixels, tf.uint8, fixed_length=768)
        return {"probabilities": tf.nn.softmax(network_logits(module, tf.cast(numbers, tf.float32) / 255 * 2))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None], tf.string, "pixels")])})
