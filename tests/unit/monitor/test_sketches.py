import random

from hypothesis import given
from hypothesis import strategies as st

from unstuck.monitor.sketches import DistinctCount, RecentDistinct

HASHES = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(HASHES, max_size=40), st.integers(41, 64))
def test_counts_exactly_while_there_are_few(hashes, size):
    count = DistinctCount(size)
    for each in [*hashes, *hashes]:
        count.add(each)
    assert count.count == len({each % 2**64 for each in hashes})


@given(st.lists(HASHES, max_size=300))
def test_keeps_no_more_than_its_size(hashes):
    count = DistinctCount(16)
    for each in hashes:
        count.add(each)
    assert len(count._smallest) <= 16
    assert count._smallest == sorted({each % 2**64 for each in hashes})[:16]


def test_estimates_many_to_a_few_percent():
    draw = random.Random(1)
    count = DistinctCount(256)
    for _ in range(50_000):
        count.add(hash((draw.random(),)))
    assert 0.8 * 50_000 < count.count < 1.2 * 50_000


def test_nothing_is_left_once_it_is_cleared():
    count = DistinctCount(4)
    count.add(1)
    count.clear()
    assert count.count == 0


@given(st.lists(HASHES, max_size=60), st.lists(HASHES, max_size=60))
def test_two_together_are_as_one_that_has_seen_both(first, second):
    both, one, other = DistinctCount(8), DistinctCount(8), DistinctCount(8)
    for each in first:
        one.add(each)
        both.add(each)
    for each in second:
        other.add(each)
        both.add(each)
    assert one.together_with(other) == other.together_with(one) == both.count


def test_the_recent_forgets_what_is_older_than_its_window():
    recent = RecentDistinct(window=20, size=64)
    counts = []
    for number in range(100):
        recent.add(hash(str(number)))
        counts.append(recent.count)
    assert counts[:20] == list(range(1, 21))
    assert all(10 <= count <= 20 for count in counts[20:])
    for _ in range(20):
        recent.add(7)
    assert recent.count == 1
