"""Quick models for the cases beside them: tf.Modules of one fitted network behind whatever a graph does first.

Each function exports into ``base`` and returns ``base/1``. The network is fitted on what ``features`` makes of the
training inputs, and ``features`` itself is what the graph does.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, fitting
from corpus.graph_models import network_logits, network_module
from corpus.saving import save_module

ROWS = 900
Arrays = Mapping[str, np.ndarray]
Features = Callable[..., Any]


def fitted(
    base: Path,
    training: Arrays,
    target: np.ndarray,
    features: Features,
    specs: Mapping[str, tuple[Any, ...]] | None = None,
    extra: Callable[..., Mapping[str, Any]] = lambda **inputs: {},
    serve: Features | None = None,
    variables: Any = None,
) -> Path:
    """A network over ``features(**inputs)``, [-1, n]: probabilities of classes (an integer target), or one number.

    Args:
        training: the inputs that it is fitted on, by name.
        features: of tensors by name; TensorFlow ops.
        specs: by input, (dtype, *dimensions after the batch); as the training arrays where it is None.
        extra: further outputs.
        serve: what the exported graph does instead of ``features``: where the export is broken.
        variables: what ``features`` holds.
    """
    import tensorflow as tf

    tensors = {name: tf.constant(values) for name, values in training.items()}
    made = np.asarray(features(**tensors), np.float64)
    module = network_module(fitting.network(made, target))
    module.held = variables
    wanted = specs or {name: (values.dtype, *values.shape[1:]) for name, values in training.items()}

    def body(*values: Any) -> Mapping[str, Any]:
        inputs = dict(zip(wanted, values, strict=True))
        logits = network_logits(module, (serve or features)(**inputs))
        answer = {"scores": tf.nn.softmax(logits)} if target.dtype.kind == "i" else {"value": logits}
        return answer | extra(**inputs)

    signature = [tf.TensorSpec([None, *shape], dtype, name) for name, (dtype, *shape) in wanted.items()]
    return save_module(module, base, {"serving_default": (body, signature)})


def embeddings(rows: int = len(datasets.VOCABULARY), width: int = 40, seed: int = 8) -> Any:
    """A table of word vectors as a variable."""
    import tensorflow as tf

    values = np.random.default_rng(seed).normal(0, 1, (rows, width)).astype(np.float32)
    return tf.Variable(values, name="embeddings")


def tiles(pictures: Any, size: int) -> Any:
    """Pictures [-1,h,w,c] as their means by tile, flat: enough to tell ``datasets.images`` apart."""
    import tensorflow as tf

    pooled = tf.nn.avg_pool2d(pictures, size, size, "VALID")
    return tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))]) * 2
