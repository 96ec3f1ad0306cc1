import pytest

from unstuck.bench.search import LEAST_RATE, MOST_STEPS, PRECISE, highest


@pytest.mark.parametrize("limit", [1.5, 40, 900, 1000, 1400, 20_000])
def test_it_finds_the_highest_rate(limit: float) -> None:
    tried: list[float] = []

    def meets(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = highest(1000, meets)
    assert limit / PRECISE <= found <= limit
    assert len(tried) <= MOST_STEPS


def test_nothing_meets() -> None:
    tried: list[float] = []
    assert highest(1000, lambda rate: bool(tried.append(rate))) == 0.0
    assert tried[-1] == LEAST_RATE


def test_everything_meets() -> None:
    assert highest(1000, lambda rate: True) > 10_000


def test_it_ends_when_it_is_told() -> None:
    answers = iter([True, None, True])
    assert highest(1000, lambda rate: next(answers)) == 500
