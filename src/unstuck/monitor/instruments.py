"""Counters and histograms by labels, which cost nothing until someone looks: no library is in a call's way."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unstuck.monitor.families import Family, FamilySource, Kind, Sample

Labels = tuple[str, ...]
Values = NDArray[np.int64] | NDArray[np.float64]
Cell = TypeVar("Cell")


class Scale:
    """The buckets of a histogram, whose values are counted in a finer unit than they are shown in."""

    def __init__(self, bounds: Sequence[float], unit: float = 1, digits: int = 15) -> None:
        """Counts values up to each of ``bounds``, and those above.

        Args:
            bounds: as shown, from the least to the largest.
            unit: what 1 as shown is in the values given: 1e9 for nanoseconds that are shown as seconds.
            digits: how many of a bound's digits are shown.
        """
        self.limits: NDArray[np.float64] = np.array(bounds, np.float64) * unit
        self.unit = unit
        self.texts = [*(f"{bound:.{digits}g}" for bound in bounds), "+Inf"]


class Distribution:
    """Values by bucket. Not thread-safe."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._counts: NDArray[np.int64] = np.zeros(len(scale.texts), np.int64)
        self._sum = 0.0

    def add(self, values: Values) -> None:
        """Counts ``values``, of one dimension."""
        buckets = np.searchsorted(self._scale.limits, values)
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._sum += float(values.sum())

    def samples(self, labels: dict[str, str]) -> Iterator[Sample]:
        """As Prometheus has them: each bucket with all below it."""
        counts: list[int] = np.cumsum(self._counts).tolist()
        for text, count in zip(self._scale.texts, counts, strict=True):
            yield Sample("_bucket", {**labels, "le": text}, count)
        yield Sample("_sum", labels, self._sum / self._scale.unit)
        yield Sample("_count", labels, counts[-1])


class _Labelled(FamilySource, Generic[Cell]):
    """One metric with a cell for each combination of its labels. Thread-safe."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._lock = threading.Lock()
        self._cells: dict[Labels, Cell] = {}

    def forget(self, is_gone: Callable[[dict[str, str]], bool]) -> None:
        """Drops the combinations of labels that are gone for good."""
        with self._lock:
            self._cells = {values: cell for values, cell in self._cells.items() if not is_gone(self._named(values))}

    def _named(self, values: Labels) -> dict[str, str]:
        return dict(zip(self._labels, values, strict=True))


class Counter(_Labelled[float]):
    """What only grows."""

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Adds ``amount`` to the cell of ``labels``."""
        with self._lock:
            self._cells[labels] = self._cells.get(labels, 0) + amount

    def families(self) -> Iterator[Family]:
        with self._lock:
            samples = [Sample("", self._named(values), count) for values, count in self._cells.items()]
        yield Family(self._name, "counter", self._text, samples)


class Histogram(_Labelled[Distribution]):
    """How values are distributed."""

    def __init__(self, name: str, text: str, labels: Sequence[str], scale: Scale) -> None:
        super().__init__(name, text, labels)
        self._scale = scale

    def add(self, labels: Labels, values: Values) -> None:
        """Counts ``values``, of one dimension, in the scale's finer unit."""
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                cell = self._cells[labels] = Distribution(self._scale)
            cell.add(values)

    def observe(self, labels: Labels, value: float) -> None:
        """Counts one value."""
        self.add(labels, np.array([value]))

    def families(self) -> Iterator[Family]:
        with self._lock:
            samples = [sample for values, cell in self._cells.items() for sample in cell.samples(self._named(values))]
        yield Family(self._name, "histogram", self._text, samples)


class Reading(FamilySource):
    """What is counted elsewhere, and read when someone looks."""

    def __init__(
        self, name: str, kind: Kind, text: str, labels: Sequence[str], cells: Callable[[], Mapping[Labels, float]]
    ) -> None:
        """``cells`` gives the values by label, on any thread."""
        self._name = name
        self._kind: Kind = kind
        self._text = text
        self._labels = tuple(labels)
        self._cells = cells

    def families(self) -> Iterator[Family]:
        cells = self._cells().items()
        samples = [Sample("", dict(zip(self._labels, values, strict=True)), value) for values, value in cells]
        yield Family(self._name, self._kind, self._text, samples)
