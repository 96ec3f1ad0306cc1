"""Medians and ratios of measurements: pure functions."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OURS = "unstuck"
REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One server under one load, once. ``other_cores`` is what neither it nor the load generator used meanwhile."""

    server: str
    batching: str
    load: int
    round: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float
    rss_mib: float
    pss_mib: float
    processes: int
    other_cores: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A server that could not be measured, and why."""

    server: str
    batching: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One server under one load: medians over the rounds, the errors of all rounds together."""

    server: str
    batching: str
    load: int
    rate: float
    least_rate: float
    most_rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float
    rss_mib: float
    pss_mib: float
    processes: int
    other_cores: float

    @property
    def label(self) -> str:
        return label(self.server, self.batching)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours beside another under one load; the ratios are medians of those of the rounds, ours to the other's."""

    ours: Row
    other: Row
    rate: float
    cpu: float


def label(server: str, batching: str) -> str:
    return f"{server}, batching {batching}" if batching else server


def rows(measurements: Iterable[Measurement]) -> list[Row]:
    """One row a server, batching and load, in the order they first appear in, loads ascending."""
    groups: dict[tuple[str, str], dict[int, list[Measurement]]] = {}
    for each in measurements:
        groups.setdefault((each.server, each.batching), {}).setdefault(each.load, []).append(each)
    return [_row(loads[load]) for loads in groups.values() for load in sorted(loads)]


def _row(measured: Sequence[Measurement]) -> Row:
    def median(name: str) -> float:
        return statistics.median(getattr(each, name) for each in measured)

    rates = [each.rate for each in measured]
    first = measured[0]
    return Row(
        first.server,
        first.batching,
        first.load,
        rate=median("rate"),
        least_rate=min(rates),
        most_rate=max(rates),
        p50_ms=median("p50_ms"),
        p99_ms=median("p99_ms"),
        errors=sum(each.errors for each in measured),
        cpu_us=median("cpu_us"),
        rss_mib=median("rss_mib"),
        pss_mib=median("pss_mib"),
        processes=round(median("processes")),
        other_cores=median("other_cores"),
    )


def is_ours(server: str) -> bool:
    return server.partition(" ")[0] == OURS  # which may have the name of its flags behind it


def is_peer(server: str) -> bool:
    return not is_ours(server) and server != REFERENCE


def best_peer(all_rows: Iterable[Row], load: int) -> Row | None:
    """The peer, and its batching, that answers the most calls under this load."""
    return max(
        (row for row in all_rows if row.load == load and is_peer(row.server)), key=lambda row: row.rate, default=None
    )


def compare(measurements: Sequence[Measurement], ours: Row, other: Row) -> Comparison:
    one, two = (
        {each.round: each for each in measurements if (each.server, each.batching, each.load) == _key(row)}
        for row in (ours, other)
    )
    both = one.keys() & two.keys()
    return Comparison(
        ours,
        other,
        rate=_median_ratio([(one[number].rate, two[number].rate) for number in both]),
        cpu=_median_ratio([(one[number].cpu_us, two[number].cpu_us) for number in both]),
    )


def _key(row: Row) -> tuple[str, str, int]:
    return row.server, row.batching, row.load


def _median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    ratios = [one / other for one, other in pairs if other]
    return statistics.median(ratios) if ratios else float("nan")


def as_line(value: Measurement | Failure | dict[str, Any]) -> str:
    return json.dumps(value if isinstance(value, dict) else asdict(value))


def of_lines(lines: Iterable[str]) -> tuple[dict[str, Any], list[Measurement], list[Failure]]:
    """What ``as_line`` wrote: a description of the run first, then measurements and failures."""
    about, *values = map(json.loads, lines)
    failures = [Failure(**value) for value in values if "reason" in value]
    return about, [Measurement(**value) for value in values if "reason" not in value], failures
