"""Looks at the models' base paths again and again, and tells the manager which versions are to be served.

Source: tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc. Unlike there, a base path that
cannot be read stops the look at no other.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from unstuck.core.models import ModelConfig, Specific
from unstuck.errors import SetupError, UnstuckError
from unstuck.lifecycle.source import VersionPath, chosen, no_versions, numbered_folders, version_folder

log = logging.getLogger(__name__)


class Target(Protocol):
    """The part of the manager that a source speaks to."""

    def set_models(self, names: Iterable[str]) -> None: ...

    def aspire(self, name: str, versions: Sequence[VersionPath]) -> None: ...

    def report_problem(self, name: str, problem: UnstuckError) -> None: ...


class Source:
    """Thread-safe. ``poll`` looks in the calling thread; between ``start`` and ``stop`` a thread does, too."""

    def __init__(self, target: Target, is_version: Callable[[Path], bool], wait_s: float) -> None:
        """Looks at nothing yet.

        Args:
            target: hears of the versions found.
            is_version: whether a base path is one version itself.
            wait_s: the time between two looks; 0 looks only when asked, less never.
        """
        self._target = target
        self._is_version = is_version
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._models: tuple[ModelConfig, ...] = ()
        self._problems: dict[str, str] = {}
        self._repeated = Repeated("unstuck-poll", wait_s, self._poll_again)

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """From now on these are looked at; versions of others are to be served no more."""
        with self._lock:
            self._models = tuple(models)
            self._target.set_models([model.name for model in models])

    def poll(self) -> dict[str, SetupError]:
        """Looks at every base path once; returns what was wrong, by model."""
        if self._wait_s < 0:
            return {}
        with self._lock:  # so that no older look comes after a newer one
            problems: dict[str, SetupError] = {}
            for model in self._models:
                try:
                    self._target.aspire(model.name, self._look(model))
                except SetupError as problem:
                    problems[model.name] = problem
                    self._target.report_problem(model.name, problem)
            self._problems = {name: str(problem) for name, problem in problems.items()}
        return problems

    def start(self) -> None:
        """Looks again after each wait."""
        self._repeated.start()

    def stop(self) -> None:
        """Looks no more."""
        self._repeated.stop()

    def _poll_again(self) -> None:
        known = self._problems
        for name, problem in self.poll().items():
            if known.get(name) != str(problem):
                log.warning("Model %r: %s", name, problem)

    def _look(self, model: ModelConfig) -> list[VersionPath]:
        """The versions to serve. Raises SetupError: why there are none."""
        path = model.base_path
        if self._is_version(path):
            return [version_folder(path)]
        found = numbered_folders(path)
        versions = chosen(found, model.versions)
        if not versions:
            self._target.aspire(model.name, ())  # the folders are gone, and not just out of reach
            if found and isinstance(model.versions, Specific):
                raise _none_of_those(path, model.versions, found)
            raise no_versions(path)
        return versions


class Repeated:
    """Calls ``work`` on a thread of its own, each time ``wait_s`` after the last; never where that is 0 or less."""

    def __init__(self, name: str, wait_s: float, work: Callable[[], None]) -> None:
        self._name = name
        self._wait_s = wait_s
        self._work = work
        self._stopped = threading.Event()

    def start(self) -> None:
        """May be called once."""
        if self._wait_s > 0:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """No call begins after this."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._wait_s):
            try:
                self._work()
            except Exception:  # a file system may fail in any way; the next look may not
                log.exception("%s failed", self._name)


def _none_of_those(path: Path, wanted: Specific, found: Sequence[VersionPath]) -> SetupError:
    return SetupError(
        f"{path} has none of the versions {', '.join(map(str, sorted(wanted.versions)))} that model_version_policy "
        f"names; it has {', '.join(str(each.version) for each in found)}."
    )
