from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.bench.load import ClosedLoop, OpenLoop


def test_constant_arrivals_are_equally_far_apart() -> None:
    due = list(islice(OpenLoop(200, "constant").due(seed=1), 1000))
    assert due == pytest.approx(np.arange(1, 1001) / 200)


def test_poisson_arrivals_are_exponentially_far_apart() -> None:
    due = list(islice(OpenLoop(1000).due(seed=1), 50_000))
    gaps = np.diff(due)
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(1e-3, rel=0.02)
    assert gaps.std() == pytest.approx(1e-3, rel=0.03)
    for share in (0.1, 0.5, 0.9, 0.99):  # the quantiles of the exponential distribution
        assert np.quantile(gaps, share) == pytest.approx(-np.log(1 - share) / 1000, rel=0.05)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.03


def test_the_same_seed_gives_the_same_arrivals() -> None:
    one, other, third = (list(islice(OpenLoop(10).due(seed), 2000)) for seed in (5, 5, 6))
    assert one == other != third


@given(st.integers(1, 200), st.integers(1, 16))
def test_a_closed_loop_is_shared_whole(concurrency: int, processes: int) -> None:
    parts = [part.concurrency for part in ClosedLoop(concurrency).shared(processes)]
    assert sum(parts) == concurrency
    assert min(parts) >= 1
    assert max(parts) - min(parts) <= 1


def test_an_open_loop_is_shared_whole() -> None:
    assert [part.rate for part in OpenLoop(90.0).shared(3)] == [30.0] * 3
