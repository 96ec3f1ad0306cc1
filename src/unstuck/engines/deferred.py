"""A loader whose framework is imported once it loads, so that what that takes can be asked before."""

from collections.abc import Callable

from unstuck.core.servables import Loader, Servable


class DeferredLoader(Loader):
    """Stands for the loader that ``make`` gives."""

    def __init__(self, make: Callable[[], Loader], estimate: Callable[[], int | None]) -> None:
        """What stands behind it.

        Args:
            make: imports the framework; called once, by the first ``load``.
            estimate: see ``Loader.estimate``; reads files alone.
        """
        self._make = make
        self._estimate = estimate
        self._made: Loader | None = None

    def estimate(self) -> int | None:
        return self._estimate()

    def load(self) -> Servable:
        if self._made is None:
            self._made = self._make()
        return self._made.load()

    def unload(self) -> None:
        if self._made is not None:
            self._made.unload()
