"""Log files that are begun anew as they grow and age, and whose total stays within bounds."""

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import quote

from unstuck.proto.tfrecord import framed

FILE_BYTES = 64 << 20
FILE_AGE_S = 3600.0
PARTS = 4  # of the total, one file takes no more than one
MODE = 0o600  # what clients send may be for few eyes

_NUMBERS = count(1)


class LogFiles:
    """TFRecord files ``PREFIX.MODEL.TIME.PID-NUMBER.tfrecord``. Belongs to one thread."""

    def __init__(self, prefix: Path, model: str, max_bytes: int, writers: int = 1) -> None:
        """Nothing is written yet.

        Args:
            prefix: what the files' paths begin with.
            model: the model's name.
            max_bytes: of all its files together, those of earlier runs included; the oldest are deleted.
            writers: how many processes write such files at the same time.
        """
        self._folder = prefix.parent
        self._begin = f"{prefix.name}.{quote(model, safe='')}."
        self._max_bytes = max_bytes
        self._writers = writers
        self._file_bytes = min(FILE_BYTES, max_bytes // PARTS // writers)
        self._file = -1
        self._size = 0
        self._opened_s = 0.0

    def write(self, records: Sequence[bytes]) -> None:
        """Adds ``records`` and hands them to the system. Raises OSError; none was added then."""
        data = b"".join(map(framed, records))
        if self._file >= 0 and self._is_over(len(data)):
            self.close()
        if self._file < 0:
            self._open(len(data))
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._cut()
            raise
        self._size += len(data)

    def close(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            with suppress(OSError):  # a network file system may say only now that there was no room
                os.close(file)

    def _is_over(self, more_bytes: int) -> bool:
        is_full = self._size and self._size + more_bytes > self._file_bytes
        is_old = time.monotonic() - self._opened_s > FILE_AGE_S
        return bool(is_full or is_old or not os.fstat(self._file).st_nlink)  # or somebody deleted it

    def _open(self, first_bytes: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(max(first_bytes, self._file_bytes * self._writers))  # the others' open files may still grow
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{self._begin}{now}.{os.getpid()}-{next(_NUMBERS):06d}.tfrecord"
        self._file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, MODE)
        self._size, self._opened_s = 0, time.monotonic()

    def _make_room(self, more_bytes: int) -> None:
        ours = re.compile(re.escape(self._begin) + r"\d{8}T\d{6}Z\.\d+-\d+\.tfrecord")
        found = sorted(each for each in self._folder.iterdir() if ours.fullmatch(each.name))
        sizes = {path: _size(path) for path in found}
        total = sum(sizes.values())
        for path in found:
            if total + more_bytes <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= sizes[path]

    def _cut(self) -> None:
        """Takes away what was written of records that did not fit."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.close()  # its end is torn, which readers are told; the next records go to another file


def _size(path: Path) -> int:
    """0 for a file that another process has deleted meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
