"""What every reader gives: columns, and batches of their values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unstuck.core.signatures import Tensor, show_shape
from unstuck.errors import SetupError, did_you_mean

BATCH_BYTES = 32 << 20  # of a batch at most, so that memory stays the same however large rows are

Batch = dict[str, Tensor]
Progress = Callable[[int, int], None]  # bytes read, bytes in all; begins anew with every pass over the file


class DataError(SetupError):
    """Training data that cannot be read; the message names the file, and the line or record and field."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file.

    Attributes:
        name: its name.
        dtype: of its arrays; object (of bytes) for text.
        shape: of a row's value.
        note: why it is text, where some of its values look like numbers.
        fault: why it cannot be read; empty where it can. Only who asks for it hears of it.
    """

    name: str
    dtype: "np.dtype[np.generic]"
    shape: tuple[int, ...] = ()
    note: str = ""
    fault: str = ""

    @property
    def is_text(self) -> bool:
        return self.dtype.kind == "O"

    def __str__(self) -> str:
        return f"{'text' if self.is_text else self.dtype.name} {show_shape(self.shape)}"


class DataFile(Protocol):
    """A file of training data, whose columns are known."""

    @property
    def columns(self) -> Mapping[str, Column]: ...

    def batches(self, rows: int, names: Sequence[str], progress: Progress) -> Iterator[Batch]:
        """The columns ``names``, of at most ``rows`` rows at once; all columns keep dtype and shape throughout."""
        ...


def wanted(path: object, columns: Mapping[str, Column], names: Iterable[str] | None) -> list[str]:
    """The names of the columns to read: those asked for, or all.

    Raises:
        DataError: there is no such column, or it cannot be read.
    """
    chosen = list(columns) if names is None else list(names)
    for name in chosen:
        if name not in columns:
            raise DataError(
                f"{path} has no column {name!r}; it has {', '.join(map(repr, columns))}.",
                hint=did_you_mean(name, columns),
            )
        if columns[name].fault:
            raise DataError(f"{path}, column {name!r}: {columns[name].fault}.")
    return chosen


def rows_that_fit(rows: int, columns: Iterable[Column]) -> int:
    """``rows``, or as many rows of ``columns`` as a batch may hold."""
    row_bytes = sum(column.dtype.itemsize * int(np.prod(column.shape, dtype=np.int64)) for column in columns)
    return max(1, min(rows, BATCH_BYTES // max(row_bytes, 1)))
