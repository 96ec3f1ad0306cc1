"""Rows of a tokenizer.json are what the library ``tokenizers`` itself gives, cut and padded as its file says."""

import numpy as np
import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import ByteLevel, Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer, WordLevelTrainer

from unstuck.errors import Code, EngineError
from unstuck.pipeline.document import PipelineError, read_pipeline
from unstuck.pipeline.python_steps import PythonSteps

LENGTH = 12
SENTENCES = [
    "The film was great, and the plot was better!",
    "naïve façade — déjà vu… 北京 東京 🎬🎬",
    "awful food; awful price. 12,50 € for that?",
    "[CLS] is text here, too [PAD] [SEP]",
]
TEXTS = 10_000


def word_level():
    """[CLS] text [SEP], in lower case; pads with 0 at the end, which its file says."""
    tokenizer = Tokenizer(WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(SENTENCES, WordLevelTrainer(special_tokens=specials))
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    return tokenizer


def byte_level():
    """Bytes, no token added, and nothing said of padding."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel()
    tokenizer.train_from_iterator(SENTENCES, BpeTrainer(vocab_size=300, initial_alphabet=ByteLevel.alphabet()))
    return tokenizer


def left():
    """As ``word_level``, cut and padded at the start, with type 7 and token [UNK]."""
    tokenizer = word_level()
    tokenizer.enable_truncation(5, direction="left")
    tokenizer.enable_padding(direction="left", pad_id=1, pad_type_id=7, pad_token="[UNK]", pad_to_multiple_of=8)
    return tokenizer


def random_texts(count):
    random = np.random.default_rng(3)
    words = [*" ".join(SENTENCES).split(), "", "\n", "unknown", "\0", "ÀÉ", "e\u0301", "\u2028"]
    return [" ".join(random.choice(words, size=random.integers(0, 2 * LENGTH))) for _ in range(count)]


def encoded(*texts):
    return [np.array([text.encode() for text in column], object) for column in texts]


@pytest.fixture
def load(tmp_path):
    """``load(tokenizer, parts, from_=…)``: the step ``t`` of this tokenizer, whose ``parts`` are used."""

    def steps(tokenizer, parts=("ids", "attention_mask", "type_ids"), from_=("text",), **settings):
        if tokenizer:
            tokenizer.save(str(tmp_path / "tokenizer.json"))
        declared = {
            "raw": {name: {"dtype": "string"} for name in from_},
            "python": {"t": {"tokenizer": "tokenizer.json", "from": [*from_], "length": LENGTH, **settings}},
            "inputs": {part: f"t.{part}" for part in parts},
        }
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}))
        return PythonSteps("serving_default", read_pipeline(file).signatures["serving_default"], tmp_path)

    return steps


def check_equal(got, encodings):
    assert got["t.ids"].dtype == np.int64
    assert got["t.ids"].shape == (len(encodings), LENGTH)
    assert got["t.ids"].tolist() == [each.ids for each in encodings]
    assert got["t.attention_mask"].tolist() == [each.attention_mask for each in encodings]
    assert got["t.type_ids"].tolist() == [each.type_ids for each in encodings]


@pytest.mark.parametrize("made", [word_level, byte_level, left])
def test_random_texts_are_encoded_as_by_the_library(load, made):
    texts = random_texts(TEXTS)
    got = load(made(), pad_id=0 if made is byte_level else None).run({"text": encoded(texts)[0]})
    own = made()
    directions = {"truncation": "right", "padding": "right"}
    padding = {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    if made is left:
        directions = dict.fromkeys(directions, "left")
        padding = {"pad_id": 1, "pad_type_id": 7, "pad_token": "[UNK]"}
    own.enable_truncation(LENGTH, direction=directions["truncation"])
    own.enable_padding(direction=directions["padding"], length=LENGTH, **padding)
    check_equal(got, [own.encode(text) for text in texts])
    lengths = got["t.attention_mask"].sum(axis=1)
    assert (lengths < LENGTH).any()
    assert len(np.unique(lengths)) > LENGTH // 2


def test_a_row_is_the_ids_of_its_words_between_the_tokenizers_own(load):
    (row,) = load(word_level()).run({"text": encoded(["The FILM xyz"])[0]})["t.ids"].tolist()
    vocabulary = word_level().get_vocab()
    assert row == [2, vocabulary["the"], vocabulary["film"], 1, 3] + [0] * (LENGTH - 5)


def test_pairs_are_encoded_as_by_the_library(load):
    first, second = random_texts(500), random_texts(1000)[500:]
    columns = encoded(first, second)
    got = load(word_level(), from_=("question", "passage")).run(
        dict(zip(("question", "passage"), columns, strict=True))
    )
    own = word_level()
    own.enable_truncation(LENGTH)
    own.enable_padding(length=LENGTH)
    check_equal(got, [own.encode(*pair) for pair in zip(first, second, strict=True)])
    assert {0, 1} == {*got["t.type_ids"].ravel()}


def test_only_what_is_used_is_made_and_no_rows_give_no_rows(load):
    got = load(word_level(), ["ids"]).run({"text": np.array([], object)})
    assert [*got] == ["text", "t.ids"]
    assert got["t.ids"].shape == (0, LENGTH)


@pytest.mark.parametrize("made", [word_level, byte_level])
def test_the_padding_is_the_tokenizers_own_unless_it_is_stated(load, made):
    stated = load(made(), pad_id=5).run({"text": encoded([""])[0]})["t.ids"]
    assert stated[0, -1] == 5
    if made is word_level:
        own = made()
        own.no_padding()  # the token named [PAD] remains
        assert load(own).run({"text": encoded([""])[0]})["t.ids"].tolist() == [[2, 3] + [0] * (LENGTH - 2)]
    else:
        with pytest.raises(PipelineError, match=r"does not say what it pads with\. Say it: pad_id: NUMBER\."):
            load(made())


def test_a_tokenizer_that_draws_random_numbers_is_not_stateless(load):
    tokenizer = byte_level()
    assert load(tokenizer, pad_id=0).stateless
    tokenizer.model.dropout = 0.5
    assert not load(tokenizer, pad_id=0).stateless


def test_bytes_that_are_no_text_are_refused(load):
    with pytest.raises(EngineError, match=r"pipeline python\.t: it takes UTF-8, got the bytes b'a\\xff'") as caught:
        load(word_level()).run({"text": np.array([b"a\xff"], object)})
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("content", "settings", "says"),
    [
        (None, {}, "tokenizer.json cannot be read: [Errno 2]"),
        (b"{}", {}, "tokenizer.json cannot be read: "),
        (b"\xff", {}, "tokenizer.json cannot be read: 'utf-8' codec"),
        (word_level, {"length": 2}, "a row of 2 has no room for text: the tokenizer adds 2 tokens of its own"),
        (word_level, {"length": 3, "from_": ("a", "b")}, "a row of 3 has no room for text: the tokenizer adds 3"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(load, tmp_path, content, settings, says):
    if isinstance(content, bytes):
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(PipelineError) as caught:
        load(content() if callable(content) else None, **settings)
    assert caught.value.message.startswith("Signature 'serving_default', pipeline python.t: ")
    assert says in caught.value.message
    assert "\n" not in caught.value.message
