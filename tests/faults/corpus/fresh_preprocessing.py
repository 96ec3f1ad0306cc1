"""Fresh deployments where what reaches the model is not what it was trained on; none was ever tuned on."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, model_onnx
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fresh_nets import (
    FOLDED,
    ROWS,
    Columns,
    cellar,
    deployed,
    fares,
    incomes,
    menu,
    onnx_deployed,
    rhythm,
    table,
    wines,
)
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.small_nets import embeddings, fitted

fold = np.vectorize(FOLDED.__getitem__)


def divided_integers(folder: Path) -> Deployment:
    """Counts of the converter divided by its range in integers: every sample is 0."""
    model, right = rhythm(folder / "rhythm", inside=False)
    return deployed(folder, model, right, lambda sent: {"leads": (sent["leads"] / 4096).astype(int)})


def default_profile(folder: Path) -> Deployment:
    """The feature store knows none of the ids that it is asked for, and gives its default profile to each."""
    model, right = incomes(folder / "incomes")

    def defaults(sent: Columns) -> Columns:
        return {name: np.repeat(values[:1], len(values)) for name, values in sent.items()}

    return deployed(folder, model, right, defaults)


def accents_kept(folder: Path) -> Deployment:
    """The words were stripped of accents for training, and are sent as people write them."""
    model, accented = menu(folder / "menu", folded=True)
    return deployed(folder, model, {"words": fold(accented)}, lambda sent: {"words": accented[: len(sent["words"])]})


def markup_kept(folder: Path) -> Deployment:
    """A scraper leaves the tags around each word."""
    model, accented = menu(folder / "menu", folded=False)
    tagged = np.vectorize(lambda word: f"<b>{word}</b>")
    return deployed(folder, model, {"words": accented}, lambda sent: {"words": tagged(sent["words"])})


def new_catalogue(folder: Path) -> Deployment:
    """The shop numbers its articles anew; none of the new numbers is in the model's table."""
    random = np.random.default_rng(61)
    known = np.sort(random.choice(np.arange(10_000_000, 99_999_999), 50, replace=False))
    numbers, vectors = table(known), embeddings(51, 12, 62)
    at = random.integers(0, 50, (ROWS, 5))
    wish = np.asarray(vectors)[at + 1].sum(1)[:, :3].argmax(1)

    def features(basket: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_sum(tf.gather(vectors, numbers.lookup(basket)), 1) / 2

    model = fitted(folder / "baskets", {"basket": known[at]}, wish, features, variables=[numbers, vectors])
    return deployed(folder, model, {"basket": known[at]}, lambda sent: {"basket": 7_000_000_000 + at[:48] * 11})


def other_job_titles(folder: Path) -> Deployment:
    """The form offers the jobs by the codes of the statistics office."""
    model, right = incomes(folder / "incomes")
    codes = dict(zip(np.unique(right["job"]), ("4110", "2221", "8322", "2330", "2140"), strict=True))
    return deployed(folder, model, right, lambda sent: sent | {"job": np.vectorize(codes.__getitem__)(sent["job"])})


def converter_counts(folder: Path) -> Deployment:
    """The counts as the converter gives them, where training centred and scaled them."""
    model, right = rhythm(folder / "rhythm", inside=False)
    return deployed(folder, model, right, lambda sent: {"leads": np.round(sent["leads"] * 300 + 2048)})


def logarithm_forgotten(folder: Path) -> Deployment:
    """Of six columns one was trained on by its logarithm, and is sent without."""
    model, right = incomes(folder / "incomes", logarithm=False)
    return deployed(folder, model, right, lambda sent: sent | {"capital_gain": np.expm1(sent["capital_gain"]).round(1)})


def _wine_onnx(folder: Path, change: Any) -> Deployment:
    raw, kind = wines()
    ready = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    kernel, bias, head, head_bias = model_onnx.network(ready, kind)
    weights = {"fc1.weight": kernel, "fc1.bias": bias, "fc2.weight": head, "fc2.bias": head_bias}
    nodes = list(model_onnx.CREDIT)
    return onnx_deployed(folder, nodes, weights, "features", ready, lambda sent: change(sent, raw))


def raw_to_onnx(folder: Path) -> Deployment:
    """The scaler was a step of scikit-learn's before the network, and was not exported."""
    return _wine_onnx(folder, lambda sent, raw: raw[: len(sent)])


def scaled_for_onnx(folder: Path) -> Deployment:
    """The graph begins with a division by 255; the client's library scales pictures as well."""
    pictures, _ = datasets.images(372, seed=63)
    right = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    weights = model_onnx.shape_weights()
    return onnx_deployed(folder, list(model_onnx.SHAPES), weights, "image", right, lambda sent: sent / np.float32(255))


def centred_beats(folder: Path) -> Deployment:
    """The recorder's library centres and scales the leads since its last release, as the graph does."""
    model, right = rhythm(folder / "rhythm", inside=True)
    return deployed(folder, model, right, lambda sent: {"leads": ((sent["leads"] - 2048) / 300).astype(np.float32)})


def standardised_wines(folder: Path) -> Deployment:
    """TensorFlow 1: the new client standardises, and so does the graph."""
    model, right = cellar(folder / "cellar")
    x = right["chemistry"]
    return deployed(folder, model, right, lambda sent: {"chemistry": (sent["chemistry"] - x.mean(0)) / x.std(0)})


def other_end_first(folder: Path) -> Deployment:
    """Samples of 16 bits as bytes; the client's language writes the high byte first."""
    random = np.random.default_rng(64)
    pitch = random.integers(0, 3, ROWS)
    phase = np.arange(64) / 64 * 6.283 * np.array([2, 5, 9])[pitch][:, None] + random.uniform(0, 6.28, (ROWS, 1))
    sound = (np.sin(phase) * random.uniform(2000, 6000, (ROWS, 1)) + random.normal(0, 150, (ROWS, 64))).astype("<i2")

    import tensorflow as tf

    def features(samples: Any) -> Any:
        x = tf.reshape(tf.cast(tf.io.decode_raw(samples, tf.int16), tf.float32), [-1, 64]) / 4000
        return tf.abs(tf.signal.rfft(x))[:, 1:16] / 20

    right = np.array([x.tobytes() for x in sound], object)
    model = fitted(folder / "sound", {"samples": right}, pitch, features, {"samples": (tf.string,)})
    swapped = np.array([x.astype(">i2").tobytes() for x in sound[:48]], object)
    return deployed(folder, model, {"samples": right}, lambda sent: {"samples": swapped}, training_as=".jsonl")


def mojibake(folder: Path) -> Deployment:
    """A page in UTF-8 that is read as Latin-1: "élève" arrives as "Ã©lÃ¨ve"."""
    model, accented = menu(folder / "menu", folded=False)
    garbled = np.vectorize(lambda word: word.encode().decode("latin-1"))
    return deployed(folder, model, {"words": accented}, lambda sent: {"words": garbled(sent["words"])})


def whole_degrees(folder: Path) -> Deployment:
    """The coordinates go through a column of integers: every ride begins and ends at (-73, 40)."""
    model, right = fares(folder / "fares")
    return deployed(folder, model, right, lambda sent: {n: np.trunc(x) if "itude" in n else x for n, x in sent.items()})


def adapter_first(folder: Path) -> Deployment:
    """Reads of DNA that still begin with the sequencer's adapter, which is as long as what the graph reads."""
    random = np.random.default_rng(65)
    letters = np.array(list("ACGT"))
    kind = random.integers(0, 4, ROWS)
    shares = np.full((4, 4), 0.2) + 0.2 * np.eye(4)
    reads = ["".join(letters[random.choice(4, random.integers(24, 40), p=shares[k])]) for k in kind]

    def features(read: Any) -> Any:
        import tensorflow as tf

        known = tf.strings.bytes_split(read).to_tensor("", shape=[None, 24])
        return tf.reduce_sum(tf.cast(known[..., None] == tf.constant(list("ACGT")), tf.float32), 1) / 6 - 1

    model = fitted(folder / "reads", {"read": np.array(reads)}, kind, features)
    adapter = "AGATCGGAAGAGCACACGTCTGAACTCC"
    longer = np.array([adapter + read for read in reads[:48]])
    return deployed(folder, model, {"read": np.array(reads)}, lambda sent: {"read": longer})


def same_footer(folder: Path) -> Deployment:
    """The last 12 words of a message count; the company's footer, which each now ends with, has 14."""
    texts, kind = datasets.sentences(ROWS, seed=66, words=(8, 13))
    ids = np.array([np.roll(row, -int((row > 0).sum())) for row in datasets.token_ids(texts)], np.int64)
    vectors = embeddings(seed=67)

    def features(token_ids: Any) -> Any:
        import tensorflow as tf

        last = token_ids[:, -12:]
        known = tf.cast(last > 0, tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(vectors, last) * known, 1) / 3

    model = fitted(
        folder / "mails", {"token_ids": ids}, kind, features, {"token_ids": (np.int64, None)}, variables=vectors
    )
    footer = np.random.default_rng(68).integers(2, 20, 14)
    sent = np.concatenate([ids[:48], np.tile(footer, (48, 1))], 1)
    training, golden = {"token_ids": ids[48:348]}, {"token_ids": ids[348:372]}
    meant = {"token_ids": ids[:48]}
    return deploy(folder, model, {"token_ids": sent}, training=training, right=golden, meant=meant)


SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
TEXTS = (MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_MODEL_REQUESTS_TRAINING, ALL)


TUNED = frozenset({"accents-kept", "markup-kept", "raw-to-onnx", "other-end-first"})  # wrong when they were blind


def _case(name: str, family: str, cause: str, build: Any, given: Any = SENT, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    held_out = name not in TUNED
    return Case(f"fresh-{name}", family, f"preprocessing/{cause}", build, given, places, held_out=held_out)


CASES = [
    _case("divided-integers", "convolutional", "constant-input", divided_integers),
    _case("default-profile", "tabular", "constant-input", default_profile),
    _case("accents-kept", "embedding", "missing-tokenization", accents_kept, TEXTS, input="words"),
    _case("markup-kept", "embedding", "missing-tokenization", markup_kept, TEXTS, input="words"),
    _case("new-catalogue", "embedding", "wrong-vocabulary", new_catalogue, TEXTS, input="basket"),
    _case("other-job-titles", "tabular", "wrong-vocabulary", other_job_titles, TEXTS, input="job"),
    _case("converter-counts", "module", "missing-normalization", converter_counts, input="leads"),
    _case("logarithm-forgotten", "tabular", "missing-normalization", logarithm_forgotten, input="capital_gain"),
    _case("raw-to-onnx", "onnx", "missing-normalization", raw_to_onnx, input="features"),
    _case("scaled-for-onnx", "onnx", "double-normalization", scaled_for_onnx, input="image"),
    _case("centred-beats", "module", "double-normalization", centred_beats, input="leads"),
    _case("standardised-wines", "tf1", "double-normalization", standardised_wines, input="chemistry"),
    _case("other-end-first", "module", "wrong-encoding", other_end_first, input="samples"),
    _case("mojibake", "embedding", "wrong-encoding", mojibake, TEXTS, input="words"),
    _case("whole-degrees", "regression", "wrong-encoding", whole_degrees),
    _case("adapter-first", "module", "truncation", adapter_first, TEXTS, input="read"),
    _case("same-footer", "embedding", "truncation", same_footer, TEXTS, input="token_ids"),
]
