"""Splits texts into words where the model takes words."""

from collections.abc import Iterator, Sequence

import numpy as np

from unstuck.core.signatures import Tensor, TensorSpec
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.preparing import prepared
from unstuck.doctor.lab import Row


def words_of(values: Tensor) -> list[bytes]:
    """The words of all texts, between white space."""
    return [word for text in values.ravel().tolist() for word in text.split()]


def split_rows(spec: TensorSpec, row: Row, preparation: Preparation) -> Iterator[Row]:
    """``row`` with the words of its texts: as one row where the input holds a list, else one row for each word."""
    words = words_of(prepared(preparation, np.asarray(row[spec.alias])))
    if spec.shape is not None and len(spec.shape) == 2 and spec.shape[1] != 1:
        yield {**row, spec.alias: as_list(words, spec.shape[1])}
        return
    for word in words:
        shape = tuple(1 for _ in spec.shape or (1,))
        yield {**row, spec.alias: as_list([word], None).reshape(shape)}


def as_list(words: Sequence[bytes], length: int | None) -> Tensor:
    """[1, length] of strings, cut or filled up with empty ones; as long as there are words where ``length`` is None."""
    wanted = list(words)[:length] if length else list(words) or [b""]
    found = np.full((1, length or len(wanted)), b"", object)
    found[0, : len(wanted)] = wanted
    return found
