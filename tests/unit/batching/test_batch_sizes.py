"""BatchSize: what it makes of models whose rows become cheaper in company, and of those whose do not."""

import random
from itertools import pairwise

import pytest

from unstuck.batching.sizes import ALONE_EVERY, FIRST_ROWS, FIRST_WAIT, LEAST_ROWS, MOST_ROWS, BatchSize

MODELS = {  # nanoseconds of so many rows
    "flat": lambda rows: 5_000_000,
    "nearly flat": lambda rows: 5_000_000 + 60_000 * rows,
    "half of it a row": lambda rows: 1_000_000 + 1_000_000 * rows,
}
LINEAR = {
    "linear": lambda rows: 2_500_000 * rows,
    "worse in company": lambda rows: 2_500_000 * rows**1.1,
}


def serve(size, cost, waiting=MOST_ROWS, batches=200, noise=0.0):
    """Batches with always ``waiting`` calls of a row there; returns the rows of each."""
    draw = random.Random(0).uniform
    taken = []
    for _ in range(batches):
        rows = max(1, min(waiting, size.next())) if size.pays(1) else 1
        taken.append(rows)
        size.learn(rows, rows, round(cost(rows) * (1 + draw(-noise, noise))))
    return taken


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("cost", MODELS.values(), ids=MODELS)
def test_where_company_makes_rows_cheaper_batches_grow_to_the_most(cost, noise):
    size = BatchSize()
    taken = serve(size, cost, noise=noise)
    assert taken[0] == 1, "what a call costs alone comes first"
    assert max(taken[:4]) <= FIRST_ROWS
    assert taken[-ALONE_EVERY:].count(MOST_ROWS) == ALONE_EVERY - 1, "but for one, which shows what it costs alone"


@pytest.mark.parametrize("cost", LINEAR.values(), ids=LINEAR)
def test_where_it_does_not_calls_do_not_wait_for_each_other(cost):
    size = BatchSize()
    taken = serve(size, cost, batches=2000)
    assert not size.pays(1) or size.next() <= LEAST_ROWS
    assert sum(rows for rows in taken if rows > 1) < 0.25 * sum(taken)


def test_what_did_not_pay_is_tried_again_less_and_less_often():
    size = BatchSize()
    taken = serve(size, LINEAR["linear"], batches=5000)
    tries = [at for at in range(1, len(taken)) if taken[at] > 1 and taken[at - 1] == 1]
    tries = [at for before, at in zip([0, *tries], tries, strict=False) if at - before > ALONE_EVERY]
    gaps = [later - before for before, later in pairwise(tries)]
    assert gaps[0] >= FIRST_WAIT
    assert gaps == sorted(gaps)


def test_a_model_that_becomes_cheap_in_company_is_found_out():
    size = BatchSize()
    serve(size, LINEAR["linear"], batches=300)
    assert serve(size, MODELS["flat"], batches=2000)[-2:].count(MOST_ROWS) >= 1


def test_small_batches_under_light_load_change_nothing():
    size = BatchSize()
    serve(size, LINEAR["linear"], waiting=LEAST_ROWS - 1)
    assert size.pays(1)


def test_calls_without_rows_are_no_reason_to_fail():
    size = BatchSize()
    size.learn(1, 0, 1000)
    size.learn(3, 0, 1000)
    assert size.pays(0)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_most_rows_may_be_few(most):
    size = BatchSize(most)
    assert max(serve(size, MODELS["flat"])) <= most
