"""Hypotheses of what happened to numbers on their way: scaled once more, scaled back, or cast. One input, or all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.replay import Kind
from unstuck.doctor.experiments.input_scaling import input_scaling
from unstuck.doctor.experiments.preparing import swapped
from unstuck.doctor.experiments.transformations import Array, Arrays, Batch, Hypothesis, changed
from unstuck.doctor.lab import Lab
from unstuck.errors import UnstuckError

Scaling = tuple["Array | float", "Array | float"]  # x becomes (x - middle) / size
Scalings = Mapping[str, Mapping[str, Scaling]]  # by how it is called, by input
Change = Callable[[Array], Array]

USUAL: Mapping[str, Scaling] = {
    "divided by 255": (255.0, 0.0),
    "scaled from 0 … 255 to -1 … 1": (127.5, 127.5),
    "divided by 100": (100.0, 0.0),
    "divided by 1000": (1000.0, 0.0),
    "divided by 32768": (32768.0, 0.0),
}
WRAPPED: Mapping[str, type[np.integer[Any]]] = {
    "cast to bytes": np.uint8,
    "cast to signed bytes": np.int8,
    "cast to integers of 16 bits": np.int16,
    "cast to unsigned integers of 16 bits": np.uint16,
}
CASTS: Mapping[str, Change] = {
    "cast to integers": np.trunc,
    "rounded to integers": np.round,
    **{what: lambda x, kind=kind: x.astype(np.int64).astype(kind) for what, kind in WRAPPED.items()},
    "in half precision": lambda x: x.astype(np.float16),
    "with the bytes of each number turned": lambda x: swapped(x, x.dtype.name),
}


def numbers_changed(batch: Arrays, scalings: Scalings) -> Iterator[Hypothesis]:
    """Each change of each input of floats, and of all of them at once, as of a table or service between.

    Integers have no scale; they may wrap in a narrow type.

    Args:
        batch: rows as they were sent.
        scalings: that training data, or the graph, know.
    """
    floats = [alias for alias, values in batch.items() if values.dtype.kind == "f"]
    for what, by_input in (
        {name: dict.fromkeys(floats, each) for name, each in USUAL.items()} | dict(scalings)
    ).items():
        mine = {alias: by_input[alias] for alias in floats if alias in by_input}
        yield from _alone_and_together("normalised", what, {alias: _once_more(*each) for alias, each in mine.items()})
        undone = f"with the reverse of: {what}"
        yield from _alone_and_together("raw", undone, {alias: _back(*each) for alias, each in mine.items()})
    for what, change in CASTS.items():
        yield from _alone_and_together("cast", what, dict.fromkeys(floats, _kept_type(change)))
    for what, kind in WRAPPED.items():
        wide = [alias for alias, values in batch.items() if _leaves(values, kind)]
        yield from _alone_and_together("cast", what, dict.fromkeys(wide, _kept_type(CASTS[what])))


def _leaves(values: Array, kind: type[np.integer[Any]]) -> bool:
    """Whether some integers have no place in ``kind``."""
    limits = np.iinfo(kind)
    return values.dtype.kind in "iu" and bool(((values < limits.min) | (values > limits.max)).any())


def _alone_and_together(kind: Kind, what: str, changes: Mapping[str, Change]) -> Iterator[Hypothesis]:
    each = [changed(kind, what, alias, change) for alias, change in changes.items()]
    yield from each
    if len(each) > 1:
        yield _together(each, f"all numbers arrive {what}")


def _together(several: Sequence[Hypothesis], what: str) -> Hypothesis:
    def apply(rows: Arrays) -> Batch:
        return reduce(lambda done, each: each.apply(done), several, dict(rows))

    return replace(several[0], what=what, input=", ".join(each.input for each in several), apply=apply)


def _once_more(size: "Array | float", middle: "Array | float") -> Change:
    return lambda x: ((x - middle) / size).astype(x.dtype)


def _back(size: "Array | float", middle: "Array | float") -> Change:
    return lambda x: (x * size + middle).astype(x.dtype)


def _kept_type(change: Change) -> Change:
    def kept(x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # not every number has a place in the narrow type
            return change(x).astype(x.dtype)

    return kept


def known_scalings(lab: Lab, batch: Arrays) -> dict[str, dict[str, Scaling]]:
    """What training's statistics, and the graph's own, make of each input of ``batch``."""
    found: dict[str, dict[str, Scaling]] = {}
    for alias, values in _training(lab).items():
        if alias in batch and values.dtype.kind == "f":
            numbers = values.astype(np.float64)
            width = np.ptp(numbers, axis=0)
            if (width > 0).all():
                own = found.setdefault("standardised by training's mean and deviation", {})
                own[alias] = (numbers.std(axis=0), numbers.mean(axis=0))
                found.setdefault("scaled from training's range to 0 … 1", {})[alias] = (width, numbers.min(axis=0))
    for alias in batch:
        scaling = _of_graph(lab, alias)
        if scaling is not None:
            factor, offset = scaling
            found.setdefault("normalised as the graph does it again", {})[alias] = (1 / factor, -offset / factor)
    return found


def _training(lab: Lab) -> Arrays:
    try:
        return lab.training
    except NotRun:
        return {}


def _of_graph(lab: Lab, alias: str) -> "tuple[Array, Array] | None":
    try:
        traced, signature = lab.traced(), lab.signature
        graph = traced.graph(signature.name)
        return input_scaling(traced, graph, signature.name, signature.inputs[alias], signature.inputs)
    except (NotRun, UnstuckError):
        return None
