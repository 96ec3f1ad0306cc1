"""Splits texts into words, sub-words or characters where the model takes those."""

from collections.abc import Iterator, Sequence, Set

import numpy as np

from unstuck.core.signatures import Tensor, TensorSpec
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.preparing import prepared
from unstuck.doctor.lab import Row


def words_of(values: Tensor) -> list[bytes]:
    """The words of all texts, between white space."""
    return [word for text in values.ravel().tolist() for word in text.split()]


def split_rows(
    spec: TensorSpec, row: Row, preparation: Preparation, vocabulary: Set[bytes] = frozenset()
) -> Iterator[Row]:
    """``row`` with the words of its texts: as one row where the input holds a list, else one row for each word.

    Args:
        vocabulary: whose sub-words ``word_pieces`` takes, and whose words ``segment``.
    """
    texts = prepared(preparation, np.asarray(row[spec.alias]), vocabulary)
    words = words_of(texts)
    if "characters" in preparation.kinds:
        words = [letter.encode() for letter in b" ".join(texts.ravel().tolist()).decode(errors="replace")]
    elif "word_pieces" in preparation.kinds:
        words = [piece for word in words for piece in pieces_of(word.decode(errors="replace"), vocabulary)]
    if spec.shape is not None and len(spec.shape) == 2 and spec.shape[1] != 1:
        yield {**row, spec.alias: as_list(words, spec.shape[1])}
        return
    for word in words:
        shape = tuple(1 for _ in spec.shape or (1,))
        yield {**row, spec.alias: as_list([word], None).reshape(shape)}


def pieces_of(word: str, vocabulary: Set[bytes]) -> list[bytes]:
    """The longest sub-words first; the whole word where they do not make it up.

    A sub-word of one letter, of which any word could be made, counts only at the end.
    """
    found: list[bytes] = []
    at = 0
    while at < len(word):
        ends = range(len(word), at, -1)
        pieces = ((end, piece) for end in ends for piece in _written(word[at:end], first=at == 0))
        end, piece = next(((end, piece) for end, piece in pieces if piece in vocabulary), (at, b""))
        if end == at or (end == at + 1 and end < len(word)):
            return [word.encode()]
        found.append(piece)
        at = end
    return found


def _written(part: str, *, first: bool) -> list[bytes]:
    """How vocabularies write a sub-word: the later ones marked as WordPiece does, or the first as SentencePiece."""
    return [part.encode(), f"\u2581{part}".encode()] if first else [f"##{part}".encode(), part.encode()]


def as_list(words: Sequence[bytes], length: int | None) -> Tensor:
    """[1, length] of strings, cut or filled up with empty ones; as long as there are words where ``length`` is None."""
    wanted = list(words)[:length] if length else list(words) or [b""]
    found = np.full((1, length or len(wanted)), b"", object)
    found[0, : len(wanted)] = wanted
    return found
