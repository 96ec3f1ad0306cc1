"""A gate: who is let in, and what the others are told."""

import threading

import pytest

from unstuck.errors import Code, DeadlineExceeded, Overloaded
from unstuck.guard.concurrency import ConcurrencyLimit
from unstuck.guard.gates import REASONS, Gate, open_gate


def gate(limit=2, **known):
    concurrency = ConcurrencyLimit(1, 1.0)
    for name, value in known.items():
        setattr(concurrency, name, value)
    return Gate("m", concurrency, limit)


def test_an_open_gate_lets_everybody_in():
    opened = open_gate()
    opened.entered = 1 << 40
    assert opened.refusal() is None
    assert opened.overdue(0) is None


def test_calls_beyond_the_limit_are_told_when_to_come_again():
    full = gate(limit=2, wait_s=2.2)
    full.entered = 1
    assert full.refusal() is None
    full.enter_elsewhere(10)
    refused = full.refusal()
    assert isinstance(refused, Overloaded)
    assert (refused.code, refused.cause, refused.retry_after_s) == (Code.UNAVAILABLE, "resources/overload", 3)
    assert "2 calls to it are in flight" in refused.message
    assert full.refused["requests"] == 1
    full.leave_elsewhere(10)
    assert full.refusal() is None


def test_every_caller_waits_a_second_at_least():
    full = gate(limit=0)
    assert full.refusal().retry_after_s == 1


@pytest.mark.parametrize(
    ("left_s", "is_refused"), [(None, False), (10.0, False), (0.45, True), (0.0, True), (-1.0, True)]
)
def test_a_deadline_that_waiting_and_running_would_miss(left_s, is_refused):
    waiting = gate(wait_s=0.4, run_s=0.1)
    refused = waiting.refusal(left_s)
    assert isinstance(refused, DeadlineExceeded) is is_refused
    assert waiting.refused["deadline"] == is_refused


def test_a_deadline_is_no_matter_where_nobody_waits_however_long_the_model_takes():
    assert gate(wait_s=0.0, run_s=5.0).refusal(1.0) is None


def test_calls_that_waited_too_long_are_not_run_while_others_are_refused():
    waiting = gate()
    assert waiting.overdue(0) is None
    waiting.concurrency.limit = 5
    assert isinstance(waiting.overdue(0), Overloaded)
    assert waiting.refused["wait"] == 1


def test_bytes_that_do_not_fit_are_told_with_the_bound():
    waiting = gate()
    waiting.bytes = 500
    refused = waiting.refuse_bytes(1000, 1200)
    assert "1,000 bytes do not fit beside the 500" in refused.message
    assert "--max_in_flight_bytes=1200" in refused.message
    assert waiting.all_refused == 1


def test_counts_of_several_threads_are_whole():
    counted = gate(limit=0)

    def work():
        for _ in range(2000):
            counted.enter_elsewhere(3)
            counted.refusal()
            counted.leave_elsewhere(3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (counted.in_flight, counted.bytes_in_flight, counted.all_entered, counted.all_left) == (0, 0, 8000, 8000)
    assert counted.refused == {**dict.fromkeys(REASONS, 0), "requests": 8000}
