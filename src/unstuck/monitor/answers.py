"""What an answer is, as far as can be seen, whether another one is the same, and what it takes to wonder at that."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from math import exp, lgamma
from typing import Any, Literal, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from unstuck.core.signatures import Tensor
from unstuck.monitor.rows import hash_of_values

LEAST_INPUTS = 30  # distinct ones in a row, before equal answers say anything
LABEL_INPUTS = 10_000  # where one label for everybody may be right: nearly all that comes is of one class
BY_CHANCE = 1e-3  # of models in order that know several classes, those that may be suspected at first
ROUNDING = 1e-6  # eight times the precision of float32, in which nearly every model computes
SUM_OF_SCORES = 1e-2  # how far from 1 it may be
MAX_KEPT_BYTES = 1 << 20  # of a longer answer only a hash is kept

Kind = Literal["numbers", "classes", "label"]


class Likeness(IntEnum):
    """How two answers are alike, from the most to the least."""

    EQUAL = 0
    ROUNDED = 1  # equal but for what rounding may change
    SAME_CLASS = 2  # scores whose best class is the same
    OTHER = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """One output's answer to one input.

    Attributes:
        kind: ``label``: anything but floats, and floats that are whole numbers, so also 0 and 1; ``classes``: scores of
            three classes or more, from 0 on, which add up to 1 along the last dimension; else ``numbers``.
        classes: how many there are; 0 where they are no scores.
        shape: of its array.
        hashed: its values.
        values: the same, to be compared; None where only equal ones are alike.
        tolerance: differences up to which are rounding.
    """

    kind: Kind
    classes: int
    shape: tuple[int, ...]
    hashed: int
    values: NDArray[np.float64] | None = None
    tolerance: Any = 0.0

    def inputs_needed(self, worst: Likeness, *, same_second: bool) -> int:
        """As many distinct inputs in a row, with answers this much alike or more, are suspicious.

        Args:
            worst: how alike the answers are.
            same_second: of scores, whether the second best class is nearly always the same, too.
        """
        if worst is Likeness.SAME_CLASS:
            return inputs_needed(self.classes) if same_second else LABEL_INPUTS
        return LABEL_INPUTS if self.kind == "label" and worst is Likeness.EQUAL else LEAST_INPUTS

    def likeness(self, array: Tensor) -> Likeness:
        """How ``array`` is like this answer."""
        if array.shape != self.shape:
            return Likeness.OTHER
        if hash_of_values(array) == self.hashed:
            return Likeness.EQUAL
        if self.values is None:
            return Likeness.OTHER
        values = array.astype(np.float64)
        with np.errstate(invalid="ignore"):
            if bool(((np.abs(values - self.values) <= self.tolerance) | _both_nan(values, self.values)).all()):
                return Likeness.ROUNDED
            if self.kind == "classes" and bool((values.argmax(-1) == self.values.argmax(-1)).all()):
                return Likeness.SAME_CLASS
        return Likeness.OTHER


def answer_of(array: Tensor) -> Answer:
    """Describes an answer, and keeps what later ones are compared with."""
    hashed = hash_of_values(array)
    if not _is_float(array.dtype) or not array.size:
        return Answer("label", 0, array.shape, hashed)
    values = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        classes = _classes(values)
        is_whole = bool(((np.rint(values) == values) & np.isfinite(values)).all())
    kind: Kind = "label" if is_whole else "classes" if classes > 2 else "numbers"
    if array.nbytes > MAX_KEPT_BYTES:
        return Answer(kind, classes, array.shape, hashed)
    rounding = max(ROUNDING, _precision(array.dtype))
    return Answer(kind, classes, array.shape, hashed, values, rounding if classes else rounding * np.abs(values))


def second_best(array: Tensor) -> int:
    """A hash of which classes are second best."""
    return hash_of_values(np.argpartition(array.astype(np.float64), -2, axis=-1)[..., -2])


@cache
def inputs_needed(classes: int) -> int:
    """As many distinct inputs of one class are improbable where any mix of ``classes`` classes is as likely as another.

    Then it happens by chance with the probability that is computed here: that of one class for all, for any class.
    """
    if classes <= 2:
        return LABEL_INPUTS
    inputs = LEAST_INPUTS
    while exp(lgamma(classes + 1) + lgamma(inputs + 1) - lgamma(inputs + classes)) > BY_CHANCE:
        inputs += 1
    return inputs


def _classes(values: NDArray[np.float64]) -> int:
    """How many scores there are in the last dimension; 0 where they are none."""
    if values.ndim == 0 or values.shape[-1] < 2 or not values.min() >= 0:
        return 0
    return values.shape[-1] if bool((np.abs(values.sum(-1) - 1) <= SUM_OF_SCORES).all()) else 0


def _is_float(dtype: "np.dtype[np.generic]") -> bool:
    return dtype.kind == "f" or (dtype.kind == "V" and "float" in dtype.name)  # V: of ml_dtypes, int4 as well


def _precision(dtype: "np.dtype[np.generic]") -> float:
    """The relative distance of two neighbouring numbers."""
    return float(cast("Any", ml_dtypes.finfo(dtype)).eps)


def _both_nan(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isnan(one) & np.isnan(other)
