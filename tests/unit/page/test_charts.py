import math
import re

import pytest

from unstuck.page.charts import Axis, Series, lines

LINEAR, LOGARITHMIC = Axis("seconds"), Axis("latency, ms", is_logarithmic=True)


def drawn(*points: tuple[float, float], x: Axis = LINEAR, y: Axis = LINEAR, **more: object) -> str:
    return lines("a", "A title", [Series("<b>", points)], x, y, **more)  # type: ignore[arg-type]


def ends(page: str) -> list[tuple[float, float]]:
    (line,) = re.findall(r'<path d="M([^"]+)" class="line line-0"/>', page)
    return [(float(x), float(y)) for x, y in (point.split() for point in line.split("L"))]


def test_more_is_higher_and_further_right() -> None:
    points = ends(drawn((0, 1), (1, 5), (2, 20)))
    assert sorted(points) == points
    heights = [y for _, y in points]
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= x <= 760 for x, _ in points)


def test_powers_of_ten_are_equally_far_apart() -> None:
    heights = [y for _, y in ends(drawn((0, 1), (1, 10), (2, 100), y=LOGARITHMIC))]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


@pytest.mark.parametrize(
    "points",
    [(), ((0, 1),), ((0, math.nan), (1, math.inf)), ((0, 1), (1, 0), (2, -1))],
    ids=["none", "one", "nan", "≤0"],
)
def test_what_cannot_be_drawn_is_not(points: tuple[tuple[float, float], ...]) -> None:
    assert drawn(*points, y=LOGARITHMIC) == ""


def test_equal_values_can_be_drawn() -> None:
    for axis in (LINEAR, LOGARITHMIC):
        assert len(ends(drawn((1, 3), (2, 3), y=axis))) == 2
    assert len(ends(drawn((0, 0), (1, 0)))) == 2


def test_names_are_escaped() -> None:
    page = drawn((0, 1), (1, 2))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_axes_have_round_numbers() -> None:
    page = drawn((0, 1), (7, 43))
    labels = [float(text) for text in re.findall(r'text-anchor="end" class="small">([\d.]+)<', page)]
    assert labels == [0, 10, 20, 30, 40]


def test_a_limit_and_dots() -> None:
    page = drawn((0, 1), (1, 2), limit=1.5, dots=True)
    assert 'class="diagonal"' in page
    assert page.count("<circle") == 2
