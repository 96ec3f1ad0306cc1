"""Loads versions and publishes those that are available."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.servables import InputWatch, Loader, Models, Servable
from unstuck.errors import LoadFailed, NotFound, NotReady, UnknownLabel, UnstuckError, did_you_mean

LoaderOf = Callable[[], Loader]
Prove = Callable[[Servable], frozenset[str]]
WatchOf = Callable[[Servable], InputWatch | None]


def _no_watch(_servable: Servable) -> None:
    return None


@dataclass(frozen=True, slots=True)
class AvailableVersion:
    """A version that serves."""

    name: str
    version: int
    servable: Servable
    mergeable: frozenset[str] = frozenset()
    watch: InputWatch | None = None


class Manager(Models):
    """The versions of every model, and their states. Thread-safe.

    Lookups take no lock: the mapping they read is replaced whole, never changed.
    """

    def __init__(self, prove_mergeable: Prove = lambda servable: frozenset()) -> None:
        """``prove_mergeable`` names the signatures of a loaded servable whose calls may be merged."""
        self._prove_mergeable = prove_mergeable
        self._lock = threading.Lock()
        self._available: Mapping[str, Mapping[int, AvailableVersion]] = MappingProxyType({})
        self._states: dict[str, dict[int, VersionStatus]] = {}
        self._loaders: list[Loader] = []

    def aspire(self, name: str, version: int) -> None:
        """Notes that ``version`` is to be served: it is listed from now on, as START."""
        self._set_state(name, VersionStatus(version, State.START))

    def load(self, name: str, version: int, loader_of: LoaderOf, watch_of: WatchOf = _no_watch) -> None:
        """Loads ``version`` in the calling thread and publishes it.

        Args:
            name: the model's.
            version: which to load.
            loader_of: finds the loader.
            watch_of: what watches the inputs of calls to the loaded servable.

        Raises:
            UnstuckError: why it cannot be served; its status says the same.
        """
        self._set_state(name, VersionStatus(version, State.LOADING))
        try:
            loader = loader_of()
            found = self._loaded(name, version, loader, watch_of)
        except UnstuckError as error:
            error.message = f"Model {name!r} version {version} cannot be served: {error.message}"
            self._set_state(name, VersionStatus(version, State.END, error))
            raise
        except Exception as error:
            failed = LoadFailed(f"Model {name!r} version {version} cannot be served: {error!r}")
            self._set_state(name, VersionStatus(version, State.END, failed))
            raise failed from error
        with self._lock:
            self._loaders.append(loader)
            versions = {**self._available.get(name, {}), version: found}
            self._available = MappingProxyType({**self._available, name: MappingProxyType(versions)})
        self._set_state(name, VersionStatus(version, State.AVAILABLE))

    def _loaded(self, name: str, version: int, loader: Loader, watch_of: WatchOf) -> AvailableVersion:
        servable = loader.load()
        try:
            return AvailableVersion(name, version, servable, self._prove_mergeable(servable), watch_of(servable))
        except BaseException:
            loader.unload()
            raise

    def find(self, spec: ModelSpec) -> AvailableVersion:
        if spec.label is not None:
            raise UnknownLabel(spec.name, spec.label, ())
        versions = self._available.get(spec.name)
        if versions is None:
            raise self._not_available(spec)
        if spec.version is None:
            return versions[max(versions)]
        found = versions.get(spec.version)
        if found is None:
            raise self._not_available(spec)
        return found

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The states of ``name``'s versions, or of the one version asked for.

        Raises:
            NotFound: no such model, or no such version of it.
        """
        with self._lock:
            states = dict(self._states.get(name, {}))
        if not states:
            raise self._unknown_model(name)
        if version is None:
            return list(states.values())
        if version not in states:
            raise self._unknown_version(name, version, states)
        return [states[version]]

    @property
    def ready(self) -> bool:
        """Whether every model has a version that serves."""
        with self._lock:
            return bool(self._states) and all(name in self._available for name in self._states)

    def statuses(self) -> dict[str, list[VersionStatus]]:
        """Every model's versions and their states."""
        with self._lock:
            return {name: list(states.values()) for name, states in self._states.items()}

    def available(self) -> list[AvailableVersion]:
        """Every version that serves."""
        return [version for versions in self._available.values() for version in versions.values()]

    def unload_all(self) -> None:
        """Ends every version; only once no call runs any more."""
        with self._lock:
            self._available = MappingProxyType({})
            loaders, self._loaders = self._loaders, []
        for loader in loaders:
            loader.unload()

    def _set_state(self, name: str, status: VersionStatus) -> None:
        with self._lock:
            self._states.setdefault(name, {})[status.version] = status

    def _not_available(self, spec: ModelSpec) -> UnstuckError:
        with self._lock:
            states = dict(self._states.get(spec.name, {}))
        if not states:
            return self._unknown_model(spec.name)
        if spec.version is not None and spec.version not in states:
            return self._unknown_version(spec.name, spec.version, states)
        wanted = states[spec.version if spec.version is not None else max(states)]
        if wanted.state is State.END:
            why = f": {wanted.error}" if wanted.error else ""
            return NotFound(
                f"Servable not found for request: model {spec.name!r} version {wanted.version} has ended{why}"
            )
        return NotReady(
            f"Model {spec.name!r} version {wanted.version} is not available yet: it is {wanted.state.name}.",
            hint="Ask /readyz, or try again in a moment.",
        )

    def _unknown_model(self, name: str) -> NotFound:
        with self._lock:
            known = sorted(self._states)
        return NotFound(
            f"Servable not found for request: model {name!r}; the models served are {', '.join(map(repr, known))}.",
            hint=did_you_mean(name, known),
        )

    def _unknown_version(self, name: str, version: int, states: Mapping[int, VersionStatus]) -> NotFound:
        listed = ", ".join(f"{each} ({states[each].state.name})" for each in sorted(states, reverse=True))
        return NotFound(f"Servable not found for request: model {name!r} version {version}; its versions are {listed}.")
