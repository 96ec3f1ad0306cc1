"""The latest things that happened to the server's versions."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from unstuck.core.models import VersionStatus
from unstuck.core.observers import VersionObserver

KEPT = 200


@dataclass(frozen=True, slots=True)
class Event:
    """One of them.

    Attributes:
        time: when, in seconds of the epoch.
        model: whose.
        version: which.
        what: a state, or what else was noticed, in words.
        error: why, where something is wrong.
    """

    time: float
    model: str
    version: int
    what: str
    error: str = ""


class EventHistory(VersionObserver):
    """The latest events, the newest last, and since when each version is in its state. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._since: dict[tuple[str, int], float] = {}

    def version_changed(self, name: str, status: VersionStatus) -> None:
        event = Event(time.time(), name, status.version, status.state.name, str(status.error or ""))
        with self._lock:
            self._since[name, status.version] = event.time
            self._events.append(event)

    def noticed(self, name: str, version: int, what: str, error: str = "") -> None:
        """Something other than a change of state."""
        with self._lock:
            self._events.append(Event(time.time(), name, version, what, error))

    def since(self, name: str, version: int) -> float | None:
        """When the version came into the state that it is in, in seconds of the epoch."""
        return self._since.get((name, version))

    def latest(self) -> list[Event]:
        """The newest last."""
        with self._lock:
            return list(self._events)
