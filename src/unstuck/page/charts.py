"""Line charts, as static SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unstuck.page import svg

_LEFT, _RIGHT, _TOP, _HEIGHT = 64, 16, 14, 230
_ROOM = svg.WIDTH - _LEFT - _RIGHT
MOST_SERIES = 7  # as many colours there are
_MOST_TICKS = 6
_LEGEND_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its name, and its points, from left to right."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    Attributes:
        name: with the unit.
        is_logarithmic: powers of ten are equally far apart; values are above 0.
        ticks: values and their words; empty for round ones.
        begins_at_zero: of an axis that is not logarithmic.
    """

    name: str
    is_logarithmic: bool = False
    ticks: Sequence[tuple[float, str]] = ()
    begins_at_zero: bool = True


def lines(
    name: str, title: str, series: Sequence[Series], x: Axis, y: Axis, *, limit: float | None = None, dots: bool = False
) -> str:
    """A chart of ``series``; empty where no two points of one can be shown.

    Args:
        name: of the picture, unique on its page.
        title: what a screen reader says of it.
        series: each in a colour of its own; the first ``MOST_SERIES``.
        x, y: the axes.
        limit: a level that is drawn across, dashed.
        dots: marks each point, its values in the hint.
    """
    drawn = [Series(each.name, _shown(each.points, x, y)) for each in series[:MOST_SERIES]]
    drawn = [each for each in drawn if len(each.points) > 1]
    if not drawn:
        return ""
    levels = [value for each in drawn for _, value in each.points] + ([limit] if limit else [])
    across = _Scale(x, [value for each in drawn for value, _ in each.points], _LEFT, _LEFT + _ROOM)
    up = _Scale(y, levels, _TOP + _HEIGHT, _TOP)
    parts = [*_grid(across, up), *(part for at, each in enumerate(drawn) for part in _line(at, each, across, up, dots))]
    if limit:
        level = up.at(limit)
        parts.append(svg.path(f"M{_LEFT} {level:.1f}H{_LEFT + _ROOM}", "diagonal"))
    bottom = _TOP + _HEIGHT + 40
    parts += _legend(drawn, bottom)
    height = bottom + 20 * math.ceil(len(drawn) / _LEGEND_COLUMNS) + 4
    told = "; ".join(f"{each.name}: {each.points[0][1]:.4g} to {each.points[-1][1]:.4g}" for each in drawn)
    return svg.picture(name, height, title, f"{y.name} against {x.name}. {told}", parts)


def _shown(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> list[tuple[float, float]]:
    def fits(value: float, axis: Axis) -> bool:
        return math.isfinite(value) and (value > 0 or not axis.is_logarithmic)

    return [(across, up) for across, up in points if fits(across, x) and fits(up, y)]


class _Scale:
    """Where values are on an axis, which runs from ``begin`` to ``end``."""

    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        self.axis, self._begin, self._end = axis, begin, end
        values = [*values, *(value for value, _ in axis.ticks)]
        if axis.is_logarithmic:
            self._low, self._high = _round_ends(min(values), max(values), is_given=bool(axis.ticks))
        else:
            self._low = 0.0 if axis.begins_at_zero else min(values)
            self._high = max(values) * (1 if axis.ticks else 1.05)
        if self._high <= self._low:
            self._high = self._low + 1

    def at(self, value: float) -> float:
        placed = math.log10(value) if self.axis.is_logarithmic else value
        return self._begin + (self._end - self._begin) * (placed - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        if self.axis.ticks:
            return list(self.axis.ticks)
        if self.axis.is_logarithmic:
            return [(value, f"{value:,g}") for value in _round_logarithmic(10**self._low, 10**self._high)]
        step = _round_step((self._high - self._low) / _MOST_TICKS)
        first = math.ceil(self._low / step)
        return [(step * number, f"{step * number:,g}") for number in range(first, int(self._high / step) + 1)]


def _round_ends(low: float, high: float, *, is_given: bool) -> tuple[float, float]:
    """The logarithms of the ends of a logarithmic axis: round values around ``low`` and ``high``."""
    if is_given:
        return math.log10(low), math.log10(high) + 0.06
    steps = [digit * 10.0**power for power in range(-9, 10) for digit in (1, 2, 5)]
    below = max((step for step in steps if step <= low), default=low)
    above = min((step for step in steps if step >= high), default=high)
    return math.log10(below) - 0.01, math.log10(above) + 0.01


def _round_logarithmic(low: float, high: float) -> list[float]:
    """Powers of ten; with their doubles and fives where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    leading = (1, 2, 5) if len(powers) < _MOST_TICKS else (1,)
    values = [digit * 10.0**power for power in powers for digit in leading]
    return [value for value in values if low <= value <= high]


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step * 0.999)


def _grid(across: _Scale, up: _Scale) -> Iterator[str]:
    bottom = _TOP + _HEIGHT
    for value, told in up.ticks():
        level = up.at(value)
        yield svg.path(f"M{_LEFT} {level:.1f}H{_LEFT + _ROOM}", "grid")
        yield svg.text(_LEFT - 8, level + 4, told, "small", anchor="end")
    for value, told in across.ticks():
        place = across.at(value)
        yield svg.path(f"M{place:.1f} {_TOP}V{bottom}", "grid")
        yield svg.text(place, bottom + 16, told, "small", anchor="middle")
    yield svg.text(_LEFT, 10, up.axis.name, "small")
    yield svg.text(_LEFT + _ROOM, bottom + 32, across.axis.name, "small", anchor="end")


def _line(number: int, series: Series, across: _Scale, up: _Scale, dots: bool) -> Iterator[str]:
    placed = [(across.at(x), up.at(y)) for x, y in series.points]
    yield svg.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed), f"line line-{number}")
    if dots:
        for (x, y), (value, level) in zip(placed, series.points, strict=True):
            yield svg.dot(x, y, f"answer-{number}", hint=f"{across.axis.name} {value:.4g}, {up.axis.name} {level:.4g}")


def _legend(drawn: Sequence[Series], top: float) -> Iterator[str]:
    room = _ROOM / _LEGEND_COLUMNS
    for number, each in enumerate(drawn):
        x, y = _LEFT + room * (number % _LEGEND_COLUMNS), top + 20 * (number // _LEGEND_COLUMNS)
        yield svg.rect(x, y, 14, 4, f"answer-{number}")
        yield svg.text(x + 20, y + 6, each.name, "small", limit=26)
