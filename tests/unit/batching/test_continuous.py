"""ContinuousBatches: what goes together, in which order, and that nothing is lost, whoever adds it on which thread."""

import threading
import time
from collections import defaultdict
from concurrent.futures import Executor, Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.batching import continuous
from unstuck.batching.continuous import ContinuousBatches
from unstuck.batching.fair import FairThreads
from unstuck.batching.sizes import FIRST_ROWS, LEAST_ROWS, MOST_ROWS

TIMEOUT_S = 10


class Tasks(Executor):
    """Keeps what it is given until ``step`` or ``work``: an executor whose threads have something else to do."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, /, *args, **kwargs):
        self.waiting.append((function, args))
        return Future()

    def submit_for(self, whom, function, /, *args):
        return self.submit(function, *args)

    def step(self):
        function, args = self.waiting.pop(0)
        function(*args)

    def work(self):
        while self.waiting:
            self.step()


class Scheduler:
    """ContinuousBatches on fake threads; ``ran`` has each batch as (key, items)."""

    def __init__(self, during=lambda key, items: None, **options):
        self.tasks, self.ran, self._during = Tasks(), [], during
        self.batches = ContinuousBatches(self._run, self.tasks, **{"cpus": 2, **options})

    def _run(self, key, items):
        self.ran.append((key, list(items)))
        self._during(key, items)

    def add(self, *items, key="k", rows=1):
        for item in items:
            self.batches.add(key, item, rows)

    def settle(self, key="k"):
        """As after the first batches, most of which are a call alone, to see what it costs."""
        for _ in range(4):
            self.add("first", key=key)
            self.tasks.work()
        self.ran.clear()


def test_a_lone_call_is_run_at_once():
    made = Scheduler()
    made.add("a")
    assert len(made.tasks.waiting) == 1
    made.tasks.work()
    assert made.ran == [("k", ["a"])]


def test_calls_that_come_while_a_batch_runs_go_together_in_the_next_one():
    arrivals = {"a": ["b", "c", "d"], "b": ["e"]}
    made = Scheduler(lambda key, items: made.add(*arrivals.get(items[0], [])), cpus=1)
    made.settle()
    made.add("a")
    made.tasks.work()
    assert made.ran == [("k", ["a"]), ("k", ["b", "c", "d"]), ("k", ["e"])]


def test_calls_that_come_before_a_thread_is_free_go_together():
    made = Scheduler()
    made.settle()
    made.add(*"abc")
    made.tasks.work()
    assert made.ran == [("k", ["a", "b", "c"])]


def test_no_more_batches_of_a_key_run_at_once_than_there_are_cpus():
    made = Scheduler(cpus=2)
    made.settle()
    made.add(*range(10))
    assert len(made.tasks.waiting) == 2


@pytest.mark.parametrize(("gain", "at_once"), [(1.0, 8), (1.5, 6), (3.0, 3), (8.0, 1), (30.0, 1)])
def test_the_more_a_batch_gains_the_fewer_run_at_once(gain, at_once):
    """So many that they answer what all CPUs would if each ran calls alone."""
    made = Scheduler(cpus=8)
    made.settle()
    made.add(*range(20))
    assert len(made.tasks.waiting) == 8
    (queue,) = made.batches._queues.values()
    queue.size.gain = gain
    queue.size.learn = lambda *learned: None
    for _ in range(8):
        made.add(*range(50))
        made.tasks.step()
    assert len(made.tasks.waiting) == at_once


def test_a_batch_has_no_more_rows_than_it_may():
    made = Scheduler(most_rows=8, cpus=1)
    made.settle()
    made.add(*"abcde", rows=3)
    made.tasks.work()
    assert made.ran == [("k", ["a", "b"]), ("k", ["c", "d"]), ("k", ["e"])]


def test_a_call_larger_than_a_batch_runs_alone_and_holds_up_nobody():
    made = Scheduler(most_rows=8, cpus=1)
    made.settle()
    made.add("giant", rows=9)
    made.add("a", "b")
    assert len(made.tasks.waiting) == 2, "one task for the giant, one for the others"
    made.tasks.waiting.pop(0)  # it takes for ever
    made.add("c")
    made.tasks.work()
    assert made.ran == [("k", ["a", "b", "c"])]


def test_a_call_that_fills_half_a_batch_gains_nothing_and_does_not_wait():
    made = Scheduler(most_rows=8, cpus=1)
    made.settle()
    made.add("a", "b", rows=5)
    assert len(made.tasks.waiting) == 2


def test_keys_take_turns():
    made = Scheduler(most_rows=4, cpus=1)
    for key in "xy":
        made.settle(key)
    made.ran.clear()
    made.add(*range(12), key="x")
    made.add(*range(4), key="y")
    made.tasks.work()
    assert [key for key, _ in made.ran] == ["x", "y", "x", "x"]


def test_a_run_that_fails_does_not_stop_the_next(caplog):
    def fail(key, items):
        if items == ["a"]:
            raise ValueError("broken")

    made = Scheduler(fail, cpus=1)
    made.settle()
    made.add("a")
    made.tasks.step()
    made.add("b")
    made.tasks.work()
    assert made.ran == [("k", ["a"]), ("k", ["b"])]
    assert "broken" in caplog.text


def test_what_is_known_of_idle_keys_is_forgotten_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(continuous, "MAX_KEYS", 4)
    made = Scheduler()
    made.add("waits", key="busy")
    for key in range(20):
        made.add(key, key=key)
        made.tasks.waiting[-1:], last = [], made.tasks.waiting[-1]
        last[0](*last[1])
        assert len(made.batches._queues) <= 5
    made.tasks.work()
    assert ("busy", ["waits"]) in made.ran


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("ab"), st.integers(0, 12)),  # adds a call with so many rows
            st.none(),  # a thread becomes free
        ),
        max_size=60,
    ),
    st.integers(1, 3),
)
def test_each_call_runs_once_in_order_and_within_the_bound(events, cpus):
    rows_of = {}
    made = Scheduler(cpus=cpus, most_rows=8)
    added = defaultdict(list)
    for number, event in enumerate(events):
        if event is None:
            if made.tasks.waiting:
                made.tasks.step()
            continue
        key, rows = event
        rows_of[number] = rows
        added[key].append(number)
        made.add(number, key=key, rows=rows)
    made.tasks.work()
    for key in "ab":
        ran = [number for ran_key, items in made.ran if ran_key == key for number in items]
        small = [number for number in ran if rows_of[number] <= 8]
        assert sorted(ran) == added[key], "each once"
        assert small == sorted(small), "first come, first served"
    assert all(len(items) == 1 or sum(rows_of[number] for number in items) <= 8 for _, items in made.ran)


@pytest.mark.parametrize("cpus", [1, 2])
def test_nothing_is_lost_when_many_threads_add(cpus):
    ran, running, most, lock = [], 0, 0, threading.Lock()

    def run(key, items):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.0002)
        with lock:
            running -= 1
            ran.extend(items)

    with FairThreads(8) as workers:
        batches = ContinuousBatches(run, workers, cpus=cpus)

        def add(first):
            for number in range(500):
                batches.add("k", (first, number), 1)

        adders = [threading.Thread(target=add, args=(first,)) for first in range(6)]
        for thread in adders:
            thread.start()
        for thread in adders:
            thread.join(TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        while len(ran) < 3000 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert sorted(ran) == [(first, each) for first in range(6) for each in range(500)]


def test_the_sizes_are_consistent():
    assert LEAST_ROWS <= FIRST_ROWS <= MOST_ROWS
