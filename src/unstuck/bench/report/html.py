"""The results as one page of HTML that needs nothing else."""

from collections.abc import Callable
from html import escape

from unstuck import __version__
from unstuck.bench.load import OpenLoop
from unstuck.bench.report import words
from unstuck.bench.results import Results
from unstuck.bench.tally import Window
from unstuck.page.charts import MOST_SERIES, Axis, Series, lines
from unstuck.page.elements import columns, document, figure, footer, pairs, paragraph, safe, section, table

_PERCENTILES = (*range(0, 100, 5), 98, 99, 99.5, 99.9, 99.95, 99.99, 99.999)
_TICKS = (0, 50, 90, 99, 99.9, 99.99)
_LATENCY = Axis("latency, ms", is_logarithmic=True)


def as_html(results: Results) -> str:
    """What came out first, then a line a load, the pictures, what failed, and what to know of it."""
    body = "".join(
        (
            _head(results),
            "<main>",
            section("Loads", columns(words.COLUMNS, map(words.row, results.levels))),
            section("What to know", *map(paragraph, words.remarks(results))),
            section("Latency by percentile", figure(_by_percentile(results), _BY_PERCENTILE + _which(results))),
            section("Rate against latency", figure(_by_rate(results), _BY_RATE)),
            section("Answers over time", figure(_answers_over_time(results), "A line a load." + _which(results))),
            section(
                "Latency over time",
                figure(_latency_over_time(results), _LATENCY_OVER_TIME + _which(results)),
            ),
            section("Failed", table(words.failures(results))),
            "</main>",
            footer(__version__, "unstuck bench"),
        )
    )
    return document(f"bench: {results.about.get('target', '')}", body)


_BY_PERCENTILE = (
    "How slow the slowest are: at 99, one answer in a hundred took longer. The further right, the rarer; "
    "both scales are logarithmic."
)
_BY_RATE = (
    "The 99th percentile at each rate: calls due a second of an open loop, answers a second of a closed one; "
    "dashed: the target."
)
_LATENCY_OVER_TIME = "The 99th percentile of each moment."


def _which(results: Results) -> str:
    return f" Of the first {MOST_SERIES} loads." if len(results.levels) > MOST_SERIES else ""


def _head(results: Results) -> str:
    said = words.outcome(results) or _best(results)
    mark = "✓" if results.is_fine else "✗"
    about = ((name.capitalize(), f"<code>{safe(value)}</code>") for name, value in results.about.items())
    kind = "healthy" if results.is_fine else "faulty"
    return f'<header class="{kind}"><h1>Bench</h1><p class=verdict>{mark} {escape(said)}</p>{pairs(about)}</header>'


def _best(results: Results) -> str:
    if not results.levels:
        return "Nothing was measured."
    best = max(results.levels, key=lambda level: level.rate)
    failed = sum(level.tally.failed for level in results.levels)
    said = f"{words.rate(best.rate)} answers a second at {best.load.name}"
    return f"{said}, {failed:,} calls failed" if failed else said


def _by_percentile(results: Results) -> str:
    """The axis has 1 of how many calls are slower."""
    drawn: list[Series] = []
    for level in results.levels:
        latencies = level.tally.latencies
        known = [percent for percent in _PERCENTILES if latencies.count >= _one_in(percent)]
        points = [(_one_in(percent), latencies.percentile(percent) * 1e3) for percent in known]
        drawn.append(Series(level.load.name, points))
    furthest = max((x for each in drawn for x, _ in each.points), default=1.0)
    ticks = [(_one_in(percent), f"{percent:g}") for percent in _TICKS if _one_in(percent) <= furthest * 1.01]
    across = Axis("percentile", is_logarithmic=True, ticks=ticks)
    return lines("percentiles", "Latency by percentile", drawn, across, _LATENCY)


def _one_in(percent: float) -> float:
    return 1 / (1 - percent / 100)


def _by_rate(results: Results) -> str:
    limit = None if results.target_p99_s is None else results.target_p99_s * 1e3
    drawn: list[Series] = []
    for name, is_open in (("open loop", True), ("closed loop", False)):
        levels = [level for level in results.levels if isinstance(level.load, OpenLoop) is is_open]
        points = [
            (level.load.rate if isinstance(level.load, OpenLoop) else level.rate, level.p99_s * 1e3) for level in levels
        ]
        drawn.append(Series(name, sorted(points) if is_open else points))
    return lines("rates", "Latency by rate", drawn, Axis("calls a second"), _LATENCY, limit=limit, dots=True)


def _answers_over_time(results: Results) -> str:
    drawn = _over_time(results, lambda window: window.latencies.count / window.seconds)
    return lines("answers", "Answers a second over time", drawn, Axis("seconds"), Axis("answers/s"))


def _latency_over_time(results: Results) -> str:
    drawn = _over_time(results, lambda window: window.latencies.percentile(99) * 1e3)
    return lines("latencies", "The 99th percentile over time", drawn, Axis("seconds"), _LATENCY)


def _over_time(results: Results, value: Callable[[Window], float]) -> list[Series]:
    """A line a load."""
    return [
        Series(level.load.name, [(each.at + each.seconds / 2, value(each)) for each in level.windows])
        for level in results.levels
    ]
