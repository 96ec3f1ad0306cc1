"""How many calls may run together: fewer after a long run, more again after short ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.inference.placement import LEAST_TOGETHER, MAX_TOGETHER, SHORT_NS, GroupSizes

SHORT, LONG = SHORT_NS, SHORT_NS + 1


def after(*runs, key="a"):
    """How many calls may run together after these runs of ``(calls, took_ns)``."""
    sizes = GroupSizes()
    for calls, took_ns in runs:
        sizes.learn(key, calls, took_ns)
    return sizes.most(key)


@pytest.mark.parametrize(
    ("runs", "most"),
    [
        ([], MAX_TOGETHER),
        ([(10, SHORT)], MAX_TOGETHER),
        ([(MAX_TOGETHER, SHORT)], MAX_TOGETHER),
        ([(MAX_TOGETHER, LONG)], MAX_TOGETHER // 2),
        ([(10, LONG)], 5),
        ([(11, LONG)], 5),
        ([(3, LONG)], LEAST_TOGETHER),
        ([(2, LONG)], LEAST_TOGETHER),
        ([(2, 1000 * LONG)] * 20, LEAST_TOGETHER),
        ([(32, LONG), (16, LONG), (8, LONG)], 4),
        ([(16, LONG), (8, SHORT)], 16),
        ([(16, LONG), (7, SHORT)], 8),
        ([(16, LONG), (7, SHORT), (7, SHORT), (7, SHORT)], 8),
        ([(16, LONG), (8, SHORT), (16, SHORT)], 32),
        ([(16, LONG), (8, SHORT), (16, SHORT), (32, SHORT)], MAX_TOGETHER),
        ([(16, LONG), (8, SHORT), (16, LONG)], 8),
    ],
)
def test_long_runs_halve_and_full_short_runs_double(runs, most):
    assert after(*runs) == most


def test_kinds_of_calls_are_learnt_apart():
    sizes = GroupSizes()
    sizes.learn("a", 20, LONG)
    assert (sizes.most("a"), sizes.most("b")) == (10, MAX_TOGETHER)


@given(st.lists(st.tuples(st.integers(1, MAX_TOGETHER), st.sampled_from([SHORT, LONG])), max_size=20))
def test_it_stays_within_its_bounds(runs):
    sizes = GroupSizes()
    for calls, took_ns in runs:
        sizes.learn("a", min(calls, sizes.most("a")), took_ns)
        assert LEAST_TOGETHER <= sizes.most("a") <= MAX_TOGETHER


@given(st.integers(2, MAX_TOGETHER))
def test_it_comes_back_to_the_most_once_runs_are_short(calls):
    sizes = GroupSizes()
    sizes.learn("a", calls, LONG)
    for _ in range(10):
        sizes.learn("a", sizes.most("a"), SHORT)
    assert sizes.most("a") == MAX_TOGETHER
