"""Runs the model on the requests as they are, and prepared in the ways that might be missing: does it wake up?"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from unstuck.core.signatures import Tensors
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.preparation import TOGETHER, Kind, Preparation, Trial, Trials
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.request_facts import RequestFacts
from unstuck.doctor.evidence.vocabulary import VocabularyProbe
from unstuck.doctor.experiments.endpoint_answers import asks_once
from unstuck.doctor.experiments.preparing import BY_VOCABULARY, DECODE, SPLITS, prepared
from unstuck.doctor.experiments.reference import distance, known_rows_or_none, sent_rows
from unstuck.doctor.experiments.splitting import split_rows
from unstuck.doctor.lab import Lab, Row, spread
from unstuck.errors import UnstuckError

MODEL_ROWS, ENDPOINT_ROWS = 48, 12
MOST_TRIALS = 4  # of an input
MOST_CALLS = {"model": 1500, "endpoint": 150}  # in all
MOST_SECONDS = 15.0  # in all; of what the run has left, half
MOST_ELEMENTS = 200_000  # of a call to an endpoint
SOME = 0.05  # the share of texts written in a way that is worth undoing

OF_NUMBERS: frozenset[Kind] = frozenset({"affine", "log", "exp"})

Run = Callable[[Row], Tensors]


def run(lab: Lab) -> Trials:
    """Raises NotRun where there are no requests, or neither a model nor an endpoint answers one of them."""
    if lab.question.pipeline_file is not None:
        raise NotRun("a pipeline prepares the requests")
    by, call, count = _caller(lab)
    rows = spread(sent_rows(lab), count)
    known = known_rows_or_none(lab)
    in_turn = _in_turn(_wanted(lab))
    wanted = [*_together(in_turn), *((alias, each.name, {alias: each}) for alias, each in in_turn)]
    budget = _Budget(MOST_CALLS[by], min(MOST_SECONDS, lab.seconds_left() / 2))
    is_whole = known is not None and set(known[1][0]) == set(rows[0])  # a profile may leave inputs out
    with_reference = wanted and is_whole
    reference = _Answers(call, spread(known[1], count)) if with_reference and known else None
    as_sent = _Answers(call, rows)
    ruler = _Ruler(reference if reference is not None and reference.outputs else as_sent, reference is not None)
    trials = [ruler.trial("", "as sent", as_sent, as_sent, reference)]
    budget.spend(as_sent.rows + (reference.rows if reference else 0))
    left_out = 0
    for alias, name, changes in wanted:
        try:
            changed = spread([each for row in rows for each in _prepared_rows(lab, row, changes)], count)
        except ValueError:
            continue
        if not budget.spend(len(changed)):
            left_out += 1
            continue
        trials.append(ruler.trial(alias, name, _Answers(call, changed), as_sent, reference))
    return Trials(by=by, unit=ruler.unit, trials=trials, left_out=left_out)


class _Budget:
    """How many calls, and how much time, the trials may take in all."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls, self._until = calls, time.monotonic() + seconds

    def spend(self, calls: int) -> bool:
        """Takes ``calls`` off; False, and nothing, where there are not so many left or the time is over."""
        if calls > self._calls or time.monotonic() >= self._until:
            return False
        self._calls -= calls
        return True


def _in_turn(wanted: Iterable[tuple[str, Preparation]]) -> list[tuple[str, Preparation]]:
    """The first of each input, then the second: so that none is left out for another's sake."""
    by_input: dict[str, list[Preparation]] = {}
    for alias, preparation in wanted:
        by_input.setdefault(alias, []).append(preparation)
    turns = itertools.zip_longest(*([(alias, each) for each in found] for alias, found in by_input.items()))
    return [each for turn in turns for each in turn if each is not None]


def _together(in_turn: Sequence[tuple[str, Preparation]]) -> list[tuple[str, str, dict[str, Preparation]]]:
    """The nearest change of each input of numbers, where several are off: one put right is hidden by the others."""
    nearest: dict[str, Preparation] = {}
    for alias, preparation in in_turn:
        if OF_NUMBERS.issuperset(preparation.kinds):
            nearest.setdefault(alias, preparation)
    return [("", TOGETHER, nearest)] if len(nearest) > 1 else []


def _caller(lab: Lab) -> tuple[str, Run, int]:
    signature = lab.signature
    if lab.question.model is not None:
        model = lab.model
        return "model", lambda row: model.run(signature, row), MODEL_ROWS  # pyright: ignore[reportReturnType]
    send = asks_once(lab)

    def asked(row: Row) -> Tensors:
        answer = send(row)
        if answer.error is not None or answer.outputs is None:
            raise answer.error or NotRun("no answer")
        return answer.outputs

    return "endpoint", asked, ENDPOINT_ROWS


def _wanted(lab: Lab) -> Iterator[tuple[str, Preparation]]:
    """What could be done to the requests, by input."""
    for kind in (ProfileComparison, VocabularyProbe, RequestFacts):
        try:
            found = lab.find(kind)
        except NotRun:
            continue
        if isinstance(found, ProfileComparison):
            for each in found.inputs:
                off = each.off and not each.is_index
                repairs = [fit.repair for fit in each.fits if fit.repair is not None] if off else []
                yield from ((each.input, repair) for repair in repairs[:MOST_TRIALS])
        elif isinstance(found, VocabularyProbe):
            for tokens in found.inputs:
                best = [each.preparation for each in tokens.treatments if not each.preparation.decode]
                yield from ((tokens.input, each) for each in best[:1])
        else:
            for facts in found.inputs:
                for writing in facts.writings:
                    if writing.name in DECODE and writing.share >= SOME:
                        yield facts.input, Preparation(name=writing.name, kinds=["decode"], decode=writing.name)


def _prepared_rows(lab: Lab, row: Row, changes: Mapping[str, Preparation]) -> Iterator[Row]:
    """``row`` with some inputs prepared; several rows where its only change splits a text."""
    for alias, preparation in changes.items():
        if not BY_VOCABULARY.isdisjoint(preparation.kinds):
            raise ValueError("the vocabulary is not at hand")
        if not SPLITS.isdisjoint(preparation.kinds):
            yield from split_rows(lab.signature.inputs[alias], row, preparation)
            return
    yield {**row, **{alias: prepared(each, np.asarray(row[alias])) for alias, each in changes.items()}}


class _Answers:
    """The answers to rows, each alone."""

    def __init__(self, call: Run, rows: Sequence[Row]) -> None:
        self.outputs: list[Tensors] = []
        self.rows, self.failed, self.message = len(rows), 0, ""
        for row in rows:
            try:
                self.outputs.append({alias: np.asarray(value) for alias, value in call(row).items()})
            except (UnstuckError, NotRun, UnicodeDecodeError) as error:
                self.failed += 1
                self.message = self.message or str(error)[:300]
            if self.failed == 3 and not self.outputs and len(rows) > 3:
                self.failed = len(rows)  # it refuses each of them
                return

    def of(self, alias: str) -> "np.ndarray | None":
        """One output, [rows, elements]; None where it is no number, or not of one size."""
        arrays = [each[alias].ravel() for each in self.outputs if alias in each]
        if not arrays or arrays[0].dtype.kind not in "fiub" or len({len(array) for array in arrays}) > 1:
            return None
        return np.nan_to_num(np.stack(arrays).astype(np.float64))

    @property
    def aliases(self) -> list[str]:
        return sorted({alias for each in self.outputs for alias in each})


class _Ruler:
    """Measures answers in units of how far those to the reference are apart, or in the output's own."""

    def __init__(self, pool: _Answers, is_reference: bool) -> None:
        self.unit = "reference" if is_reference else "probability"
        self._units: dict[str, float] = {}
        for alias in pool.aliases:
            values = pool.of(alias)
            if values is None or not values.size:
                continue
            spread_ = float(np.ptp(values, axis=0).max())
            magnitude = float(np.abs(values).max())
            if is_reference and spread_ > 1e-4 * magnitude:
                self._units[alias] = spread_
            elif values.min() >= 0 and values.max() <= 1:
                self._units[alias] = 1.0
            else:
                self.unit = "magnitude"
                self._units[alias] = magnitude or 1.0

    def trial(self, alias: str, name: str, answers: _Answers, as_sent: _Answers, reference: _Answers | None) -> Trial:
        spreads, changes, distances = [0.0], [0.0], list[float]()
        for output in answers.aliases:
            values, before = answers.of(output), as_sent.of(output)
            if values is None:
                continue
            unit = self._units.get(output, 1.0)
            spreads.append(float(np.ptp(values, axis=0).max(initial=0.0)) / unit)
            if before is not None and before.shape == values.shape:
                changes.append(float(np.abs(values - before).max(axis=1).mean()) / unit)
            known = reference.of(output) if reference is not None else None
            if known is not None and known.shape[1:] == values.shape[1:]:
                places = range(min(values.shape[1], 64))
                distances.append(float(np.mean([distance(values[:, at], known[:, at]) for at in places])))
        return Trial(
            input=alias,
            preparation=name,
            rows=answers.rows,
            failed=answers.failed,
            message=answers.message,
            spread=max(spreads),
            changed=max(changes),
            apart=max(distances) if distances else None,
        )
