"""Threads on which those who have tasks waiting take turns."""

import threading
from concurrent.futures import CancelledError

import pytest

from unstuck.batching.fair import FairThreads

TIMEOUT_S = 30


class Gate:
    """Holds the only thread until it is opened."""

    def __init__(self, threads):
        self._open, self._begun = threading.Event(), threading.Event()
        self.future = threads.submit(self._wait)
        assert self._begun.wait(TIMEOUT_S)

    def _wait(self):
        self._begun.set()
        assert self._open.wait(TIMEOUT_S)

    def open(self):
        self._open.set()


def test_whoever_has_many_tasks_waiting_takes_turns_with_whoever_has_few():
    order = []
    with FairThreads(1) as threads:
        gate = Gate(threads)
        for number in range(5):
            threads.submit_for("hot", order.append, f"hot {number}")
        for number in range(2):
            threads.submit_for("cold", order.append, f"cold {number}")
        gate.open()
    assert order == ["hot 0", "cold 0", "hot 1", "cold 1", "hot 2", "hot 3", "hot 4"]


def test_results_and_errors_are_the_futures():
    with FairThreads(2) as threads:
        assert threads.submit(lambda x, y: x + y, 2, y=3).result(TIMEOUT_S) == 5
        with pytest.raises(ZeroDivisionError):
            threads.submit_for("m", lambda: 1 / 0).result(TIMEOUT_S)
        assert threads.submit(str, 5).result(TIMEOUT_S) == "5"


def test_as_many_tasks_run_at_once_as_there_are_threads():
    together = threading.Barrier(4)
    with FairThreads(4) as threads:
        waiting = [threads.submit_for(number % 2, together.wait, TIMEOUT_S) for number in range(4)]
        assert sorted(each.result(TIMEOUT_S) for each in waiting) == [0, 1, 2, 3]


def test_a_thread_that_is_free_takes_the_next_task_and_no_other_is_started():
    names = set()
    with FairThreads(8, "named") as threads:
        for _ in range(20):
            threads.submit(lambda: names.add(threading.current_thread().name)).result(TIMEOUT_S)
    assert len(names) <= 2, "the one that has just ended may not be free yet"
    assert all(name.startswith("named_") for name in names)


def test_after_the_end_it_takes_no_more_and_those_that_wait_are_run_or_cancelled():
    threads = FairThreads(1)
    gate = Gate(threads)
    waiting = threads.submit_for("m", str, 1)
    threads.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        threads.submit(str, 2)
    gate.open()
    assert waiting.result(TIMEOUT_S) == "1"
    cancelled = FairThreads(1)
    gate = Gate(cancelled)
    waiting = cancelled.submit_for("m", str, 1)
    cancelled.shutdown(wait=False, cancel_futures=True)
    gate.open()
    with pytest.raises(CancelledError):
        waiting.result(TIMEOUT_S)


def test_a_cancelled_task_is_not_run():
    ran = []
    with FairThreads(1) as threads:
        gate = Gate(threads)
        waiting = threads.submit_for("m", ran.append, 1)
        assert waiting.cancel()
        gate.open()
    assert not ran


def test_many_threads_and_many_tasks_lose_none():
    done = []
    with FairThreads(8) as threads:
        waiting = [threads.submit_for(number % 7, done.append, number) for number in range(5000)]
        for each in waiting:
            each.result(TIMEOUT_S)
    assert sorted(done) == list(range(5000))
