"""Words and their pieces are those of the tokenizers that models are trained with, served and baked."""

import io
import subprocess
import sys
import unicodedata
from functools import cache

import numpy as np
import pytest
import sentencepiece
from pipeline_cases import assert_same, by_engine, by_load, by_loader, expected, export
from test_pipeline_steps import WORDS, by_keras, padded, texts, words
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from unstuck.pipeline.document import PipelineError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
PAD, UNK, CLS, SEP = range(4)
# One a line of an asset, but the last: a line holds neither.
ODD_TOKENS = [" ", "é", "\u2028x", "\0", "a\tb", " lead", "[UNK]", "\u0085", "😀" * 100]
BROKEN_TOKENS = ["", *ODD_TOKENS, "a\nb", "c\rd", "e\r"]
PAIRS = [f"{a} {b}" for a in ("the", "cat", "a") for b in ("cat", "sat", "no")]
# What these are, letters, marks or punctuation, has changed in Unicode since the reference was made.
CHANGED = "\u166d\u1734\u1885\u1886"


def decoded(rows):
    return [row.decode() for row in rows]


@cache
def mixed() -> np.ndarray:
    """Texts, some of words as long as a tokenizer takes, and with what BERT's looks at."""
    random = np.random.default_rng(7)
    odd = ["\u200b", "\ufffd", "\x85", "\x0b", "\ue000", "ΑΣ", "ǅ", "²", "\u037e", "\uf900", "龥", "$", "[SEP]", "ﬁ"]
    parts, half = [*odd, *WORDS, " ", "##", "-"], len(texts()) // 2
    more = ["".join(random.choice(parts, random.integers(1, 30))) for _ in range(half)]
    long = [f"{'a' * size} {'é' * size}é" for size in (18, 19, 20, 21, 24, 25, 26, 98, 99, 100, 101, 400, 401)]
    return np.array([*texts()[:half], *(text.encode() for text in [*more[len(long) :], *long])], object)


@cache
def characters() -> np.ndarray:
    """Each character of Unicode 3.2 inside a word, for private use only some."""
    assigned = [chr(code) for code in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs")]
    known = [each for each in assigned if unicodedata.category(each) != "Co" or ord(each) % 997 == 0]
    return np.array([f"a{each}b".encode() for each in known if each not in CHANGED], object)


@cache
def vocabulary(lowercase: bool, strip_accents: bool | None) -> dict[str, int]:
    """Learned from the texts; not twice, as it is another each time."""
    tokenizer = unlearned(None, lowercase, strip_accents)
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL, limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator([text[:100] for text in decoded(mixed()[::3])], trainer)
    return tokenizer.get_vocab()


def unlearned(known, lowercase, strip_accents, max_characters=100) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(known, unk_token="[UNK]", max_input_chars_per_word=max_characters))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def bert_ids(*, lowercase=True, strip_accents=None, max_characters=100, length=16):
    """What BERT's tokenizer gives, which does not take ``[SEP]`` in a text for its own mark."""

    def ids(rows):
        known = vocabulary(lowercase, strip_accents)
        tokenizer = unlearned(known, lowercase, strip_accents, max_characters)
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
        tokenizer.enable_truncation(length)
        tokenizer.enable_padding(length=length, pad_id=PAD)
        return np.array([each.ids for each in tokenizer.encode_batch(decoded(rows))], np.int64)

    return ids


def bert_words(length, **settings):
    def split(row):
        normal = normalizers.BertNormalizer(**settings).normalize_str(row.decode())
        return [word.encode() for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normal)]

    return padded(split, length)


@cache
def spm(kind: str) -> bytes:
    """A small SentencePiece model of this kind."""
    file = io.BytesIO()
    lines = [text.replace("\0", "")[:1000] for text in decoded(texts()[:2000])]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=file, model_type=kind, vocab_size=500, byte_fallback=kind == "bpe",
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return file.getvalue()


def spm_ids(kind, length, *, last=()):
    def ids(rows):
        model = sentencepiece.SentencePieceProcessor(model_proto=spm(kind))
        room = length - len(last)
        return padded(lambda row: [*model.encode(row.decode())[:room], *last], length, -1, np.int64)(rows)

    return ids


def grams(parts, *widths, separator):
    return [separator.join(parts[at : at + width]) for width in widths for at in range(len(parts) - width + 1)]


def ends(row):
    return [b"<", *row.split()[:3], b">"]


def lines(tokens, unknown=-7, first_id=0):
    ids = {token.encode(): at for at, token in enumerate(tokens, first_id)}
    return lambda rows: np.array([ids.get(row, unknown) for row in rows], np.int64)


def odd_words() -> np.ndarray:
    known = [token.encode() for token in BROKEN_TOKENS]
    return np.array([*known, b"e", b"cd", b"a", b"\r", b"\n", *np.random.default_rng(8).choice(known, 9985)], object)


def bert_steps(file, length=16, *, split=None, **settings):
    ends = {"first": CLS, "last": SEP}
    return [{"bert_split": split}, {"word_piece": {"file": file, **settings}},
        {"pad": {"length": length, "value": PAD, **ends}}]  # fmt: skip


def padded_text(length):
    return {"pad": {"length": length, "value": ""}}


# By the name of a case: its steps, its raw rows, and what comes of them.
CASES = {
    "ngrams": (["split", {"ngrams": {"width": 2}}, padded_text(8)], texts,
        padded(lambda row: grams(row.split(), 2, separator=b" "), 8)),
    "ngrams_of_widths": (["split", {"ngrams": {"width": [3, 1], "separator": "é_"}}, padded_text(30)], texts,
        padded(lambda row: grams(row.split(), 3, 1, separator="é_".encode()), 30)),
    "ngrams as Keras": (
        ["lowercase", "remove_punctuation", "split", {"ngrams": {"width": [1, 2]}},
            {"vocabulary": {"tokens": [*WORDS, *PAIRS], "unknown": 1, "first_id": 2}},
            {"pad": {"length": 16, "value": 0}}],
        lambda: np.array([text.decode().encode("ascii", "ignore") for text in texts()], object),
        by_keras(lambda layers: layers.TextVectorization(
            vocabulary=[*WORDS, *PAIRS], ngrams=2, output_sequence_length=16))),
    "bert": (bert_steps("bert.txt"), mixed, bert_ids()),
    "bert_cased": (bert_steps("cased.txt", split={"lowercase": False}), mixed, bert_ids(lowercase=False)),
    "bert_with_accents": (bert_steps("accents.txt", split={"strip_accents": False}), mixed,
        bert_ids(strip_accents=False)),
    "bert_of_short_words": (bert_steps("bert.txt", 40, max_characters=20), mixed,
        bert_ids(max_characters=20, length=40)),
    "bert_of_two": (bert_steps("bert.txt", 2), mixed, bert_ids(length=2)),
    "bert_split": (["bert_split", padded_text(3)], characters, bert_words(3)),
    "bert_split_cased": ([{"bert_split": {"lowercase": False, "strip_accents": True}}, padded_text(3)], characters,
        bert_words(3, lowercase=False, strip_accents=True)),
    "word_piece_of_words": (
        ["split", {"word_piece": {"asset": "own.txt", "prefix": "_", "unknown": "?"}},
            {"pad": {"length": 4, "value": 9}}],
        lambda: np.array([b"", b"a b", b"abab ba", b"x ab", b"ac a", b"? a?", *[b"aab b"] * 9994], object),
        lambda _: np.array([[9] * 4, [1, 4, 9, 9], [3, 2, 4, 5], [0, 3, 9, 9], [0, 1, 9, 9], [0, 0, 9, 9],
            *[[1, 2, 4, 9]] * 9994])),
    "sentence_piece": ([{"sentence_piece": {"file": "unigram.model"}}, {"pad": {"length": 20, "value": -1}}], texts,
        spm_ids("unigram", 20)),
    "sentence_piece_bpe": (
        [{"sentence_piece": {"asset": "bpe.model"}}, {"pad": {"length": 20, "value": -1, "last": 2}}], texts,
        spm_ids("bpe", 20, last=(2,))),
    "pad_between": (["split", {"pad": {"length": 5, "value": "", "first": "<", "last": ">"}}], texts, padded(ends, 5)),
    "pad_after_first": (["split", {"pad": {"length": 1, "value": "", "first": "<"}}], texts,
        padded(lambda row: [b"<"], 1)),
    "vocabulary_of_the_model": ([{"vocabulary": {"asset": "words.txt", "unknown": 0, "first_id": 1}}], words,
        by_keras(lambda layers: layers.StringLookup(vocabulary=WORDS))),
    "vocabulary_from_below_0": ([{"vocabulary": {"file": "words.txt", "unknown": 0, "first_id": -3}}], words,
        lines(WORDS, 0, -3)),
    "odd_tokens": ([{"vocabulary": {"tokens": ODD_TOKENS, "unknown": -7}}], odd_words, lines(ODD_TOKENS)),
    "tokens_of_lines": ([{"vocabulary": {"tokens": BROKEN_TOKENS, "unknown": -7}}], odd_words, lines(BROKEN_TOKENS)),
    "odd_lines": ([{"vocabulary": {"file": "odd.txt", "unknown": -7}}], odd_words, lines(ODD_TOKENS)),
}  # fmt: skip
wanted = cache(lambda name: expected(CASES[name]))


def raw(name: str) -> np.ndarray:
    return CASES[name][1]()


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    """The version folder, its assets beside it in their folder, and the pipeline file."""
    folder = tmp_path_factory.mktemp("text")
    version_path, pipeline_file = export(folder, CASES)
    for name, settings in (("bert", (True, None)), ("cased", (False, None)), ("accents", (True, False))):
        ids = vocabulary(*settings)
        (folder / f"{name}.txt").write_text("\n".join(sorted(ids, key=ids.__getitem__)) + "\n", encoding="utf-8")
    (folder / "unigram.model").write_bytes(spm("unigram"))
    (folder / "words.txt").write_text("\n".join(WORDS), encoding="utf-8")
    (folder / "odd.txt").write_bytes("\r\n".join(ODD_TOKENS).encode())
    assets = version_path / "assets"
    assets.mkdir(exist_ok=True)
    (assets / "bpe.model").write_bytes(spm("bpe"))
    (assets / "own.txt").write_text("?\na\n_ab\nab\nb\n_a\n")
    (assets / "words.txt").write_text("\r\n".join(WORDS) + "\r\n", encoding="utf-8", newline="")
    return version_path, pipeline_file


@pytest.fixture(
    scope="module", params=[by_loader, *(pytest.param(each, marks=pytest.mark.slow) for each in (by_engine, by_load))]
)
def answered(request, baked):
    return request.param(baked)


@pytest.mark.parametrize("name", CASES)
def test_text_becomes_what_its_reference_makes_of_it(served, name):
    assert len(raw(name)) >= 9_990
    assert_same(served(name, raw(name)), wanted(name))


@pytest.mark.parametrize("name", CASES)
def test_a_text_alone_becomes_what_it_does_among_others_and_no_texts_nothing(served, name):
    for part in (slice(0), slice(1), slice(7, 10)):
        assert_same(served(name, raw(name)[part]), wanted(name)[part])


@pytest.mark.parametrize("name", CASES)
def test_a_baked_model_makes_the_same_of_a_text(answered, name):
    assert_same(answered(name, raw(name)), wanted(name))


def test_the_references_meet_known_and_unknown_words_long_texts_and_short_ones():
    for name in ("bert", "bert_cased", "bert_with_accents"):
        ids = wanted(name)
        assert [(ids == each).any(axis=1).sum() > 1000 for each in (UNK, PAD)] == [True, True], name
        assert (ids[:, -1] == SEP).sum() > 1000, name
        assert len(np.unique(ids)) > 100, name
    assert len(np.unique(wanted("sentence_piece"))) > 250


def test_what_to_install_is_said_where_tensorflow_text_is_missing(files_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(PipelineError) as caught:
        by_engine(*files_of)
    step = "Signature 'bert', pipeline inputs.x: step 0 (bert_split)"
    assert caught.value.message == f"{step}: tensorflow_text is needed for this step, and is not installed."
    assert caught.value.hint == 'Run: pip install "unstuck[text]"'


IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from unstuck.engines.tensorflow import ENGINE, steps
assert "tensorflow_text" not in sys.modules
servable = ENGINE.loader(Path(sys.argv[1])).load()
print(servable.run(servable.signatures["bert"], {"x": np.array([b"the cat"], object)})["y"].tolist()[0])
print(servable.run(servable.signatures["sentence_piece"], {"x": np.array([b"the cat"], object)})["y"].tolist()[0])
"""


def test_a_baked_model_brings_the_ops_of_tensorflow_text_to_a_process_that_does_not_know_them(baked):
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(baked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = np.array([b"the cat"], object)
    assert done.stdout.split("\n")[:2] == [str(ids(rows)[0].tolist()) for ids in (bert_ids(), spm_ids("unigram", 20))]
