"""Data of the third cases: satellite tiles, used cars, hotels, headlines, names, turbines, films, clicks, sounds."""

import numpy as np

Columns = dict[str, np.ndarray]

ROWS = 600
FUELS, GEARBOXES = ("petrol", "diesel", "electric", "hybrid"), ("manual", "automatic")
CAR_SCALES = {
    "mileage_km": (90_000, 50_000),
    "year": (2014, 5),
    "power_kw": (95, 35),
    "consumption": (6.4, 1.6),
    "owners": (2.2, 1.0),
}
HOTEL_WORDS = 120  # 0 pads, 1 is unknown, 2 begins, 3 ends, 4 to 23 praise, 24 to 43 blame, the others say nothing
TURBINE_MEAN, TURBINE_SPREAD = np.float32([14.2, 420, 71, 2.4, 1490]), np.float32([2.5, 35, 8, 0.7, 60])
TOPICS = {
    "economy": "bank rates inflation budget exports tariff wages market deficit lender",
    "sport": "coach striker final league injury transfer medal sprint keeper derby",
    "weather": "storm flood drought heatwave snowfall hurricane frost rainfall cyclone fog",
    "science": "telescope vaccine genome quantum fossil reactor satellite protein glacier comet",
}
LINKS = "after over amid new first as warns faces sees into before under"
TOPIC_WORDS = [words.split() for words in TOPICS.values()]
HEADLINE_WORDS = (*LINKS.split(), *(word for words in TOPIC_WORDS for word in words))
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
SYLLABLES = (
    "ka mi ro shi ta na ko yu", "ova insk dra vla mir pet zor yan", "etti ello gio luc fra ine ardo ria",
)  # fmt: skip
GREEK = {
    "food": "φαγητό σαλάτα ψωμί κρασί τυρί ελιές",
    "travel": "πτήση λιμάνι ξενοδοχείο βαλίτσα χάρτης τρένο",
    "health": "γιατρός φάρμακο πυρετός εξέταση κλινική εμβόλιο",
}


def satellite(count: int = ROWS, seed: int = 301) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of the ground, uint8 RGB [count, 28, 28, 3]: water, forest, field, town."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 4, count)
    row, column = np.meshgrid(np.arange(28), np.arange(28), indexing="ij")
    tint = np.array([[35, 70, 150], [40, 105, 45], [185, 165, 75], [150, 140, 140]])
    tiles = np.empty((count, 28, 28, 3))
    for at, label in enumerate(kind):
        rough = random.normal(0, (4, 22, 6, 10)[label], (28, 28))
        period, angle = random.uniform(4, 7), random.uniform(0.2, 0.9)
        if label == 2:
            rough += 25 * np.sin((row * angle + column) * 6.283 / period)
        if label == 3:
            rough += 55 * ((row // int(period)) % 2) * ((column // 5) % 2) - 10
        tiles[at] = (tint[label] + random.normal(0, 10, 3) + rough[..., None]) * random.uniform(0.7, 1.2)
    return tiles.clip(0, 255).astype(np.uint8), kind


def used_cars(count: int = ROWS, seed: int = 302) -> tuple[Columns, np.ndarray]:
    """An input a column, each [count, 1], numbers raw, and the price in euros."""
    random = np.random.default_rng(seed)
    z = {name: random.normal(0, 1, count).clip(-2.2, 2.2) for name in CAR_SCALES}
    numbers = {name: z[name] * spread + mean for name, (mean, spread) in CAR_SCALES.items()}
    numbers["mileage_km"] = np.maximum(numbers["mileage_km"], 800).round(-1)
    numbers["year"], numbers["owners"] = numbers["year"].round(), numbers["owners"].round().clip(1, 5)
    fuel, gearbox = random.integers(0, 4, count), random.integers(0, 2, count)
    price = 15_000 - 4200 * z["mileage_km"] + 3900 * z["year"] + 3100 * z["power_kw"] - 2200 * z["consumption"]
    price = price - 1500 * z["owners"] + np.array([0, -1800, 3600, 1500])[fuel] + 2200 * gearbox
    columns = {name: values.round(1).astype(np.float32) for name, values in numbers.items()}
    columns |= {"fuel": np.array(FUELS)[fuel], "gearbox": np.array(GEARBOXES)[gearbox]}
    return {name: values[:, None] for name, values in columns.items()}, price + random.normal(0, 300, count)


def hotels(count: int = ROWS, seed: int = 303, length: int = 24) -> tuple[Columns, np.ndarray]:
    """Reviews as a tokenizer gives them, ``input_ids`` and ``attention_mask`` int32 [count, length]; praise or not."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    ids = np.zeros((count, length), np.int32)
    for row, praises in zip(ids, label, strict=True):
        size = int(random.integers(8, length - 3))
        said = random.integers(4, 24, size) + np.where(praises, 0, 20)
        words = np.where(random.random(size) < 0.5, said, random.integers(44, HOTEL_WORDS, size))
        row[: size + 2] = [2, *words, 3]
    return {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int32)}, label


def headlines(count: int = ROWS, seed: int = 304) -> tuple[list[list[str]], np.ndarray]:
    """The words of headlines, lower case, five to nine, and their topic, below 4."""
    random = np.random.default_rng(seed)
    topic, texts = random.integers(0, 4, count), []
    for kind in topic:
        size = int(random.integers(5, 10))
        own = [str(word) for word in random.choice(TOPIC_WORDS[kind], size // 2 + 1)]
        links = [str(word) for word in random.choice(LINKS.split(), size - len(own))]
        texts.append([str(word) for word in random.permutation([*own, *links])])
    return texts, topic


def greek(count: int = ROWS, seed: int = 305) -> tuple[list[list[str]], np.ndarray, tuple[str, ...]]:
    """Three to seven Greek words about one thing, which thing, and every word."""
    random = np.random.default_rng(seed)
    words = [each.split() for each in GREEK.values()]
    topic = random.integers(0, 3, count)
    texts = [[str(word) for word in random.choice(words[kind], random.integers(3, 8))] for kind in topic]
    return texts, topic, tuple(word for own in words for word in own)


def names(count: int = ROWS, seed: int = 306) -> tuple[list[str], np.ndarray]:
    """Surnames of three languages, of two to four syllables, lower case."""
    random = np.random.default_rng(seed)
    language = random.integers(0, 3, count)
    made = ["".join(random.choice(SYLLABLES[kind].split(), random.integers(2, 5))) for kind in language]
    return [str(name) for name in made], language


def turbines(count: int = ROWS, length: int = 30, seed: int = 307) -> tuple[np.ndarray, np.ndarray]:
    """Wind, power, temperature, vibration and speed, raw, float32 [count, length, 5]; hours until maintenance."""
    random = np.random.default_rng(seed)
    wear = random.uniform(0, 1, (count, 1))
    time = np.arange(length) / length
    wind = random.normal(0, 0.7, (count, 1)) + 0.5 * np.sin(6.283 * (time + random.random((count, 1))))
    heat = 1.6 * (wear - 0.5) + 0.6 * wear * time + random.normal(0, 0.3, (count, 1))
    shake = 2.2 * (wear - 0.5) + 0.3 * wind
    speed = 0.8 * wind - 0.5 * (wear - 0.5)
    z = np.stack([wind, 0.9 * wind - 0.6 * (wear - 0.5), heat, shake, speed], 2)
    z = z + random.normal(0, 0.12, z.shape)
    return (z * TURBINE_SPREAD + TURBINE_MEAN).round(3).astype(np.float32), 900 * (1 - wear[:, 0]) + 60


def films(count: int = ROWS, seed: int = 308) -> tuple[Columns, np.ndarray]:
    """``user_id`` "u-104", ``film_id`` "tt0310", ``hour`` of the day, each [count], and the rating."""
    random = np.random.default_rng(seed)
    user, film, hour = random.integers(0, 40, count), random.integers(0, 30, count), random.integers(0, 24, count)
    taste, style = tastes()
    rating = 5.5 + (taste[user] * style[film]).sum(1) + style[film, 0] + 0.7 * taste[user, 1]
    rating = rating + 0.9 * np.sin((hour - 14) * 6.283 / 24)
    columns = {
        "user_id": np.array([f"u-{100 + at}" for at in user]),
        "film_id": np.array([f"tt{300 + 7 * at:04d}" for at in film]),
        "hour": hour.astype(np.float32),
    }
    return columns, rating


def tastes() -> tuple[np.ndarray, np.ndarray]:
    """What 40 users like, and what as many films are like, [40, 3] each."""
    taste, style = np.random.default_rng(309).normal(0, 1, (2, 40, 3)).astype(np.float32)
    return taste, style


def impressions(count: int = ROWS, seed: int = 310) -> tuple[Columns, np.ndarray]:
    """Advertisements as shown: ``bid`` in cents, ``age`` of the reader, ``position``, ``dwell`` in seconds; a click."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (4, count)).clip(-2.2, 2.2)
    columns = {"bid": 180 + 45 * z[0], "age": 41 + 11 * z[1], "position": 4 + 1.4 * z[2], "dwell": 9 + 3 * z[3]}
    score = 1.3 * z[0] - 1.1 * z[1] - 1.4 * z[2] + 1.2 * z[3] + random.normal(0, 0.3, count)
    return {name: values.round(2).astype(np.float32) for name, values in columns.items()}, (score > 0.4).astype(int)


def sounds(count: int = ROWS, seed: int = 311) -> tuple[np.ndarray, np.ndarray]:
    """Spectrograms in dB, -80 to 0, float32 [count, 1, 24, 24], bands by frames: low, high, rising, pulsed."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 4, count)
    sound = random.normal(-62, 5, (count, 1, 24, 24)) - np.linspace(0, 8, 24)[:, None]
    for x, label in zip(sound[:, 0], kind, strict=True):
        loud = random.uniform(22, 38)
        if label < 2:
            band = int(random.integers(2, 7)) + 12 * label
            x[band : band + 3] += loud
        elif label == 2:
            for frame in range(24):
                x[min(23, frame // 2 + 6) : frame // 2 + 9, frame] += loud
        else:
            x[:, int(random.integers(0, 4)) :: 6] += loud
    return sound.clip(-80, 0).round(2).astype(np.float32), kind


def frames(count: int = ROWS, seed: int = 312) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey pictures of a belt, uint8 [count, 24, 24, 1]: box, ring or bar; which, and where (x, y) of 0..1."""
    random = np.random.default_rng(seed)
    kind, where = random.integers(0, 3, count), random.uniform(0.28, 0.72, (count, 2))
    row, column = np.meshgrid(np.arange(24), np.arange(24), indexing="ij")
    pictures = random.normal(60, 9, (count, 24, 24))
    for picture, label, (x, y) in zip(pictures, kind, where, strict=True):
        dx, dy = np.abs(column - 24 * x), np.abs(row - 24 * y)
        shape = ((dx < 5) & (dy < 5), np.abs(np.hypot(dx, dy) - 4.5) < 1.3, (dx < 7) & (dy < 2))[label]
        picture[shape] += random.uniform(110, 180)
    return pictures.clip(0, 255).astype(np.uint8)[..., None], kind, where


def applicants(count: int = ROWS, seed: int = 313) -> tuple[np.ndarray, np.ndarray]:
    """Numbers standardised, then a home of four and a job of three in columns of 0 and 1: [count, 12]; approved."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (count, 5))
    home, job = random.integers(0, 4, count), random.integers(0, 3, count)
    score = z @ np.array([1.2, -1.0, 0.8, 0.9, -0.7]) + np.array([0.8, -0.5, 0, -0.9])[home]
    score = score + np.array([-0.8, 0.1, 0.9])[job]
    x = np.concatenate([z, np.eye(4)[home], np.eye(3)[job]], 1)
    return x.round(4).astype(np.float32), (score > 0).astype(int)


def parcels(count: int = ROWS, seed: int = 314) -> tuple[Columns, np.ndarray]:
    """``latitude``, ``longitude``, ``weight_kg`` and ``stops_before``, each [count], raw; minutes until delivery."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1, (4, count)).clip(-2.2, 2.2)
    columns = {"latitude": 52.5 + 0.08 * z[0], "longitude": 13.4 + 0.14 * z[1], "weight_kg": 8 + 3 * z[2]}
    columns["stops_before"] = (30 + 11 * z[3]).round()
    minutes = 200 + 45 * z[0] - 30 * z[1] + 12 * z[2] + 70 * z[3] + 20 * np.abs(z[0])
    return {name: values.round(4).astype(np.float32) for name, values in columns.items()}, minutes


def pings(count: int = ROWS, seed: int = 315) -> tuple[np.ndarray, np.ndarray]:
    """A microphone's 16-bit samples, int16 [count, 128], of three machines."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, count)
    pitch = np.array([5.0, 11.0, 19.0])[kind][:, None] * random.uniform(0.95, 1.05, (count, 1))
    wave = np.sin(6.283 * pitch * np.arange(128) / 128 + random.uniform(0, 6.283, (count, 1)))
    loud = random.uniform(2000, 9000, (count, 1))
    return (loud * wave + random.normal(0, 400, (count, 128))).astype(np.int16), kind
