"""The kinds of steps that change text, and lists of its parts, as TensorFlow ops."""

from collections.abc import Callable
from typing import Any

from unstuck.engines.tensorflow import ops
from unstuck.engines.tensorflow.files import Files
from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.values import on_values, row_shape, strings
from unstuck.engines.tensorflow.vocabularies import lines, table, vocabulary
from unstuck.errors import LoadFailed
from unstuck.pipeline import steps
from unstuck.pipeline.document import PipelineError

PUNCTUATION = r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']'  # Keras's TextVectorization strips these
# Punctuation as BERT understands it, and Chinese characters: each is a word.
BERT_APART = (
    r"[\p{P}$+<=>^`|~\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B81F}"
    r"\x{2B920}-\x{2CEAF}\x{2F800}-\x{2FA1F}]"
)
UTF8_BYTES = 4  # of a character, at most


def _replace(pattern: str, by: str, value: Any) -> Any:
    return on_values(strings(value), lambda text: tf.strings.regex_replace(text, pattern, by))


def _replaced(step: steps.Replace, value: Any, _: Files) -> Any:
    # Tried once, as RE2 leaves a text as it is, or half of it, where ``by`` names a group that there is not.
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tried = session.run(tf.strings.regex_replace("", f"|(?:{step.pattern})", f"<{step.by}>"))
    except tf.errors.InvalidArgumentError:
        raise PipelineError(f"its pattern {step.pattern!r} is not a regular expression of RE2") from None
    if not (tried.startswith(b"<") and tried.endswith(b">")):
        raise PipelineError(f"{step.by!r} names a group that its pattern does not have")
    return _replace(step.pattern, step.by, value)


def _one_text(value: Any) -> Any:
    if isinstance(value, tf.RaggedTensor) or value.shape.rank != 1:
        raise PipelineError(f"it takes one text a row, got shape {row_shape(value)}", hint="Its shape must be [].")
    return strings(value)


def _texts(value: Any) -> Any:
    if not isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes lists of texts of any length, which split gives")
    return strings(value)


def _split(step: steps.Split, value: Any, _: Files) -> Any:
    if step.into == "characters":
        return tf.strings.unicode_split(_one_text(value), "UTF-8")
    return tf.strings.split(_one_text(value), sep=step.separator or None)


def _bert_split(step: steps.BertSplit, value: Any, _: Files) -> Any:
    text = _replace(r"[\pZ\t\n\r]", " ", _one_text(value))
    text = _replace(r"[\p{Cc}\p{Cf}\p{Co}\x{FFFD}]", "", text)
    if step.lowercase if step.strip_accents is None else step.strip_accents:
        text = _replace(r"\p{Mn}", "", _tensorflow_text().normalize_utf8(text, "NFD"))
    if step.lowercase:  # each letter by itself: the last of a word is no other sigma
        text = tf.strings.lower(_replace("Σ", "σ", text), encoding="utf-8")
    return tf.strings.split(_replace(BERT_APART, r" \0 ", text))


def _word_piece(step: steps.WordPiece, value: Any, files: Files) -> Any:
    words, tokens = _texts(value), lines(step, files)
    if step.unknown not in tokens:
        raise PipelineError(f"its vocabulary has no {step.unknown!r}")
    ids = table(step, tokens, files)
    tokenizer = _tensorflow_text().WordpieceTokenizer(
        ids,
        suffix_indicator=step.prefix,
        max_bytes_per_word=max(step.max_characters * UTF8_BYTES, len(step.unknown.encode())),
        unknown_token=step.unknown,
    )
    too_long = tf.strings.length(words.flat_values, unit="UTF8_CHAR") > step.max_characters
    words = words.with_flat_values(tf.where(too_long, step.unknown, words.flat_values))
    return tokenizer.tokenize(words).merge_dims(1, 2)


def _sentence_piece(step: steps.SentencePiece, value: Any, files: Files) -> Any:
    text, model = _one_text(value), files.bytes_of(step)
    tokenizer = _tensorflow_text().SentencepieceTokenizer
    try:  # once, as the model is read only when it is used
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            session.run(tokenizer(model).tokenize([""]).flat_values)
    except tf.errors.OpError:
        raise PipelineError(f"its file {step.file or step.asset} is not a SentencePiece model") from None
    return tf.cast(tokenizer(model).tokenize(text), tf.int64)


def _tensorflow_text() -> Any:
    try:
        return ops.import_package(ops.TEXT, "for this step")
    except LoadFailed as error:
        raise PipelineError(error.message.removesuffix("."), hint=error.hint) from None


def _ngrams(step: steps.Ngrams, value: Any, _: Files) -> Any:
    widths = tuple(step.width) if isinstance(step.width, list) else step.width
    return tf.strings.ngrams(_texts(value), widths, separator=step.separator)


def _pad(step: steps.Pad, value: Any, _: Files) -> Any:
    if not isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes lists of any length, which split gives")
    first, last = (
        [] if end is None else [tf.fill([value.nrows(), 1], _element(name, end, value))]
        for name, end in (("first", step.first), ("last", step.last))
    )
    if first or last:
        inside = value[:, : step.length - len(first) - len(last)]
        value = tf.concat([*first, inside, *last], axis=1)
    return value.to_tensor(_element("value", step.value, value), shape=[None, step.length])


def _element(name: str, element: float | str, value: Any) -> Any:
    try:
        return tf.constant(element, value.dtype)
    except (TypeError, ValueError, OverflowError):
        raise PipelineError(f"its {name} {element!r} is not {value.dtype.name}") from None


APPLY: dict[type[steps.Step], Callable[[Any, Any, Files], Any]] = {
    steps.Lowercase: lambda step, value, _: on_values(
        strings(value), lambda x: tf.strings.lower(x, encoding="" if step.ascii_only else "utf-8")
    ),
    steps.Uppercase: lambda _, value, __: on_values(strings(value), lambda x: tf.strings.upper(x, encoding="utf-8")),
    steps.Strip: lambda _, value, __: on_values(strings(value), tf.strings.strip),
    steps.RemovePunctuation: lambda _, value, __: _replace(PUNCTUATION, "", value),
    steps.Replace: _replaced,
    steps.Split: _split,
    steps.Vocabulary: vocabulary,
    steps.Ngrams: _ngrams,
    steps.BertSplit: _bert_split,
    steps.WordPiece: _word_piece,
    steps.SentencePiece: _sentence_piece,
    steps.Hash: lambda step, value, _: on_values(
        strings(value), lambda text: tf.strings.to_hash_bucket_fast(text, step.buckets)
    ),
    steps.Pad: _pad,
}
