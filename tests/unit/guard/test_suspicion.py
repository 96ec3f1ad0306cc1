"""When a version is suspected, what condemns it, and when it is loaded again."""

from itertools import pairwise

import pytest

from unstuck.errors import Code
from unstuck.guard.quarantine import (
    IN_A_ROW,
    LAST_RELOAD_S,
    LONGEST_PAUSE_S,
    OF_A_MOMENT,
    OF_INPUTS,
    QUIET_S,
    STRIKES,
    Failure,
    Reloads,
    Suspicion,
)


@pytest.mark.parametrize("code", sorted(set(Code) - OF_INPUTS - {Code.OK}, key=lambda code: code.number))
def test_an_error_that_speaks_of_more_than_its_input_has_the_version_checked_at_once(code):
    assert Suspicion().calls_for_check(code, 0)


@pytest.mark.parametrize("code", sorted(OF_INPUTS, key=lambda code: code.number))
def test_an_error_of_an_input_does_so_only_if_nothing_else_is_heard_of(code):
    suspicion = Suspicion()
    for _ in range(3):
        assert not any(suspicion.calls_for_check(code, 0) for _ in range(IN_A_ROW - 1))
        suspicion.succeeded()
    assert [suspicion.calls_for_check(code, 0) for _ in range(IN_A_ROW)] == [False] * (IN_A_ROW - 1) + [True]


def test_one_check_at_a_time_and_ever_longer_pauses_after_those_that_find_nothing():
    suspicion, now, asked = Suspicion(), 0.0, []
    while now < 100:
        if suspicion.calls_for_check(Code.INTERNAL, now):
            assert not suspicion.calls_for_check(Code.INTERNAL, now + 0.01), "while it is checked"
            suspicion.acquit(now + 0.02, 0.02)
            asked.append(now)
        now += 0.01
    assert len(asked) < 20, "a client whose inputs fail costs next to nothing"
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert all(later > earlier - 0.02 for earlier, later in pairwise(gaps))
    assert gaps[-1] == pytest.approx(LONGEST_PAUSE_S, abs=0.1)
    assert suspicion.calls_for_check(Code.INTERNAL, 200)
    suspicion.acquit(200 + QUIET_S, 0)
    assert suspicion.calls_for_check(Code.INTERNAL, 200 + QUIET_S + 1), (
        "after a quiet time the first pause is short again"
    )


def test_a_slow_check_is_followed_by_a_long_pause():
    suspicion = Suspicion()
    assert suspicion.calls_for_check(Code.INTERNAL, 0)
    suspicion.acquit(5, took_s=5)
    assert not suspicion.calls_for_check(Code.INTERNAL, 54)
    assert suspicion.calls_for_check(Code.INTERNAL, 56)


@pytest.mark.parametrize("code", sorted(set(Code) - OF_A_MOMENT, key=lambda code: code.number))
def test_an_input_known_to_work_that_fails_condemns(code):
    assert Suspicion().is_condemned_by(Failure("engine error", "…", code))


@pytest.mark.parametrize("code", sorted(OF_A_MOMENT, key=lambda code: code.number))
def test_what_may_pass_condemns_only_if_it_does_not(code):
    suspicion, failure = Suspicion(), Failure("engine error", "…", code)
    assert [suspicion.is_condemned_by(failure) for _ in range(STRIKES)] == [False] * (STRIKES - 1) + [True]
    suspicion = Suspicion()
    for _ in range(3):
        assert not suspicion.is_condemned_by(failure)
        suspicion.passed()


def test_reloads_wait_longer_each_time_and_not_for_ever():
    reloads = Reloads()
    assert [reloads.wait_s(served_s=5) for _ in range(6)] == [0, 1, 2, 4, 8, 16]
    assert [reloads.wait_s(0) for _ in range(10)][-1] == LAST_RELOAD_S
    assert reloads.wait_s(served_s=QUIET_S) == 0
    assert reloads.wait_s(served_s=1) == 1
