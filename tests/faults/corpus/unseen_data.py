"""Data of the unseen cases: contracts, digits, leaves, patients, a grid's load, movements, tickets, opinions."""

import numpy as np

from corpus.fresh_nets import Columns

ROWS = 700
CONTRACTS = ("monthly", "one-year", "two-year", "prepaid")
COUNTRIES = ("DE", "FR", "IT", "PL", "SE")
PATIENT = ("pregnancies", "glucose", "systolic", "diastolic", "insulin", "bmi", "pedigree", "age")
PATIENT_MEAN = np.float32([3.5, 121, 128, 76, 110, 31, 0.47, 38])
PATIENT_SPREAD = np.float32([2.4, 28, 16, 10, 48, 6, 0.18, 11])
LOAD_MEAN, LOAD_SPREAD = np.float32([4200, 11]), np.float32([700, 8])

INTENTS = {
    "refund": "refund money charged twice invoice reimburse billing",
    "delivery": "parcel courier delayed tracking shipment arrived",
    "login": "password reset locked account login code",
    "defect": "broken screen battery scratched noise crack",
    "cancel": "cancel subscription terminate renewal ending unsubscribe",
}
FILLER = "please i my the is was it and not yet still since yesterday help with for your you can why has"
INTENT_WORDS = [words.split() for words in INTENTS.values()]
TICKET_VOCABULARY = tuple(dict.fromkeys([*FILLER.split(), *(word for words in INTENT_WORDS for word in words)]))
SEGMENTS = (
    "1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011"
)  # fmt: skip
OPINION_IDS = 60  # 0 pads, 1 is unknown, 2 to 14 praise, 15 to 27 blame, the others say nothing


def contracts(count: int = ROWS, seed: int = 201) -> tuple[Columns, np.ndarray]:
    """Customers of a phone company, an input a column, each [count], and whether they leave."""
    random = np.random.default_rng(seed)
    tenure, monthly = random.integers(1, 73, count), random.normal(64, 22, count).clip(18, 130)
    usage, calls = random.gamma(2.0, 9.0, count), random.poisson(1.6, count)
    roaming = random.gamma(1.5, 12.0, count)
    contract, country = random.integers(0, 4, count), random.integers(0, 5, count)
    score = -(tenure - 36) / 21 + 1.4 * (monthly - 64) / 22 + 0.9 * (calls - 1.6) / 1.3 - 0.7 * (usage - 18) / 13
    score = score + 1.1 * (roaming - 18) / 15 + np.array([1.6, -0.6, -1.6, 0.6])[contract]
    score = score + np.array([0.9, -0.9, 0.4, -1.2, 1.2])[country]
    numbers = {
        "tenure": tenure,
        "monthly_charge": monthly,
        "data_gb": usage,
        "support_calls": calls,
        "roaming": roaming,
    }
    columns = {name: np.round(values, 2).astype(np.float32) for name, values in numbers.items()}
    texts = {"contract": np.array(CONTRACTS)[contract], "country": np.array(COUNTRIES)[country]}
    return columns | texts, (score > 0.2).astype(int)


def digits(count: int = ROWS, seed: int = 202) -> tuple[np.ndarray, np.ndarray]:
    """Digits of a meter as a camera sees them, bright on dark, uint8 [count, 20, 20, 1], and which it is."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 10, count)
    pictures = random.normal(18, 7, (count, 20, 20))
    for picture, digit in zip(pictures, label, strict=True):
        top, left = random.integers(1, 4), random.integers(3, 7)
        light = random.uniform(150, 235)
        bars = (
            (slice(top, top + 2), slice(left, left + 9)),
            (slice(top, top + 8), slice(left, left + 2)),
            (slice(top, top + 8), slice(left + 7, left + 9)),
            (slice(top + 7, top + 9), slice(left, left + 9)),
            (slice(top + 8, top + 16), slice(left, left + 2)),
            (slice(top + 8, top + 16), slice(left + 7, left + 9)),
            (slice(top + 14, top + 16), slice(left, left + 9)),
        )
        for on, bar in zip(SEGMENTS[digit], bars, strict=True):
            if on == "1":
                picture[bar] += light
    return pictures.clip(0, 255).astype(np.uint8)[..., None], label


def leaves(count: int = ROWS, seed: int = 203) -> tuple[np.ndarray, np.ndarray]:
    """Leaves before a brown ground, uint8 RGB [count, 24, 24, 3]: sound, rust, mildew, blight."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 4, count)
    row, column = np.meshgrid(np.arange(24), np.arange(24), indexing="ij")
    pictures = np.empty((count, 24, 24, 3))
    spots = np.array([[70, 150, 50], [205, 105, 30], [215, 220, 205], [60, 45, 35]])
    for at, kind in enumerate(label):
        picture = np.array([120.0, 90, 60]) + random.normal(0, 8, (24, 24, 1))
        inside = ((row - 12) / 9) ** 2 + ((column - 12) / random.uniform(6, 10)) ** 2 < 1
        picture[inside] = np.array([70, 150, 50]) + random.normal(0, 10, (int(inside.sum()), 1))
        for _ in range(random.integers(4, 8)):
            y, x = random.integers(6, 18, 2)
            picture[(np.hypot(row - y, column - x) < random.uniform(1.5, 3.5)) & inside] = spots[kind]
        pictures[at] = picture * random.uniform(0.75, 1.1)
    return pictures.clip(0, 255).astype(np.uint8), label


def patients(count: int = ROWS, seed: int = 204) -> tuple[np.ndarray, np.ndarray]:
    """Eight measures of a patient, raw, float32 [count, 8] (``PATIENT``), and whether it is diabetes."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (count, 8))
    z[:, 3] = 0.5 * z[:, 2] + 0.85 * z[:, 3]
    score = z @ np.array([0.4, 1.8, 0.9, -1.1, 0.6, 1.2, 0.7, 0.8]) + random.normal(0, 0.4, count)
    return (z.clip(-2.5, 2.5) * PATIENT_SPREAD + PATIENT_MEAN).round(3).astype(np.float32), (score > 0.3).astype(int)


def grid(count: int = ROWS, length: int = 48, seed: int = 205) -> tuple[np.ndarray, np.ndarray]:
    """Half-hours of a grid's load in MW and the temperature, float32 [count, length, 2], and the next load."""
    random = np.random.default_rng(seed)
    hours = np.arange(length + 1) / 2 + random.uniform(0, 24, (count, 1))
    warm = random.normal(11, 7, (count, 1)) + 3 * np.sin((hours - 9) * 6.283 / 24)
    load = 4200 + random.normal(0, 450, (count, 1)) + 600 * np.sin((hours - 7) * 6.283 / 24) - 25 * (warm - 11)
    series = np.stack([load + random.normal(0, 25, load.shape), warm + random.normal(0, 0.3, warm.shape)], 2)
    return series[:, :-1].round(2).astype(np.float32), series[:, -1, 0]


def movements(count: int = ROWS, seed: int = 206) -> tuple[np.ndarray, np.ndarray]:
    """Three axes of an accelerometer in g, float32 [count, 64, 3]: still, walking, running, cycling."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 4, count)
    time = np.arange(64) / 32
    pace = np.array([0.2, 1.8, 3.0, 1.2])[label][:, None] * random.uniform(0.9, 1.1, (count, 1))
    wave = np.sin(6.283 * pace * time + random.uniform(0, 6.283, (count, 1)))
    amount = np.array([0.02, 0.35, 0.9, 0.25])[label][:, None] * random.uniform(0.8, 1.2, (count, 1))
    x = 0.3 * amount * np.roll(wave, 4, 1) + 0.1 + 0.5 * (label == 3)[:, None]
    y = 0.5 * amount * wave - 0.2
    z = 1.0 - 0.35 * (label == 3)[:, None] + amount * np.abs(wave)
    return (np.stack([x, y, z], 2) + random.normal(0, 0.03, (count, 64, 3))).round(4).astype(np.float32), label


def tickets(count: int = ROWS, seed: int = 207, words: tuple[int, int] = (6, 11)) -> tuple[list[list[str]], np.ndarray]:
    """The words of what customers write, lower case, and what they want, below 5."""
    random = np.random.default_rng(seed)
    label, texts = random.integers(0, 5, count), []
    for kind in label:
        length = int(random.integers(*words))
        own = [str(word) for word in random.choice(INTENT_WORDS[kind], length // 2)]
        other = [str(word) for word in random.choice(FILLER.split(), length - len(own))]
        texts.append([str(word) for word in random.permutation([*own, *other])])
    return texts, label


def opinions(count: int = ROWS, seed: int = 208, length: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Reviews as ids, int32 [count, length], padded with 0 at the end, and whether they praise."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    ids = np.zeros((count, length), np.int32)
    for row, praises in zip(ids, label, strict=True):
        size = int(random.integers(8, length + 1))
        said = np.where(praises, random.integers(2, 15, size), random.integers(15, 28, size))
        row[:size] = np.where(random.random(size) < 0.45, said, random.integers(28, OPINION_IDS, size))
    return ids, label


def payments(count: int = ROWS, seed: int = 209) -> tuple[np.ndarray, np.ndarray]:
    """Card payments: amount, minutes since the last one, distance, age of the card in days and two scores; fraud."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (count, 6))
    score = z @ np.array([1.4, -1.1, 1.2, -0.8, 0.9, -0.6])
    amount, minutes, distance = np.exp(3.6 + 1.1 * z[:, 0]), np.exp(4 + 1.2 * z[:, 1]), np.exp(2 + 0.9 * z[:, 2])
    columns = [amount, minutes, distance, 700 + 250 * z[:, 3], 50 + 12 * z[:, 4], 0.5 + 0.1 * z[:, 5]]
    return np.stack(columns, 1).round(4).astype(np.float32), (score > 0.8).astype(int)


def engines(count: int = ROWS, seed: int = 210) -> tuple[np.ndarray, np.ndarray]:
    """Six readings of an engine, raw: rpm, oil temperature, oil pressure, vibration, current, hours; its condition."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (count, 6))
    wear = z @ np.array([0.5, 1.1, -1.3, 1.6, 0.7, 1.0])
    raw = z * [220, 9, 0.6, 0.08, 4, 900] + [1800, 88, 4.2, 0.31, 32, 5200]
    return raw.astype(np.float32), np.digitize(wear, [-1.3, 1.3])
