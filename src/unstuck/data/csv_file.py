"""CSV files with a header. They say no dtypes, so the whole file is read once to know which columns are numbers."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.data.columns import BATCH_BYTES, Batch, Column, DataError, Progress
from unstuck.data.lines import Bytes, opened

FIELD_BYTES = 16 << 20  # a longer field is a quotation mark that nothing closes
SCANNED_ROWS = 4096
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})  # in a column of numbers; text is missing where empty
# What Python reads as a number and people write as text: 01234, 1_000.
CODE = re.compile(r"^\s*[-+]?0[0-9]|_", re.MULTILINE)

Kind = Literal["integer", "float", "text"]
DTYPES = {"integer": np.dtype(np.int64), "float": np.dtype(np.float64), "text": np.dtype(object)}


@dataclass(slots=True)
class Chunk:
    """Some rows: the number of the line on which each ends, and the fields by column."""

    lines: list[int]
    fields: list[tuple[str, ...]]


def open_file(path: Path, text: frozenset[str], progress: Progress) -> "CsvFile":
    """Reads the file once. Raises DataError."""
    return CsvFile(path, text, progress)


class CsvFile:
    """A column is integers or floats if every value is one, or missing, and text otherwise."""

    def __init__(self, path: Path, text: frozenset[str], progress: Progress) -> None:
        self._path = path
        self._header = self._read_header()
        learnt = [_Learnt("text" if name in text else None) for name in self._header]
        for chunk in self._chunks(SCANNED_ROWS, progress):
            for each, fields in zip(learnt, chunk.fields, strict=True):
                each.add(fields, chunk.lines)
        if not any(each.has_rows for each in learnt):
            raise DataError(f"{path} has no rows; expected a header and a line for each row.")
        self.columns = {
            name: Column(name, DTYPES[each.kind or "float"], note=each.note)
            for name, each in zip(self._header, learnt, strict=True)
        }

    def batches(self, rows: int, names: Sequence[str], progress: Progress) -> Iterator[Batch]:
        places = [(name, self._header.index(name)) for name in names]
        for chunk in self._chunks(rows, progress):
            yield {name: _array(chunk.fields[place], self.columns[name].dtype) for name, place in places}

    def _read_header(self) -> list[str]:
        with opened(self._path) as file:
            header = next(self._rows(file), (0, list[str]()))[1]
        twice = sorted({name for name in header if header.count(name) > 1})
        if not header or "" in header or twice:
            fault = f"names {twice[0]!r} twice" if twice else "has a column without a name" if header else "is missing"
            raise DataError(f"{self._path}: the header {fault}.", hint="Its first line must name every column once.")
        return header

    def _chunks(self, rows: int, progress: Progress) -> Iterator[Chunk]:
        total = self._path.stat().st_size
        with opened(self._path) as file:
            numbered = self._rows(file)
            next(numbered)
            lines, values, size = list[int](), list[list[str]](), 0
            for number, row in numbered:
                if len(row) != len(self._header):
                    raise DataError(
                        f"{self._path}, line {number}: it has {len(row)} values, the header {len(self._header)}."
                    )
                lines.append(number)
                values.append(row)
                size += sum(map(len, row))
                if len(values) == rows or size > BATCH_BYTES:
                    yield Chunk(lines, list(zip(*values, strict=True)))
                    progress(file.position, total)
                    lines, values, size = [], [], 0
            if values:
                yield Chunk(lines, list(zip(*values, strict=True)))
            progress(total, total)

    def _rows(self, file: Bytes) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(FIELD_BYTES)
        reader = csv.reader(self._decoded(file), strict=True)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{self._path}, line {reader.line_num}: {error}.") from None

    def _decoded(self, file: Bytes) -> Iterator[str]:
        for number, line in file.numbered_lines():
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{self._path}, line {number}: it is not UTF-8 ({error.reason}).") from None


class _Learnt:
    """What the values of a column are, as far as it has been read."""

    def __init__(self, kind: Kind | None) -> None:
        self.kind: Kind | None = kind  # None: nothing but missing values so far
        self.note = ""
        self.has_rows = False
        self._has_missing = False

    def add(self, fields: Sequence[str], lines: Sequence[int]) -> None:
        self.has_rows = True
        if self.kind == "text":
            return
        kinds = _kinds(fields)
        if "text" in kinds:
            self.note = self._why_text(fields, lines)
            self.kind = "text"
            return
        self._has_missing |= "missing" in kinds
        if "float" in kinds or self.kind == "float":
            self.kind = "float"
        elif "integer" in kinds or self.kind == "integer":
            self.kind = "float" if self._has_missing else "integer"

    def _why_text(self, fields: Sequence[str], lines: Sequence[int]) -> str:
        """Where its first text is, if there are numbers as well."""
        is_text = ["text" in _kinds((field,)) for field in fields]
        if self.kind is None and all(is_text[:1]):
            return ""
        at = is_text.index(True)
        return f"line {lines[at]} has {fields[at]!r:.40}"


def _kinds(fields: Sequence[str]) -> set[str]:
    """Which of integer, float, missing and text are among the fields."""
    if CODE.search("\n".join(fields)):
        return {"text"}
    try:
        return {"integer" if all(-(2**63) <= each < 2**63 for each in map(int, fields)) else "float"}
    except ValueError:
        pass
    present = [field for field in fields if field.strip().lower() not in MISSING]
    kinds = {"missing"} if len(present) < len(fields) else set[str]()
    if not present:
        return kinds
    if kinds:
        return kinds | _kinds(present)
    try:
        list(map(float, present))
    except ValueError:
        return {"text"}
    return {"float"}


def _array(fields: Sequence[str], dtype: "np.dtype[np.generic]") -> Tensor:
    if dtype.kind == "O":
        array = np.empty(len(fields), object)
        array[:] = [field.encode() for field in fields]
        return array
    if dtype.kind == "i":
        return np.array(list(map(int, fields)), np.int64)
    try:
        return np.array(list(map(float, fields)), np.float64)
    except ValueError:
        nan = float("nan")
        return np.array([nan if field.strip().lower() in MISSING else float(field) for field in fields], np.float64)
