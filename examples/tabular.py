"""feature_concat: will a bearing fail soon? It joins two features into the one tensor that the network was trained on.

Its broken twin is the same trained network with the features joined in the other order. The network reads a speed where
it expects a temperature: far outside all it has seen, so its neurons saturate and every bearing gets the same answer.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

NAME = "feature_concat"


def bearings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Invents measurements of bearings.

    Returns:
        float32 [count, 2]: temperature in °C, then speed in revolutions a minute; float32 [count]: the probability of
        a failure, which rises with both.
    """
    random = np.random.default_rng(seed)
    temperature = random.normal(70, 15, count)
    speed = random.normal(3000, 900, count)
    risk = (temperature - 70) / 5 + (speed - 3000) / 500
    return np.stack([temperature, speed], 1).astype(np.float32), (1 / (1 + np.exp(-risk))).astype(np.float32)


def models() -> "dict[str, keras.Model]":
    """Trains the network once; returns the right model and its broken twin, by name.

    Both take `feature_a` (temperature) and `feature_b` (speed), float32 [-1, 1] each, and give `output`, float32 [-1]:
    the probability of a failure.
    """
    import keras

    keras.utils.set_random_seed(1)
    features, probabilities = bearings(2000, seed=1)
    normalise = keras.layers.Normalization()
    normalise.adapt(features)
    network = keras.Sequential(
        [
            normalise,
            keras.layers.Dense(16, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
            keras.layers.Reshape(()),
        ]
    )
    network.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    network.fit(features, probabilities, epochs=10, batch_size=32, verbose=0)

    feature_a = keras.Input((1,), name="feature_a")
    feature_b = keras.Input((1,), name="feature_b")
    concatenate = keras.layers.Concatenate()
    right = network(concatenate([feature_a, feature_b]))
    broken = network(concatenate([feature_b, feature_a]))
    inputs = {"feature_a": feature_a, "feature_b": feature_b}
    return {
        NAME: keras.Model(inputs, {"output": right}),
        f"{NAME}_broken": keras.Model(inputs, {"output": broken}),
    }
