"""Synthetic data as real deployments have it: deterministic, on raw scales, with something to learn in it.

Every function takes how many examples and a seed, and returns inputs by name beside the targets.
"""

from collections.abc import Sequence

import numpy as np

Columns = dict[str, np.ndarray]

REGIONS = ("north", "south", "east", "west")
PLANS = ("basic", "plus", "pro")
CREDIT_COLUMNS = ("age", "income", "debt", "tenure_months", "utilization", "late_payments")
HOUSE_COLUMNS = ("area_m2", "rooms", "built_year", "distance_km", "energy_kwh")
SENSOR_COLUMNS = ("temperature", "pressure", "humidity")

TOPICS = {
    "sport": "striker goal match coach league keeper penalty referee stadium trophy season defender",
    "finance": "shares market profit investor bond bank dividend earnings quarter rates merger currency",
    "weather": "rain storm sunny wind forecast cloud snow temperature thunder humid frost breeze",
    "kitchen": "recipe oven butter garlic flour simmer onion salt whisk dough sauce roast",
}
COMMON = "the a and of with after before today again very this that is was for on more less new old it some"
TOPIC_WORDS = {topic: words.split() for topic, words in TOPICS.items()}
COMMON_WORDS = COMMON.split()
# Ids 0 and 1 are padding and "out of vocabulary".
VOCABULARY = ("", "[UNK]", *COMMON_WORDS, *(word for words in TOPIC_WORDS.values() for word in words))


def credit(count: int, seed: int = 0) -> tuple[Columns, np.ndarray]:
    """Six numbers and two categories of a customer, each [count, 1], and whether the loan went bad, 0 or 1 [count]."""
    random = np.random.default_rng(seed)
    columns: Columns = {
        "age": random.integers(18, 85, count).astype(np.float32),
        "income": np.round(random.lognormal(10.6, 0.5, count)).astype(np.float32),
        "debt": np.round(random.gamma(2.0, 6000.0, count)).astype(np.float32),
        "tenure_months": random.integers(0, 240, count).astype(np.float32),
        "utilization": random.beta(2, 3, count).astype(np.float32),
        "late_payments": random.poisson(1.2, count).astype(np.float32),
    }
    z = {name: (values - values.mean()) / values.std() for name, values in columns.items()}
    region, plan = random.integers(0, len(REGIONS), count), random.integers(0, len(PLANS), count)
    risk = -0.8 * z["age"] - 1.2 * z["income"] + 1.5 * z["debt"] - 0.6 * z["tenure_months"]
    risk = risk + 1.1 * z["utilization"] + 0.9 * z["late_payments"] + 0.5 * (region - 1.5) - 0.7 * (plan - 1)
    target = (risk + random.normal(0, 0.5, count) > 0).astype(np.float32)
    columns |= {"region": np.array(REGIONS)[region], "plan": np.array(PLANS)[plan]}
    return {name: values[:, None] for name, values in columns.items()}, target


def credit_matrix(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The six numbers of ``credit`` as one float32 matrix, [count, 6], and its target."""
    columns, target = credit(count, seed)
    return np.concatenate([columns[name] for name in CREDIT_COLUMNS], axis=1), target


def houses(count: int, seed: int = 0) -> tuple[Columns, np.ndarray]:
    """Five numbers of a house, each [count], and its price, [count], of some 100,000s."""
    random = np.random.default_rng(seed)
    columns: Columns = {
        "area_m2": random.normal(110, 35, count).clip(25, 300),
        "rooms": random.integers(1, 8, count),
        "built_year": random.integers(1900, 2024, count),
        "distance_km": random.gamma(2, 6, count),
        "energy_kwh": random.normal(150, 50, count).clip(20, 400),
    }
    price = 2600 * columns["area_m2"] + 9000 * columns["rooms"] + 700 * (columns["built_year"] - 1900)
    price = price - 4500 * columns["distance_km"] - 300 * columns["energy_kwh"] + random.normal(0, 8000, count)
    return {name: values.astype(np.float32) for name, values in columns.items()}, price.astype(np.float32)


def house_matrix(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``houses`` as one matrix, [count, 5], and the price."""
    columns, price = houses(count, seed)
    return np.stack([columns[name] for name in HOUSE_COLUMNS], axis=1), price


def images(count: int, size: int = 16, channels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures, uint8 [count, size, size, channels], of 4 classes that differ in direction and colour; int [count]."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    row, column = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    tints = np.array([[0.95, 0.35, 0.15], [0.15, 0.75, 0.35], [0.35, 0.3, 0.75], [0.8, 0.75, 0.2]])
    pictures = np.empty((count, size, size, channels))
    for index, label in enumerate(labels):
        phase, period = random.uniform(0, 6.3), random.uniform(3.0, 5.0)
        centre = random.uniform(0.3, 0.7, 2) * size
        shape = (
            0.5 + 0.5 * np.sin(row * 6.3 / period + phase),
            0.5 + 0.5 * np.sin(column * 6.3 / period + phase),
            (np.hypot(row - centre[0], column - centre[1]) < size * 0.28) * 1.0,
            row / size * random.uniform(0.7, 1.0),
        )[label]
        tint = tints[label] if channels == 3 else np.ones(channels)
        light = random.uniform(0.7, 1.0)
        pictures[index] = (0.1 + 0.85 * shape[..., None] * tint) * light + random.normal(0, 0.04, (size, size, 1))
    return (pictures.clip(0, 1) * 255).astype(np.uint8), labels


def sentences(count: int, seed: int = 0, words: tuple[int, int] = (5, 12)) -> tuple[list[str], np.ndarray]:
    """Sentences as people write them, with capitals and punctuation, and their topic, int [count] below 4."""
    random = np.random.default_rng(seed)
    topics = list(TOPIC_WORDS.values())
    texts, labels = [], random.integers(0, len(topics), count)
    for label in labels:
        length = int(random.integers(*words))
        own = [str(random.choice(topics[label])) for _ in range(max(2, length // 2))]
        other = [str(random.choice(COMMON_WORDS)) for _ in range(length - len(own))]
        chosen = [*own, *other]
        random.shuffle(chosen)
        chosen[0] = chosen[0].capitalize()
        if length > 6:
            chosen[length // 2] += ","
        texts.append(" ".join(chosen) + str(random.choice([".", "!", "...", "?"])))
    return texts, labels


def split(text: str) -> list[str]:
    """The words of a sentence as the models were trained on them: lower case, no punctuation."""
    return [word.strip(".,!?").lower() for word in text.split()]


def token_ids(texts: Sequence[str], length: int = 12, vocabulary: Sequence[str] = VOCABULARY) -> np.ndarray:
    """Each sentence as ids, int32 [len(texts), length], padded with 0 at the end."""
    index = {word: at for at, word in enumerate(vocabulary)}
    ids = np.zeros((len(texts), length), np.int32)
    for row, text in zip(ids, texts, strict=True):
        words = [index.get(word, 1) for word in split(text)][:length]
        row[: len(words)] = words
    return ids


def token_strings(texts: Sequence[str], length: int = 12) -> np.ndarray:
    """Each sentence as words, str [len(texts), length], padded with "" at the end."""
    return np.array([(split(text) + [""] * length)[:length] for text in texts])


def sensors(count: int, length: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Hours of temperature, pressure and humidity, float32 [count, length, 3], and the next temperature, [count]."""
    random = np.random.default_rng(seed)
    hours = np.arange(length + 1) + random.integers(0, 24, (count, 1))
    mean = random.normal(12, 7, (count, 1))
    warm = mean + 5 * np.sin(hours * 6.283 / 24) + random.normal(0, 0.4, hours.shape)
    pressure = 1013 + random.normal(0, 8, (count, 1)) + np.cumsum(random.normal(0, 0.4, hours.shape), axis=1)
    humidity = (70 - 1.5 * (warm - mean) + random.normal(0, 4, hours.shape)).clip(5, 100)
    series = np.stack([warm, pressure, humidity], axis=2).astype(np.float32)
    return series[:, :-1], series[:, -1, 0]
