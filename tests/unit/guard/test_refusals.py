"""Refusals are told together, each once, a moment later."""

import threading

from unstuck.core.timers import call_later
from unstuck.guard.refusals import DELAY_S, Refusals


class Later:
    """Keeps what is to be called."""

    def __init__(self):
        self.asked = []

    def __call__(self, seconds, tell):
        self.asked.append((seconds, tell))

    def passes(self):
        asked, self.asked = self.asked, []
        for _, tell in asked:
            tell()


def test_those_that_come_in_a_moment_are_told_together_and_in_order():
    told, later = [], Later()
    refusals = Refusals(told.append, later)
    for number in range(3):
        refusals.add(number)
    assert not told
    assert [seconds for seconds, _ in later.asked] == [DELAY_S], "they wait for one another"
    later.passes()
    assert told == [0, 1, 2]
    refusals.add(3)
    later.passes()
    assert told == [0, 1, 2, 3]


def test_one_that_cannot_be_told_keeps_nobody_from_hearing():
    told, later = [], Later()

    def tell(number):
        if number == 1:
            raise OSError("it has gone")
        told.append(number)

    refusals = Refusals(tell, later)
    for number in range(3):
        refusals.add(number)
    later.passes()
    assert told == [0, 2]


def test_none_is_lost_or_told_twice_among_threads():
    told, all_told = [], threading.Event()

    def tell(number):
        told.append(number)
        if len(told) == 4 * 500:
            all_told.set()

    refusals = Refusals(tell, lambda _, call: call_later(0.0005, call))

    def refuse(start):
        for number in range(start, start + 500):
            refusals.add(number)

    threads = [threading.Thread(target=refuse, args=[500 * each]) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all_told.wait(10)
    assert sorted(told) == list(range(4 * 500))
