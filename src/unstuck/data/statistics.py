"""Statistics of columns, gathered batch by batch in memory that does not grow with the rows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import cast

import numpy as np
from numpy.typing import NDArray

from unstuck.core.signatures import Tensor
from unstuck.data.sampling import Reservoir
from unstuck.pipeline.profile import PERCENTS

MAX_PLACES = 4096  # a last dimension that is longer has one statistic for all its places
SAMPLED_VALUES = 1 << 22  # for the quantiles, of all places together
SAMPLED_ROWS = 10_000  # at most: a quantile's rank is then right to 0.5 % (one standard deviation, at the median)
SAMPLED_ROWS_LEAST = 500
POSITIONS = 64  # of a row with further dimensions, looked at for the quantiles
HASHES = 4096  # kept to count distinct values: exact below, and right to 1.6 % (one standard deviation) above

Floats = NDArray[np.float64]


class Moments:
    """Means and standard deviations, a place each, by the merging of Chan, Golub and LeVeque; also the range."""

    def __init__(self) -> None:
        self.count: Floats = np.zeros(1)
        self._mean: Floats = np.zeros(1)
        self._squares: Floats = np.zeros(1)
        self._min: Floats = np.full(1, np.inf)
        self._max: Floats = np.full(1, -np.inf)

    def add(self, values: Floats) -> None:
        """``values`` [rows, places]; those that are not finite are left out."""
        known = np.isfinite(values)
        count = known.sum(0).astype(np.float64)
        divisor = np.maximum(count, 1)
        mean = np.where(known, values, 0).sum(0) / divisor
        squares = (np.where(known, values - mean, 0) ** 2).sum(0)
        total = self.count + count
        shift = mean - self._mean
        weight = count / np.maximum(total, 1)
        self._mean = self._mean + shift * weight
        self._squares = self._squares + squares + shift**2 * self.count * weight
        self.count = total
        self._min = np.minimum(self._min, np.where(known, values, np.inf).min(0))
        self._max = np.maximum(self._max, np.where(known, values, -np.inf).max(0))

    def statistics(self) -> dict[str, Floats]:
        """mean, std, min and max by place; 0 for a place that has no values."""
        std = np.sqrt(self._squares / np.maximum(self.count, 1))
        none = self.count == 0
        found = {"mean": self._mean, "std": std, "min": self._min, "max": self._max}
        return {name: np.where(none, 0.0, values) for name, values in found.items()}


class Quantiles:
    """Quantiles by place, of a uniform sample."""

    def __init__(self, places: int, seed: int) -> None:
        rows = min(SAMPLED_ROWS, max(SAMPLED_ROWS_LEAST, SAMPLED_VALUES // places))
        self._sample = Reservoir(rows, seed)

    def add(self, values: Floats) -> None:
        """``values`` [rows, places]; a place that is not finite in a row counts nowhere."""
        self._sample.add({"values": np.where(np.isfinite(values), values, np.nan).astype(np.float64)})

    def statistics(self) -> dict[str, Floats]:
        """The quantiles by percent; 0 for a place that has no values."""
        values = cast("Floats", self._sample.rows()["values"])
        missing = np.isnan(values)
        quantile = np.nanquantile if missing.any() else np.quantile  # the first is many times slower
        found = quantile(np.where(missing.all(0), 0.0, values), [int(each) / 100 for each in PERCENTS], axis=0)
        return dict(zip(PERCENTS, found, strict=True))


class Distinct:
    """How many different values there are, by the least of their hashes (k minimum values)."""

    def __init__(self) -> None:
        self._least = np.empty(0, np.uint64)

    def add_numbers(self, values: Floats) -> None:
        bits = (values[np.isfinite(values)] + 0.0).view(np.uint64)  # -0.0 becomes 0.0
        self._add(_mixed(np.unique(bits)))

    def add_texts(self, texts: Iterable[bytes]) -> None:
        hashes = b"".join(blake2b(text, digest_size=8).digest() for text in set(texts))
        self._add(np.frombuffer(hashes, np.uint64))

    def _add(self, hashes: NDArray[np.uint64]) -> None:
        self._least = np.unique(np.concatenate([self._least, hashes]))[:HASHES]

    @property
    def is_exact(self) -> bool:
        return len(self._least) < HASHES

    def count(self) -> int:
        if self.is_exact:
            return len(self._least)
        return round((HASHES - 1) / (float(self._least[-1]) / 2.0**64))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of 64 bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Frequencies:
    """How often each text comes: exactly, until there are more than ``limit``; then the rarer half goes each time.

    Counts are then too low by at most 2 / ``limit`` of all texts (Misra and Gries).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[bytes] = Counter()
        self.total = 0
        self.is_exact = True

    def add(self, texts: Sequence[bytes]) -> None:
        self.total += len(texts)
        self._counts.update(texts)
        while len(self._counts) > self._limit:
            self.is_exact = False
            least = sorted(self._counts.values())[len(self._counts) // 2]
            self._counts = Counter({text: count - least for text, count in self._counts.items() if count > least})

    def __len__(self) -> int:
        return len(self._counts)

    def ranked(self, count: int | None = None) -> list[tuple[bytes, int]]:
        """The most frequent ``count`` (all, where None); those that come as often in Keras's order, the last first."""
        ranked = sorted(self._counts.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return ranked if count is None else ranked[:count]


def by_place(array: Tensor) -> Floats:
    """``array`` [rows, …] as float64 [values, places of the last dimension]; one place where a row has none."""
    places = array.shape[-1] if array.ndim > 1 and array.shape[-1] <= MAX_PLACES else 1
    return array.astype(np.float64).reshape(-1, places)


def some_positions(array: Tensor, random: np.random.Generator) -> Tensor:
    """``array``, and of rows with further dimensions some positions only."""
    if array.ndim == 2 and array.shape[-1] > MAX_PLACES:
        array = array[..., None]
    outer = int(np.prod(array.shape[1:-1])) if array.ndim > 2 else 1
    if outer <= POSITIONS:
        return array
    flat = array.reshape(len(array), outer, array.shape[-1])
    return flat[:, random.integers(0, outer, POSITIONS)]
