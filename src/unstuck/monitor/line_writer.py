"""Lines to stdout or stderr, which may be a file on a full disk, or a pipe that nobody reads any more.

That must stop nobody who has something to say, and tear no line: what was written in part is completed first, once
there is room, and then it is said that lines are missing.
"""

import errno
import os
import threading
from collections.abc import Callable
from functools import cache
from io import RawIOBase
from typing import TextIO


def missing(why: str) -> str:
    """What is said where lines could not be written."""
    return f"Lines that belong here could not be written: {why}."


class LineWriter:
    """Thread-safe; one for each stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Python's own buffers would tear lines, and keep some of those that were not written for later.
        buffer = getattr(stream, "buffer", None)
        self._file: RawIOBase | None = getattr(buffer, "raw", buffer)
        self._lock = threading.Lock()
        self._rest = b""  # of a line that was written in part
        self._trouble = ""

    def write(self, line: str, missing: Callable[[str], str] = missing) -> None:
        """Never fails; ``missing`` makes the line that says why others before it were lost."""
        with self._lock:
            try:
                self._complete()
                if self._trouble:
                    self._put(missing(self._trouble))
                    self._trouble = ""
                self._put(line)
            except OSError as error:
                self._trouble = error.strerror or str(error)
            except ValueError as error:  # it was closed
                self._trouble = str(error)

    def _complete(self) -> None:
        rest, self._rest = self._rest, b""
        try:
            self._put_bytes(rest)
        except OSError:
            self._rest = self._rest or rest
            raise

    def _put(self, line: str) -> None:
        if self._file is None:  # of text alone, as a test's may be
            print(line, file=self._stream, flush=True)
        else:
            self._put_bytes(f"{line}\n".encode(errors="backslashreplace"))

    def _put_bytes(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._written(left) :]
        except OSError:
            if len(left) < len(data):
                self._rest = bytes(left)
            raise

    def _written(self, data: memoryview) -> int:
        assert self._file is not None
        written = self._file.write(data)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return written


@cache
def writer_to(stream: TextIO) -> LineWriter:
    """The one for ``stream``."""
    return LineWriter(stream)
