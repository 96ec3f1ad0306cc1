"""Metrics as values: what a part of the server counts, in the terms of Prometheus, without its library."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["counter", "gauge", "histogram", "summary"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the page.

    Attributes:
        suffix: after the family's name: empty, or for a histogram ``_bucket``, ``_sum``, ``_count``.
        labels: by name, in the order in which they are written.
        value: as it is now; a counter's or a bucket's since the start.
    """

    suffix: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples; ``name`` is written as it is, a counter's with the ``_total`` that it has."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


class FamilySource(Protocol):
    """Whoever counts something."""

    def families(self) -> Iterable[Family]:
        """What there is to tell now. Called on any thread, at each scrape."""
        ...


@dataclass(frozen=True, slots=True)
class Gathered(FamilySource):
    """Metrics that are got from elsewhere."""

    get: Callable[[], Iterable[Family]]

    def families(self) -> Iterable[Family]:
        return self.get()
