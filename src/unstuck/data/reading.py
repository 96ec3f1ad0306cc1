"""Which reader a file needs, by the end of its name."""

import importlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from unstuck.data.columns import Batch, DataError, DataFile, Progress, wanted

# Each reader is imported when it is needed, as pyarrow is large. GZIP: a compressed file is read as it is.
READERS = {
    ".csv": "csv_file",
    ".jsonl": "jsonl_file",
    ".tfrecord": "tfrecord_file",
    ".tfrecords": "tfrecord_file",
    ".npz": "npz_file",
    ".parquet": "parquet_file",
}
GZIP = (".csv", ".jsonl", ".tfrecord", ".tfrecords")
ROWS = 4096


def _quiet(_read: int, _of: int) -> None:
    pass


def open_data(path: Path | str, *, text: Collection[str] = (), progress: Progress = _quiet) -> DataFile:
    """The file ``path``, with its columns; CSV, JSON lines and TFRecords are read once to know them.

    Args:
        path: .csv, .jsonl or .tfrecord, each also with .gz; .npz, .parquet.
        text: columns of a CSV file that are text, even if all their values look like numbers.
        progress: called with the bytes read and the bytes in all.

    Raises:
        DataError: the file is not there, or not what its name says.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".gz" and Path(path.stem).suffix.lower() in GZIP:
        suffix = Path(path.stem).suffix.lower()
    if suffix not in READERS:
        raise DataError(
            f"{path} is of no format that is known by its name: {', '.join(READERS)}.",
            hint="Give it the ending of its format, or convert it to one of these.",
        )
    if not path.is_file():
        raise DataError(f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
    open_file = importlib.import_module(f"unstuck.data.{READERS[suffix]}").open_file
    data: DataFile = open_file(path, frozenset(text), progress)
    if not data.columns:
        raise DataError(f"{path} has no columns.")
    return data


def read_batches(
    path: Path | str,
    *,
    rows: int = ROWS,
    columns: Sequence[str] | None = None,
    text: Collection[str] = (),
    progress: Progress = _quiet,
) -> Iterator[Batch]:
    """The rows of ``path``, in the file's order, in memory that does not grow with the file.

    Args:
        path: as ``open_data`` takes it.
        rows: in a batch at most; fewer where rows are large.
        columns: the columns to read, None for all.
        text: columns of a CSV file that are text, even if all their values look like numbers.
        progress: called with the bytes read and the bytes in all; begins anew where the file is read a second time.

    Yields:
        An array [rows, …] by column; its dtype and row shape are the same in every batch.

    Raises:
        DataError: a fault of the file; the message names the line or record and the field.
    """
    data = open_data(path, text=text, progress=progress)
    yield from data.batches(rows, wanted(path, data.columns, columns), progress)
