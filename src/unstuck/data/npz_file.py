"""NumPy's .npz files: an array a column, read from the archive piece by piece."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.data.columns import Batch, Column, DataError, Progress, rows_that_fit

ENDING = ".npy"
FAULTS = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile)


def open_file(path: Path, _text: frozenset[str], _progress: Progress) -> "NpzFile":
    """Reads the arrays' headers. Raises DataError."""
    return NpzFile(path)


class NpzFile:
    """Its arrays must have the same number of rows. Bytes ('S') and text ('U') arrays are text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns: dict[str, Column] = {}
        self._stored: dict[str, np.dtype[np.generic]] = {}
        counts: dict[str, int] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    if member.endswith(ENDING):
                        name = member.removesuffix(ENDING)
                        with archive.open(member) as stream:
                            shape, fortran, dtype = _header(stream)
                        self.columns[name] = _column(name, shape, fortran=fortran, dtype=dtype)
                        self._stored[name] = dtype
                        counts.update({name: shape[0]} if shape else {})
        except FAULTS as error:
            raise DataError(f"{path} cannot be read: {error}.") from None
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name!r} {count}" for name, count in counts.items())
            raise DataError(f"{path}: its arrays have different numbers of rows: {listed}.")
        self._rows = next(iter(counts.values()), 0)
        if not self._rows:
            raise DataError(f"{path} has no rows.")

    def batches(self, rows: int, names: Sequence[str], progress: Progress) -> Iterator[Batch]:
        chosen = [self.columns[name] for name in names]
        rows = rows_that_fit(rows, chosen)
        row_bytes = sum(self._row_bytes(column) for column in chosen)
        try:
            with ExitStack() as stack:
                archive = stack.enter_context(zipfile.ZipFile(self._path))
                streams = [stack.enter_context(archive.open(name + ENDING)) for name in names]
                for stream in streams:
                    _header(stream)
                for start in range(0, self._rows, rows):
                    count = min(rows, self._rows - start)
                    yield {
                        each.name: self._read(stream, each, count) for each, stream in zip(chosen, streams, strict=True)
                    }
                    progress((start + count) * row_bytes, self._rows * row_bytes)
        except FAULTS as error:
            raise DataError(f"{self._path} cannot be read: {error}.") from None

    def _row_bytes(self, column: Column) -> int:
        return self._stored[column.name].itemsize * int(np.prod(column.shape, dtype=np.int64))

    def _read(self, stream: IO[bytes], column: Column, count: int) -> Tensor:
        size = count * self._row_bytes(column)
        data = bytearray(stream.read(size))  # of its own memory, and writable
        if len(data) < size:
            raise DataError(f"{self._path}, array {column.name!r}: the file ends in it.")
        array = np.frombuffer(data, self._stored[column.name]).reshape(count, *column.shape)
        if array.dtype.kind == "U":
            array = np.char.encode(cast("Any", array), "utf-8")
        return array.astype(column.dtype, copy=False)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    form = np.lib.format
    read = form.read_array_header_1_0 if form.read_magic(stream) == (1, 0) else form.read_array_header_2_0
    return read(stream)


def _column(name: str, shape: tuple[int, ...], *, fortran: bool, dtype: "np.dtype[np.generic]") -> Column:
    fault = ""
    if not shape:
        fault = "it is a single value; expected an array whose first dimension is the rows"
    elif dtype.kind == "O":
        fault = "it holds Python objects; save text as an array of dtype 'S' or 'U'"
    elif dtype.kind not in "biufSU":
        fault = f"its dtype {dtype} is neither numbers nor text"
    elif fortran and len(shape) > 1:
        fault = "it is stored column by column; save it with numpy.ascontiguousarray"
    own = np.dtype(object) if dtype.kind in "SU" else dtype.newbyteorder("=")
    return Column(name, own, shape[1:], fault=fault)
