"""Refusals that wait a moment for each other.

While ten times as many calls come as can be answered, what a refusal costs is mostly that a thread wakes for it: the
run that it interrupts finds the processor's caches cold. Told together, many cost that once; and who asks again as soon
as it is refused does so less often. Over gRPC they are read together already (``api/grpc/native.py``).
"""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

DELAY_S = 0.02

Item = TypeVar("Item")

log = logging.getLogger(__name__)


class Refusals(Generic[Item]):
    """Thread-safe."""

    def __init__(self, tell: Callable[[Item], None], later: Callable[[float, Callable[[], None]], object]) -> None:
        """Tells nobody yet.

        Args:
            tell: tells one caller.
            later: has a function called in so many seconds.
        """
        self._tell = tell
        self._later = later
        self._lock = threading.Lock()
        self._waiting: list[Item] = []

    def add(self, item: Item) -> None:
        """Tells this caller in ``DELAY_S`` seconds or earlier."""
        with self._lock:
            self._waiting.append(item)
            if len(self._waiting) > 1:
                return
        self._later(DELAY_S, self._tell_all)

    def _tell_all(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            try:
                self._tell(each)
            except Exception:  # the others must hear of theirs
                log.exception("A caller could not be told of a refusal")
