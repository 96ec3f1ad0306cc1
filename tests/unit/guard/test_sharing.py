"""How much of what is common one model may take."""

from hypothesis import given
from hypothesis import strategies as st

from unstuck.guard.sharing import room


def test_alone_there_is_room_for_all():
    assert room(1000, []) == 1000


def test_beside_idle_ones_there_is_room_for_three_quarters():
    assert room(1000, [0], 2) == room(1000, [], 2) == 750
    assert room(1000, [0, 0, 0, 0], 5) == 600


def test_one_that_has_taken_all_it_could_leaves_room_for_another():
    hot = room(1000, [0], 2)
    assert room(1000, [hot], 2) == 250


@given(st.integers(1, 1 << 40), st.lists(st.integers(0, 1 << 30), max_size=20))
def test_there_is_always_room_for_one(most, others):
    assert 1 <= room(most, others) <= max(most, 1)


@given(st.integers(100, 1 << 30), st.integers(2, 10))
def test_models_that_come_at_once_stay_within_what_there_is(most, models):
    in_flight = [0] * models
    for number in range(models):
        others = in_flight[:number] + in_flight[number + 1 :]
        in_flight[number] = room(most, others, models)
    assert sum(in_flight) <= most
