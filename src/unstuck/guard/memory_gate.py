"""Lets a version be loaded where its memory is there, and remembers what that took."""

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unstuck.core.allowance import Allowance, MemoryBound, MemoryCheck, allowance
from unstuck.core.growth import Growth
from unstuck.core.servables import Loader
from unstuck.errors import NotEnoughMemory
from unstuck.guard.memory_records import MemoryRecords, key_of
from unstuck.guard.memory_refusal import Need, refusal

MOST_HELD = 100  # versions of a model of which it is known what they hold: the latest
SPARE = 16 << 20  # that must be left besides before a refused version is tried again: what is left goes up and down

log = logging.getLogger(__name__)


class VersionFolder(Protocol):
    """A version, and where it is on this machine."""

    @property
    def version(self) -> int: ...

    @property
    def path(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a version before it is loaded; ``key`` is None where it cannot be remembered."""

    size: int
    is_measured: bool
    key: str | None


class MemoryGate:
    """Thread-safe. Loads that run at the same time are promised their memory, so that no two count on the same."""

    def __init__(
        self,
        check: MemoryCheck,
        records: MemoryRecords,
        *,
        unloads_first: bool,
        allowed: Callable[[], Allowance] = allowance,
    ) -> None:
        """What it goes by.

        Args:
            check: what is done with a version that cannot fit.
            records: what loads took before.
            unloads_first: whether the old version is unloaded before the new one is loaded.
            allowed: the limits as they are now.
        """
        self._check = check
        self._records = records
        self._unloads_first = unloads_first
        self._allowed = allowed
        self._lock = threading.Lock()
        self._held: dict[str, dict[int, int]] = {}  # by model and version
        self._loading = 0
        self._overlapped = False
        self._unpromised: dict[tuple[str, str, int], int] = {}  # by limit, what is left once all loads have theirs

    @contextmanager
    def enter(self, name: str, found: VersionFolder, loader: Loader, beside: Sequence[int]) -> Generator[None]:
        """Within, ``loader`` loads the version, and it is warmed up.

        Args:
            name: the model's.
            found: the version.
            loader: has not loaded yet.
            beside: the versions of the model that are loaded, and go once this one serves.

        Raises:
            NotEnoughMemory: it cannot fit, and such versions are refused.
        """
        if self._check == "off":
            yield
            return
        known = self._known(found.path, loader)
        self._begin(name, found.version, known, self._held_by(name, beside))
        growth, has_loaded = Growth(), False
        try:
            yield
            has_loaded = True
        finally:
            was_alone = self._end()
            if has_loaded:
                self._keep_held(name, found.version, _given_back(growth.now(), loader.estimate()))
                if was_alone and known is not None and known.key is not None:
                    self._records.keep(known.key, found.path, growth.peak())

    def check(self, name: str, found: VersionFolder, loader: Loader, beside: Sequence[int]) -> None:
        """Raises NotEnoughMemory where the version would not fit even once ``beside`` are unloaded; see ``enter``."""
        known = self._known(found.path, loader) if self._check == "refuse" else None
        if known is None:
            return
        need = Need(known.size, known.is_measured, self._held_by(name, beside), unloads_first=True)
        with self._lock:
            refused = self._refusal(need, self._allowed().memory)
        if refused is not None:
            raise refused

    def has(self, needed: int) -> bool:
        """Whether there are ``needed`` bytes by now, so that a version that was refused for them can be tried again."""
        with self._lock:
            return all(self._left(bound) >= needed + SPARE for bound in self._allowed().memory)

    def _known(self, path: Path, loader: Loader) -> _Known | None:
        estimate = loader.estimate()
        if estimate is None:
            return None
        try:
            key = key_of(path, estimate)
        except OSError:  # its files are changing
            return _Known(estimate, False, None)
        measured = self._records.needed(key)
        return _Known(estimate if measured is None else measured, measured is not None, key)

    def _begin(self, name: str, version: int, known: _Known | None, held: dict[int, int]) -> None:
        with self._lock:
            bounds = self._allowed().memory
            if known is not None:
                need = Need(known.size, known.is_measured, held, self._unloads_first)
                self._refuse_or_warn(name, version, need, bounds)
                for bound in bounds:
                    self._unpromised[_place(bound)] = max(self._left(bound) - known.size, 0)
            self._overlapped = self._loading > 0 or self._overlapped
            self._loading += 1

    def _held_by(self, name: str, versions: Sequence[int]) -> dict[int, int]:
        with self._lock:
            known = self._held.get(name, {})
            return {version: known.get(version, 0) for version in versions}

    def _keep_held(self, name: str, version: int, size: int) -> None:
        with self._lock:
            held = self._held.setdefault(name, {})
            held.pop(version, None)
            held[version] = size
            if len(held) > MOST_HELD:
                del held[next(iter(held))]

    def _refusal(self, need: Need, bounds: Sequence[MemoryBound]) -> NotEnoughMemory | None:
        tightest = min(bounds, key=self._left, default=None)
        return refusal(need, tightest, self._left(tightest)) if tightest else None

    def _refuse_or_warn(self, name: str, version: int, need: Need, bounds: Sequence[MemoryBound]) -> None:
        refused = self._refusal(need, bounds)
        if refused is None:
            return
        if self._check == "refuse":
            raise refused
        log.warning("Model %r version %d is loaded although %s %s", name, version, refused.message, refused.hint)

    def _left(self, bound: MemoryBound) -> int:
        return min(bound.left, self._unpromised.get(_place(bound), bound.left))

    def _end(self) -> bool:
        """Whether no other load ran meanwhile, so that what was taken was this one's."""
        with self._lock:
            was_alone = not self._overlapped
            self._loading -= 1
            if not self._loading:
                self._overlapped = False
                self._unpromised.clear()
            return was_alone


def _given_back(grown: int, estimate: int | None) -> int:
    """What unloading it will free: not the framework, which an estimate leaves out once it is imported."""
    return grown if estimate is None else min(grown, estimate)


def _place(bound: MemoryBound) -> tuple[str, str, int]:
    return bound.owner, bound.kind, bound.limit
