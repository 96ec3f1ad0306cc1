import os
from itertools import count

import pytest

from unstuck.supervisor.watch import BUSY_S, HANG_S, TICK_S, Usage, Watch, usage

IDLE = Usage(10.0, False)
NOTICED_S = 2.0


def looks_until_killed(watch: Watch, most: int = 1000) -> tuple[float, str]:
    for look in range(1, most):
        if why := watch.look():
            return look * TICK_S, why
    raise AssertionError("it was never killed")


def test_a_silent_worker_that_does_nothing_is_noticed_within_two_seconds():
    after_s, why = looks_until_killed(Watch(lambda: IDLE))
    assert HANG_S <= after_s <= NOTICED_S
    assert why == "did not answer for 1.5 s"


def test_one_that_answers_is_left_alone():
    watch = Watch(lambda: IDLE)
    for _ in range(100):
        assert watch.look() == ""
        watch.beat(None)


def test_one_that_pauses_for_less_is_left_alone():
    watch = Watch(lambda: IDLE)
    for _ in range(20):
        for _ in range(int(HANG_S / TICK_S)):
            assert watch.look() == ""
        watch.beat(None)


@pytest.mark.parametrize(
    "usages",
    [
        pytest.param((Usage(0.9 * TICK_S * n, False) for n in count()), id="it computes, on whichever thread"),
        pytest.param((Usage(1.0, True) for _ in count()), id="it waits for a CPU, or for a disk"),
    ],
)
def test_a_silent_worker_that_computes_is_given_time(usages):
    after_s, why = looks_until_killed(Watch(lambda: next(usages)))
    assert BUSY_S <= after_s <= BUSY_S + 2 * TICK_S
    assert why == "did not answer for 30 s"


def test_threads_that_wake_up_only_to_wait_again_are_idle():
    usages = (Usage(0.02 * TICK_S * n, False) for n in count())
    assert looks_until_killed(Watch(lambda: next(usages)))[0] <= NOTICED_S


@pytest.mark.parametrize(
    ("is_idle", "stuck_s", "killed"), [(True, 1.25, False), (True, 1.5, True), (False, 1.5, False)]
)
def test_a_worker_that_lives_but_whose_loop_is_stuck_is_killed_if_it_does_nothing(is_idle, stuck_s, killed):
    watch = Watch(lambda: IDLE)
    watch.beat({"what": "the event loop", "for_s": stuck_s, "is_idle": is_idle})
    why = watch.look()
    assert why == ("hung: the event loop did not answer for 1.5 s" if killed else "")
    assert watch.silent_s == (0 if killed else stuck_s)


def test_a_loop_that_computes_is_killed_in_the_end():
    watch = Watch(lambda: IDLE)
    watch.beat({"what": "the event loop", "for_s": BUSY_S, "is_idle": False})
    assert watch.look()


def test_what_the_system_says_of_a_process():
    sum(range(3_000_000))
    own = usage(os.getpid())
    assert own.cpu_s > 0
    assert own.wants_to_run
    assert usage(2**22 + 1) == Usage(0.0, False)
