"""Rows that are records of named values: JSON's lines, tf.Examples. Read once to know the columns, then in batches.

A value is a number, text (str or bytes) or None, or lists of these, as deep and long in every row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np

from unstuck.core.signatures import Tensor, show_shape
from unstuck.data.columns import BATCH_BYTES, Batch, Column, DataError, Progress, rows_that_fit

SCANNED_ROWS = 4096
NUMBERS = {bool: "bool", int: "integer", float: "float"}

Record = Mapping[str, object]


class Placed(NamedTuple):
    """A record: where it is (``line 3``), how far the file has been read with it, and its size in bytes."""

    where: str
    position: int
    size: int
    values: Record


class _Unlike(Exception):
    """A value that is not like the others of its column."""


class RecordFile:
    """A file of records, by the function that reads it from its beginning."""

    def __init__(self, path: object, size: int, read: Callable[[], Iterator[Placed]], progress: Progress) -> None:
        self._path = path
        self._size = size
        self._read = read
        learnt: dict[str, _Learnt] = {}
        rows = 0
        for chunk in self._chunks(SCANNED_ROWS, progress):
            for name in dict.fromkeys(chain.from_iterable(each.values for each in chunk)):
                values = [each.values.get(name) for each in chunk]
                learnt.setdefault(name, _Learnt(was_missing=rows > 0)).add(values, chunk)
            for name in learnt.keys() - set(chain.from_iterable(each.values for each in chunk)):
                learnt[name].has_missing = True
            rows += len(chunk)
        if not rows:
            raise DataError(f"{path} has no rows.")
        self.columns = {name: each.column(name) for name, each in learnt.items()}

    def batches(self, rows: int, names: Sequence[str], progress: Progress) -> Iterator[Batch]:
        chosen = [self.columns[name] for name in names]
        for chunk in self._chunks(rows_that_fit(rows, chosen), progress):
            yield {each.name: _array([one.values.get(each.name) for one in chunk], each) for each in chosen}

    def _chunks(self, rows: int, progress: Progress) -> Iterator[list[Placed]]:
        chunk, size = list[Placed](), 0
        for record in self._read():
            chunk.append(record)
            size += record.size
            if len(chunk) == rows or size > BATCH_BYTES:
                yield chunk
                progress(record.position, self._size)
                chunk, size = [], 0
        if chunk:
            yield chunk
        progress(self._size, self._size)


class _Learnt:
    """What the values of a column are, as far as it has been read."""

    def __init__(self, *, was_missing: bool) -> None:
        self.has_missing = was_missing
        self._kinds = set[str]()
        self._shape: tuple[int, ...] | None = None
        self._fault = ""

    def add(self, values: Sequence[object], places: Sequence[Placed]) -> None:
        if self._fault:
            return
        present = [value for value in values if value is not None]
        self.has_missing |= len(present) < len(values)
        if not present:
            return
        try:
            self._add(present)
        except _Unlike:
            self._fault = self._first_fault(values, places)

    def column(self, name: str) -> Column:
        if not self._kinds and not self._fault:
            return Column(name, np.dtype(np.float64))  # missing in every row
        return Column(name, _dtype(self._kinds, has_missing=self.has_missing), self._shape or (), fault=self._fault)

    def _add(self, present: list[object]) -> None:
        leaves, shape = _leaves(present)
        kinds = _kinds(leaves)
        if self._shape is not None and shape != self._shape:
            raise _Unlike(f"expected {show_shape(self._shape)} values as in the rows before, got {show_shape(shape)}")
        if "missing" in kinds:
            kinds = kinds - {"missing"}
            self.has_missing = True
        both = self._kinds | kinds
        if "text" in both and len(both) > 1:
            raise _Unlike("expected text or numbers, got both in one column")
        self._kinds, self._shape = both, shape

    def _first_fault(self, values: Sequence[object], places: Sequence[Placed]) -> str:
        for value, place in zip(values, places, strict=True):
            if value is not None:
                try:
                    self._add([value])
                except _Unlike as fault:
                    return f"{place.where}: {fault}"
        raise AssertionError("every row fits by itself, so they fit together")


def _leaves(values: list[object]) -> tuple[list[object], tuple[int, ...]]:
    """The values inside all lists, and the shape that the lists of every row have."""
    shape: list[int] = []
    while list in (types := set(map(type, values))):
        if len(types) > 1:
            raise _Unlike("expected lists or single values, got both")
        lists = cast("list[list[object]]", values)
        lengths = set(map(len, lists))
        if len(lengths) > 1:
            raise _Unlike(f"expected lists of one length, got {' and '.join(map(str, sorted(lengths)[:2]))} values")
        shape.append(lengths.pop())
        values = list(chain.from_iterable(lists))
    return values, tuple(shape)


def _kinds(leaves: list[object]) -> set[str]:
    kinds = set[str]()
    for each in set(map(type, leaves)):
        if each is type(None):
            kinds.add("missing")
        elif each in (str, bytes):
            kinds.add("text")
        elif each in NUMBERS:
            kinds.add(NUMBERS[each])
        else:
            raise _Unlike(f"expected numbers, text or lists of these, got {each.__name__}")
    if "integer" in kinds and any(isinstance(each, int) and not -(2**63) <= each < 2**63 for each in leaves):
        kinds.add("float")
    return kinds


def _dtype(kinds: set[str], *, has_missing: bool) -> "np.dtype[np.generic]":
    if "text" in kinds:
        return np.dtype(object)
    if has_missing or "float" in kinds:
        return np.dtype(np.float64)
    return np.dtype(np.int64) if "integer" in kinds else np.dtype(np.bool_)


def _array(values: list[object], column: Column) -> Tensor:
    filler: object = b"" if column.is_text else float("nan")
    row: object = filler
    for size in reversed(column.shape):
        row = [row] * size
    leaves, _ = _leaves([row if value is None else value for value in values])
    array = np.empty(len(leaves), column.dtype)
    if column.is_text:
        array[:] = cast("Any", [each.encode() if isinstance(each, str) else each or b"" for each in leaves])
    else:
        array[:] = cast("Any", [filler if each is None else each for each in leaves])
    return array.reshape(len(values), *column.shape)
