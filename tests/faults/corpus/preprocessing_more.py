"""More deployments whose requests are not what the model was trained on, by other ways than those beside them."""

from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models, preprocessing_more_numbers
from corpus import preprocessing_models as more
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)

CONSTANT, TRUNCATION = "preprocessing/constant-input", "preprocessing/truncation"
TOKENIZATION, VOCABULARY = "preprocessing/missing-tokenization", "preprocessing/wrong-vocabulary"
WITH_MODEL = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)
GRAPH = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING)
FRENCH = "match but gardien saison marché banque devise taux pluie orage neige vent recette beurre farine sel le la les"


def keys_only(folder: Path) -> Deployment:
    """A key that is handed back differs; the features are one cached row."""
    right = models.standardized_credit(64, seed=3)
    keys = np.array([f"customer-{at}" for at in range(64)])
    sent = {"key": keys[:40], "features": np.repeat(right[:1], 40, axis=0)}
    training = {"key": keys, "features": right}
    return deploy(
        folder,
        graph_models.keyed(folder / "keyed"),
        sent,
        training=training,
        right={"key": keys[:8], "features": right[:8]},
    )


def unread_time(folder: Path) -> Deployment:
    """Shares were cast to integers, all 0; a time of sending, which the graph reads nothing of, differs."""
    right = models.standardized_credit(64, seed=4)
    sent = {"features": np.zeros((48, 6), np.float32), "sent_at": 1_700_000_000 + np.arange(48)}
    training = {"features": right, "sent_at": 1_690_000_000 + 3600 * np.arange(64)}
    return deploy(folder, more.watched_rows(folder / "risk"), sent, training=training)


def misnamed_examples(folder: Path) -> Deployment:
    """The features of each tf.Example have names that the parser does not know: it takes its defaults."""

    def serialized(prefix: str, seed: int) -> np.ndarray:
        import tensorflow as tf

        columns, _ = datasets.houses(40, seed)
        rows = [
            {
                f"{prefix}{name}": tf.train.Feature(float_list=tf.train.FloatList(value=[values[at]]))
                for name, values in columns.items()
            }
            for at in range(40)
        ]
        return np.array(
            [tf.train.Example(features=tf.train.Features(feature=row)).SerializeToString() for row in rows], object
        )

    model = graph_models.example_parser(folder / "houses")
    return deploy(folder, model, {"examples": serialized("house.", 5)}, meant={"examples": serialized("", 5)})


def only_padding(folder: Path) -> Deployment:
    """The tokenizer gives ids, and the client pads an empty list."""
    texts, _ = datasets.sentences(60, seed=6)
    right = datasets.token_ids(texts)
    sent = {"token_ids": np.zeros((30, 12), np.int32)}
    return deploy(
        folder,
        models.recurrent(folder / "topics", cell="gru", length=12),
        sent,
        training={"token_ids": right},
        form="column",
    )


def right_padded(folder: Path) -> Deployment:
    """The graph reads the last events; the client pads at the end."""
    texts, _ = datasets.sentences(240, seed=7)
    sent, meant = datasets.token_ids(texts[:40], 24).astype(np.int64), more.left_padded(texts[:40], 24)
    return deploy(
        folder,
        more.last_events(folder / "events"),
        {"events": sent},
        training={"events": more.left_padded(texts, 24)},
        meant={"events": meant},
    )


def long_hosts(folder: Path) -> Deployment:
    """The graph reads the first 20 letters; all addresses begin with the same host."""
    sent, _ = graph_models.web_paths(40, seed=8, prefix="https://www.example.com/en")
    known, _ = graph_models.web_paths(200, seed=9)
    return deploy(
        folder,
        more.letters(folder / "paths"),
        {"path": np.array(sent)},
        training={"path": np.array(known)},
        meant={"path": np.array([each[26:] for each in sent])},
    )


def leading_silence(folder: Path) -> Deployment:
    """The graph reads the first hours; each recording begins with hours before the sensor was switched on."""
    series, _ = datasets.sensors(200, length=48, seed=10)
    sent = series[:40].copy()
    sent[:, :20] = 0
    return deploy(
        folder,
        more.window_signal(folder / "sensors"),
        {"series": sent},
        training={"series": series},
        meant={"series": series[:40]},
    )


def shouted(folder: Path) -> Deployment:
    """The graph splits at blanks, ragged, and knows lower case; the client sends capitals and punctuation."""
    texts, _ = datasets.sentences(240, seed=11)
    right = np.array([" ".join(datasets.split(text)) for text in texts])
    return deploy(
        folder,
        more.ragged_words(folder / "topics"),
        {"text": np.array([text.upper() for text in texts[:40]])},
        training={"text": right},
        right={"text": right[:20]},
    )


def attached_punctuation(folder: Path) -> Deployment:
    """A TensorFlow 1 table of words; the client splits at blanks, and quotes each word."""
    texts, _ = datasets.sentences(240, seed=12)
    right = datasets.token_strings(texts)
    sent = np.array([[f"«{word.capitalize()}»," if word else "" for word in row] for row in right[:40]])
    return deploy(
        folder,
        graph_models.words_tf1(folder / "topics"),
        {"words": sent},
        training={"words": right},
        right={"words": right[:20]},
    )


def whole_words(folder: Path) -> Deployment:
    """The vocabulary is one of sub-words; the client sends words."""
    texts, _ = datasets.sentences(240, seed=13)
    right = more.sub_words(texts)
    sent = datasets.token_strings(texts[:40])
    return deploy(
        folder,
        more.token_list(folder / "topics", more.sub_words),
        {"pieces": sent},
        training={"pieces": right},
        right={"pieces": right[:20]},
    )


def words_for_characters(folder: Path) -> Deployment:
    """The vocabulary is one of characters; the client sends the whole sentence."""
    texts, _ = datasets.sentences(240, seed=14)
    right = more.characters(texts)
    sent = np.array([[" ".join(datasets.split(text))] for text in texts[:40]])
    return deploy(
        folder,
        more.token_list(folder / "topics", more.characters, "letters"),
        {"letters": sent},
        training={"letters": right},
        right={"letters": right[:20]},
    )


def joined_words(folder: Path) -> Deployment:
    """The client sends the words as one text, with commas between."""
    texts, _ = datasets.sentences(240, seed=15)
    right = datasets.token_strings(texts)
    sent = np.array([[",".join(word for word in row if word)] for row in right[:40]])
    return deploy(
        folder,
        more.token_list(folder / "topics", datasets.token_strings, "tokens"),
        {"tokens": sent},
        training={"tokens": right},
        right={"tokens": right[:20]},
    )


def text_for_ids(folder: Path) -> Deployment:
    """Ids are taken, and sentences are sent: each request is refused."""
    texts, _ = datasets.sentences(240, seed=16)
    model = models.recurrent(folder / "topics")
    return deploy(
        folder, model, {"token_ids": np.array(texts[:40])[:, None]}, training={"token_ids": datasets.token_ids(texts)}
    )


def capital_category(folder: Path) -> Deployment:
    """One column of names among eight is sent in capitals."""
    right, _ = datasets.credit(240, seed=17)
    sent = {name: values[:60] for name, values in right.items()} | {"region": np.char.upper(right["region"][:60])}
    return deploy(
        folder,
        models.tabular_named(folder / "credit"),
        sent,
        meant={name: values[:60] for name, values in right.items()},
        training=right,
        right={name: values[:20] for name, values in right.items()},
    )


def french(folder: Path) -> Deployment:
    """Words of another language to a TensorFlow 1 table."""
    random = np.random.default_rng(18)
    texts, _ = datasets.sentences(240, seed=18)
    right = datasets.token_strings(texts)
    sent = random.choice(FRENCH.split(), (40, 12))
    return deploy(
        folder,
        graph_models.words_tf1(folder / "topics"),
        {"words": sent},
        training={"words": right},
        right={"words": right[:20]},
    )


def category_codes(folder: Path) -> Deployment:
    """The client sends a category's number as text, where the model knows its name."""
    right, _ = datasets.credit(240, seed=19)
    codes = {
        name: np.char.mod("%d", np.unique(right[name], return_inverse=True)[1].reshape(-1, 1))
        for name in ("region", "plan")
    }
    sent = {name: codes.get(name, values)[:60] for name, values in right.items()}
    return deploy(
        folder,
        models.tabular_named(folder / "credit"),
        sent,
        training=right,
        right={name: values[:20] for name, values in right.items()},
    )


def shifted_ids(folder: Path) -> Deployment:
    """The client's vocabulary has no place for padding and unknown words: each id is two less."""
    random = np.random.default_rng(20)
    texts, _ = datasets.sentences(400, seed=20)
    right = datasets.token_ids(texts)
    common = random.permutation(np.arange(2, 2 + len(datasets.COMMON_WORDS)))
    share = 1 / np.arange(1, len(common) + 1)  # as in any language
    right = np.where(np.isin(right, common), random.choice(common, right.shape, p=share / share.sum()), right)
    sent = np.where(right[:120] > 1, right[:120] - 2, 0)
    return deploy(
        folder,
        models.recurrent(folder / "topics", cell="gru"),
        {"token_ids": sent},
        training={"token_ids": right},
        right={"token_ids": right[:20]},
        meant={"token_ids": right[:120]},
    )


def larger_ids(folder: Path) -> Deployment:
    """A multilingual tokenizer's ids, of which the graph takes those beyond its embedding for unknown ones."""
    random = np.random.default_rng(22)
    texts, _ = datasets.sentences(240, seed=22)
    right = datasets.token_ids(texts).astype(np.int64)
    sent = random.integers(1_000, 120_000, (40, 12))
    return deploy(
        folder,
        graph_models.clipped_ids(folder / "topics"),
        {"token_ids": sent},
        meant={"token_ids": right[:40]},
        training={"token_ids": right},
    )


TOKENS = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
CASES = [
    Case(
        "constant-but-for-keys",
        "module",
        CONSTANT,
        keys_only,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, TARGET_REQUESTS),
        {"input": ("features",)},
    ),
    Case(
        "constant-but-for-unread-time",
        "module",
        CONSTANT,
        unread_time,
        (MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING),
        {"input": ("features",)},
    ),
    Case("constant-misnamed-examples", "tf1", CONSTANT, misnamed_examples, WITH_MODEL, {"input": ("examples",)}),
    Case(
        "constant-only-padding",
        "recurrent",
        CONSTANT,
        only_padding,
        (MODEL_REQUESTS, TARGET_REQUESTS_TRAINING),
        {"input": ("token_ids",)},
    ),
    Case("truncation-right-padded", "module", TRUNCATION, right_padded, GRAPH, {"input": ("events",)}),
    Case("truncation-letters-of-hosts", "module", TRUNCATION, long_hosts, GRAPH, {"input": ("path",)}),
    Case("truncation-leading-silence", "convolutional", TRUNCATION, leading_silence, GRAPH, {"input": ("series",)}),
    Case("tokenization-shouted-ragged", "module", TOKENIZATION, shouted, TOKENS, {"input": ("text",)}),
    Case("tokenization-quoted-words", "tf1", TOKENIZATION, attached_punctuation, TOKENS, {"input": ("words",)}),
    Case("tokenization-sub-words", "module", TOKENIZATION, whole_words, TOKENS, {"input": ("pieces",)}),
    Case("tokenization-characters", "module", TOKENIZATION, words_for_characters, TOKENS, {"input": ("letters",)}),
    Case("tokenization-commas", "module", TOKENIZATION, joined_words, TOKENS, {"input": ("tokens",)}),
    Case(
        "tokenization-text-for-ids",
        "recurrent",
        TOKENIZATION,
        text_for_ids,
        (*TOKENS, TARGET_REQUESTS),
        {"input": ("token_ids",)},
    ),
    Case(
        "tokenization-one-capital-category", "tabular", TOKENIZATION, capital_category, TOKENS, {"input": ("region",)}
    ),
    Case("vocabulary-french", "tf1", VOCABULARY, french, TOKENS, {"input": ("words",)}),
    Case("vocabulary-codes-for-names", "tabular", VOCABULARY, category_codes, TOKENS),
    Case(
        "vocabulary-shifted-ids",
        "recurrent",
        VOCABULARY,
        shifted_ids,
        (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL),
        {"input": ("token_ids",)},
    ),
    Case(
        "vocabulary-clipped-ids",
        "recurrent",
        VOCABULARY,
        larger_ids,
        (MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING),
        {"input": ("token_ids",)},
    ),
    *preprocessing_more_numbers.CASES,
]
