"""What was measured, and what can be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unstuck.bench.load import ClosedLoop, Load, OpenLoop
from unstuck.bench.tally import Tally, Window

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
BUSY = 0.9  # of a CPU: a generator above it may be what is measured
LATE_S = 0.002  # loops know but milliseconds
LATE_SHARE = 0.1  # of the 99th percentile
MORE_GENERATOR = "It does more with --processes=2, and disturbs less from a machine of its own."


@dataclass(frozen=True, slots=True)
class Level:
    """One load, and what came of it.

    Attributes:
        target_p99_s: what the 99th percentile should stay within; None where nothing was asked.
    """

    load: Load
    tally: Tally
    target_p99_s: float | None = None

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.tally.in_time / self.tally.seconds if self.tally.seconds > 0 else 0.0

    @property
    def windows(self) -> list[Window]:
        """Those of the measured time; one more may hold the answers that came after it."""
        return [each for each in self.tally.windows if each.at < self.tally.seconds]

    @property
    def p99_s(self) -> float:
        return self.tally.latencies.percentile(99)

    @property
    def meets_target(self) -> bool | None:
        """Whether 99 of 100 calls were answered in time: one that failed, or was never sent, was not."""
        if self.target_p99_s is None:
            return None
        tally = self.tally
        in_time = tally.latencies.share_within(self.target_p99_s) * tally.latencies.count
        return tally.latencies.count > 0 and in_time >= 0.99 * tally.calls

    @property
    def generator_limits(self) -> str:
        """Why the figures may be of the generator and not of the server; empty where they are not."""
        tally = self.tally
        if tally.busy >= BUSY:
            return f"the load generator used {tally.busy:.0%} of a CPU"
        is_open = isinstance(self.load, OpenLoop)
        lag_s = tally.lag.percentile(99 if is_open else 90)  # a closed loop is looked at twenty times a second
        if lag_s <= max(LATE_S, LATE_SHARE * self.p99_s):
            return ""
        if is_open:
            return f"the load generator sent one call in a hundred {lag_s * 1e3:.3g} ms late, or later"
        return f"the load generator was {lag_s * 1e3:.3g} ms late or later, one time in ten, to read what had come"

    def as_dict(self) -> dict[str, Any]:
        tally = self.tally
        usage = tally.usage
        answered = tally.latencies.count
        return {
            "load": "open" if isinstance(self.load, OpenLoop) else "closed",
            **_asked(self.load),
            "seconds": round(tally.seconds, 3),
            "requests_per_second": round(self.rate, 2),
            "calls": tally.calls,
            "answered": answered,
            "failed": tally.failed,
            "not_sent": tally.not_sent,
            "errors": dict(tally.errors),
            "messages": tally.said,
            "latency_ms": {
                "mean": _ms(tally.latencies.mean),
                **{f"p{percent:g}": _ms(tally.latencies.percentile(percent)) for percent in PERCENTILES},
                "max": _ms(tally.latencies.maximum),
            },
            "histogram_ms": [[_ms(upper), count] for upper, count in tally.latencies.buckets()],
            "answer_bytes": tally.received,
            "windows": [
                {
                    "at": round(each.at, 3),
                    "seconds": round(each.seconds, 3),
                    "answered": each.latencies.count,
                    "failed": each.failed,
                    "p50_ms": _ms(each.latencies.percentile(50)),
                    "p99_ms": _ms(each.latencies.percentile(99)),
                }
                for each in self.windows
            ],
            "generator": {
                "cpu": round(tally.busy, 3),
                "lag_p99_ms": _ms(tally.lag.percentile(99)),
                "lag_max_ms": _ms(tally.lag.maximum),
                "limits": self.generator_limits,
            },
            "server": None
            if usage is None
            else {
                "cpu_ms_per_answer": _ms(usage.cpu_s / tally.in_time) if tally.in_time else None,
                "cpus": round(usage.cpu_s / tally.seconds, 3) if tally.seconds else None,
                "memory_bytes": usage.memory_bytes,
                "peak_memory_bytes": usage.peak_bytes,
            },
            "meets_target": self.meets_target,
            "interrupted": tally.interrupted,
        }


def _asked(load: Load) -> dict[str, Any]:
    if isinstance(load, ClosedLoop):
        return {"concurrency": load.concurrency}
    return {"rate": load.rate, "arrivals": load.arrivals}


def _ms(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured of a target.

    Attributes:
        about: what was measured, and how, by name.
        levels: in their order.
        target_p99_s: what the 99th percentile was to stay within.
        is_search: whether the highest rate that does was looked for.
        notes: what is odd about the answers.
        is_interrupted: whether it ended early.
    """

    about: Mapping[str, str]
    levels: Sequence[Level]
    target_p99_s: float | None = None
    is_search: bool = False
    notes: Sequence[str] = field(default_factory=tuple[str, ...])
    is_interrupted: bool = False

    @property
    def best(self) -> Level | None:
        """Of a search: the highest rate that met the target."""
        met = [each for each in self.levels if isinstance(each.load, OpenLoop) and each.meets_target]
        return max(met, key=_rate_asked, default=None) if self.is_search else None

    @property
    def limit(self) -> Level | None:
        """Of a search: the lowest rate that missed the target."""
        missed = [each for each in self.levels if isinstance(each.load, OpenLoop) and not each.meets_target]
        return min(missed, key=_rate_asked, default=None) if self.is_search else None

    @property
    def is_fine(self) -> bool:
        """No error, and every target met; a search's steps beyond the highest rate may fail."""
        if self.is_search:
            return self.best is not None and not self.best.tally.failed
        return all(not each.tally.failed and each.meets_target is not False for each in self.levels)

    @property
    def verdict(self) -> str:
        """What a search found, in a sentence or two; empty for a measurement."""
        if not self.is_search or self.target_p99_s is None:
            return ""
        best, limit = self.best, self.limit
        target = f"{self.target_p99_s * 1e3:g} ms"
        if best is None:
            return f"No rate that was tried keeps the 99th percentile within {target}."
        said = f"{_rate_asked(best):,.4g} requests/s keep the 99th percentile within {target}"
        if limit is None:
            return f"{said}; no higher rate was tried."
        if limit.generator_limits:
            return (
                f"At least {said}. What lies above is not known: at {_rate_asked(limit):,.4g}/s "
                f"{limit.generator_limits}. {MORE_GENERATOR}"
            )
        return f"{said}; {_rate_asked(limit):,.4g}/s do not."

    def as_dict(self) -> dict[str, Any]:
        best = self.best
        return {
            "about": dict(self.about),
            "target_p99_ms": None if self.target_p99_s is None else self.target_p99_s * 1e3,
            "highest_rate": None if best is None else _rate_asked(best),
            "verdict": self.verdict,
            "fine": self.is_fine,
            "interrupted": self.is_interrupted,
            "notes": list(self.notes),
            "levels": [each.as_dict() for each in self.levels],
        }


def _rate_asked(level: Level) -> float:
    return level.load.rate if isinstance(level.load, OpenLoop) else 0.0
