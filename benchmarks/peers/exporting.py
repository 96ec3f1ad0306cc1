"""Exports the models, rows for them, TensorFlow's own answers: ``python -m benchmarks.peers.exporting FOLDER``.

For each model ``NAME/1`` is the SavedModel and ``NAME.json`` has ``rows`` and ``answers``, one each. Weights are drawn,
not trained, such that different rows get answers that differ clearly: else no wrong answer could be noticed.
"""

import json
import os
import string
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from unstuck.testing import models

ROWS, IMAGES = 32, 6
IMAGE_SIDE, BLOCKS = 224, 7
WORDS, WORDS_A_TEXT, CLASSES = 2000, 30, 8
DECIMALS = 4
LEAST_DIFFERENCE = 1e-3
KERNEL_SCALE = 3.0  # as Keras initialises MobileNetV2, it answers 0.001 everywhere, to any image


def export(folder: Path) -> None:
    draw = np.random.default_rng(7)
    models.mlp(folder / "mlp")
    _record(folder, "mlp", _rounded(draw.random((ROWS, 64))))
    _mobilenet(folder / "mobilenet" / "1")
    blocks = draw.uniform(-1, 1, (IMAGES, BLOCKS, BLOCKS, 3)).repeat(IMAGE_SIDE // BLOCKS, 1)
    images = blocks.repeat(IMAGE_SIDE // BLOCKS, 2) + draw.normal(0, 0.1, (IMAGES, IMAGE_SIDE, IMAGE_SIDE, 3))
    _record(folder, "mobilenet", _rounded(images))
    words = _words(draw)
    _text_classifier(folder / "text" / "1", words)
    texts = [" ".join(draw.choice(words, WORDS_A_TEXT)).capitalize() + "." for _ in range(ROWS)]
    _record(folder, "text", np.array(texts, object))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values, DECIMALS).astype(np.float32)


def _mobilenet(version: Path) -> None:
    tf.keras.utils.set_random_seed(7)
    model = tf.keras.applications.MobileNetV2(weights=None)
    for weight in model.trainable_weights:
        if weight.path.endswith("kernel"):
            weight.assign(weight * KERNEL_SCALE)
    _save(version, model, tf.TensorSpec([None, IMAGE_SIDE, IMAGE_SIDE, 3], tf.float32, "image"))


def _text_classifier(version: Path, words: list[str]) -> None:
    """Text to tokens in the graph, the mean of their embeddings, two dense layers."""
    tf.keras.utils.set_random_seed(7)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input([], dtype="string"),
            layers.TextVectorization(vocabulary=words, output_sequence_length=64),
            layers.Embedding(WORDS + 2, 64, embeddings_initializer="random_normal"),
            layers.GlobalAveragePooling1D(),
            layers.Rescaling(100.0),
            layers.Dense(64, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    _save(version, model, tf.TensorSpec([None], tf.string, "text"))


def _save(version: Path, model: Any, spec: tf.TensorSpec) -> None:
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    call = tf.function(lambda values: {"scores": model(values, training=False)}, input_signature=[spec])
    archive.add_endpoint("serve", call)
    archive.write_out(str(version), verbose=False)


def _words(draw: np.random.Generator) -> list[str]:
    letters = draw.choice(list(string.ascii_lowercase), (WORDS * 2, 6))
    return list(dict.fromkeys("".join(word) for word in letters))[:WORDS]


def _record(folder: Path, name: str, rows: np.ndarray) -> None:
    function = (loaded := tf.saved_model.load(str(folder / name / "1"))).signatures["serving_default"]
    (alias,) = function.structured_input_signature[1]
    (answers,) = (result.numpy() for result in function(**{alias: tf.constant(rows)}).values())
    del loaded
    least = min(float(np.abs(one - other).max()) for one, other in combinations(answers, 2))
    assert least > LEAST_DIFFERENCE, f"two answers of {name} differ by {least} only"
    shortest = [_shortest(row) for row in rows]
    (folder / f"{name}.json").write_text(json.dumps({"rows": shortest, "answers": answers.tolist()}))


def _shortest(row: Any) -> Any:
    """The row with its numbers as a client writes them: 0.1, not 0.10000000149."""
    return row if isinstance(row, str) else np.round(row.astype(np.float64), DECIMALS).tolist()


if __name__ == "__main__":
    export(Path(sys.argv[1]))
