"""Vocabularies as tables of the graph: from text, or from integers, to ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.engines.tensorflow.files import Files
from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.values import checked, integers, on_values, strings
from unstuck.pipeline import steps
from unstuck.pipeline.document import PipelineError


def vocabulary(step: steps.Vocabulary, value: Any, files: Files) -> Any:
    """The id of each entry, int64, in the shape of ``value``."""
    entries = lines(step, files) if step.file or step.asset else step.integers or step.tokens
    not_found = _not_found(step, len(entries))
    if step.integers or (value.dtype.is_integer and not step.tokens):
        value = tf.cast(integers(value), tf.int64)
        ids = _integer_table(step, entries, not_found)
    else:
        value = strings(value)
        ids = table(step, entries, files, step.first_id, not_found)
    return on_values(value, lambda values: _with_others(step, values, ids.lookup(values), not_found))


def table(step: steps.FromFile, tokens: Sequence[Any], files: Files, first_id: int = 0, unknown: int = -1) -> Any:
    """From each of ``tokens``, which are of ``step``, to its id.

    Raises:
        PipelineError: there are none, or one is there twice.
    """
    _check_once(tokens)
    name = Path(step.file or step.asset or "vocabulary.txt").name
    return tf.lookup.StaticHashTable(files.entries(tokens, first_id, name), unknown)


def lines(step: steps.FromFile, files: Files) -> list[str]:
    """The lines of the step's file.

    Raises:
        PipelineError: it cannot be read as UTF-8.
    """
    try:
        text = files.bytes_of(step).decode()
    except UnicodeDecodeError as error:
        raise PipelineError(f"its file {step.file or step.asset} cannot be read: {error}") from None
    # Not splitlines, which ends a line at U+2028 and others too, and so shifts the ids of all that follow.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def _not_found(step: steps.Vocabulary, count: int) -> int:
    """What the table gives for what is not in it: its id, or if that is still to be found, one that no entry has."""
    if step.unknown != "error" and step.hash_buckets == 1:
        return step.unknown
    last_id = step.first_id + count - 1
    if step.unknown != "error" and step.first_id - step.hash_buckets < step.unknown <= last_id:
        buckets = f"{step.unknown} to {step.unknown + step.hash_buckets - 1}"
        raise PipelineError(f"its entries have the ids {step.first_id} to {last_id}, its buckets {buckets}: some twice")
    return step.first_id - 1


def _with_others(step: steps.Vocabulary, values: Any, ids: Any, not_found: int) -> Any:
    if step.unknown != "error" and step.hash_buckets == 1:
        return ids
    found = tf.not_equal(ids, not_found)
    if step.unknown == "error":
        return checked(ids, found, values, "is not in the vocabulary")
    is_text = values.dtype == tf.string
    bucket = (tf.strings.to_hash_bucket_fast if is_text else tf.math.floormod)(values, step.hash_buckets)
    return tf.where(found, ids, bucket + step.unknown)


def _integer_table(step: steps.Vocabulary, entries: Sequence[int | str], not_found: int) -> Any:
    try:
        keys = np.array([int(entry) for entry in entries], np.int64)
    except (ValueError, OverflowError) as error:
        raise PipelineError(f"its vocabulary for integers holds something else: {error}") from None
    _check_once(keys.tolist())
    ids = np.arange(step.first_id, step.first_id + len(keys), dtype=np.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), not_found)


def _check_once(entries: Sequence[Any]) -> None:
    if not entries:
        raise PipelineError("its vocabulary is empty")
    twice = len(entries) - len(set(entries))
    if twice:
        raise PipelineError(f"its vocabulary has {twice} entries twice")
