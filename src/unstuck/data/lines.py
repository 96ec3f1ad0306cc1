"""The bytes of a file from its beginning to its end, plain or gzip-compressed."""

import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from unstuck.data.columns import DataError

GZIP_MAGIC = b"\x1f\x8b\x08"
BUFFER = 1 << 20


class Bytes:
    """A file that is being read; ``position`` counts the bytes of the file itself, compressed or not."""

    def __init__(self, file: "io.BufferedReader[io.FileIO]") -> None:
        self._file = file
        packed = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
        self.stream: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file

    @property
    def position(self) -> int:
        return self._file.tell()

    def numbered_lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line with its number, from 1."""
        return enumerate(self.stream, 1)


@contextmanager
def opened(path: Path) -> Generator[Bytes]:
    """The file ``path``. Raises DataError for what the system or gzip says while it is read."""
    try:
        with io.BufferedReader(io.FileIO(path), BUFFER) as file:
            yield Bytes(file)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
