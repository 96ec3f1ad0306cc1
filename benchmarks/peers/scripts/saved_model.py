"""What every peer's script shares: settings in the environment, and the model, called as TensorFlow documents it."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

PORT = int(os.environ["PORT"])
SECOND_PORT = int(os.environ["SECOND_PORT"])
BATCHING = os.environ["BATCHING"] == "on"
IS_TEXT = os.environ["INPUT"] == "text"
MAX_BATCH = 32
MAX_WAIT_S = 0.005


class SavedModel:
    """The default signature, which has one input and one output."""

    def __init__(self) -> None:
        self._loaded = tf.saved_model.load(os.environ["MODEL"])
        self._function = self._loaded.signatures["serving_default"]
        ((self.input_name, spec),) = self._function.structured_input_signature[1].items()
        ((self.output_name, result),) = self._function.structured_outputs.items()
        self.input_shape, self.output_shape = spec.shape[1:].as_list(), result.shape[1:].as_list()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self._function(**{self.input_name: tf.constant(rows)})[self.output_name].numpy()


def as_array(values: object) -> np.ndarray:
    return np.asarray(values, dtype=object if IS_TEXT else np.float32)
