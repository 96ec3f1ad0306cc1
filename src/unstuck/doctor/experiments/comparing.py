"""How far answers are apart, measured by how far the answers of a pool are apart."""

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import Tensor, Tensors

LEAST_SPREAD = 5e-3  # of the magnitude; SAME of it is what rounding in another batch or on another device changes
SAME = 0.002  # of the spread
APART = 0.01  # of the spread: so far apart, answers cannot be taken for one another
FAR = float("inf")


class Ruler:
    """Measures with the spread of a pool's answers as the unit.

    A difference of 0.002 is still the same answer, one of 0.01 another one; the spread counts as no less than 0.005
    of the output's magnitude, so that rounding (1e-5 of it) is never a difference.
    """

    def __init__(self, pool: Sequence[Tensors]) -> None:
        aliases = {alias for answer in pool for alias in answer}
        self._units = {alias: _unit([answer[alias] for answer in pool if alias in answer]) for alias in aliases}

    def distance(self, one: Tensors, other: Tensors) -> float:
        """0 for equal answers, 1 for two as far apart as the pool's, infinity where they cannot be compared."""
        if set(one) != set(other):
            return FAR
        return max((_apart(one[alias], other[alias], self._units.get(alias, 1.0)) for alias in one), default=0.0)

    def is_same(self, one: Tensors, other: Tensors) -> bool:
        return self.distance(one, other) <= SAME

    def is_apart(self, one: Tensors, other: Tensors) -> bool:
        return self.distance(one, other) >= APART

    def index(self, answer: Tensors, among: Sequence[Tensors]) -> int | None:
        """The first of ``among`` that is the same as ``answer``; None where there is none."""
        return next((at for at, each in enumerate(among) if self.is_same(answer, each)), None)

    def distinct(self, answers: Sequence[Tensors]) -> list[int]:
        """Positions of answers each of which is apart from all others of them."""
        found: list[int] = []
        for at, answer in enumerate(answers):
            if all(self.is_apart(answer, answers[other]) for other in found):
                found.append(at)
        return found

    def kinds(self, answers: Sequence[Tensors]) -> int:
        """How many different answers there are."""
        found: list[Tensors] = []
        for answer in answers:
            if self.index(answer, found) is None:
                found.append(answer)
        return len(found)


def _numbers(array: Tensor) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
    try:
        return cast("Any", array).astype(np.float64) if array.dtype != object else None
    except (TypeError, ValueError):
        return None


def _unit(arrays: Sequence[Tensor]) -> float:
    numbers = [each for array in arrays if (each := _numbers(np.asarray(array))) is not None and each.size]
    if not numbers:
        return 1.0
    magnitude = max((float(np.abs(each[np.isfinite(each)]).max(initial=0.0)) for each in numbers), default=0.0)
    if len({each.shape for each in numbers}) == 1:
        stacked = np.stack(numbers)
        with np.errstate(invalid="ignore"):
            ranges = stacked.max(axis=0) - stacked.min(axis=0)
        spread = float(ranges[np.isfinite(ranges)].max(initial=0.0))
    else:
        spread = magnitude
    return max(spread, LEAST_SPREAD * magnitude) or 1.0


def _apart(one: Tensor, other: Tensor, unit: float) -> float:
    if one.shape != other.shape:
        return FAR
    first, second = _numbers(one), _numbers(other)
    if first is None or second is None:
        return 0.0 if bool(np.all(one == other)) else FAR
    if not first.size:
        return 0.0
    with np.errstate(invalid="ignore"):
        differences = np.where((first == second) | (np.isnan(first) & np.isnan(second)), 0.0, np.abs(first - second))
    largest = float(np.max(differences))
    return FAR if np.isnan(largest) else largest / unit


def is_copy(one: Tensors, other: Tensors, tolerance: float = 1e-6) -> bool:
    """Whether two answers are one, value by value: saturated ones near 0 or 1 look alike, and are not copies."""
    if set(one) != set(other):
        return False
    return all(_is_copy(np.asarray(one[alias]), np.asarray(other[alias]), tolerance) for alias in one)


def _is_copy(one: Tensor, other: Tensor, tolerance: float) -> bool:
    first, second = _numbers(one), _numbers(other)
    if one.shape != other.shape or first is None or second is None:
        return one.shape == other.shape and bool(np.all(one == other))
    return bool(np.allclose(first, second, rtol=tolerance, atol=0.0, equal_nan=True))


def digest(tensors: Tensors) -> str:
    """A short name of some tensors: of equal values, of numbers within about 1e-6, equal."""
    hashed = hashlib.sha1(usedforsecurity=False)
    for alias in sorted(tensors):
        array = np.asarray(tensors[alias])
        numbers = _numbers(array)
        hashed.update(f"{alias}{array.shape}".encode())
        if numbers is None:
            hashed.update(repr(array.tolist()).encode())
        else:
            hashed.update(np.char.mod("%.6g", numbers).tobytes())
    return hashed.hexdigest()[:12]


def shown(tensors: Tensors, limit: int = 120) -> str:
    """Tensors as text of at most ``limit`` characters."""
    parts = [f"{alias}: {_short(np.asarray(array))}" for alias, array in tensors.items()]
    text = ", ".join(parts) if len(parts) != 1 else _short(np.asarray(next(iter(tensors.values()))))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _short(array: Tensor) -> str:
    flat = array.ravel()[:6].tolist()
    values = [f"{each:.6g}" if isinstance(each, float) else str(each) for each in flat]
    return f"[{', '.join(values)}{', …' if array.size > 6 else ''}]" if array.ndim else values[0]
