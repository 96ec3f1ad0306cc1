"""The versions' states and loads, and how many rows of their requests were unlike training."""

import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from time import monotonic, perf_counter_ns

from unstuck.core.models import State, VersionStatus
from unstuck.core.observers import VersionObserver
from unstuck.core.servables import AvailableModel
from unstuck.monitor import official
from unstuck.monitor.families import Family, FamilySource
from unstuck.monitor.instruments import Labels, Reading

Version = tuple[str, int]


class VersionMetrics(VersionObserver, FamilySource):
    """Thread-safe.

    Attributes:
        names: of all models that ever had a version. Replaced whole: reading it takes no lock.
        versions: those that have not ended. Replaced whole, too.
    """

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.versions: frozenset[Version] = frozenset()
        self._lock = threading.Lock()
        self._states: dict[Version, VersionStatus] = {}
        self._paths: dict[Version, Path] = {}
        self._began_ns: dict[Version, int] = {}
        self._load_seconds: dict[Version, float] = {}
        self._ended_s: dict[Version, float] = {}
        self._attempts = official.load_attempt_count()
        self._latency = official.load_latency()
        self._state = Reading(
            "unstuck_version_state",
            "gauge",
            "1 for the state that a version is in.",
            ["model", "version", "state"],
            self._by_state,
        )
        self._load_time = Reading(
            "unstuck_load_duration_seconds",
            "gauge",
            "How long a version took to load.",
            ["model", "version"],
            self._by_load_time,
        )

    def load_begins(self, name: str, version: int, path: Path) -> None:
        """A version is about to be loaded from ``path``, for the first time or once more."""
        with self._lock:
            self._end_load((name, version), "fail")  # one that is tried again says nothing else
            self._paths[name, version] = path
            self._began_ns[name, version] = perf_counter_ns()

    def version_changed(self, name: str, status: VersionStatus) -> None:
        key = name, status.version
        with self._lock:
            self.names |= {name}
            self._states[key] = status
            if status.state is State.AVAILABLE:
                self._end_load(key, "success")
            elif status.state is State.END:
                self._end_load(key, "fail")
                self._load_seconds.pop(key, None)
                self._paths.pop(key, None)
                if status.error is None:
                    del self._states[key]  # it was unloaded: nobody asks for it any more
            self._ended_s.pop(key, None)
            if status.state is State.END:
                self._ended_s[key] = monotonic()
            self.versions = frozenset(each for each, now in self._states.items() if now.state is not State.END)

    def take_long_ended(self, for_s: float) -> frozenset[Version]:
        """The versions that ended ``for_s`` seconds ago or earlier, each once."""
        latest_s = monotonic() - for_s
        with self._lock:
            found = frozenset(each for each, ended_s in self._ended_s.items() if ended_s <= latest_s)
            for each in found:
                del self._ended_s[each]
        return found

    def _end_load(self, key: Version, outcome: str) -> None:
        began_ns = self._began_ns.pop(key, None)
        if began_ns is None:
            return
        path, took_ns = str(self._paths[key]), perf_counter_ns() - began_ns
        self._attempts.add((path, outcome))
        if outcome == "success":
            self._latency.add((path,), took_ns // 1000)
            self._load_seconds[key] = took_ns / 1e9

    def families(self) -> Iterable[Family]:
        counted = (self._attempts, self._latency, self._state, self._load_time)
        return chain.from_iterable(each.families() for each in counted)

    def _by_state(self) -> Mapping[Labels, float]:
        with self._lock:
            return {(name, str(number), now.state.name): 1 for (name, number), now in self._states.items()}

    def _by_load_time(self) -> Mapping[Labels, float]:
        with self._lock:
            return {(name, str(number)): seconds for (name, number), seconds in self._load_seconds.items()}


def skewed_rows(available: Callable[[], Iterable[AvailableModel]]) -> Reading:
    """How many rows of requests were unlike training, for each version that ``available`` gives."""

    def cells() -> Mapping[Labels, float]:
        return {
            (model.name, str(model.version), model.watch.signature_name, alias): count
            for model in available()
            if model.watch is not None
            for alias, count in dict(model.watch.counts).items()
        }

    return Reading(
        "unstuck_skewed_rows_total",
        "counter",
        "Rows of requests that were unlike the training data.",
        ["model", "version", "signature", "input"],
        cells,
    )
