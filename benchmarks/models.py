"""Exports the benchmark's models into a folder: ``python -m benchmarks.models FOLDER``."""

import sys
from pathlib import Path

from unstuck.testing import models


def export(folder: Path) -> None:
    """``mlp`` (64 -> 128 -> 128 -> 10), ``image``, the mean colour of a [-1,224,224,3] picture, and ``dense``.

    The latter is four layers of 2048, 64 MiB of weights, between 64 numbers and 10.
    """
    models.mlp(folder / "mlp")
    _mean_colour(folder / "image" / "1")
    _dense_layers(folder / "dense" / "1")


def _mean_colour(version: Path) -> None:
    from unstuck.engines.tensorflow.runtime import tf

    spec = tf.TensorSpec([None, 224, 224, 3], tf.float32, name="image")
    module = tf.Module()
    call = tf.function(lambda image: {"colour": tf.reduce_mean(image, axis=[1, 2])}, input_signature=[spec])
    tf.saved_model.save(module, str(version), signatures=call)


def _dense_layers(version: Path, size: int = 2048, layers: int = 4) -> None:
    import numpy as np

    from unstuck.engines.tensorflow.runtime import tf

    draw = np.random.default_rng(0)
    module = tf.Module()
    module.weights = [
        tf.Variable((draw.standard_normal((size, size)) / np.sqrt(size)).astype(np.float32)) for _ in range(layers)
    ]

    def call(x):
        hidden = tf.tile(x, [1, size // 64])
        for weights in module.weights:
            hidden = tf.nn.relu(hidden @ weights)
        return {"y": hidden[:, :10]}

    module.call = tf.function(call, input_signature=[tf.TensorSpec([None, 64], tf.float32, name="x")])
    tf.saved_model.save(module, str(version), signatures=module.call)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
