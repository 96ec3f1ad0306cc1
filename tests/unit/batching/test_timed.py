"""The threads that run batches. Nothing here waits for a clock to pass, but for what must not happen."""

import threading
import time
import weakref
from queue import Empty, SimpleQueue

import pytest

from unstuck.batching.timed import TimedBatches
from unstuck.core.batching import BatchingParameters
from unstuck.errors import InvalidRequest, NotReady, QueueFull

SOON_S, NEVER_S = 10, 0.05
HOUR = 3_600_000_000


class Scheduler:
    """Batches, of which each run is seen, and goes on once it is let."""

    def __init__(self, threads=1, holds=False, **parameters):
        self.seen = SimpleQueue()
        self.may_go_on = threading.Semaphore(0 if holds else 10**6)
        self.parameters = BatchingParameters(**{"max_batch_size": 4, "batch_timeout_micros": 0, **parameters})
        self.batches = TimedBatches(self._run, threads, lambda key: self.parameters)

    def _run(self, key, items):
        self.seen.put((key, items))
        assert self.may_go_on.acquire(timeout=SOON_S)
        if "fails" in items:
            raise RuntimeError("of the test")

    def ran(self):
        return self.seen.get(timeout=SOON_S)

    def runs_nothing(self):
        with pytest.raises(Empty):
            self.seen.get(timeout=NEVER_S)
        return True


@pytest.fixture
def scheduler():
    made = []

    def make(**kwargs):
        made.append(Scheduler(**kwargs))
        return made[-1]

    yield make
    for each in made:
        each.may_go_on.release(1000)
        each.batches.stop()


def test_without_a_timeout_a_call_runs_as_soon_as_a_thread_is_free(scheduler):
    one = scheduler(holds=True)
    one.batches.add("k", "a", 1)
    assert one.ran() == ("k", ["a"])
    one.batches.add("k", "b", 1)
    one.batches.add("k", "c", 1)
    assert one.runs_nothing(), "its thread is busy"
    one.may_go_on.release()
    assert one.ran() == ("k", ["b", "c"])


def test_a_full_batch_does_not_wait_for_its_time(scheduler):
    one = scheduler(batch_timeout_micros=HOUR)
    one.batches.add("k", "a", 2)
    assert one.runs_nothing()
    one.batches.add("k", "b", 2)
    assert one.ran() == ("k", ["a", "b"])


def test_a_batch_runs_when_its_time_has_come(scheduler):
    one = scheduler(batch_timeout_micros=80_000)
    began = time.monotonic()
    one.batches.add("k", "a", 1)
    one.batches.add("k", "b", 1)
    assert one.ran() == ("k", ["a", "b"])
    assert time.monotonic() - began >= 0.08


def test_keys_do_not_mix_and_take_turns(scheduler):
    one = scheduler(holds=True, max_batch_size=1)
    one.batches.add("k", 0, 1)
    assert one.ran() == ("k", [0])
    for item in (1, 2, 3):
        one.batches.add("k", item, 1)
    one.batches.add("other", 9, 1)
    one.may_go_on.release(4)
    assert sorted([one.ran(), one.ran()]) == [("k", [1]), ("other", [9])], "a busy key does not starve another"
    assert one.ran() == ("k", [2])


def test_threads_are_shared_by_all_keys(scheduler):
    two = scheduler(threads=2, holds=True)
    for key in "abc":
        two.batches.add(key, 0, 1)
    assert sorted([two.ran()[0], two.ran()[0]]) == ["a", "b"]
    assert two.runs_nothing(), "both are busy"
    two.may_go_on.release()
    assert two.ran()[0] == "c"


def test_a_busy_thread_leaves_the_next_deadline_to_another(scheduler):
    """The one that slept until then may be the one that has just taken a batch."""
    two = scheduler(threads=2, holds=True, batch_timeout_micros=60_000)
    two.batches.add("a", 0, 1)
    time.sleep(0.03)
    two.batches.add("b", 0, 1)
    assert two.ran()[0] == "a"
    assert two.ran()[0] == "b"


def test_refusals_reach_the_caller(scheduler):
    one = scheduler(holds=True, max_enqueued_batches=1)
    with pytest.raises(InvalidRequest, match="5 rows"):
        one.batches.add("k", "large", 5)
    one.batches.add("k", "runs", 4)
    one.ran()
    one.batches.add("k", "waits", 4)
    with pytest.raises(QueueFull):
        one.batches.add("k", "refused", 1)
    one.batches.add("other", "a queue of its own", 1)


def test_queues_are_forgotten_once_they_are_empty(scheduler):
    one = scheduler()
    for key in range(100):
        one.batches.add(key, 0, 1)
        one.ran()
    assert len(one.batches._queues) == 0


def test_a_refused_call_leaves_no_queue(scheduler):
    one = scheduler()
    with pytest.raises(InvalidRequest):
        one.batches.add("k", "large", 5)
    assert len(one.batches._queues) == 0


def test_a_failing_run_does_not_end_its_thread(scheduler, caplog):
    one = scheduler()
    one.batches.add("k", "fails", 1)
    one.ran()
    one.batches.add("k", "b", 1)
    assert one.ran() == ("k", ["b"])
    assert "A batch of calls failed" in caplog.text


class Item:
    pass


def test_an_idle_thread_refers_to_no_item():
    """What a call refers to, such as the version it is for, must be free to go."""
    batches = TimedBatches(lambda key, items: None, 1, lambda key: BatchingParameters())
    item = Item()
    is_gone = threading.Event()
    weakref.finalize(item, is_gone.set)
    batches.add("k", item, 1)
    del item
    assert is_gone.wait(SOON_S)
    batches.stop()


def test_a_stop_runs_what_waits():
    one = Scheduler(batch_timeout_micros=HOUR)
    for key in "ab":
        one.batches.add(key, 0, 1)
    one.batches.stop()
    assert sorted([one.ran()[0], one.ran()[0]]) == ["a", "b"]
    with pytest.raises(NotReady):
        one.batches.add("a", 0, 1)


def test_an_idle_scheduler_uses_no_processor(scheduler):
    others = set(threading.enumerate())
    four = scheduler(threads=4, batch_timeout_micros=HOUR)
    clocks = [time.pthread_getcpuclockid(each.ident) for each in set(threading.enumerate()) - others]
    assert len(clocks) == 4
    four.batches.add("k", "waits", 1)
    before = sum(map(time.clock_gettime, clocks))
    time.sleep(0.3)
    assert sum(map(time.clock_gettime, clocks)) - before < 0.1


def test_many_callers_lose_nothing(scheduler):
    three = scheduler(threads=3, max_batch_size=8, batch_timeout_micros=200, max_enqueued_batches=1000)

    def call(caller):
        for number in range(50):
            three.batches.add(number % 3, (caller, number), 1)

    callers = [threading.Thread(target=call, args=[caller]) for caller in range(8)]
    for caller in callers:
        caller.start()
    got = []
    while len(got) < 8 * 50:
        key, items = three.ran()
        assert len(items) <= 8
        assert all(number % 3 == key for _, number in items)
        got += items
    assert len(set(got)) == 8 * 50
    for caller in callers:
        caller.join()
