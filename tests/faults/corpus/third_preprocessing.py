"""Third deployments where what reaches the model is not what it was trained on."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import third_data as data
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fresh_nets import Columns
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.server import Hooks
from corpus.small_nets import embeddings, fitted
from corpus.third_nets import (
    addresses,
    belt,
    bidding,
    cars,
    cinema,
    deployed,
    hotel,
    newsroom,
    speech,
    surnames,
    tiles,
    turbine,
    wire,
)

CYRILLIC = dict(zip("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшхыз", strict=True))


def unit_as_integers(folder: Path) -> Deployment:
    """Pixels are divided, and then put into an array of whole numbers: 0 everywhere."""
    model, right = tiles(folder / "tiles")
    return deployed(folder, model, right, lambda sent: {"tile": np.floor(sent["tile"] * 0.996)})


def defaults_of_the_store(folder: Path) -> Deployment:
    """The feature store's keys have changed, and it says its defaults for each car that is asked for."""
    model, right = cars(folder / "cars")

    def defaults(sent: Columns) -> Columns:
        numbers = {name: np.full_like(sent[name], mean) for name, (mean, _) in data.CAR_SCALES.items()}
        return sent | numbers | {name: np.repeat(sent[name][:1], 32, 0) for name in ("fuel", "gearbox")}

    return deployed(folder, model, right, defaults)


def text_of_another_field(folder: Path) -> Deployment:
    """The review's field was renamed; the tokenizer is given "" and makes a beginning and an end of it."""
    model, right = hotel(folder / "hotel")
    ids = np.zeros((32, 24), np.int32)
    ids[:, :2] = 2, 3
    return deployed(folder, model, right, lambda sent: {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int32)})


def title_case(folder: Path) -> Deployment:
    """Headlines as the papers print them, a capital for each word, to a table of words in lower case."""
    model, right = newsroom(folder / "newsroom")
    return deployed(folder, model, right, lambda sent: {"tokens": np.char.title(sent["tokens"])})


def names_not_cut(folder: Path) -> Deployment:
    """The name in one piece, where the model takes a letter a place."""
    model, right = surnames(folder / "surnames")
    whole = np.array([["".join(row), *[""] * 13] for row in right["letters"][:32]])
    return deployed(folder, model, right, lambda sent: {"letters": whole})


def printed_lists(folder: Path) -> Deployment:
    """The words went through a table's cell as Python prints a list of them."""
    texts, topic = data.headlines()
    model, right = wire(folder / "wire", texts, topic, data.HEADLINE_WORDS)
    return deployed(folder, model, right, lambda sent: {"text": np.array([str(words) for words in texts[:32]])})


def new_accounts(folder: Path) -> Deployment:
    """Accounts have moved to another system, which knows users by other keys."""
    model, right = cinema(folder / "cinema")
    random = np.random.default_rng(341)
    keys = {user: f"{random.integers(1 << 32):08x}-{random.integers(1 << 16):04x}" for user in right["user_id"]}
    return deployed(folder, model, right, lambda sent: sent | {"user_id": np.array([keys[u] for u in sent["user_id"]])})


def another_script(folder: Path) -> Deployment:
    """A register that writes its names in Cyrillic letters, cut into letters as they should be."""
    model, right = surnames(folder / "surnames")
    written = np.vectorize(lambda letter: CYRILLIC.get(str(letter), ""))
    return deployed(folder, model, right, lambda sent: {"letters": written(sent["letters"])})


def pieces_of_words(folder: Path) -> Deployment:
    """The tokenizer of a language model, which cuts words into pieces, before a model of whole words."""
    model, right = newsroom(folder / "newsroom", width=24)

    def pieces(word: str) -> list[str]:
        cuts = [word[:2], *(word[at : at + 3] for at in range(2, len(word), 3))]
        return [piece if not at else f"##{piece}" for at, piece in enumerate(cuts) if piece]

    def cut(sent: Columns) -> Columns:
        rows = [[piece for word in row if word for piece in pieces(str(word))] for row in sent["tokens"]]
        return {"tokens": np.array([(row + [""] * 24)[:24] for row in rows])}

    return deployed(folder, model, right, cut)


def tiles_of_bytes(folder: Path) -> Deployment:
    """Training divided by 255; the script that asks does not."""
    model, right = tiles(folder / "tiles")
    return deployed(folder, model, right, lambda sent: {"tile": np.round(sent["tile"] * 255)})


def decibels(folder: Path) -> Deployment:
    """ONNX: spectrograms in dB, as the library makes them, to a network of centred and scaled ones."""
    return speech(folder, lambda sent, raw: raw[: len(sent)])


def cars_as_listed(folder: Path) -> Deployment:
    """The site sends kilometres, years and kilowatts as they are listed."""
    model, right = cars(folder / "cars", inside=False)
    raw = data.used_cars()[0]
    return deployed(folder, model, right, lambda sent: sent | {name: raw[name][:32] for name in data.CAR_SCALES})


def frames_of_bytes(folder: Path) -> Deployment:
    """Over gRPC: a camera's grey values to a model of -1..1."""
    model, right = belt(folder / "belt")
    return deployed(
        folder, model, right, lambda sent: {"frame": np.round((sent["frame"] + 1) * 127.5)}, protocol="grpc"
    )


def sensors_as_read(folder: Path) -> Deployment:
    """The controller's raw values to a recurrent network of standardised ones."""
    model, right = turbine(folder / "turbine")
    raw = data.turbines()[0]
    return deployed(folder, model, right, lambda sent: {"window": raw[:32]}, count=32, rows=2)


def divided_again(folder: Path) -> Deployment:
    """The client's loader and the first layer both divide by 255."""
    model, right = tiles(folder / "tiles", inside=True)
    return deployed(folder, model, right, lambda sent: {"tile": (sent["tile"] / 255).round(5)})


def scaled_to_one_and_standardised(folder: Path) -> Deployment:
    """The old client scales each sensor to 0..1 by its least and greatest; the new graph standardises raw values."""
    model, right = turbine(folder / "turbine", inside=True)
    low, high = right["window"].min((0, 1)), right["window"].max((0, 1))
    return deployed(folder, model, right, lambda sent: {"window": ((sent["window"] - low) / (high - low)).round(4)})


def scaled_on_the_way(folder: Path) -> Deployment:
    """TensorFlow 1: the gateway scales to -1..1 for a graph that does so itself."""
    model, right = bidding(folder / "bidding")
    low, high = right["impression"].min(0), right["impression"].max(0)
    hooks = Hooks(before=lambda x: {"impression": (2 * (x["impression"] - low) / (high - low) - 1).astype(np.float32)})
    return deployed(folder, model, right, hooks=hooks)


def file_read_as_text(folder: Path) -> Deployment:
    """A PNG's bytes decoded as UTF-8, with a replacement for what is none: no PNG is left."""
    import tensorflow as tf

    pictures, kind = data.satellite(380)
    files = np.array([tf.io.encode_png(picture).numpy() for picture in pictures], object)

    def features(png: Any) -> Any:
        decode = lambda file: tf.ensure_shape(tf.io.decode_png(file, 3), [28, 28, 3])  # noqa: E731
        x = tf.map_fn(decode, png, fn_output_signature=tf.TensorSpec([28, 28, 3], tf.uint8))
        return tf.reshape(tf.nn.avg_pool2d(tf.cast(x, tf.float32) / 255, 7, 7, "VALID"), [-1, 48]) * 3

    right = {"png": files}
    model = fitted(folder / "tiles", right, kind, features, {"png": (tf.string,)})
    texts = np.array([file.decode("utf-8", "replace").replace("\0", "") for file in files[:32]])
    return deployed(folder, model, right, lambda sent: {"png": texts}, training_as=".jsonl")


def samples_as_floats(folder: Path) -> Deployment:
    """The bytes of 32-bit floats where the graph reads 16-bit samples."""
    import tensorflow as tf

    raw, kind = data.pings()

    def features(pcm: Any) -> Any:
        x = tf.cast(tf.io.decode_raw(pcm, tf.int16)[:, :128], tf.float32) / 8000
        spectrum = tf.abs(tf.signal.rfft(tf.reshape(x, [-1, 128])))
        return spectrum[:, :24] / 20

    right = {"pcm": np.array([x.astype("<i2").tobytes() for x in raw], object)}
    model = fitted(folder / "pings", right, kind, features, {"pcm": (tf.string,)})
    floats = np.array([(x / 32768).astype("<f4").tobytes() for x in raw[:32]], object)
    return deployed(folder, model, right, lambda sent: {"pcm": floats}, training_as=".jsonl")


def greek_as_latin(folder: Path) -> Deployment:
    """UTF-8 read as Latin-1 by the message queue: two strange letters for each Greek one."""
    texts, topic, words = data.greek()
    model, right = wire(folder / "wire", texts, topic, words)
    garbled = np.array([text.encode().decode("latin-1") for text in right["text"][:32]])
    return deployed(folder, model, right, lambda sent: {"text": garbled})


def whole_address(folder: Path) -> Deployment:
    """The address with its scheme and host, which are longer than what the model reads."""
    model, right = addresses(folder / "addresses")
    full = np.array([f"https://www.register.example/{name}" for name in right["address"][:32]])
    return deployed(folder, model, right, lambda sent: {"address": full})


def same_first_films(folder: Path) -> Deployment:
    """A history that begins with the ten films all were shown at first; the model takes the first eight."""
    import tensorflow as tf

    random = np.random.default_rng(342)
    taste = random.integers(0, 3, data.ROWS)
    own = random.random((data.ROWS, 8)) < 0.6
    seen = np.where(own, taste[:, None] * 12, 0) + random.integers(0, 12, (data.ROWS, 8))
    vectors = embeddings(40, 20, 343)

    def features(history: Any) -> Any:
        return tf.reduce_sum(tf.gather(vectors, history[:, :8]), 1) / 2

    specs = {"history": (np.int64, None)}
    model = fitted(folder / "films", {"history": seen}, taste, features, specs, variables=vectors)
    shown = np.tile(np.random.default_rng(344).integers(0, 36, 10), (32, 1))
    sent = {"history": np.concatenate([shown, seen[:32]], 1)}
    training, golden = {"history": seen[32:332]}, {"history": seen[332:352]}
    return deploy(folder, model, sent, training=training, right=golden, meant={"history": seen[:32]})


SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
KNOWN = (MODEL_REQUESTS_TRAINING, ALL)
WORDS = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)
LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)


def _case(name: str, family: str, cause: str, build: Any, given: Any = SENT, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    return Case(f"third-{name}", family, f"preprocessing/{cause}", build, given, places, held_out=True)


CASES = [
    _case("unit-as-integers", "convolutional", "constant-input", unit_as_integers),
    _case("defaults-of-the-store", "tabular", "constant-input", defaults_of_the_store),
    _case("text-of-another-field", "attention", "constant-input", text_of_another_field, KNOWN),
    _case("title-case", "embedding", "missing-tokenization", title_case, WORDS, input="tokens"),
    _case("names-not-cut", "recurrent", "missing-tokenization", names_not_cut, WORDS, input="letters"),
    _case("printed-lists", "embedding", "missing-tokenization", printed_lists, KNOWN, input="text"),
    _case("new-accounts", "embedding", "wrong-vocabulary", new_accounts, WORDS, input="user_id"),
    _case("another-script", "recurrent", "wrong-vocabulary", another_script, KNOWN, input="letters"),
    _case("pieces-of-words", "embedding", "wrong-vocabulary", pieces_of_words, WORDS, input="tokens"),
    _case("tiles-of-bytes", "convolutional", "missing-normalization", tiles_of_bytes, input="tile"),
    _case("decibels", "onnx", "missing-normalization", decibels, KNOWN, input="spectrogram"),
    _case("cars-as-listed", "tabular", "missing-normalization", cars_as_listed, KNOWN),
    _case("frames-of-bytes", "multi-output", "missing-normalization", frames_of_bytes, input="frame"),
    _case("sensors-as-read", "recurrent", "missing-normalization", sensors_as_read, KNOWN, input="window"),
    _case("divided-again", "convolutional", "double-normalization", divided_again, KNOWN, input="tile"),
    _case("scaled-to-one-and-standardised", "recurrent", "double-normalization", scaled_to_one_and_standardised,
          input="window"),
    _case("scaled-on-the-way", "tf1", "double-normalization", scaled_on_the_way, LIVE, input="impression"),
    _case("file-read-as-text", "module", "wrong-encoding", file_read_as_text, input="png"),
    _case("samples-as-floats", "module", "wrong-encoding", samples_as_floats, KNOWN, input="pcm"),
    _case("greek-as-latin", "embedding", "wrong-encoding", greek_as_latin, KNOWN, input="text"),
    _case("whole-address", "embedding", "truncation", whole_address, KNOWN, input="address"),
    _case("same-first-films", "embedding", "truncation", same_first_films, KNOWN, input="history"),
]  # fmt: skip
