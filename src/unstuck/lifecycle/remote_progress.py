"""How far a copy is, as fsspec reports it."""

import logging
import time
from collections.abc import Callable
from typing import Any

from fsspec.callbacks import Callback  # pyright: ignore[reportMissingTypeStubs]

events = logging.getLogger("unstuck.versions")

LOG_EVERY_S = 10.0


class Progress(Callback):
    """Of all files of one copy together. Says every ten seconds how much is there."""

    def __init__(self, what: str, size: int, check: Callable[[], None]) -> None:
        """``check`` is called with each piece that is copied; what it raises ends the copy."""
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._what = what
        self._total = megabytes(size)
        self._check = check
        self._copied = 0
        self._said = time.monotonic()

    def branched(self, path_1: Any, path_2: Any, **kwargs: Any) -> Callback:
        """The callback of one file."""
        del path_1, path_2, kwargs
        return _OfFile(self)

    def add(self, size: int) -> None:
        """So many bytes more are there."""
        self._check()
        self._copied += size
        now = time.monotonic()
        if now - self._said >= LOG_EVERY_S:
            self._said = now
            events.info("%s: copied %s of %s", self._what, megabytes(self._copied), self._total)


class _OfFile(Callback):
    def __init__(self, parent: Progress) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._parent = parent

    def relative_update(self, inc: int = 1) -> None:
        self._parent.add(inc)


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
