"""What is known of every version: its state, why it ended, and what a request for one that does not serve is told."""

import threading
from collections.abc import Iterable, Mapping, Sequence

from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.observers import VersionObserver
from unstuck.errors import NotFound, NotReady, Quarantined, UnstuckError, did_you_mean

COMING = (State.START, State.LOADING)


class States:
    """Thread-safe. A version that was unloaded stays listed, as END."""

    def __init__(self, observers: Sequence[VersionObserver]) -> None:
        self._lock = threading.Lock()
        self._observers = observers
        self._states: dict[str, dict[int, VersionStatus]] = {}
        self._problems: dict[str, UnstuckError] = {}
        self.models: frozenset[str] = frozenset()  # those that are to be served

    def set_models(self, names: Iterable[str]) -> None:
        """From now on these are to be served."""
        self.models = frozenset(names)

    def set_problem(self, name: str, problem: UnstuckError | None) -> None:
        """Why no versions of ``name`` can be found; None where they can."""
        with self._lock:
            if problem is None:
                self._problems.pop(name, None)
            else:
                self._problems[name] = problem

    def set(self, name: str, status: VersionStatus) -> None:
        """One version's state, told to the observers."""
        with self._lock:
            self._states.setdefault(name, {})[status.version] = status
            for observer in self._observers:
                observer.version_changed(name, status)

    def of(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The states of ``name``'s versions, or of the one version asked for.

        Raises:
            NotFound: no such model, or no such version of it.
        """
        with self._lock:
            states = dict(self._states.get(name, {}))
        if not states:
            raise self._without_versions(name)
        if version is None:
            return list(states.values())
        if version not in states:
            raise _unknown_version(name, version, states)
        return [states[version]]

    def all(self) -> dict[str, list[VersionStatus]]:
        """Every model's versions and their states; models that are to be served and have none, too."""
        with self._lock:
            known = {name: list(states.values()) for name, states in self._states.items()}
        return {**known, **{name: [] for name in sorted(self.models) if name not in known}}

    def why_not(self, spec: ModelSpec) -> UnstuckError:
        """What a request for ``spec``, which does not serve, is told."""
        with self._lock:
            states = dict(self._states.get(spec.name, {}))
        if not states:
            return self._without_versions(spec.name)
        if spec.version is not None and spec.version not in states:
            return _unknown_version(spec.name, spec.version, states)
        if quarantined := _quarantined(states, spec.version):
            return quarantined
        wanted = states[spec.version] if spec.version is not None else max(states.values(), key=_nearest_to_serving)
        about = f"model {spec.name!r} version {wanted.version}"
        if wanted.state in COMING:
            return NotReady(
                f"Model {spec.name!r} version {wanted.version} is not available yet: it is {wanted.state.name}.",
                hint="Ask /readyz, or try again in a moment.",
            )
        if wanted.state is State.UNLOADING:
            return NotFound(f"Servable not found for request: {about} is being unloaded.")
        why = f": {wanted.error}" if wanted.error else ""
        return NotFound(f"Servable not found for request: {about} has ended{why}")

    def _without_versions(self, name: str) -> UnstuckError:
        if name not in self.models:
            known = sorted(self.models)
            return NotFound(
                f"Servable not found for request: model {name!r}; the models served are "
                f"{', '.join(map(repr, known)) or 'none'}.",
                hint=did_you_mean(name, known),
            )
        problem = self._problems.get(name)
        if problem is not None:
            return NotFound(f"Servable not found for request: model {name!r} has no version: {problem}")
        return NotReady(f"Model {name!r} is not available yet: its versions are being looked for.")


def _quarantined(states: Mapping[int, VersionStatus], version: int | None) -> Quarantined | None:
    """Why ``version``, or the newest, is in quarantine; with the versions that serve: nobody is given them unasked."""
    if version is None:
        version = max((each.version for each in states.values() if isinstance(each.error, Quarantined)), default=None)
    error = states[version].error if version is not None else None
    if not isinstance(error, Quarantined):
        return None
    told = error.again()
    serving = [str(each.version) for each in states.values() if each.state is State.AVAILABLE]
    if serving:
        told.hint += f" Version {' and '.join(sorted(serving, key=int))} serves whoever names it."
    return told


def _nearest_to_serving(status: VersionStatus) -> tuple[bool, bool, int]:
    return status.state in COMING, status.error is not None, status.version


def _unknown_version(name: str, version: int, states: Mapping[int, VersionStatus]) -> NotFound:
    listed = ", ".join(f"{each} ({states[each].state.name})" for each in sorted(states, reverse=True))
    return NotFound(f"Servable not found for request: model {name!r} version {version}; its versions are {listed}.")
