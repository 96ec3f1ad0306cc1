"""Exports the benchmark's models into a folder: ``python -m benchmarks.models FOLDER``."""

import sys
from pathlib import Path

from unstuck.testing import models


def export(folder: Path) -> None:
    """``mlp`` (64 -> 128 -> 128 -> 10) and ``image``, the mean colour of a [-1,224,224,3] picture."""
    models.mlp(folder / "mlp")
    _mean_colour(folder / "image" / "1")


def _mean_colour(version: Path) -> None:
    from unstuck.engines.tensorflow.runtime import tf

    spec = tf.TensorSpec([None, 224, 224, 3], tf.float32, name="image")
    module = tf.Module()
    call = tf.function(lambda image: {"colour": tf.reduce_mean(image, axis=[1, 2])}, input_signature=[spec])
    tf.saved_model.save(module, str(version), signatures=call)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
