"""Parquet files, by pyarrow. Lists of a fixed length are further dimensions; dates and times are ISO text."""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.data.columns import Batch, Column, DataError, Progress, rows_that_fit
from unstuck.errors import SetupError

PEEKED_ROWS = 256


def open_file(path: Path, _text: frozenset[str], _progress: Progress) -> "ParquetFile":
    """Reads the schema, and some rows for the lengths of lists. Raises DataError."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise SetupError(
            f"{path}: Parquet files are read by pyarrow, which is not installed.",
            hint='Run: pip install "unstuck[data]"',
        ) from None
    return ParquetFile(path)


class ParquetFile:
    """Integers that may be missing are floats, as NaN has to stand among them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = cast("Any", importlib.import_module("pyarrow"))
        self._compute = cast("Any", importlib.import_module("pyarrow.compute"))
        with self._opened() as file:
            if not file.metadata.num_rows:
                raise DataError(f"{path} has no rows.")
            nullable = _nullable(file.metadata)
            self.columns = {
                field.name: self._column(field, _shape(file, field), may_be_missing=field.name in nullable)
                for field in file.schema_arrow
            }

    def batches(self, rows: int, names: Sequence[str], progress: Progress) -> Iterator[Batch]:
        size, read = self._path.stat().st_size, 0
        rows = rows_that_fit(rows, [self.columns[name] for name in names])
        with self._opened() as file:
            try:
                for batch in file.iter_batches(batch_size=rows, columns=list(names)):
                    yield {name: self._array(batch.column(name), self.columns[name], read) for name in names}
                    read += batch.num_rows
                    progress(size * read // file.metadata.num_rows, size)
            except (OSError, self._arrow.ArrowException) as error:
                raise DataError(f"{self._path} cannot be read after row {read}: {error}.") from None

    def _opened(self) -> Any:
        parquet = cast("Any", importlib.import_module("pyarrow.parquet"))
        try:
            return parquet.ParquetFile(self._path)
        except (OSError, self._arrow.ArrowException) as error:
            raise DataError(f"{self._path} cannot be read: {error}.") from None

    def _column(self, field: Any, shape: tuple[int, ...] | None, *, may_be_missing: bool) -> Column:
        types, inner = self._arrow.types, _inner(field.type)
        if types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner):
            dtype = np.dtype(inner.to_pandas_dtype())
            dtype = np.dtype(np.float64) if may_be_missing and dtype.kind != "f" else dtype
        elif types.is_decimal(inner):
            dtype = np.dtype(np.float64)
        elif _is_text(types, inner):
            dtype = np.dtype(object)
        else:
            return Column(field.name, np.dtype(object), fault=f"its type {field.type} is neither numbers nor text")
        fault = f"its lists are empty in the first {PEEKED_ROWS} rows" if shape is None else ""
        return Column(field.name, dtype, shape or (), fault=fault)

    def _array(self, array: Any, column: Column, first_row: int) -> Tensor:
        flat, rows = array, np.arange(len(array))  # rows: of each of the flat values, its row
        valid = np.ones(len(array), bool)
        for size in column.shape:
            here = flat.is_valid().to_numpy(zero_copy_only=False)
            lengths = self._compute.list_value_length(flat).fill_null(size).to_numpy(zero_copy_only=False)
            if (wrong := np.flatnonzero(lengths != size)).size:
                at = int(wrong[0])
                raise DataError(
                    f"{self._path}, row {first_row + int(rows[at]) + 1}, column {column.name!r}: "
                    f"expected {size} values as in the rows before, got {lengths[at]}."
                )
            valid[np.flatnonzero(valid)[~here]] = False
            valid = np.repeat(valid, size)
            rows = np.repeat(rows[here], size)
            flat = flat.flatten()
        values = self._values(flat, column.dtype)
        found = np.full(valid.size, b"" if column.is_text else np.nan, column.dtype) if not valid.all() else values
        if not valid.all():
            found[valid] = values
        return found.reshape(len(array), *column.shape)

    def _values(self, flat: Any, dtype: "np.dtype[np.generic]") -> Tensor:
        arrow = self._arrow
        if arrow.types.is_dictionary(flat.type):
            flat = flat.dictionary_decode()
        if dtype.kind == "O":
            if arrow.types.is_temporal(flat.type):
                flat = flat.cast(arrow.string())
            return flat.cast(arrow.large_binary()).fill_null(b"").to_numpy(zero_copy_only=False)
        if arrow.types.is_decimal(flat.type):
            flat = flat.cast(arrow.float64())
        # A copy that is writable; missing numbers come as NaN, in floats.
        return np.array(flat.to_numpy(zero_copy_only=False), dtype)


def _inner(kind: Any) -> Any:
    """What the lists hold, however deep they are."""
    while hasattr(kind, "value_field"):
        kind = kind.value_type
    return kind.value_type if hasattr(kind, "index_type") else kind


def _is_text(types: Any, kind: Any) -> bool:
    checks = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view", "fixed_size_binary")
    return types.is_temporal(kind) or any(getattr(types, f"is_{each}")(kind) for each in checks)


def _nullable(metadata: Any) -> set[str]:
    """The columns that may have missing values, by the file's statistics; all of those that have none."""
    found: set[str] = set()
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                found.add(column.path_in_schema.split(".")[0])
    return found


def _shape(file: Any, field: Any) -> tuple[int, ...] | None:
    """The lengths of a column's lists; None where the first rows do not say."""
    if not hasattr(field.type, "value_field"):
        return ()
    batch = next(file.iter_batches(batch_size=PEEKED_ROWS, columns=[field.name]))
    value = next((each for each in batch.column(0).to_pylist() if each), None)
    shape: list[int] = []
    while isinstance(value, list):
        items = cast("list[object]", value)
        shape.append(len(items))
        value = next((each for each in items if each is not None), None)
    return tuple(shape) or None
