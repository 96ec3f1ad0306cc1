"""Runs rows through a reference: the local model, or the endpoint with a bounded number of calls."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import prod

import numpy as np

from unstuck.core.signatures import Signature
from unstuck.doctor.endpoint import Endpoint
from unstuck.doctor.experiments.explaining import Matcher
from unstuck.doctor.experiments.transformations import Array, Arrays
from unstuck.doctor.local_model import LocalModel
from unstuck.errors import EngineError, LoadFailed

PROBED = 3  # rows that show whether a batch answers as its rows alone do
CALL_ELEMENTS = 200_000  # of one call to the endpoint
CALL_ROWS = 128
SECONDS = 8.0  # of calls to the endpoint, for one experiment


class ModelRunner:
    """The local model; in batches where they answer as the rows alone do."""

    def __init__(self, model: LocalModel, signature: Signature) -> None:
        self._model, self._signature = model, signature
        self._in_batches: bool | None = None

    def __call__(self, batch: Arrays) -> "Arrays | None":
        """The outputs that have a row for each row of ``batch``; None where the model cannot run it."""
        try:
            if self._in_batches is None:
                self._in_batches = self._can_batch(batch)
            return self._together(batch) if self._in_batches else self._alone(batch)
        except (EngineError, LoadFailed):
            return None

    def _can_batch(self, batch: Arrays) -> bool:
        few = {alias: values[:PROBED] for alias, values in batch.items()}
        try:
            together = self._together(few)
        except EngineError:
            return False
        alone = self._alone(few)
        return set(together) == set(alone) and bool(Matcher(alone, together).same(together).all())

    def _together(self, batch: Arrays) -> Arrays:
        rows = len(next(iter(batch.values())))
        outputs = {alias: np.asarray(values) for alias, values in self._model.run(self._signature, batch).items()}
        return {alias: values for alias, values in outputs.items() if values.shape[:1] == (rows,)}

    def _alone(self, batch: Arrays) -> Arrays:
        rows = len(next(iter(batch.values())))
        each = [
            self._model.run(self._signature, {alias: values[at : at + 1] for alias, values in batch.items()})
            for at in range(rows)
        ]
        return joined([{alias: np.asarray(value) for alias, value in answer.items()} for answer in each])


class EndpointRunner:
    """The endpoint, called at most ``calls`` times and for at most ``seconds``.

    It is called in batches once they are seen to answer as the rows alone do; else ``at_once`` calls at a time.
    """

    def __init__(
        self, endpoint: Endpoint, signature: Signature, calls: int, seconds: float = SECONDS, at_once: int = 1
    ) -> None:
        self._endpoint, self._signature, self._at_once = endpoint, signature, at_once
        self._deadline = time.monotonic() + seconds
        self.calls_left = calls
        self.in_batches = False

    def __call__(self, batch: Arrays) -> "Arrays | None":
        """The outputs that have a row for each row of ``batch``; None where a call failed or none are left."""
        rows = len(next(iter(batch.values())))
        elements = max(1, sum(prod(values.shape[1:]) for values in batch.values()))
        size = max(1, min(CALL_ROWS, CALL_ELEMENTS // elements)) if self.in_batches else 1
        parts: list[Arrays] = [
            {alias: values[start : start + size] for alias, values in batch.items()} for start in range(0, rows, size)
        ]
        answers: list[Arrays] = []
        with ThreadPoolExecutor(self._at_once) as pool:
            for start in range(0, len(parts), self._at_once):
                some = parts[start : start + self._at_once]
                if self.calls_left < len(some) or time.monotonic() > self._deadline:
                    return None
                self.calls_left -= len(some)
                for answer in pool.map(partial(self._endpoint.predict, self._signature), some):
                    if answer.outputs is None:
                        return None
                    answers.append({alias: np.asarray(values) for alias, values in answer.outputs.items()})
        return joined(answers, rows)

    def learn(self, batch: Arrays, alone: Arrays) -> None:
        """Goes over to batches if one answers ``batch`` as its rows were ``alone``."""
        self.in_batches = True
        together = self(batch)
        self.in_batches = together is not None and bool(Matcher(alone, together).same(together).all())


def joined(answers: Sequence[Arrays], rows: int = 0) -> dict[str, Array]:
    """The answers to several parts as one, without outputs whose shapes do not fit, or that are not ``rows`` long."""
    found: dict[str, Array] = {}
    for alias in answers[0]:
        values = [answer[alias] for answer in answers if alias in answer]
        if len(values) < len(answers) or len({(value.ndim, value.shape[1:]) for value in values}) > 1:
            continue
        joined = np.concatenate(values) if values[0].ndim else np.stack(values)
        if not rows or len(joined) == rows:
            found[alias] = joined
    return found


def gathered(rows: Iterable[tuple[Arrays, Arrays]], limit: int) -> "tuple[dict[str, Array], dict[str, Array]] | None":
    """Inputs and outputs, rows first, of those rows that have the most frequent shape; None where there are none.

    Args:
        rows: single rows, each with its answer.
        limit: of how many rows.
    """
    single = [each for each in rows if each[0] and _is_row(each[0]) and _is_row(each[1])]
    if not single:
        return None
    shapes = [(_shapes(inputs), _shapes(outputs)) for inputs, outputs in single]
    most = Counter(shapes).most_common(1)[0][0]
    kept = [each for each, shape in zip(single, shapes, strict=True) if shape == most]
    places = {int(at) for at in np.linspace(0, len(kept) - 1, min(limit, len(kept)))}
    chosen = [kept[at] for at in sorted(places)]
    return stack([inputs for inputs, _ in chosen]), stack([outputs for _, outputs in chosen])


def stack(rows: Sequence[Arrays]) -> dict[str, Array]:
    return {alias: np.concatenate([np.asarray(row[alias]) for row in rows]) for alias in rows[0]}


def _is_row(tensors: Arrays) -> bool:
    return all(np.ndim(values) and len(values) == 1 for values in tensors.values())


def _shapes(tensors: Arrays) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((alias, np.shape(tensors[alias])) for alias in sorted(tensors))
