"""Looks at the models' base paths again and again, and tells the manager which versions are to be served.

Source: tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc. Unlike there, a base path that
cannot be read stops the look at no other.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from unstuck.core.locations import RemotePath
from unstuck.core.models import ModelConfig, Specific
from unstuck.errors import SetupError, UnstuckError
from unstuck.lifecycle.remote import RemoteModels
from unstuck.lifecycle.remote_look import RemoteLook
from unstuck.lifecycle.source import Found, chosen, no_versions, numbered_folders, version_folder, versions_in

log = logging.getLogger(__name__)


class Target(Protocol):
    """The part of the manager that a source speaks to."""

    def set_models(self, names: Iterable[str]) -> None: ...

    def aspire(self, name: str, versions: Sequence[Found]) -> None: ...

    def report_problem(self, name: str, problem: UnstuckError) -> None: ...


class Source:
    """Thread-safe. ``poll`` looks in the calling thread; between ``start`` and ``stop`` threads do, too."""

    def __init__(
        self, target: Target, is_version: Callable[[Path], bool], wait_s: float, remote: RemoteLook | None = None
    ) -> None:
        """Looks at nothing yet.

        Args:
            target: hears of the versions found.
            is_version: whether a base path is one version itself.
            wait_s: the time between two looks; 0 looks only when asked, less never.
            remote: looks at remote base paths.
        """
        self._target = target
        self._is_version = is_version
        self._remote = remote or RemoteLook(RemoteModels(is_version), wait_s)
        self._local_looks = _Looks("unstuck-poll", wait_s, target, self._look)
        self._remote_looks = _Looks(
            "unstuck-poll-remote", self._remote.wait_s, target, self._look_at_remote, self._remote.tidy
        )

    def check(self, model: ModelConfig) -> None:
        """Raises SetupError where nothing can be served from its base path, even later."""
        if isinstance(model.base_path, RemotePath):
            self._remote.check(model.base_path)
        elif not self._is_version(model.base_path):
            versions_in(model.base_path)

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """From now on these are looked at; versions of others are to be served no more."""
        remote = tuple(model for model in models if isinstance(model.base_path, RemotePath))
        with self._local_looks.lock, self._remote_looks.lock:
            self._remote.set_models(remote)
            self._local_looks.models = tuple(model for model in models if model not in remote)
            self._remote_looks.models = remote
            self._target.set_models([model.name for model in models])

    def poll(self) -> dict[str, SetupError]:
        """Looks at every base path once; returns what was wrong, by model."""
        return {**self._local_looks.look(), **self._remote_looks.look()}

    def start(self) -> None:
        """Looks again after each wait."""
        self._local_looks.start()
        self._remote_looks.start()

    def stop(self) -> None:
        """Looks no more, and copies no more."""
        self._local_looks.stop()
        self._remote_looks.stop()
        self._remote.stop()

    def _look(self, model: ModelConfig) -> Sequence[Found]:
        """The versions to serve. Raises SetupError: why there are none."""
        path = model.base_path
        assert isinstance(path, Path)
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

    def _look_at_remote(self, model: ModelConfig) -> Sequence[Found]:
        """As ``_look``; a remote folder without any version does not exist, and may be just out of reach."""
        path = model.base_path
        assert isinstance(path, RemotePath)
        found, versions = self._remote.look(model, path)
        if not versions and isinstance(model.versions, Specific):
            self._target.aspire(model.name, ())
            raise _none_of_those(path, model.versions, found)
        return versions


class _Looks:
    """At some of the models, with a rhythm and a lock of their own: a store that hangs holds up no local folder.

    Attributes:
        lock: so that no older look comes after a newer one, or after other models were set.
        models: that are looked at; changed with the lock held.
    """

    def __init__(
        self,
        name: str,
        wait_s: float,
        target: Target,
        look: Callable[[ModelConfig], Sequence[Found]],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self.lock = threading.Lock()
        self.models: tuple[ModelConfig, ...] = ()
        self._wait_s = wait_s
        self._target = target
        self._look = look
        self._after = after
        self._problems: dict[str, str] = {}
        self._repeated = Repeated(name, wait_s, self._look_again)
        self.start = self._repeated.start
        self.stop = self._repeated.stop

    def look(self) -> dict[str, SetupError]:
        """At all of them, once; returns what was wrong, by model."""
        problems: dict[str, SetupError] = {}
        if self._wait_s < 0:
            return problems
        with self.lock:
            for model in self.models:
                try:
                    self._target.aspire(model.name, self._look(model))
                except SetupError as problem:
                    problems[model.name] = problem
                    self._target.report_problem(model.name, problem)
            if self.models:
                self._after()
            self._problems = {name: str(problem) for name, problem in problems.items()}
        return problems

    def _look_again(self) -> None:
        known = self._problems
        for name, problem in self.look().items():
            if known.get(name) != str(problem):
                log.warning("Model %r: %s", name, problem)


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


def _none_of_those(path: Path | RemotePath, wanted: Specific, found: Sequence[Found]) -> SetupError:
    return SetupError(
        f"{path} has none of the versions {', '.join(map(str, sorted(wanted.versions)))} that model_version_policy "
        f"names; it has {', '.join(str(each.version) for each in found)}."
    )
