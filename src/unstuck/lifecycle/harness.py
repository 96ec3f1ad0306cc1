"""One version on its way from a folder to a servable and back."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from unstuck.core.batching import Batching
from unstuck.core.observers import RunObserver
from unstuck.core.process import resident_bytes
from unstuck.core.servables import InputWatch, Loader, Servable
from unstuck.errors import LoadFailed, NotEnoughMemory, Quarantined, UnstuckError
from unstuck.lifecycle.leases import Lease
from unstuck.lifecycle.policies import Phase, Snapshot
from unstuck.lifecycle.room import Room
from unstuck.lifecycle.source import Files, Found, VersionPath

# Errors of the system that waiting does not heal; other OSErrors (a network file system's, too many open files) may.
_LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)

Facts = Mapping[str, object]  # values of JSON, or functions that give them
Notices = Mapping[str, str]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class AvailableVersion:
    """A version that serves. To hold one is to lease it: it is not unloaded before the last reference is gone.

    Attributes:
        name: the model's.
        version: its number.
        servable: answers its calls.
        mergeable: the signatures whose calls may be run together.
        watch: compares inputs with training's; None where nothing is known of those.
        observers: hear of each of its runs.
        facts: what is known of it, for people and their tools; functions give what changes while it serves.
        notices: by signature, what is to be said with its answers; changes while it serves.
        batching: how its calls wait for others, where the batching parameters say so.
    """

    name: str
    version: int
    servable: Servable
    mergeable: frozenset[str] = frozenset()
    watch: InputWatch | None = None
    observers: Sequence[RunObserver] = ()
    facts: Facts = field(default_factory=dict[str, object])
    notices: Notices = field(default_factory=dict[str, str])
    batching: Batching | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was found out of a loaded servable before it serves; see ``AvailableVersion``.

    ``servable`` takes the loaded one's place, if it is not None.
    """

    mergeable: frozenset[str] = frozenset()
    watch: InputWatch | None = None
    observers: Sequence[RunObserver] = ()
    facts: Facts = field(default_factory=dict[str, object])
    notices: Notices = field(default_factory=dict[str, str])
    batching: Batching | None = None
    servable: Servable | None = None


LoaderOf = Callable[[str, VersionPath], Loader]
Accept = Callable[[str, VersionPath, Servable], Accepted]


@dataclass(slots=True, eq=False)
class Harness:
    """Owned by the manager and changed under its lock, but for ``load`` and ``check``, called by one thread at a time.

    Attributes:
        name: the model's.
        found: the version, and where it is.
        local: where it is on this machine, once it was loaded from there.
        is_aspired: whether it is to be served.
        phase: how far it is.
        serving: what lookups return while it serves.
        loader: gives its memory back.
        lease: ends with the last call to it.
        attempts: how often it could not be loaded.
        error: why not.
        retry: the next attempt's timer, while it waits for one.
        quarantine: why it is out of service, until it serves again.
        files: its files at the latest attempt.
        seen_files: its files at the latest look, after it failed.
    """

    name: str
    found: Found
    is_aspired: bool = True
    phase: Phase = Phase.NEW
    serving: AvailableVersion | None = None
    loader: Loader | None = None
    lease: Lease | None = None
    attempts: int = 0
    error: UnstuckError | None = None
    retry: threading.Timer | None = None
    quarantine: Quarantined | None = None
    local: VersionPath | None = None
    files: Files = field(default=())
    seen_files: Files = field(default=())

    @property
    def version(self) -> int:
        return self.found.version

    def snapshot(self) -> Snapshot:
        """What policies see of it."""
        return Snapshot(self.found.version, self.phase, self.is_aspired)

    def load(
        self, loader_of: LoaderOf, accept: Accept, room: Room, beside: Sequence[int]
    ) -> tuple[Loader, AvailableVersion]:
        """Loads it in the calling thread, with ``beside`` as ``room`` knows it.

        Raises whatever stands against its being served.
        """
        local, loader = self._found(loader_of)
        with room.enter(self.name, local, loader, beside):
            return self._load(local, loader, accept)

    def check(self, loader_of: LoaderOf, room: Room, beside: Sequence[int]) -> None:
        """Raises NotEnoughMemory where it would not fit in the place of ``beside``; whatever else stands against it."""
        room.check(self.name, *self._found(loader_of), beside)

    def _found(self, loader_of: LoaderOf) -> tuple[VersionPath, Loader]:
        self.local, self.files = self.found.local()
        self.seen_files = self.files
        return self.local, loader_of(self.name, self.local)

    def _load(self, local: VersionPath, loader: Loader, accept: Accept) -> tuple[Loader, AvailableVersion]:
        start, before = time.monotonic(), resident_bytes()
        servable = loader.load()
        loaded = {"load_s": round(time.monotonic() - start, 3), "memory_growth_bytes": resident_bytes() - before}
        try:
            accepted = accept(self.name, local, servable)
        except BaseException:
            loader.unload()
            raise
        return loader, AvailableVersion(
            self.name,
            self.version,
            accepted.servable or servable,
            accepted.mergeable,
            accepted.watch,
            accepted.observers,
            MappingProxyType({**loaded, **accepted.facts}),
            accepted.notices,
            accepted.batching,
        )

    def gives_up_retry(self) -> bool:
        """Whether it was waiting for its next attempt, which does not come now."""
        retry, self.retry = self.retry, None
        if retry is not None:
            retry.cancel()
        return retry is not None

    def has_healed(self, room: Room) -> bool:
        """Whether a failed version may load now.

        Its files have changed, and changed no more since the last time it was asked; or the memory that it lacked is
        there.
        """
        if isinstance(self.error, NotEnoughMemory) and room.has(self.error.needed - self.error.freed):
            return True
        now = self.found.files()
        is_still, self.seen_files = now == self.seen_files, now
        return is_still and now != self.files


def may_pass(error: BaseException) -> bool:
    """Whether the same load may succeed a while later, with the same files."""
    if isinstance(error, LoadFailed):
        return error.may_pass
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and not isinstance(error, _LASTING))


def told(name: str, version: int, error: Exception) -> UnstuckError:
    """``error`` as the version's status says it, without the traceback, whose frames hold what was loaded."""
    if isinstance(error, UnstuckError):
        said = error
        said.message = f"Model {name!r} version {version} cannot be served: {error.message}"
    else:
        said = LoadFailed(f"Model {name!r} version {version} cannot be served: {error!r}")
    said.__cause__ = said.__context__ = None
    return said.with_traceback(None)
