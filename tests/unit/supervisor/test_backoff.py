from unstuck.supervisor.backoff import LONGEST_S, STEADY_S, Backoff


def test_the_first_death_costs_no_wait_and_each_further_one_twice_the_last():
    backoff = Backoff()
    assert [backoff.wait_s(0) for _ in range(5)] == [0, 1, 2, 4, 8]
    assert backoff.deaths == 5


def test_the_wait_has_a_limit():
    backoff = Backoff()
    assert [backoff.wait_s(1) for _ in range(20)][-1] == LONGEST_S


def test_who_served_for_long_begins_anew():
    backoff = Backoff()
    for _ in range(5):
        backoff.wait_s(0)
    assert backoff.wait_s(STEADY_S) == 0
    assert backoff.wait_s(STEADY_S - 1) == 1
