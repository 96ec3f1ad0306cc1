"""Who says whether there is memory for a version, as the lifecycle asks it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from unstuck.core.servables import Loader
from unstuck.lifecycle.source import VersionPath


class Room(Protocol):
    """Thread-safe."""

    def enter(
        self, name: str, found: VersionPath, loader: Loader, beside: Sequence[int]
    ) -> AbstractContextManager[None]:
        """Held while a version is loaded and accepted.

        Args:
            name: the model's.
            found: the version.
            loader: has not loaded yet.
            beside: the versions of the model that are loaded, and go once this one serves.

        Raises:
            NotEnoughMemory: it is not to be loaded.
        """
        ...

    def check(self, name: str, found: VersionPath, loader: Loader, beside: Sequence[int]) -> None:
        """Raises NotEnoughMemory where the version would not fit even once ``beside`` are unloaded; see ``enter``."""
        ...

    def has(self, needed: int) -> bool:
        """Whether there are ``needed`` bytes by now, so that a version that was refused for them can be tried again."""
        ...


class AnyRoom(Room):
    """Lets everything in."""

    def enter(
        self, name: str, found: VersionPath, loader: Loader, beside: Sequence[int]
    ) -> AbstractContextManager[None]:
        del name, found, loader, beside
        return nullcontext()

    def check(self, name: str, found: VersionPath, loader: Loader, beside: Sequence[int]) -> None:
        del name, found, loader, beside

    def has(self, needed: int) -> bool:
        del needed
        return True
