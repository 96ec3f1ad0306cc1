"""How often which latency: a logarithmic histogram, as HdrHistogram's, so that memory does not grow with calls."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_PER_DOUBLING = 128  # buckets, so a value is known to less than 1 %
_LOWEST, _HIGHEST = -30, 14  # powers of two of a second: a nanosecond to hours
_BUCKETS = (_HIGHEST - _LOWEST) * _PER_DOUBLING

PRECISION = 1 / _PER_DOUBLING


class Histogram:
    """Seconds. Values are added in bulk; histograms of processes and of stretches of time add up.

    Attributes:
        count: how many values there are.
        maximum: the largest, exactly; 0 where there is none.
    """

    def __init__(self, values: ArrayLike = ()) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_BUCKETS, np.int64)
        self._sum = 0.0
        self.count = 0
        self.maximum = 0.0
        self.add(values)

    def add(self, values: ArrayLike) -> None:
        seconds = np.asarray(values, np.float64)
        if not seconds.size:
            return
        self._counts += np.bincount(_bucket(seconds), minlength=_BUCKETS)
        self._sum += float(seconds.sum())
        self.count += seconds.size
        self.maximum = max(self.maximum, float(seconds.max()))

    def merge(self, other: Self) -> None:
        self._counts += other._counts
        self._sum += other._sum
        self.count += other.count
        self.maximum = max(self.maximum, other.maximum)

    @property
    def mean(self) -> float:
        return self._sum / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """The least value that ``percent`` % of all are not above, to ``PRECISION``; 0 where there is none."""
        if not self.count:
            return 0.0
        rank = max(1, int(np.ceil(self.count * percent / 100 - 1e-9)))
        at = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(_upper(at), self.maximum)

    def share_within(self, seconds: float) -> float:
        """The share of the values that are in the bucket of ``seconds`` or below it; 1 where there is none."""
        if not self.count:
            return 1.0
        return float(self._counts[: int(_bucket(np.array([seconds]))[0]) + 1].sum()) / self.count

    def buckets(self) -> list[tuple[float, int]]:
        """The upper ends of the buckets that are not empty, and how many values each holds."""
        return [(_upper(int(at)), int(self._counts[at])) for at in np.flatnonzero(self._counts)]


def _bucket(seconds: "NDArray[np.float64]") -> "NDArray[np.int64]":
    mantissa, exponent = np.frexp(np.maximum(seconds, 2.0**_LOWEST))
    within = ((mantissa - 0.5) * (2 * _PER_DOUBLING)).astype(np.int64)
    return np.minimum((exponent - 1 - _LOWEST) * _PER_DOUBLING + within, _BUCKETS - 1)


def _upper(at: int) -> float:
    doubling, within = divmod(at, _PER_DOUBLING)
    return 2.0 ** (_LOWEST + doubling) * (1 + (within + 1) / _PER_DOUBLING)
