"""The limit of one model's calls in flight, against a model that answers a known number of calls a second."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.guard.concurrency import LEAST_ANSWERS, STRICT, TICK_S, ConcurrencyLimit

RUN_S = 0.02
RATE = 50.0  # answers a second that the model can give
LEAST = 4


class Model:
    """Calls come and are answered tick by tick; what waits longest is answered first."""

    def __init__(self, rate=RATE, run_s=RUN_S, tolerated_s=1.0):
        self.limit = ConcurrencyLimit(LEAST, tolerated_s)
        self.limit.ran(run_s)
        self.rate = rate
        self.waiting = 0
        self.refused = self.answered = 0
        self._owed = self._due = 0.0

    def run(self, seconds, offered):
        for _ in range(round(seconds / TICK_S)):
            self._tick(offered)
        return self

    def _tick(self, offered):
        self._due += offered * TICK_S
        came, self._due = int(self._due), self._due % 1
        most = self.limit.limit
        self._owed = min(self._owed + self.rate * TICK_S, self.waiting + came)
        answered, self._owed = int(self._owed), self._owed % 1
        entered = came if most is None else min(came, max(most - self.waiting + answered, 0))
        answered = min(answered, self.waiting + entered)
        self.waiting += entered - answered
        self.answered += answered
        self.refused += came - entered
        self.limit.tick(TICK_S, self.waiting, entered=entered, answered=answered, refused=came - entered)


@pytest.mark.parametrize("offered", [0, 1, 25, 45, 50])
def test_what_the_model_can_answer_is_never_limited(offered):
    model = Model().run(60, offered)
    assert (model.refused, model.limit.limit) == (0, None)


def test_ten_times_as_much_is_limited_so_that_waiting_stays_short_and_the_model_busy():
    model = Model().run(10, 10 * RATE)
    assert model.limit.limit is not None
    assert model.limit.limit >= LEAST
    assert model.waiting / RATE <= 1.0
    answered = model.answered
    model.run(30, 10 * RATE)
    assert model.answered - answered == pytest.approx(30 * RATE, rel=0.02)


def test_the_limit_goes_once_the_load_does():
    model = Model().run(10, 10 * RATE)
    model.run(60, RATE / 2)
    assert model.limit.limit is None
    refused = model.refused
    model.run(30, 0.9 * RATE)
    assert model.refused == refused


def test_a_first_call_that_takes_long_is_no_overload():
    limit = ConcurrencyLimit(LEAST, 1.0)
    limit.tick(3.0, 64, entered=64, answered=0, refused=0)
    limit.tick(TICK_S, 50, entered=0, answered=LEAST_ANSWERS + 6, refused=0)  # these took three seconds
    assert limit.limit is None
    for _ in range(20):
        limit.tick(TICK_S, 64, entered=100, answered=100, refused=0)
    assert limit.limit is None


def test_many_callers_of_a_fast_model_are_not_too_many():
    limit = ConcurrencyLimit(LEAST, 1.0)
    for _ in range(100):
        limit.tick(TICK_S, 512, entered=3000, answered=3000, refused=0)
    assert limit.limit is None
    assert limit.wait_s == pytest.approx(512 / 30_000)


def test_a_model_that_takes_long_may_be_waited_for_as_long():
    limit = ConcurrencyLimit(LEAST, 1.0)
    limit.ran(5.0)
    for _ in range(2000):
        limit.tick(TICK_S, 6, entered=0, answered=0, refused=0)
        limit.tick(TICK_S, 6, entered=1, answered=1, refused=0)  # 5 a second: 1.2 s for six
    assert limit.limit is None


def test_an_idle_model_lets_nobody_wait_whatever_was_before():
    model = Model().run(5, 10 * RATE)
    assert model.limit.wait_s > 0
    model.run(60, 0)
    assert model.limit.wait_s == 0


def test_what_may_have_waited_is_bounded_only_while_calls_are_refused():
    model = Model()
    assert model.limit.most_wait_s is None
    model.run(10, 10 * RATE)
    assert model.limit.most_wait_s == 1.0


def test_never_tolerating_no_wait_is_no_limit():
    model = Model(tolerated_s=float("inf")).run(20, 100 * RATE)
    assert model.limit.limit is None


def test_the_target_is_tight_while_most_calls_are_refused():
    model = Model().run(20, 10 * RATE)
    target = RATE * (RUN_S + STRICT)
    assert target <= model.limit.limit <= target + 3 * (target**0.5) + 2


@settings(max_examples=50, deadline=None)
@given(
    rate=st.floats(5, 5000),
    loads=st.lists(st.tuples(st.floats(0.5, 20), st.floats(0, 12)), min_size=1, max_size=6),
)
def test_whatever_comes_the_model_is_kept_busy_and_rest_brings_calm(rate, loads):
    model = Model(rate=rate, run_s=1 / rate)
    for seconds, times in loads:
        model.run(seconds, times * rate)
        assert model.limit.limit is None or model.limit.limit >= LEAST
    model.run(120 + model.waiting / rate, rate / 4)
    assert model.limit.limit is None
    assert model.limit.wait_s <= 1.0
