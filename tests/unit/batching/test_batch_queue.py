"""A queue of batches, whose time the tests tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.batching.queue import BatchQueue
from unstuck.core.batching import BatchingParameters
from unstuck.errors import Code, InvalidRequest, QueueFull


def queue(split=None, **parameters):
    return BatchQueue(
        BatchingParameters(**{"max_batch_size": 4, "batch_timeout_micros": 1_000_000, **parameters}), split
    )


def parts(item, sizes):
    return [(item, size) for size in sizes]


def test_a_batch_waits_for_its_time_after_its_first_call():
    waiting = queue()
    waiting.add("a", 1, now=10.0)
    waiting.add("b", 1, now=10.9)
    assert waiting.due == 11.0
    assert waiting.take(10.99) is None
    assert waiting.take(11.0) == ["a", "b"]
    assert waiting.take(99.0) is None
    assert waiting.due is None


def test_a_full_batch_is_due_at_once():
    waiting = queue()
    waiting.add("a", 3, now=10.0)
    assert waiting.take(10.0) is None
    waiting.add("b", 1, now=10.0)
    assert waiting.take(10.0) == ["a", "b"]


def test_without_a_timeout_one_call_is_a_batch():
    waiting = queue(batch_timeout_micros=0)
    waiting.add("a", 1, now=10.0)
    assert waiting.take(10.0) == ["a"]


def test_a_call_that_does_not_fit_closes_the_batch_and_waits_for_itself():
    waiting = queue()
    waiting.add("a", 3, now=10.0)
    waiting.add("b", 2, now=10.5)
    assert waiting.take(10.5) == ["a"]
    assert waiting.take(11.0) is None
    assert waiting.take(11.5) == ["b"]


def test_a_call_that_no_batch_can_hold_is_refused():
    with pytest.raises(InvalidRequest, match="has 5 rows, which is larger than the maximum batch size, 4"):
        queue().add("a", 5, now=0)


def test_a_full_queue_refuses_and_what_it_took_is_still_run():
    waiting = queue(max_enqueued_batches=2)
    for item in "abc":
        waiting.add(item, 2, now=0)
    waiting.add("d", 2, now=0)
    with pytest.raises(QueueFull, match="2 batches wait, and max_enqueued_batches is 2") as refused:
        waiting.add("e", 1, now=0)
    assert refused.value.code is Code.UNAVAILABLE
    assert waiting.take(0) == ["a", "b"]
    waiting.add("e", 1, now=0)
    assert waiting.take(0) == ["c", "d"]
    assert waiting.take(1) == ["e"]


def test_a_call_without_rows_waits_like_any_other():
    waiting = queue()
    waiting.add("a", 0, now=0)
    assert waiting.take(0.5) is None
    assert waiting.take(1) == ["a"]


def test_a_split_call_fills_the_open_batch_first():
    waiting = queue(parts, max_batch_size=10, max_execution_batch_size=4, enable_large_batch_splitting=True)
    waiting.add(("a", 3), 3, now=0)
    waiting.add("b", 10, now=0)
    assert waiting.take(0) == [("a", 3), ("b", 1)]
    assert waiting.take(0) == [("b", 4)]
    assert waiting.take(0) == [("b", 4)]
    assert waiting.take(0.5) is None
    assert waiting.take(1) == [("b", 1)]


def test_a_call_that_fits_is_not_split():
    waiting = queue(parts, enable_large_batch_splitting=True)
    waiting.add("whole", 4, now=0)
    assert waiting.take(0) == ["whole"]


def test_with_splitting_the_queue_is_full_by_rows():
    waiting = queue(parts, max_batch_size=4, enable_large_batch_splitting=True, max_enqueued_batches=2)
    waiting.add("a", 3, now=0)
    waiting.add("b", 4, now=0)
    with pytest.raises(QueueFull):
        waiting.add("c", 2, now=0)
    waiting.add("c", 1, now=0)


def test_without_the_parameter_nothing_is_split():
    waiting = queue(parts, max_execution_batch_size=2)
    waiting.add("whole", 3, now=0)
    assert waiting.take(1) == ["whole"]


@given(
    rows=st.lists(st.integers(0, 12), max_size=30),
    largest=st.integers(1, 12),
    splits=st.booleans(),
)
def test_every_row_is_in_one_batch_in_order_and_no_batch_is_too_large(rows, largest, splits):
    waiting = queue(
        parts,
        max_batch_size=12,
        max_execution_batch_size=largest,
        enable_large_batch_splitting=splits,
        max_enqueued_batches=1000,
    )
    for number, size in enumerate(rows):
        waiting.add((number, size), size, now=0)
    batches = []
    while (batch := waiting.take(float("inf"))) is not None:
        batches.append([(item[0] if isinstance(item[0], tuple) else item, item[1]) for item in batch])
    most = largest if splits else 12
    assert all(sum(size for _, size in batch) <= most for batch in batches)
    flat = [(whole, row) for batch in batches for whole, size in batch for row in range(size)]
    expected = [((number, size), row) for number, size in enumerate(rows) for row in range(size)]
    assert [whole for whole, _ in flat] == [whole for whole, _ in expected]
