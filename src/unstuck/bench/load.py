"""What load is put on a server, and when its calls are due."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Literal

import numpy as np

Arrivals = Literal["poisson", "constant"]
_DRAWN_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """So many callers, each of which sends its next call once its last was answered."""

    concurrency: int

    @property
    def name(self) -> str:
        return f"{self.concurrency} at a time"

    def shared(self, processes: int) -> "list[ClosedLoop]":
        """This load in as many parts, of which none is nothing."""
        parts = min(processes, self.concurrency)
        each, more = divmod(self.concurrency, parts)
        return [ClosedLoop(each + (number < more)) for number in range(parts)]


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Calls that come at a rate of their own, whether or not earlier ones were answered, as those of many users do."""

    rate: float
    arrivals: Arrivals = "poisson"

    @property
    def name(self) -> str:
        return f"{self.rate:,.6g}/s"

    def shared(self, processes: int) -> "list[OpenLoop]":
        return [OpenLoop(self.rate / processes, self.arrivals) for _ in range(processes)]

    def due(self, seed: int) -> Iterator[float]:
        """When each call is due, in seconds from the first moment; endless. The same seed, the same times."""
        return accumulate(_gaps(self.rate, seed) if self.arrivals == "poisson" else repeat(1 / self.rate))


Load = ClosedLoop | OpenLoop


def _gaps(rate: float, seed: int) -> Iterator[float]:
    """Between the arrivals of independent callers: exponentially distributed."""
    random = np.random.default_rng(seed)
    while True:
        yield from random.exponential(1 / rate, _DRAWN_AT_ONCE).tolist()
