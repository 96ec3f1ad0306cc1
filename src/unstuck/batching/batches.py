"""What every way of gathering calls has in common: calls come one by one, and are run in batches."""

from collections.abc import Hashable
from typing import Protocol, TypeVar

Item_contra = TypeVar("Item_contra", contravariant=True)


class Batches(Protocol[Item_contra]):
    """Thread-safe. Made with ``run(key, items)``, which a worker thread calls with the items of one batch."""

    def add(self, key: Hashable, item: Item_contra, rows: int) -> None:
        """Adds one call to a batch of those with an equal key; returns at once.

        Args:
            key: only items with equal keys go together.
            item: what ``run`` is given.
            rows: how much of a batch it takes.

        Raises:
            QueueFull: too many wait already.
        """
        ...
