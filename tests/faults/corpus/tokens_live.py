"""What stands between client and model changes texts, tokens or ids; or does so rightly, or without any effect."""

import string
from collections.abc import Callable
from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import ALL, TARGET_MODEL_REQUESTS
from corpus.saving import save_module
from corpus.server import Hooks

LIVE = (TARGET_MODEL_REQUESTS, ALL)
TOKENIZATION = "preprocessing/missing-tokenization"
VOCABULARY = "preprocessing/wrong-vocabulary"
PRINTED = "U.S. Apple apple profits Don't panic rises Fed's rate bank Bank May may Turkey turkey oil Inc. deal Mr. Ltd."
Change = Callable[[np.ndarray], np.ndarray]


def _hooks(alias: str, change: Change) -> Hooks:
    return Hooks(before=lambda inputs: inputs | {alias: change(inputs[alias])})


def _each(change: Callable[[bytes], bytes]) -> Change:
    def done(values: np.ndarray) -> np.ndarray:
        texts = [change(value.encode() if isinstance(value, str) else value) for value in values.ravel()]
        found = np.empty(len(texts), object)
        found[:] = texts
        return found.reshape(values.shape)

    return done


def _tokens(change: Change) -> Callable[[Path], Deployment]:
    """Words as the model knows them, and ``change`` on their way."""

    def build(folder: Path) -> Deployment:
        right = datasets.token_strings(datasets.sentences(200, seed=1)[0])
        sent = datasets.token_strings(datasets.sentences(40, seed=2)[0])
        model = models.string_tokens(folder / "topics")
        hooks = _hooks("tokens", change)
        return deploy(
            folder, model, {"tokens": sent}, training={"tokens": right}, right={"tokens": right[:24]}, hooks=hooks
        )

    return build


def _ids(change: Change, *, recurrent: bool = False) -> Callable[[Path], Deployment]:
    def build(folder: Path) -> Deployment:
        right = datasets.token_ids(datasets.sentences(200, seed=1)[0])
        sent = datasets.token_ids(datasets.sentences(40, seed=2)[0])
        model = (graph_models.clipped_ids if recurrent else models.embedding_text)(folder / "topics")
        right, sent = (each.astype(np.int64 if recurrent else np.int32) for each in (right, sent))
        hooks = _hooks("token_ids", change)
        return deploy(
            folder,
            model,
            {"token_ids": sent},
            training={"token_ids": right},
            right={"token_ids": right[:24]},
            hooks=hooks,
        )

    return build


def _headlines(change: Change) -> Callable[[Path], Deployment]:
    """Words as they are printed, in capitals and with full stops, to a model that knows them so."""

    def build(folder: Path) -> Deployment:
        words = np.array([*PRINTED.split(), ""])
        trained, sent = (np.random.default_rng(seed).choice(words, (count, 8)) for seed, count in ((1, 200), (2, 40)))
        model = _printed_words(folder / "headlines")
        hooks = _hooks("words", change)
        return deploy(
            folder, model, {"words": sent}, training={"words": trained}, right={"words": trained[:24]}, hooks=hooks
        )

    return build


def _printed_words(base: Path) -> Path:
    """``words`` string [-1,8] to ``probabilities`` float [-1,3]: the mean of what each word says."""
    import tensorflow as tf

    words = PRINTED.split()
    module = tf.Module()
    keys, values = tf.constant(words), tf.range(2, 2 + len(words), dtype=tf.int64)
    module.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), 1)
    random = np.random.default_rng(8)
    module.says = tf.Variable(random.normal(0, 2, (2 + len(words), 3)).astype(np.float32))

    def call(words: "tf.Tensor") -> "dict[str, tf.Tensor]":
        ids = tf.where(words == "", tf.zeros_like(module.table.lookup(words)), module.table.lookup(words))
        return {"probabilities": tf.nn.softmax(tf.reduce_sum(tf.gather(module.says, ids), axis=1))}

    return save_module(module, base, {"serving_default": (call, [tf.TensorSpec([None, 8], tf.string, "words")])})


def _texts(change: Change, *, clean: bool, standardize: str | None = None) -> Callable[[Path], Deployment]:
    """Texts to a model that splits alone, or that ``standardize``s them; ``clean`` as the client sends them."""

    def build(folder: Path) -> Deployment:
        trained = _clean(datasets.sentences(200, seed=1)[0])
        written = datasets.sentences(40, seed=2)[0]
        sent = _clean(written) if clean else np.array([text.upper() for text in written])
        model = models.string_text(folder / "topics", standardize=standardize)
        hooks = _hooks("text", change)
        arriving = np.array([text.decode() for text in change(sent)])
        meant = None if clean else {"text": arriving}
        return deploy(folder, model, {"text": sent}, training={"text": trained}, hooks=hooks, meant=meant)

    return build


def _clean(texts: list[str]) -> np.ndarray:
    return np.array([" ".join(datasets.split(text)) for text in texts])


def _joined(tokens: np.ndarray) -> np.ndarray:
    found = np.full(tokens.shape, b"", object)
    found[:, 0] = [b" ".join(each for each in row if each) for row in tokens]
    return found


def _moved_on(ids: np.ndarray) -> np.ndarray:
    """Ids of a vocabulary that keeps no place for unknown words."""
    return np.maximum(ids - 1, 0).astype(ids.dtype)


def _padded_before(ids: np.ndarray) -> np.ndarray:
    return np.take_along_axis(ids, np.argsort(ids > 0, axis=1, kind="stable"), axis=1)


def _unpunctuated(text: bytes) -> bytes:
    return text.translate(None, string.punctuation.encode())


def _prepared(text: bytes) -> bytes:
    return _unpunctuated(text.lower())


def _printed(text: bytes) -> bytes:
    return repr(text).encode()


LOWER, STRIPPED = _each(bytes.lower), _each(bytes.strip)
TEXTS_LIVE = (TARGET_MODEL_REQUESTS, ("target", "model", "requests", "training_data"))
FAULTS = [
    Case("headlines-in-lower-case-by-proxy", "module", TOKENIZATION, _headlines(LOWER), LIVE, {"input": ("words",)}),
    Case(
        "headlines-without-punctuation-by-proxy",
        "module",
        TOKENIZATION,
        _headlines(_each(_unpunctuated)),
        LIVE,
        {"input": ("words",)},
    ),
    Case("tokens-joined-by-proxy", "embedding", TOKENIZATION, _tokens(_joined), LIVE, {"input": ("tokens",)}),
    Case(
        "texts-printed-by-proxy",
        "embedding",
        "preprocessing/wrong-encoding",
        _texts(_each(_printed), clean=True, standardize="lower_and_strip_punctuation"),
        TEXTS_LIVE,
        {"input": ("text",)},
    ),
    Case(
        "tokens-all-unknown-by-proxy",
        "embedding",
        VOCABULARY,
        _tokens(_each(lambda text: b"[UNK]" if text else b"")),
        LIVE,
        {"input": ("tokens",)},
    ),
    Case("ids-moved-by-proxy", "embedding", VOCABULARY, _ids(_moved_on), LIVE, {"input": ("token_ids",)}),
    Case(
        "ids-padded-before-by-proxy",
        "recurrent",
        "mapping/wrong-layout",
        _ids(_padded_before, recurrent=True),
        LIVE,
        {"input": ("token_ids",)},
    ),
]
HEALTHY = [
    Case("texts-prepared-by-proxy", "embedding", None, _texts(_each(_prepared), clean=False), TEXTS_LIVE),
    Case(
        "texts-in-lower-case-twice",
        "embedding",
        None,
        _texts(LOWER, clean=False, standardize="lower_and_strip_punctuation"),
        TEXTS_LIVE,
    ),
    Case("tokens-stripped-by-proxy", "embedding", None, _tokens(STRIPPED), LIVE),
]
CASES = [*FAULTS, *HEALTHY]
