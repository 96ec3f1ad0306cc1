"""Looks for the highest rate that still meets a target: what is too much is known to a few per cent."""

from collections.abc import Callable

FIRST_SHARE = 0.5  # of what a closed loop reached
PRECISE = 1.06  # the ratio of the rates between which the answer lies
MOST_STEPS = 12
GROWTH = 1.5
LEAST_RATE = 1.0


def highest(capacity: float, meets: Callable[[float], bool | None]) -> float:
    """The highest rate for which ``meets`` says yes, by bisection of the logarithm.

    Args:
        capacity: answers a second of a closed loop, whose half is tried first.
        meets: tries a rate; None ends the search.

    Returns:
        The rate; 0 where none met.
    """
    low, high = 0.0, float("inf")
    rate = max(capacity * FIRST_SHARE, LEAST_RATE)
    for _ in range(MOST_STEPS):
        rate = float(f"{rate:.3g}")
        met = meets(rate)
        if met is None:
            break
        if met:
            low = rate
        else:
            high = rate
        if high <= LEAST_RATE or (low and high / low <= PRECISE):
            break
        if not low:
            rate = max(high / 4, LEAST_RATE)
        elif high == float("inf"):
            rate = low * GROWTH
        else:
            rate = (low * high) ** 0.5
    return low
