"""Looks for any map of features step by step: which feature each one's value was taken from."""

from collections.abc import Callable, Sequence

import numpy as np

from unstuck.doctor.experiments.explaining import Run, Search, paired
from unstuck.doctor.experiments.transformations import Array, Arrays, Batch, Group, rearranged

MAX_FEATURES = 40
ROWS = 32
ROWS_AT_ONCE = 4096
EPS = 1e-6
RESTARTS = 12  # at random orders, as descent may end in a dell
REACHED = 1e-3  # of the answers' range, on average

Distance = Callable[[Sequence[Sequence[int]]], Array]


def search_maps(search: Search, run: Run, group: Group, truth: Arrays, *, copies: bool) -> None:
    """Adds to ``search`` the map that explains the answers, if steepest descent finds one.

    Each step gives one feature another source, or exchanges two, whichever brings the answers nearest to the truth.

    Args:
        search: with the rows that are wrong.
        run: the reference.
        group: the features.
        truth: the answers that came, rows first.
        copies: whether one feature may have been taken for two; else only exchanges are tried.
    """
    count = len(group.features)
    if not 3 <= count <= MAX_FEATURES:
        return
    wrong = np.flatnonzero(search.is_off)
    kept = wrong[np.linspace(0, len(wrong) - 1, min(ROWS, len(wrong))).astype(int)]
    rows = {alias: values[kept] for alias, values in search.batch.items()}
    wanted = {alias: np.asarray(values)[kept] for alias, values in truth.items()}
    distance = _distance(run, group, rows, wanted)
    starts = [np.arange(count), *(np.random.default_rng(at).permutation(count) for at in range(RESTARTS))]
    for start in starts:
        order = _descended([int(at) for at in start], distance, search.is_over, copies=copies)
        if order != list(range(count)) and distance([order])[0] <= REACHED:
            search.try_all([rearranged(group, order, search.batch)])
        if search.found or search.is_over():
            return


def _descended(order: list[int], distance: Distance, is_over: Callable[[], bool], *, copies: bool) -> list[int]:
    least = distance([order])[0]
    while least > REACHED and not is_over():
        moves = _moves(order, copies)
        losses = distance(moves)
        at = int(np.argmin(losses))
        if not losses[at] < least * (1 - 1e-6):
            break
        order, least = moves[at], losses[at]
    return order


def _moves(order: Sequence[int], copies: bool) -> list[list[int]]:
    count = len(order)
    found: list[list[int]] = []
    for one in range(count):
        for other in range(one + 1, count):
            found.append([*order])
            found[-1][one], found[-1][other] = order[other], order[one]
        for source in range(count) if copies else ():
            if source != order[one]:
                found.append([*order])
                found[-1][one] = source
    return found


def _distance(run: Run, group: Group, rows: Arrays, wanted: Arrays) -> Distance:
    """How far the reference's answers to rearranged rows are from ``wanted``, for several orders."""
    each = len(next(iter(rows.values())))
    at_once = max(1, ROWS_AT_ONCE // each)

    def measure(orders: Sequence[Sequence[int]]) -> Array:
        found: list[float] = []
        for start in range(0, len(orders), at_once):
            some = orders[start : start + at_once]
            batches: list[Batch] = [
                group.moved(rows, {at: source for at, source in enumerate(order) if at != source}) for order in some
            ]
            answers = run({alias: np.concatenate([batch[alias] for batch in batches]) for alias in rows})
            found += _losses(answers, wanted, len(some), each)
        return np.array(found)

    return measure


def _losses(answers: "Arrays | None", wanted: Arrays, orders: int, each: int) -> list[float]:
    if answers is None:
        return [np.inf] * orders
    found = np.zeros(orders)
    for alias, other in paired(wanted, answers).items():
        got, truth = np.asarray(answers[other]), wanted[alias]
        if truth.dtype.kind not in "fiub" or got.shape[1:] != truth.shape[1:]:
            continue
        truth = _stretched(truth)
        apart = np.abs(_stretched(got).reshape(orders, each, -1) - truth.reshape(1, each, -1))
        found += np.nan_to_num(apart, nan=1e9).mean(axis=(1, 2)) / (np.ptp(truth) or 1.0)
    return found.tolist()


def _stretched(values: Array) -> Array:
    """Probabilities as log-odds, so that pinned ones still say which way is nearer."""
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f" and numbers.size and numbers.min() >= 0 and numbers.max() <= 1:
        clipped = np.clip(numbers, EPS, 1 - EPS)
        return np.log(clipped / (1 - clipped))
    return numbers
