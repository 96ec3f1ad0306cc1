"""Unseen deployments where texts, tokens or ids reach the model other than it was trained on."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import unseen_data as data
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fresh_nets import deployed
from corpus.given import (
    ALL,
    MODEL_REQUESTS,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.unseen_nets import churn, desk, inbox, mood

CYRILLIC = {
    "praise": "отлично удобно быстро надёжно красиво спасибо",
    "blame": "плохо сломано долго грубо грязно ужасно",
    "price": "дорого дёшево скидка оплата чек возврат",
}
CHINESE = {
    "food": "好吃 菜品 味道 新鲜 辣椒 米饭",
    "room": "房间 干净 安静 床铺 窗户 浴室",
    "staff": "服务 热情 前台 耐心 微笑 帮助",
}
PRODUCTS = {
    "kitchen": "kettle toaster pan knife mug blender",
    "garden": "hose shovel lawn fence seeds mower",
    "office": "desk lamp chair binder stapler printer",
    "sport": "racket dumbbell yoga helmet goggles bike",
}
COLOURS = "black white steel small large wooden"
GERMAN = {
    "please": "bitte", "i": "ich", "my": "mein", "the": "das", "is": "ist", "was": "wurde", "it": "es", "and": "und",
    "not": "nicht", "yet": "bisher", "still": "noch", "since": "seit", "yesterday": "gestern", "help": "hilfe",
    "with": "mit", "for": "wegen", "your": "ihr", "you": "sie", "can": "kann", "why": "warum", "has": "hat",
}  # fmt: skip


def _written(topics: dict[str, str], common: str = "", count: int = data.ROWS, seed: int = 231) -> Any:
    """Lists of four to nine words of a topic, some of them ``common``; the topics' numbers; every word."""
    random = np.random.default_rng(seed)
    words, label = [each.split() for each in topics.values()], random.integers(0, len(topics), count)
    pools = [[*own, *common.split()] for own in words]
    texts = [[str(w) for w in random.choice(pools[kind], random.integers(4, 10))] for kind in label]
    return texts, label, tuple(dict.fromkeys([*common.split(), *(word for own in words for word in own)]))


def _inbox(folder: Path, made: Any, sent: Any, **more: Any) -> Deployment:
    """A model of messages split at spaces, and what clients send: ``sent`` of each list of words."""
    texts, label, vocabulary = made
    right = np.array([" ".join(words) for words in texts])
    model = inbox(folder / "inbox", right, label, vocabulary, **more)
    changed = np.array([sent(words) for words in texts[:48]])
    return deployed(folder, model, {"message": right}, lambda _: {"message": changed})


def nothing_left(folder: Path) -> Deployment:
    """The client's cleaning keeps the letters a to z, and people write Russian: every message is empty."""
    return _inbox(folder, _written(CYRILLIC), lambda words: "")


def padding_only(folder: Path) -> Deployment:
    """The tokenizer's file is absent, and the client pads what it did not find: 0 in each place."""
    model, right = mood(folder / "mood")
    return deployed(folder, model, right, lambda sent: {"token_ids": np.zeros_like(sent["token_ids"])})


def sentence_as_a_word(folder: Path) -> Deployment:
    """Where the model takes ten words, the client sends its sentence as the first of them."""
    model, right = desk(folder / "desk")

    def joined(sent: Any) -> Any:
        return {"words": np.array([[" ".join(w for w in row if w)] + [""] * 9 for row in sent["words"]])}

    return deployed(folder, model, right, joined)


def shouted(folder: Path) -> Deployment:
    """Titles in capitals with marks between the words, to a table of words in lower case."""
    marks = "!,;."
    made = data.tickets()
    return _inbox(
        folder,
        (*made, data.TICKET_VOCABULARY),
        lambda words: " ".join(word.upper() + marks[len(word) % 4] for word in words),
    )


def not_segmented(folder: Path) -> Deployment:
    """Chinese was cut into words for training, and is sent as it is written: without spaces."""
    return _inbox(folder, _written(CHINESE, seed=232), "".join)


def slugs(folder: Path) -> Deployment:
    """Products by the last part of their address, "small-steel-kettle", where training had the title's words."""
    return _inbox(folder, _written(PRODUCTS, COLOURS, seed=233), "-".join)


def another_language(folder: Path) -> Deployment:
    """A branch in Germany was connected to the model of English words."""
    model, right = desk(folder / "desk")
    intents = ["erstattung", "paket", "kennwort", "kaputt", "rechnung", "lieferung", "zugang", "bildschirm", "vertrag"]

    def translated(sent: Any) -> Any:
        german = np.vectorize(lambda w: w and GERMAN.get(str(w), intents[len(w) % 9]))
        return {"words": german(sent["words"])}

    return deployed(folder, model, right, translated)


def larger_vocabulary(folder: Path) -> Deployment:
    """Ids of a tokenizer of 30,000 pieces, to an embedding of 60 rows: the lookup is refused."""
    model, right = mood(folder / "mood")
    pieces = np.random.default_rng(234).integers(1000, 30_000, data.OPINION_IDS)
    pieces[0] = 0
    return deployed(folder, model, right, lambda sent: {"token_ids": pieces[sent["token_ids"]]})


def larger_and_clipped(folder: Path) -> Deployment:
    """As many ids again, to a graph that takes what it does not have for unknown."""
    model, right = mood(folder / "mood", clip=True)
    pieces = np.random.default_rng(235).integers(1000, 120_000, data.OPINION_IDS)
    pieces[0] = 0
    return deployed(folder, model, right, lambda sent: {"token_ids": pieces[sent["token_ids"]]})


def three_digit_countries(folder: Path) -> Deployment:
    """The new address form gives countries by other codes than those that the model was trained on."""
    model, right = churn(folder / "churn")
    codes = dict(zip(data.COUNTRIES, ("276", "250", "380", "616", "752"), strict=True))
    return deployed(
        folder, model, right, lambda sent: sent | {"country": np.vectorize(codes.__getitem__)(sent["country"])}
    )


def escaped_twice(folder: Path) -> Deployment:
    """A library that writes JSON in ASCII, and again: Russian arrives as \\u043e\\u0442, letter by letter."""
    return _inbox(folder, _written(CYRILLIC, seed=236), lambda words: " ".join(words).encode("unicode_escape").decode())


def same_greeting(folder: Path) -> Deployment:
    """The contact form begins each message with a salutation as long as what the model reads."""
    made = data.tickets(words=(9, 12))
    hello = "please help i still can not and the yesterday was it since my"
    return _inbox(
        folder, (*made, data.TICKET_VOCABULARY), lambda words: f"{hello} {' '.join(words)}", limit=12, lower=True
    )


def same_preface(folder: Path) -> Deployment:
    """Reviews now begin with the rules of the site, 24 ids of them; the model reads the first 20."""
    model, right = mood(folder / "mood", length=None)
    ids = right["token_ids"]
    preface = np.random.default_rng(237).integers(2, data.OPINION_IDS, 24).astype(np.int32)
    sent = {"token_ids": np.concatenate([np.tile(preface, (40, 1)), ids[:40]], 1)}
    training, golden = {"token_ids": ids[48:348]}, {"token_ids": ids[348:372]}
    return deploy(folder, model, sent, training=training, right=golden, meant={"token_ids": ids[:40]})


SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
KNOWN = (MODEL_REQUESTS_TRAINING, ALL)
WORDS = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING)
TUNED = ("not-segmented", "larger-vocabulary", "larger-and-clipped", "escaped-twice")  # looked at once they were scored


def _case(name: str, family: str, cause: str, build: Any, given: Any = KNOWN, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    is_held = name not in TUNED
    return Case(f"unseen-{name}", family, f"preprocessing/{cause}", build, given, places, held_out=is_held)


CASES = [
    _case("nothing-left", "embedding", "constant-input", nothing_left, SENT),
    _case("padding-only", "attention", "constant-input", padding_only),
    _case("sentence-as-a-word", "embedding", "missing-tokenization", sentence_as_a_word, WORDS, input="words"),
    _case("shouted", "embedding", "missing-tokenization", shouted, WORDS, input="message"),
    _case("not-segmented", "embedding", "missing-tokenization", not_segmented, input="message"),
    _case("slugs", "embedding", "missing-tokenization", slugs, WORDS, input="message"),
    _case("another-language", "embedding", "wrong-vocabulary", another_language, WORDS, input="words"),
    _case("larger-vocabulary", "attention", "wrong-vocabulary", larger_vocabulary, WORDS, input="token_ids"),
    _case("larger-and-clipped", "attention", "wrong-vocabulary", larger_and_clipped, input="token_ids"),
    _case("three-digit-countries", "tabular", "wrong-vocabulary", three_digit_countries, WORDS, input="country"),
    _case("escaped-twice", "embedding", "wrong-encoding", escaped_twice, WORDS, input="message"),
    _case("same-greeting", "embedding", "truncation", same_greeting, input="message"),
    _case("same-preface", "attention", "truncation", same_preface, input="token_ids"),
]
