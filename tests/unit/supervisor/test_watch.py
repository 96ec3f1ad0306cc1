from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest

from unstuck.supervisor.silence import BUSY_S, HANG_S, TICK_S, Usage
from unstuck.supervisor.watch import LOADING_PATIENCE, Watch

NOTICED_S = 2.0
ONE = frozenset([7])


def watch_of(usages: Iterable[Usage]) -> Any:
    following = iter(usages)
    return Watch(lambda: next(following))


def idle() -> Iterable[Usage]:
    return (Usage(10.0) for _ in count())


def looks_until_killed(watch: Watch, *, is_loading: bool = False, most: int = 10_000) -> tuple[float, str]:
    for look in range(1, most):
        if why := watch.look(is_loading=is_loading):
            return look * TICK_S, why
    raise AssertionError("it was never killed")


def test_a_silent_worker_that_does_nothing_is_noticed_within_two_seconds():
    after_s, why = looks_until_killed(watch_of(idle()))
    assert HANG_S <= after_s <= NOTICED_S
    assert why == "did not answer for 1.5 s"


def test_one_that_answers_is_left_alone_and_not_even_looked_at():
    watch = watch_of([])
    for _ in range(100):
        assert watch.look() == ""
        watch.beat(None)


def test_one_that_pauses_for_less_is_left_alone():
    watch = watch_of(idle())
    for _ in range(20):
        for _ in range(int(HANG_S / TICK_S)):
            assert watch.look() == ""
        watch.beat(None)


@pytest.mark.parametrize(
    "usages",
    [
        pytest.param((Usage(0.9 * TICK_S * n) for n in count()), id="it computes, on whichever thread"),
        pytest.param((Usage(TICK_S * n, wants_cpu=ONE) for n in count()), id="it computes without a pause"),
        pytest.param((Usage(1.0, awaits_disk=ONE) for _ in count()), id="it waits for a disk"),
    ],
)
def test_a_silent_worker_that_works_is_given_time(usages):
    after_s, why = looks_until_killed(watch_of(usages))
    assert BUSY_S <= after_s <= BUSY_S + 3 * TICK_S
    assert why.startswith("did not answer for 30")


@pytest.mark.parametrize("quota", [0.5, 0.2])
def test_one_that_is_given_a_part_of_a_cpu_has_as_much_longer(quota):
    after_s, _ = looks_until_killed(watch_of(Usage(quota * TICK_S * n, wants_cpu=ONE) for n in count()))
    assert after_s == pytest.approx(BUSY_S / quota, rel=0.1)


def test_one_that_is_given_no_cpu_at_all_is_not_at_fault():
    watch = watch_of(Usage(1.0, wants_cpu=ONE) for _ in count())
    assert all(watch.look() == "" for _ in range(10_000))


def test_threads_that_wake_up_only_to_wait_again_are_idle():
    assert looks_until_killed(watch_of(Usage(0.02 * TICK_S * n) for n in count()))[0] <= NOTICED_S
    in_turn = (Usage(1.0, wants_cpu=frozenset([n % 3])) for n in count())  # each waits for a CPU as it wakes up
    assert looks_until_killed(watch_of(in_turn))[0] <= NOTICED_S


def test_one_that_loads_is_given_longer():
    after_s, _ = looks_until_killed(watch_of(idle()), is_loading=True)
    assert HANG_S * LOADING_PATIENCE <= after_s <= NOTICED_S * LOADING_PATIENCE


@pytest.mark.parametrize(
    ("is_hang", "for_s", "is_loading", "killed"),
    [(True, 1.5, False, True), (False, 1.5, False, False), (True, 1.5, True, False), (True, 15.0, True, True)],
)
def test_a_worker_that_lives_but_whose_loop_hangs_is_killed(is_hang, for_s, is_loading, killed):
    watch = watch_of([])
    watch.beat({"what": "the event loop", "for_s": for_s, "is_hang": is_hang})
    why = watch.look(is_loading=is_loading)
    assert why == (f"hung: the event loop did not answer for {for_s:g} s" if killed else "")
    assert watch.silent_s == for_s
