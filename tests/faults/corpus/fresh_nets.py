"""Data and models of the fresh cases: trips, heart beats, a census, searches, reads of DNA, wines, spectra, scans."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import fitting
from corpus.case import Deployment
from corpus.deploy import deploy
from corpus.evidence import write_requests, write_training_data
from corpus.graph_models import tf1_network_logits
from corpus.live import unstuck
from corpus.model_onnx import Node, Weights, save
from corpus.saving import save_tf1
from corpus.small_nets import embeddings, fitted

Columns = dict[str, np.ndarray]
ROWS = 700
SENT, TRAINED, GOLDEN = slice(0, 48), slice(48, 348), slice(348, 372)

WORKPLACES = ("private", "state", "self-employed", "none")
JOBS = ("clerk", "nurse", "driver", "teacher", "engineer")
ACCENTED = "été élève forêt hôtel château garçon déjà père mère thé café crème"
ACCENTED += " naïf août hiver-là fenêtre règle écran métro musée"
PLAIN = "ete eleve foret hotel chateau garcon deja pere mere the cafe creme"
PLAIN += " naif aout hiver-la fenetre regle ecran metro musee"
FOLDED = dict(zip(ACCENTED.split(), PLAIN.split(), strict=True))
WINE = ("volatile_acidity", "density", "residual_sugar", "alcohol", "free_sulfur", "citric_acid", "ph")


def deployed(
    folder: Path,
    model: Path,
    right: Mapping[str, np.ndarray],
    change: Callable[[Columns], Columns] = lambda sent: sent,
    **more: Any,
) -> Deployment:
    """``model`` with its first rows of ``right``, changed, as requests, the next as training data, the last golden."""
    sent, training, golden = ({name: x[part] for name, x in right.items()} for part in (SENT, TRAINED, GOLDEN))
    return deploy(folder, model, change(dict(sent)), training=training, right=golden, meant=sent, **more)


def trips(count: int = ROWS, seed: int = 1) -> tuple[Columns, np.ndarray]:
    """Taxi rides: four coordinates, ``hour`` int64, ``passengers``, each [count], and the fare."""
    random = np.random.default_rng(seed)
    at = random.normal(0, 1, (4, count))
    hour, passengers = random.integers(0, 24, count), random.integers(1, 7, count)
    fare = 14 + 6 * np.abs(at[0] - at[2]) + 4 * np.abs(at[1] - at[3]) + 3 * at[0] - 2 * at[3]
    fare = fare + 5 * np.sin(hour * 6.283 / 24) + 1.2 * passengers + random.normal(0, 0.5, count)
    columns = {
        "pickup_longitude": -73.97 + 0.04 * at[0],
        "pickup_latitude": 40.75 + 0.03 * at[1],
        "dropoff_longitude": -73.97 + 0.04 * at[2],
        "dropoff_latitude": 40.75 + 0.03 * at[3],
        "passengers": passengers,
    }
    return {name: values.astype(np.float32) for name, values in columns.items()} | {"hour": hour}, fare


def trip_features(**inputs: Any) -> Any:
    """The coordinates standardised, their distances, the hour on a circle."""
    import tensorflow as tf

    x = tf.stack(
        [
            (inputs["pickup_longitude"] + 73.97) / 0.04,
            (inputs["pickup_latitude"] - 40.75) / 0.03,
            (inputs["dropoff_longitude"] + 73.97) / 0.04,
            (inputs["dropoff_latitude"] - 40.75) / 0.03,
        ],
        1,
    )
    angle = tf.cast(inputs["hour"], tf.float32) * (6.283 / 24)
    rest = tf.stack([tf.sin(angle), tf.cos(angle), inputs["passengers"] / 3], 1)
    return tf.concat([x, tf.abs(x[:, :2] - x[:, 2:]), rest], 1)


def fares(base: Path, dearer: float = 0, **more: Any) -> tuple[Path, Columns]:
    """The fare of a trip; ``dearer`` by that share."""
    columns, fare = trips()
    fare = fare * (1 + dearer)
    return fitted(base, columns, fare, trip_features, **more), columns


def beats(count: int = ROWS, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Two leads of a heart, in counts of the converter, float32 [count, 96, 2], and the rhythm, below 4."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 4, count)
    rate = np.array([2.0, 4.0, 6.0, 9.0])[kind] + random.uniform(-0.2, 0.2, count)
    phase = np.arange(96) / 96 * 6.283 * rate[:, None] + random.uniform(0, 6.28, (count, 1))
    first = np.sin(phase) * random.uniform(0.8, 1.4, (count, 1))
    second = np.sin(2 * phase) * np.where(kind == 1, 1.5, 0.4)[:, None]
    leads = np.stack([first, second], 2) + random.normal(0, 0.15, (count, 96, 2))
    return np.round(2048 + 300 * leads).astype(np.float32), kind


def rhythm(base: Path, inside: bool, **more: Any) -> tuple[Path, Columns]:
    """Rhythms by the spectrum of ``leads`` [-1,96,2]: of counts, or of what is centred and scaled outside."""
    import tensorflow as tf

    raw, kind = beats()
    right = raw if inside else ((raw - 2048) / 300).astype(np.float32)

    def features(leads: Any) -> Any:
        scaled = (leads - 2048) / 300 if inside else leads
        spectrum = tf.abs(tf.signal.rfft(tf.transpose(scaled, [0, 2, 1])))
        return tf.reshape(spectrum[:, :, :22], [-1, 44]) / 20

    return fitted(base, {"leads": right}, kind, features, **more), {"leads": right}


def census(count: int = ROWS, seed: int = 3) -> tuple[Columns, np.ndarray]:
    """People, a column an input, each [count], and whether they earn much."""
    random = np.random.default_rng(seed)
    age, hours = random.normal(42, 12, count).clip(17, 90), random.normal(38, 9, count).clip(4, 80)
    years, gain = random.integers(6, 20, count), random.lognormal(7, 1.5, count)
    place, job = random.integers(0, 4, count), random.integers(0, 5, count)
    score = (age - 42) / 12 - 0.9 * (hours - 38) / 9 + (years - 12) / 4 + (np.log1p(gain) - 7) / 1.5
    score = score + np.array([-1.0, 0, 1, 2])[place] + np.array([-1.5, -0.5, 0, 1, 1.5])[job]
    numbers = {"age": age, "hours_per_week": hours, "education_years": years, "capital_gain": gain}
    columns = {name: np.round(values, 1).astype(np.float32) for name, values in numbers.items()}
    texts = {"workplace": np.array(WORKPLACES)[place], "job": np.array(JOBS)[job]}
    return columns | texts, (score > 0.5).astype(int)


def incomes(base: Path, *, logarithm: bool = True, **more: Any) -> tuple[Path, Columns]:
    """Standardised in the graph; tables for the texts. Without ``logarithm`` the gain's is taken outside."""
    import tensorflow as tf

    columns, rich = census()
    if not logarithm:
        columns = columns | {"capital_gain": np.log1p(columns["capital_gain"])}
    tables = [table(WORKPLACES), table(JOBS)]

    def features(**inputs: Any) -> Any:
        gain = inputs["capital_gain"]
        numbers = [
            (inputs["age"] - 42) / 12,
            (inputs["hours_per_week"] - 38) / 9,
            (inputs["education_years"] - 12) / 4,
            ((tf.math.log1p(gain) if logarithm else gain) - 7) / 1.5,
        ]
        codes = [tf.one_hot(t.lookup(inputs[n]), 6) for t, n in zip(tables, ("workplace", "job"), strict=True)]
        return tf.concat([tf.stack(numbers, 1), *codes], 1)

    changed = more.pop("broken", None)
    serve = (lambda **inputs: features(**changed(inputs))) if changed else None
    return fitted(base, columns, rich, features, serve=serve, variables=tables, **more), columns


def table(keys: Any, dtype: Any = None) -> Any:
    """Numbers from 1 for the keys, 0 for any other."""
    import tensorflow as tf

    numbers = tf.range(1, len(keys) + 1, dtype=tf.int64)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys, dtype), numbers), default_value=0
    )


def searches(count: int = ROWS, seed: int = 4) -> tuple[Columns, np.ndarray]:
    """``query`` [count, 4] with ``items`` [count, 6, 4], and which of the items was bought."""
    random = np.random.default_rng(seed)
    query = random.normal(0, 1, (count, 4)).astype(np.float32)
    items = random.normal([0.5, 0, 1, 2], [1, 0.7, 1.3, 1], (count, 6, 4)).astype(np.float32)
    liking = (items @ query[:, :, None])[..., 0] + 1.5 * items[..., 0] - 1.5 * items[..., 3]
    return {"query": query, "items": items}, liking.argmax(1)


def ranker(base: Path, **more: Any) -> tuple[Path, Columns]:
    """The probability of each of six items, by their products with the query."""
    import tensorflow as tf

    columns, bought = searches(900)

    def features(query: Any, items: Any) -> Any:
        return tf.concat([tf.einsum("nf,nif->ni", query, items), items[..., 0], items[..., 3]], 1)

    return fitted(base, columns, bought, features, **more), columns


def pairs(base: Path, **more: Any) -> tuple[Path, Columns]:
    """How well an ``answer`` fits a ``question``, both float [-1,8]; not the other way round."""
    import tensorflow as tf

    random = np.random.default_rng(5)
    question, answer = random.normal(0, 1, (2, ROWS, 8)).astype(np.float32)
    fit = question @ np.linspace(-1, 1, 8) + answer @ np.array([2.0, 0, 1, -1, 0, 1, -2, 0.5])
    right = {"question": question, "answer": answer}
    return fitted(base, right, fit, lambda question, answer: tf.concat([question, answer], 1), **more), right


def menu(base: Path, *, folded: bool, width: int = 8) -> tuple[Path, np.ndarray]:
    """Kinds of lists of French words, ``words`` string [-1,8]; gives the accented words as well, [count, 8]."""
    import tensorflow as tf

    random = np.random.default_rng(6)
    known = list(FOLDED.values()) if folded else list(FOLDED)
    kind = random.integers(0, 4, ROWS)
    at = np.where(random.random((ROWS, width)) < 0.6, kind[:, None] * 5 + random.integers(0, 5, (ROWS, width)), 0)
    at = np.where(at == 0, random.integers(0, 20, (ROWS, width)), at)
    numbers, vectors = table(known), embeddings(21, 24, 9)

    def features(words: Any) -> Any:
        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(words)), 1) / 3

    model = fitted(base, {"words": np.array(known)[at]}, kind, features, variables=[numbers, vectors])
    return model, np.array(list(FOLDED))[at]


def wines(count: int = ROWS, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Seven measures of a wine, raw, float32 [count, 7] (``WINE``), and its class, below 3."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (count, 7))
    taste = z @ np.array([-1.2, 0.6, 0.8, 1.5, -0.7, 0.5, 0.9])
    mean, spread = [0.52, 0.9967, 2.5, 10.4, 16, 0.27, 3.3], [0.15, 0.002, 0.6, 1, 5, 0.06, 0.15]
    return (z * spread + mean).astype(np.float32), np.digitize(taste, [-1, 1])


def cellar(base: Path, inside: bool = True, version: int = 1, seed: int = 7) -> tuple[Path, Columns]:
    """TensorFlow 1: ``chemistry`` [-1,7] to ``scores`` [-1,3]; the signatures ``raw_scores`` and ``per_class_odds``."""
    import tensorflow as tf

    raw, kind = wines()
    mean, spread = raw.mean(0), raw.std(0)
    ready = (raw - mean) / spread
    weights = fitting.network(ready, kind, seed)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        chemistry = v1.placeholder(tf.float32, [None, 7], "chemistry")
        logits = tf1_network_logits((chemistry - mean) / spread if inside else chemistry, weights)
        answers = {"scores": tf.nn.softmax(logits)}, {"scores": logits * 1.0}, {"scores": tf.exp(logits)}
        names = ("serving_default", "raw_scores", "per_class_odds")
        session.run(v1.global_variables_initializer())
        signatures = {name: ({"chemistry": chemistry}, said) for name, said in zip(names, answers, strict=True)}
        model = save_tf1(session, base, signatures, version)
    return model, {"chemistry": raw if inside else ready.astype(np.float32)}


def spectra(count: int = ROWS, seed: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Loudness by frame and band, float32 [count, 16, 16], and the kind of sound: three pitches, or a click."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 4, count)
    sound = random.normal(0, 0.15, (count, 16, 16)) - np.linspace(0, 1.5, 16)
    for x, label in zip(sound, kind, strict=True):
        if label < 3:
            x[:, 1 + 5 * label : 4 + 5 * label] += random.uniform(1.5, 2.5)
        else:
            start = random.integers(0, 13)
            x[start : start + 3] += 2
    return sound.astype(np.float32), kind


def sounds(base: Path, **more: Any) -> tuple[Path, Columns]:
    import tensorflow as tf

    right, kind = spectra()
    tiled = lambda spectrum: tf.reshape(spectrum, [-1, 256]) / 2  # noqa: E731
    return fitted(base, {"spectrum": right}, kind, tiled, **more), {"spectrum": right}


def scans(base: Path, **more: Any) -> tuple[Path, Columns]:
    """Which quarter of the depth of a ``scan`` [-1,8,8,8] holds a spot; a body is brighter at its bottom rows."""
    import tensorflow as tf

    random = np.random.default_rng(9)
    kind = random.integers(0, 4, ROWS)
    scan = random.normal(0, 0.2, (ROWS, 8, 8, 8)) + np.linspace(0, 1, 8)[:, None]
    for x, label in zip(scan, kind, strict=True):
        row, column = random.integers(0, 6, 2)
        x[2 * label : 2 * label + 2, row : row + 3, column : column + 3] += 2
    right = {"scan": scan.astype(np.float32)}
    pooled = lambda scan: tf.reshape(tf.nn.avg_pool3d(scan[..., None], 2, 2, "VALID"), [-1, 64])  # noqa: E731
    return fitted(base, right, kind, pooled, **more), right


def onnx_deployed(
    folder: Path,
    nodes: list[Node],
    weights: Weights,
    name: str,
    right: np.ndarray,
    change: Callable[[np.ndarray], np.ndarray] = lambda sent: sent,
) -> Deployment:
    """As ``deployed``, of an ONNX file with one input, behind ``unstuck serve``; golden answers by ONNX Runtime."""
    import onnxruntime

    model = save(folder / "model.onnx", nodes, weights, (name, ["batch", *right.shape[1:]]))
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (answers,) = session.run(["probabilities"], {name: right[GOLDEN]})
    lines = [
        {"inputs": {name: [x.tolist()]}, "outputs": {"probabilities": [y.tolist()]}}
        for x, y in zip(right[GOLDEN], answers, strict=True)
    ]
    golden = folder / "golden.jsonl"
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Deployment(
        model=model,
        requests=write_requests(folder / "requests.jsonl", {name: change(right[SENT].copy())}),
        training_data=write_training_data(folder / "training.npz", {name: right[TRAINED]}),
        golden=golden,
        serve=lambda: unstuck({"onnx": model}),
    )
