"""Clients that send text, tokens or ids that the model's vocabulary does not have."""

from pathlib import Path

import numpy as np

from corpus import datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)

TOKENIZATION = "preprocessing/missing-tokenization"
VOCABULARY = "preprocessing/wrong-vocabulary"
FROM_TABLE = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
FROM_IDS = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS, MODEL_REQUESTS_TRAINING, ALL)

PIECES = "##ing ##ly ##tion un ##able ##ment pre ##ness ##ity dis ##ous ##ful re ##ize ##al inter ##ic ##ate ##ive"
GERMAN = (
    "tor spiel trainer liga elfmeter pokal aktie markt gewinn anleger zins regen sturm sonne wolke schnee rezept ofen "
    "mehl zwiebel salz teig und der die das mit nach vor heute wieder sehr dieser jener ist war auf mehr weniger"
)


def unsplit_sentences(folder: Path) -> Deployment:
    """The model takes words; the client sends each sentence as one of them."""
    texts, _ = datasets.sentences(200, seed=1)
    sent, _ = datasets.sentences(40, seed=2)
    right = datasets.token_strings(texts)
    model = models.string_tokens(folder / "topics")
    return deploy(
        folder, model, {"tokens": np.array(sent)[:, None]}, training={"tokens": right}, right={"tokens": right[:24]}
    )


def capitals(folder: Path) -> Deployment:
    """The model's vocabulary is lower case and its graph only splits; the client's texts are scanned capitals."""
    texts, _ = datasets.sentences(200, seed=1)
    clean = np.array([" ".join(datasets.split(text)) for text in texts])
    sent = np.array([text.upper() for text in datasets.sentences(40, seed=2)[0]])
    model = models.string_text(folder / "topics", standardize=None)
    return deploy(
        folder, model, {"text": sent}, training={"text": clean}, right={"text": clean[:24]}, form="column", rows=2
    )


def unsplit_queries(folder: Path) -> Deployment:
    """A TensorFlow 1 table of words; whole search queries reach it."""
    texts, _ = datasets.sentences(200, seed=1)
    sent = np.array([text.lower() for text in datasets.sentences(45, seed=2)[0]])
    right = datasets.token_strings(texts)
    model = graph_models.words_tf1(folder / "queries")
    return deploy(
        folder,
        model,
        {"words": sent[:, None]},
        training={"words": right},
        training_as=".jsonl",
        right={"words": right[:24]},
        protocol="grpc",
        form="column",
    )


def headlines(folder: Path) -> Deployment:
    """The client splits, yet leaves headlines as they are printed: Every Word With A Capital, and quotes."""
    texts, _ = datasets.sentences(200, seed=1)
    right = datasets.token_strings(texts)
    words = datasets.token_strings(datasets.sentences(40, seed=2)[0])
    sent = np.array([[f'"{word.capitalize()}"' if word else "" for word in row] for row in words])
    model = graph_models.words_module(folder / "headlines")
    return deploy(folder, model, {"words": sent}, training={"words": right}, right={"words": right[:24]})


def huge_ids(folder: Path) -> Deployment:
    """Ids of a vocabulary of 30,522 word pieces, far beyond the embedding: the server refuses each request."""
    right = datasets.token_ids(datasets.sentences(200, seed=1)[0])
    ids = datasets.token_ids(datasets.sentences(40, seed=2)[0]).astype(np.int64)
    sent = np.where(ids > 0, 1000 + ids * 397, 0)
    model = models.embedding_text(folder / "topics")
    return deploy(folder, model, {"token_ids": sent}, training={"token_ids": right}, right={"token_ids": right[:24]})


def word_pieces(folder: Path) -> Deployment:
    """Another tokenizer's pieces."""
    right = datasets.token_strings(datasets.sentences(200, seed=1)[0])
    sent = np.random.default_rng(2).choice(PIECES.split(), (40, 12))
    model = models.string_tokens(folder / "topics")
    return deploy(
        folder, model, {"tokens": sent}, training={"tokens": right}, right={"tokens": right[:24]}, form="column"
    )


def unknown_ids(folder: Path) -> Deployment:
    """Ids of a larger vocabulary, which the graph reads as unknown: nothing fails, nothing varies."""
    right = datasets.token_ids(datasets.sentences(200, seed=1)[0]).astype(np.int64)
    sent = np.random.default_rng(2).integers(5_000, 32_000, (48, 12))
    model = graph_models.clipped_ids(folder / "topics")
    return deploy(
        folder,
        model,
        {"token_ids": sent},
        training={"token_ids": right},
        right={"token_ids": right[:24]},
        protocol="grpc",
    )


def category_codes(folder: Path) -> Deployment:
    """The region as the codes of another system, beside values that are right."""
    columns, _ = datasets.credit(200, seed=1)
    meant, _ = datasets.credit(40, seed=2)
    codes = {"north": "R-01", "south": "R-02", "east": "R-03", "west": "R-04"}
    sent = meant | {"region": np.array([[codes[value]] for value in meant["region"][:, 0]])}
    model = models.tabular_named(folder / "risk")
    right = {name: values[:24] for name, values in columns.items()}
    return deploy(folder, model, sent, training=columns, training_as=".csv", right=right, meant=meant)


def foreign_language(folder: Path) -> Deployment:
    """German text to a model of English words, split and cased as it should be."""
    texts, _ = datasets.sentences(200, seed=1)
    clean = np.array([" ".join(datasets.split(text)) for text in texts])
    random = np.random.default_rng(2)
    sent = np.array([" ".join(random.choice(GERMAN.split(), random.integers(5, 12))) for _ in range(40)])
    model = models.string_text(folder / "topics")
    return deploy(folder, model, {"text": sent}, training={"text": clean}, right={"text": clean[:24]})


CASES = [
    Case(
        "tokenization-unsplit-sentences",
        "embedding",
        TOKENIZATION,
        unsplit_sentences,
        FROM_TABLE,
        {"input": ("tokens",)},
        quick=True,
    ),
    Case("tokenization-capitals", "embedding", TOKENIZATION, capitals, FROM_TABLE, {"input": ("text",)}),
    Case(
        "tokenization-unsplit-queries",
        "tf1",
        TOKENIZATION,
        unsplit_queries,
        FROM_TABLE,
        {"input": ("words",)},
        held_out=True,
    ),
    Case("tokenization-headlines", "module", TOKENIZATION, headlines, FROM_TABLE, {"input": ("words",)}, held_out=True),
    Case("vocabulary-huge-ids", "embedding", VOCABULARY, huge_ids, FROM_IDS, {"input": ("token_ids",)}, quick=True),
    Case("vocabulary-word-pieces", "embedding", VOCABULARY, word_pieces, FROM_TABLE, {"input": ("tokens",)}),
    Case(
        "vocabulary-unknown-ids",
        "recurrent",
        VOCABULARY,
        unknown_ids,
        (MODEL_REQUESTS_TRAINING, TARGET_MODEL_REQUESTS_TRAINING, MODEL_REQUESTS, ALL),
        {"input": ("token_ids",)},
        held_out=True,
    ),
    Case(
        "vocabulary-category-codes",
        "tabular",
        VOCABULARY,
        category_codes,
        FROM_TABLE,
        {"input": ("region",)},
        held_out=True,
    ),
    Case(
        "vocabulary-foreign-language",
        "embedding",
        VOCABULARY,
        foreign_language,
        FROM_TABLE,
        {"input": ("text",)},
        held_out=True,
    ),
]
