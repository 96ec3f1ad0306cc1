"""image_classifier: which shape is drawn? It takes pixels as cameras give them, because its graph holds their scaling.

Its broken twin is the same trained network with the scaling left to clients, who do not do it: pixels arrive 255 times
as large as in training, so its neurons saturate and every picture looks like a square.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

NAME = "image_classifier"
SHAPES = ("circle", "square", "cross", "triangle")
SIZE = 28
GROUND = 50  # the grey that shapes are drawn on


def draw(shape: str, x: float, y: float, radius: float, brightness: float) -> np.ndarray:
    """Draws one shape, centred at (x, y), on grey: uint8 [28, 28, 1]."""
    down, right = np.mgrid[:SIZE, :SIZE]
    across, up = np.abs(right - x), y - down
    box = (across <= radius) & (np.abs(up) <= radius)
    inside = {
        "circle": across**2 + up**2 <= radius**2,
        "square": box,
        "cross": box & ((across <= radius / 3) | (np.abs(up) <= radius / 3)),
        "triangle": box & (across <= (radius - up) / 2),
    }[shape]
    return np.where(inside, brightness, GROUND).astype(np.uint8)[..., np.newaxis]


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws shapes of many sizes, places and shades, with noise: uint8 [count, 28, 28, 1] and their int32 labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(len(SHAPES), size=count, dtype=np.int32)
    drawn = [
        draw(SHAPES[label], *random.uniform(10, 18, size=2), random.uniform(5, 9), random.uniform(120, 220))
        for label in labels
    ]
    return np.stack(drawn) + random.integers(36, size=(count, SIZE, SIZE, 1), dtype=np.uint8), labels


def models() -> "dict[str, keras.Model]":
    """Trains the network once; returns the right model and its broken twin, by name.

    They take `image`, uint8 [-1, 28, 28, 1], the twin float32, and give `scores`, float32 [-1, 4]: a probability for
    each of SHAPES.
    """
    import keras

    keras.utils.set_random_seed(1)
    images, labels = pictures(3000, seed=1)
    scale = keras.layers.Rescaling(1 / 255)
    network = keras.Sequential(
        [
            *(keras.layers.Conv2D(filters, 3, strides=2, activation="tanh") for filters in (8, 16, 32)),
            keras.layers.Flatten(),
            keras.layers.Dense(len(SHAPES), activation="softmax"),
        ]
    )
    network.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    network.fit(scale(images), labels, epochs=10, batch_size=64, verbose=0)

    image = keras.Input((SIZE, SIZE, 1), dtype="uint8", name="image")
    scaled = keras.Input((SIZE, SIZE, 1), name="image")
    return {
        NAME: keras.Model(image, {"scores": network(scale(image))}),
        f"{NAME}_broken": keras.Model(scaled, {"scores": network(scaled)}),
    }
