"""Distinct calls at the same time, each against its answer alone: wrong ones, others' ones, defaults, failures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from unstuck.core.signatures import Tensors
from unstuck.doctor.endpoint import Answer, Endpoint
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import ConcurrencyProbe, Mixed
from unstuck.doctor.experiments.comparing import Ruler, shown
from unstuck.doctor.experiments.endpoint_answers import asks_once, rows_for_probes
from unstuck.doctor.experiments.endpoint_state import affordable
from unstuck.doctor.experiments.parallel import Storm, latencies, loadable, storm
from unstuck.doctor.experiments.sending import code_of, counted, failures
from unstuck.doctor.lab import Lab, Row

POOL, ALONE_S = 16, 1.5
THREADS = (4, 8, 16)
CALLS_PER_THREAD = 4
ROUND_S = 4.0
TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True)
class Known:
    """A row with its answer alone."""

    row: Row
    alone: Tensors


def run(lab: Lab) -> ConcurrencyProbe:
    """Raises NotRun where there is no endpoint, it does not answer, or must not be called by many at once."""
    endpoint = loadable(lab)
    ask = asks_once(lab, TIMEOUT_S)
    first = [(row, ask(row)) for row in rows_for_probes(lab, affordable(lab, ALONE_S, POOL, 6))[1]]
    again = _alone(lab, endpoint, [row for row, answer in first if answer.outputs is not None])
    alone = first + again
    ruler = Ruler([answer.outputs for _, answer in alone if answer.outputs is not None])
    before = [(row, answer.outputs) for row, answer in first if answer.outputs is not None]
    known = [
        Known(row, outputs)
        for (row, outputs), (_, answer) in zip(before, again, strict=True)
        if answer.outputs is not None and not ruler.is_apart(outputs, answer.outputs)
    ]
    if not known:
        raise NotRun("no call was answered alone, and answered the same again")
    rounds: list[Mixed] = []
    messages: list[str] = []
    for threads in THREADS:
        told = _storm(lab, endpoint, known, threads)
        messages += [answer.error.message for _, answer in told.answers if answer.error is not None]
        rounds.append(_mixed(lab, endpoint, known, ruler, threads, told))
        if rounds[-1].failures == rounds[-1].calls:
            break
    return ConcurrencyProbe(
        requests=len(ruler.distinct([each.alone for each in known])),
        alone_calls=len(alone),
        alone_failed=sum(answer.outputs is None for _, answer in alone),
        alone_median_s=median(answer.seconds for _, answer in alone),
        unstable=len(before) - len(known),
        rounds=rounds,
        messages=counted(messages),
    )


def _alone(lab: Lab, endpoint: Endpoint, rows: Sequence[Row]) -> list[tuple[Row, Answer]]:
    return [(row, endpoint.predict(lab.signature, row, TIMEOUT_S)) for row in rows]


def _storm(lab: Lab, endpoint: Endpoint, known: Sequence[Known], threads: int) -> Storm:
    def ask(item: int) -> Answer:
        return endpoint.predict(lab.signature, known[item].row, TIMEOUT_S)

    return storm(ask, len(known), threads, threads * CALLS_PER_THREAD, ROUND_S)


def _mixed(lab: Lab, endpoint: Endpoint, known: Sequence[Known], ruler: Ruler, threads: int, told: Storm) -> Mixed:
    wrong = [
        (item, answer.outputs)
        for item, answer in told.answers
        if answer.outputs is not None and ruler.is_apart(answer.outputs, known[item].alone)
    ]
    truths = [each.alone for each in known]
    owners = [ruler.index(outputs, truths) for _, outputs in wrong]
    most, default = _most_frequent(ruler, [outputs for _, outputs in wrong])
    median_s, p99_s = latencies(told.answers)
    return Mixed(
        threads=threads,
        calls=len(told.answers),
        failed=failures([code_of(answer) for _, answer in told.answers]),
        wrong=len(wrong),
        others=sum(owner is not None for owner in owners),
        one_default=most,
        default=default,
        swapped_with=len({owner for owner in owners if owner is not None}),
        wrong_alone_again=_wrong_again(lab, endpoint, known, ruler, sorted({item for item, _ in wrong})[:4]),
        seconds=told.seconds,
        median_s=median_s,
        p99_s=p99_s,
    )


def _wrong_again(lab: Lab, endpoint: Endpoint, known: Sequence[Known], ruler: Ruler, items: Sequence[int]) -> int:
    """How many of the items that were answered wrongly are so again alone: then they are not stable at all."""
    again = [endpoint.predict(lab.signature, known[item].row, TIMEOUT_S).outputs for item in items]
    return sum(
        outputs is not None and ruler.is_apart(outputs, known[item].alone)
        for item, outputs in zip(items, again, strict=True)
    )


def _most_frequent(ruler: Ruler, answers: Sequence[Tensors]) -> tuple[int, str]:
    kinds: list[Tensors] = []
    counts: Counter[int] = Counter()
    for answer in answers:
        at = ruler.index(answer, kinds)
        if at is None:
            kinds.append(answer)
            at = len(kinds) - 1
        counts[at] += 1
    if not counts:
        return 0, ""
    at, count = counts.most_common(1)[0]
    return count, shown(kinds[at])
