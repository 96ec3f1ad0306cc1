"""text_classifier: are reviews positive? It takes raw strings, because its graph holds its tokenisation.

Its broken twin is the same trained network behind the vocabulary alone: splitting and lower-casing were part of the
training pipeline, and left to clients, who are to send lists of words. They send each sentence as one word; no sentence
is a word of the vocabulary, so every review becomes the one token [UNK] and gets the same prediction.
"""

import string
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

NAME = "text_classifier"

SUBJECTS = ["film", "plot", "acting", "music", "food", "service", "room", "view", "price", "story", "camera", "battery"]
TONES = {
    **dict.fromkeys(["wonderful", "excellent", "superb", "brilliant"], 3.0),
    **dict.fromkeys(["great", "delightful", "charming", "lovely"], 2.0),
    **dict.fromkeys(["good", "pleasant", "decent", "solid"], 1.0),
    **dict.fromkeys(["dull", "bland", "weak", "mediocre"], -1.0),
    **dict.fromkeys(["bad", "disappointing", "poor", "annoying"], -2.0),
    **dict.fromkeys(["terrible", "awful", "dreadful", "horrible"], -3.0),
}
DEGREES = {"": 1.0, "rather": 0.5, "very": 1.5, "not": -0.5}
JOINTS = [", ", " and ", " but "]
ENDINGS = [".", "!", "", "..."]
LENGTH = 24  # tokens that the network reads of a review; shorter ones are padded with 0


def reviews(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Invents reviews such as `The plot was not good but the music was superb!`.

    Returns:
        The texts, and float32 [count]: the probability that a review is meant well, from the sum of its words' tones.
    """
    random = np.random.default_rng(seed)
    words, degrees = list(TONES), list(DEGREES)
    texts: list[str] = []
    tones: list[float] = []
    while len(texts) < count:
        clauses: list[str] = []
        tone = 0.0
        for subject in random.choice(SUBJECTS, size=random.integers(1, 4), replace=False):
            word, degree = random.choice(words), random.choice(degrees)
            opening = random.choice([f"the {subject} was", f"the {subject} was", subject, ""])
            clauses.append(" ".join(f"{opening} {degree} {word}".split()))
            tone += DEGREES[degree] * TONES[word]
        if tone != 0:
            texts.append(random.choice(JOINTS).join(clauses).capitalize() + random.choice(ENDINGS))
            tones.append(tone)
    return texts, (1 / (1 + np.exp(-np.array(tones)))).astype(np.float32)


def models() -> "dict[str, keras.Model]":
    """Trains the network once; returns the right model and its broken twin, by name.

    They take `text`, string [-1], the twin [-1,-1], and give `probability`, float32 [-1]: that the review is positive.
    """
    import keras

    keras.utils.set_random_seed(1)
    texts, probabilities = reviews(4000, seed=1)
    tokenise = keras.layers.TextVectorization(output_sequence_length=LENGTH)
    tokenise.adapt(texts)

    # Pairs of neighbouring words are read together, so that `not good` can mean something else than `good`.
    network = keras.Sequential(
        [
            keras.layers.Embedding(tokenise.vocabulary_size(), 16),
            keras.layers.Conv1D(32, 2, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
            keras.layers.Reshape(()),
        ]
    )
    network.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    network.fit(tokenise(texts), probabilities, epochs=8, batch_size=64, verbose=0)

    text = keras.Input((), dtype="string", name="text")
    right = network(tokenise(text))
    words = keras.Input((None,), dtype="string", name="text")
    look_up = keras.layers.StringLookup(vocabulary=tokenise.get_vocabulary()[2:], mask_token="")
    padded = keras.ops.pad(look_up(words), [[0, 0], [0, LENGTH]])
    broken = network(padded[:, :LENGTH])
    return {
        NAME: keras.Model(text, {"probability": right}),
        f"{NAME}_broken": keras.Model(words, {"probability": broken}),
    }


def prepared(texts: list[str]) -> list[list[str]]:
    """The words of each text as training had them: lower case, no punctuation, LENGTH of them, padded with none."""
    bare = str.maketrans("", "", string.punctuation)
    split = [text.lower().translate(bare).split()[:LENGTH] for text in texts]
    return [words + [""] * (LENGTH - len(words)) for words in split]
