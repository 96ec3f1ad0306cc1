"""Finds the hypothesis under which a reference gives the answers that came."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import prod

import numpy as np

from unstuck.doctor.evidence.replay import Explanation, Kind
from unstuck.doctor.experiments.transformations import Array, Arrays, Batch, Hypothesis

Run = Callable[[Arrays], "Arrays | None"]  # rows stacked -> outputs, rows first; None where they cannot be run
Flags = Array  # bool [rows]

SAME = 1e-3  # of the answers' range: float32 on another device, in another batch
OTHER = 0.02  # of the answers' range: clearly another answer
NOISE = 2e-6  # of the magnitude: less is rounding, whatever the range
EXACT, CLEARLY = 2e-6, 10.0  # of the answers' range: what single precision does; times, that a gap is clearly larger
SHARE = 0.95  # of the rows that a hypothesis must explain
SCREENED = 6  # rows on which a hypothesis is tried first
MIN_TELLING = 3
MIN_TELLING_CLASSES = 6  # where few answers are possible, so that some agree by chance
FEW_ANSWERS = 8
ROWS_AT_ONCE = 1024
ELEMENTS_AT_ONCE = 2_000_000
LONG_ORDER = 64
MAX_EXCHANGED = 4  # outputs of one shape of which every order is tried
PART = 0.2  # of the rows, that an explanation of a part must be telling for
UNLIKE_ROUNDING: Sequence[Kind] = ("swapped", "layout", "cast")  # so that near answers prove them, too

# Of hypotheses that explain equally well, the first of these is told: a whole other function before a rearrangement,
# and the weaker claim before the stronger one.
ORDER: Sequence[Kind] = (
    "version", "signature", "output", "swapped", "layout", "dropped", "duplicated", "normalised", "raw", "vocabulary",
    "untokenised", "cast", "cut", "other-row",
)  # fmt: skip


class Matcher:
    """Compares answers with the truth, in units of how far apart the answers are."""

    def __init__(self, truth: Arrays, computed: Arrays) -> None:
        """``truth`` and ``computed`` by alias, rows first; outputs that only one of them has are left out."""
        self.truth = {alias: np.asarray(values) for alias, values in truth.items()}
        self._shared = paired(self.truth, computed)
        self._scales = {
            alias: _scale(self.truth[alias], np.asarray(computed[other])) for alias, other in self._shared.items()
        }

    def same(self, answers: Arrays) -> Flags:
        """The rows whose answers are the truth."""
        return self._all(answers, lambda gap, spread, noise: gap <= max(SAME * spread, noise))

    def wrong(self, answers: Arrays) -> Flags:
        """The rows whose answers are clearly not."""
        return ~self._all(answers, lambda gap, spread, noise: gap <= max(OTHER * spread, 5 * noise))

    def exact(self, answers: Arrays, times: float = 1.0) -> Flags:
        """The rows whose answers are the truth but for what single precision does, or for some ``times`` of it."""
        return self._all(answers, lambda gap, spread, noise: gap <= times * max(EXACT * spread, noise))

    def _all(self, answers: Arrays, agree: Callable[[Array, float, float], Flags]) -> Flags:
        rows = len(next(iter(self.truth.values())))
        found = np.full(rows, bool(self._shared))
        for alias, other in self._shared.items():
            truth = self.truth[alias]
            values = np.asarray(answers[other]) if other in answers else np.empty(0)
            found &= agree(gaps(truth, values), *self._scales[alias]) if truth.shape == values.shape else False
        return found

    def gap(self, answers: Arrays) -> float:
        """How far the answers that count are from the truth, of its range; of the output that is farthest."""
        found = [0.0]
        for alias, other in self._shared.items():
            values = np.asarray(answers.get(other, np.empty(0)))
            if values.shape == self.truth[alias].shape and values.dtype.kind in "fiub":
                each = np.quantile(gaps(self.truth[alias], values), SHARE)
                found.append(float(each) / (self._scales[alias][0] or 1.0))
        return max(found)

    def spread(self, alias: str) -> float:
        """How far apart the answers of an output are at one place."""
        return self._scales[alias][0]

    def rows(self, kept: "Array | Sequence[int]") -> "Matcher":
        """The same for some of the rows."""
        found = object.__new__(Matcher)
        found.truth = {alias: values[kept] for alias, values in self.truth.items()}
        found._shared, found._scales = self._shared, self._scales
        return found


def paired(truth: Arrays, computed: Arrays) -> dict[str, str]:
    """By alias of ``truth``, the alias in ``computed`` that is compared with it: the same, or the only one."""
    shared = {alias: alias for alias in truth if alias in computed}
    if not shared and len(truth) == 1 and len(computed) == 1:
        shared = {next(iter(truth)): next(iter(computed))}
    return shared


def gaps(one: Array, other: Array) -> Array:
    """The largest difference in each row; infinite for other text and where only one is a number."""
    if one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        differs = np.asarray(one != other).reshape(len(one), -1).any(axis=1)
        return np.where(differs, np.inf, 0.0)
    first, second = one.astype(np.float64).reshape(len(one), -1), other.astype(np.float64).reshape(len(one), -1)
    with np.errstate(invalid="ignore"):
        equal = (first == second) | (np.isnan(first) & np.isnan(second))
        found = np.where(equal, 0.0, np.abs(first - second))
    return np.nan_to_num(found, nan=np.inf, posinf=np.inf).max(axis=1, initial=0.0)


def _scale(*arrays: Array) -> tuple[float, float]:
    """How far apart the answers are at one place, and what rounding may do."""
    flat = [array.astype(np.float64).reshape(len(array), -1) for array in arrays if array.dtype.kind in "fiub"]
    if not flat:
        return 1.0, 0.0
    magnitude = max(float(np.abs(each[np.isfinite(each)]).max(initial=0.0)) for each in flat)
    if len({each.shape[1] for each in flat}) > 1:
        return magnitude, NOISE * magnitude
    stacked = np.concatenate(flat)
    stacked = stacked[np.isfinite(stacked).all(axis=1)]
    spread = float(np.ptp(stacked, axis=0).max(initial=0.0)) if len(stacked) else magnitude
    return spread, NOISE * magnitude


def kinds_of(answers: Arrays) -> int:
    """How many different answers there are."""
    rows = len(next(iter(answers.values())))
    return len({repr([np.asarray(each)[at : at + 1].tolist() for each in answers.values()]) for at in range(rows)})


class Search:
    """The hypotheses tried so far, and what they explain."""

    def __init__(self, run: Run, batch: Arrays, truth: Arrays, computed: Arrays, seconds: float) -> None:
        """``computed`` is what ``run`` gives for ``batch`` as it is."""
        self.tried = 0
        self.found: list[Explanation] = []
        self.batch, self._run, self._computed = batch, run, computed
        self._rows = len(next(iter(batch.values())))
        self.matcher = Matcher(truth, computed)
        self.is_wrong = self.matcher.wrong(computed)
        self._least = MIN_TELLING if kinds_of(truth) > FEW_ANSWERS else MIN_TELLING_CLASSES
        self._deadline = time.monotonic() + seconds
        # Where few answers are clearly wrong, the others can still be none of the very ones.
        self._is_near = int(self.is_wrong.sum()) < min(self._least, self._rows)
        self.is_off = self.is_wrong | ~self.matcher.exact(computed, CLEARLY) if self._is_near else self.is_wrong
        off = np.flatnonzero(self.is_off)
        self._screened = off[np.linspace(0, len(off) - 1, min(SCREENED, len(off))).astype(int)]

    def is_over(self) -> bool:
        return time.monotonic() > self._deadline

    def try_all(self, hypotheses: Iterable[Hypothesis]) -> None:
        """Tries each on a few wrong rows, and on all rows what explains those."""
        screen = self.matcher.rows(self._screened)
        rows = {alias: values[self._screened] for alias, values in self.batch.items()}
        pending = iter(hypotheses)
        size = max(1, min(ROWS_AT_ONCE, ELEMENTS_AT_ONCE // _elements(rows)) // max(1, len(self._screened)))
        while (some := list(islice(pending, size))) and not self.is_over():
            self.tried += len(some)
            for each, answers in zip(some, in_one([each.apply(rows) for each in some], self._run), strict=True):
                if answers is not None and self._agree(screen, answers).mean() >= 0.8:
                    self._confirm(each)

    def _confirm(self, hypothesis: Hypothesis) -> None:
        answers = self._run(hypothesis.apply(self.batch))
        if answers is not None:
            self.accept(
                answers,
                Explanation(
                    kind=hypothesis.kind,
                    what=hypothesis.what,
                    input=hypothesis.input,
                    features=list(hypothesis.features[:LONG_ORDER]),
                    order=list(hypothesis.order or ()) if len(hypothesis.order or ()) <= LONG_ORDER else [],
                    share=0.0,
                    telling=0,
                ),
            )

    def accept(self, answers: Arrays, explanation: Explanation) -> bool:
        """Keeps ``explanation`` if the answers that it gives are the truth in (almost) all rows."""
        same = self._agree(self.matcher, answers)
        if self._is_near and (explanation.kind not in UNLIKE_ROUNDING or not same[self.is_wrong].all()):
            return False
        return self._accept(same, self.is_off, explanation, self.matcher.gap(answers))

    def _agree(self, matcher: Matcher, answers: Arrays) -> Flags:
        return matcher.exact(answers) if self._is_near else matcher.same(answers)

    def accept_other(self, answers: Arrays, explanation: Explanation) -> bool:
        """The same for the answers of another function, whose outputs may have other names."""
        return self._accept(Matcher(self.matcher.truth, answers).same(answers), self.is_wrong, explanation)

    def accept_part(self, answers: Arrays, explanation: Explanation) -> bool:
        """Keeps ``explanation`` if every row is answered so or as it should be, and many of them so."""
        same = Matcher(self.matcher.truth, answers).same(answers)
        if (same & self.is_wrong).mean() < PART:
            return False
        return self._accept(same | self.matcher.same(self._computed), self.is_wrong, explanation)

    def _accept(self, same: Flags, told: Flags, explanation: Explanation, gap: float = 0.0) -> bool:
        telling = int((same & told).sum())
        if same.mean() < SHARE or telling < min(self._least, self._rows):
            return False
        said = {"share": float(same.mean()), "telling": telling, "gap": gap}
        self.found.append(explanation.model_copy(update=said))
        return True

    def best_first(self, limit: int = 8) -> list[Explanation]:
        """What was found: the best explaining, and among equals the simplest.

        Where one gives the very answers, others that come near them, within what rounding may do, are no equals: a
        feature that was made tiny is not the same as one that was lost.
        """
        exact = max(EXACT, CLEARLY * min((each.gap for each in self.found), default=0.0))
        kept = [each for each in self.found if each.gap <= exact]
        return sorted(kept, key=lambda each: (-round(each.share, 2), ORDER.index(each.kind), len(each.features)))[
            :limit
        ]


def in_one(batches: Sequence[Batch], run: Run) -> Iterator["Arrays | None"]:
    """The answers to each of some batches of as many rows, all run as one; each alone where that cannot be done."""
    if not batches:
        return
    rows = len(next(iter(batches[0].values())))
    together = {alias: np.concatenate([each[alias] for each in batches]) for alias in batches[0]}
    answers = run(together) if len(batches) > 1 else None
    for at, batch in enumerate(batches):
        if answers is None:
            yield run(batch)
        else:
            yield {alias: np.asarray(values)[at * rows : (at + 1) * rows] for alias, values in answers.items()}


def _elements(rows: Arrays) -> int:
    return max(1, sum(prod(values.shape[1:]) for values in rows.values()))


def shifted(computed: Arrays) -> Iterator[tuple[str, Arrays]]:
    """The answers of the row before, of the first and of the last row."""
    count = len(next(iter(computed.values())))
    places = {
        "the row before": np.maximum(np.arange(count) - 1, 0),
        "the first row": np.zeros(count, int),
        "the last row": np.full(count, count - 1),
    }
    for name, order in places.items():
        yield name, {alias: np.asarray(values)[order] for alias, values in computed.items()}


def other_outputs(truth: Arrays, computed: Arrays) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """Each output of the truth with another computed one of its shape in its place, then several exchanged."""
    for alias, values in truth.items():
        for other, found in computed.items():
            if other != alias and np.asarray(found).shape == np.asarray(values).shape:
                yield other, {**computed, alias: found}
    alike: dict[tuple[int, ...], list[str]] = {}
    for alias, found in computed.items():
        if alias in truth:
            alike.setdefault(np.asarray(found).shape, []).append(alias)
    for aliases in alike.values():
        if len(aliases) > MAX_EXCHANGED:
            continue
        for order in itertools.permutations(aliases):
            moved = {alias: other for alias, other in zip(aliases, order, strict=True) if alias != other}
            if moved:
                yield ", ".join(moved), {**computed, **{alias: computed[other] for alias, other in moved.items()}}
