"""Are the requests' ids those of training, moved by a constant? As where one side keeps ids for padding or unknowns."""

from collections.abc import Sequence
from math import pi, sqrt

import numpy as np

MOST = 200  # by which ids may be moved: tokenizers reserve up to so many
LEAST_IDS, LEAST_KINDS = 50, 10
APART, BETTER = 0.2, 0.5  # of the ids; and how much of that may be left once they are moved back
CHANCE = 1.5  # times what chance sets two samples apart: words come in topics, not one by one


def shift_of(sent: Sequence[int], known: Sequence[int]) -> tuple[int, float, float] | None:
    """By how much ``sent`` lies above ``known``, and how far the two are apart before and after: shares of ids, 0 to 1.

    Ids of 0, often padding, are left out. None where they are not apart, or moving them does not bring them together.
    """
    own, other = (np.array([each for each in ids if each != 0], np.int64) for ids in (sent, known))
    if min(own.size, other.size) < LEAST_IDS or len(np.unique(other)) < LEAST_KINDS:
        return None
    expected = _by_chance(other, own.size)
    as_is = _apart(own, other)
    if as_is < max(APART, CHANCE * expected):
        return None
    apart, shift = min((_apart(own - by, other), by) for by in range(-MOST, MOST + 1) if by)
    return (shift, as_is, apart) if apart <= min(CHANCE * expected, BETTER * as_is) else None


def _apart(one: "np.ndarray", other: "np.ndarray") -> float:
    """The total variation distance, ids of 0 and below left out."""
    one, other = one[one > 0], other[other > 0]
    if not one.size or not other.size:
        return 1.0
    size = int(max(one.max(), other.max())) + 1
    if size > 1_000_000:
        return 1.0
    shares = [np.bincount(each, minlength=size) / each.size for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).sum()) / 2


def _by_chance(known: "np.ndarray", others: int) -> float:
    """How far a sample of ``others`` ids of the same distribution is apart, on average."""
    _, counts = np.unique(known, return_counts=True)
    share = counts / known.size
    return float(np.sqrt(share * (1 - share)).sum() * sqrt(2 / pi * (1 / known.size + 1 / others))) / 2
