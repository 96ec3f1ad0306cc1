"""Samples of data that is too large to be held."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.data.columns import Batch
from unstuck.data.reading import read_batches


class Reservoir:
    """At most ``rows`` of the rows added, each kept with the same probability (Vitter's algorithm R)."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows = rows
        self._random = np.random.default_rng(seed)
        self._places = np.empty(0, np.int64)  # where each kept row was among all
        self._kept: dict[str, Tensor] = {}
        self.seen = 0

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Adds rows, arrays of one length by name; the names, dtypes and row shapes must stay the same."""
        count = len(next(iter(batch.values())))
        room = min(count, max(0, self._rows - self.seen))
        if room:
            new = np.arange(self.seen, self.seen + room)
            self._places = np.concatenate([self._places, new])
            for name, array in batch.items():
                first = array[:room].copy()  # a view would keep the whole batch
                self._kept[name] = np.concatenate([self._kept[name], first]) if name in self._kept else first
        numbers = np.arange(self.seen + room, self.seen + count)
        slots = self._random.integers(0, numbers + 1)
        chosen = np.flatnonzero(slots < self._rows)
        slots, last = np.unique(slots[chosen][::-1], return_index=True)  # of two rows for one slot, the later stays
        chosen = chosen[::-1][last]
        self._places[slots] = numbers[chosen]
        for name, array in batch.items():
            self._kept[name][slots] = array[room:][chosen]
        self.seen += count

    def rows(self) -> Batch:
        """The rows kept, in the order in which they came."""
        order = np.argsort(self._places)
        return {name: array[order] for name, array in self._kept.items()}


def sample(
    path: Path | str, rows: int, seed: int, *, columns: Sequence[str] | None = None, text: Collection[str] = ()
) -> Batch:
    """``rows`` rows drawn uniformly from the whole file (all, if it has no more), in the file's order.

    Args:
        path: as ``open_data`` takes it.
        rows: how many.
        seed: the same seed draws the same rows.
        columns: the columns to read, None for all.
        text: columns of a CSV file that are text, even if all their values look like numbers.

    Raises:
        DataError: a fault of the file.
    """
    reservoir = Reservoir(rows, seed)
    for batch in read_batches(path, columns=columns, text=text):
        reservoir.add(batch)
    return reservoir.rows()
