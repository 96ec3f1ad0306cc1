import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.bench.histogram import PRECISION, Histogram

SECONDS = st.lists(st.floats(1e-8, 1e4), min_size=1, max_size=300)


@given(SECONDS, st.floats(0.1, 100))
def test_percentiles_are_numpy_s_to_a_bucket(values: list[float], percent: float) -> None:
    right = float(np.percentile(values, percent, method="inverted_cdf"))
    found = Histogram(values).percentile(percent)
    assert right * (1 - 1e-12) <= found <= right * (1 + PRECISION) + 1e-12


@given(SECONDS, SECONDS)
def test_histograms_add_up(some: list[float], more: list[float]) -> None:
    added, whole = Histogram(some), Histogram([*some, *more])
    added.merge(Histogram(more))
    assert added.buckets() == whole.buckets()
    assert (added.count, added.maximum) == (whole.count, whole.maximum)
    assert added.mean == pytest.approx(np.mean([*some, *more]))


@given(SECONDS, st.floats(1e-8, 1e4))
def test_the_share_within_is_right_to_a_bucket(values: list[float], limit: float) -> None:
    share = Histogram(values).share_within(limit)
    array = np.array(values)
    assert (array <= limit).mean() <= share <= (array <= limit * (1 + 2 * PRECISION)).mean()


def test_an_empty_one() -> None:
    empty = Histogram()
    assert (empty.percentile(99), empty.mean, empty.maximum, empty.buckets()) == (0.0, 0.0, 0.0, [])
    assert empty.share_within(1.0) == 1.0


def test_the_largest_is_exact() -> None:
    assert Histogram([0.1, 0.123456789]).percentile(100) == 0.123456789


def test_what_is_out_of_range_is_counted_at_the_end() -> None:
    assert Histogram([0.0, -1.0, 1e9]).count == 3
    assert sum(count for _, count in Histogram([0.0, -1.0, 1e9]).buckets()) == 3
