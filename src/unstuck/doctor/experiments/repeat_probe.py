"""Asks inputs again, in other orders, after pauses, in other bodies: does an input ever get another's answer?

A cache keyed on part of the body, a buffer that is used again and a proxy that keeps an answer for a while all give an
input what an *earlier* input got. So the order matters: a wrong answer that nobody had got before has another reason (a
feature that does not reach the model, for one).
"""

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.doctor.endpoint import Answer, Endpoint
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import RepeatProbe, Replay
from unstuck.doctor.experiments.comparing import Ruler, digest, is_copy, shown
from unstuck.doctor.experiments.earlier_answers import earlier_answers
from unstuck.doctor.experiments.endpoint_answers import answers_of, row_answers, rows_for_probes
from unstuck.doctor.experiments.endpoint_state import serving
from unstuck.doctor.experiments.sending import has_batch, sendables
from unstuck.doctor.given import stacked
from unstuck.doctor.lab import Lab, Row, rows_of
from unstuck.errors import UnstuckError

BASES = 4
MAX_VARIANTS = 5  # of each of the first two bases
SMALL_ROW = 10_000  # elements
PAUSES_S = (1.1, 2.2)  # caches of a second or two let go meanwhile
BUDGET_S = 8.0
CALL_TIMEOUT_S = 5.0
SPECIFIC = 0.75  # of the inputs must be answered otherwise, or an answer is nobody's own: a saturated 1.0, say


@dataclass(frozen=True, slots=True)
class Asked:
    """An input, in words."""

    name: str
    row: Row


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: to which input, whether its body had another form, whether it was asked at once again."""

    input: int
    outputs: Tensors
    reframed: bool = False
    at_once: bool = False


def run(lab: Lab) -> RepeatProbe:
    """Raises NotRun where there is no endpoint, it does not answer, or there are no different inputs."""
    endpoint = serving(lab)
    inputs = _inputs(lab)
    if len(inputs) < 2:
        raise NotRun("there are no two different inputs to ask")
    told = list(_ask(lab, endpoint, inputs))
    if len(told) < len(inputs):
        raise NotRun("too few of the repeated calls were answered")
    history = [outputs for _, outputs in row_answers(answers_of(lab))]
    found = _read(inputs, told, history, _truths(lab, inputs), _first_truth(lab))
    return found.model_copy(update={"first": earlier_answers(lab)})


def _inputs(lab: Lab) -> list[Asked]:
    """Rows, and for two of them rows that differ at one end, in one input, or in their order alone.

    The second is new, and comes after what was made of it: an answer that only looks like a replay would be one to
    an input that nobody has asked yet.
    """
    rows: list[Row] = []
    for row in rows_for_probes(lab, 32)[1]:
        if all(digest(row) != digest(other) for other in rows):
            rows.append(row)
    if len(rows) < 2:
        return []
    bases = [Asked(f"input {number + 1}", row) for number, row in enumerate(rows[:BASES])]
    bases[1] = _renewed(bases[1], rows[-1 if len(rows) > 2 else 0], rows)
    first, second = (_variants(base, rows[-1 if base.row is not rows[-1] else 0]) for base in bases[:2])
    return [bases[0], *first, *second, *bases[1:]]


def _renewed(base: Asked, donor: Row, known: Sequence[Row]) -> Asked:
    """A row that was never sent, near ``base``: with the donor's values in the middle of its largest input."""
    alias = max(base.row, key=lambda each: base.row[each].size)
    row = {**base.row, alias: _with_other(base.row[alias], donor[alias], base.row[alias].size // 2)}
    is_new = all(digest(row) != digest(other) for other in known)
    return Asked(base.name, row) if is_new else base


def _variants(base: Asked, donor: Row) -> list[Asked]:
    changes = itertools.islice(_changes(base.row, donor), MAX_VARIANTS)
    return [Asked(f"{base.name} with {how}", row) for how, row in changes if digest(row) != digest(base.row)]


def _changes(row: Row, donor: Row) -> Iterator[tuple[str, Row]]:
    last = list(row)[-1]
    yield f"another end of {last!r}", {**row, last: _with_other(row[last], donor[last], -1)}
    if row[last].size > 1:
        yield f"{last!r} reversed", {**row, last: row[last].ravel()[::-1].reshape(row[last].shape)}
        yield f"another beginning of {last!r}", {**row, last: _with_other(row[last], donor[last], 0)}
    for alias in list(row)[:-1]:
        yield f"another {alias!r}", {**row, alias: donor[alias]}


def _with_other(array: Tensor, donor: Tensor, at: int) -> Tensor:
    """``array`` with the donor's element at a place; of strings, with its text put after it."""
    changed: Any = array.copy()
    given: Any = donor
    if changed.size and -given.size <= at < given.size:
        changed.flat[at] = changed.flat[at] + b" " + given.flat[at] if array.dtype == object else given.flat[at]
    return changed


def _ask(lab: Lab, endpoint: Endpoint, inputs: Sequence[Asked]) -> Iterator[Told]:
    """In order; after a pause backwards, in other bodies; then twice each; after a longer pause in order again."""
    ends = time.monotonic() + min(BUDGET_S, lab.seconds_left() / 3)
    forwards, backwards = range(len(inputs)), range(len(inputs) - 1, -1, -1)
    plan: list[tuple[int, Callable[[int], Answer], float, bool, bool]] = []
    plain = _plain(lab, endpoint, inputs)
    other = _reframed(lab, endpoint, inputs)
    plan += [(at, plain, 0.0, False, False) for at in forwards]
    plan += [(at, other, PAUSES_S[0] if not number else 0.0, True, False) for number, at in enumerate(backwards)]
    plan += [(at, plain, 0.0, False, again) for at in backwards for again in (False, True)]
    plan += [(at, plain, PAUSES_S[1] if not number else 0.0, False, False) for number, at in enumerate(forwards)]
    for at, ask, pause, reframed, at_once in plan:
        if time.monotonic() + pause > ends:
            return
        time.sleep(pause)
        answer = ask(at)
        if answer.outputs is not None:
            yield Told(at, answer.outputs, reframed, at_once)
        elif answer.status < 0:
            return


def _plain(lab: Lab, endpoint: Endpoint, inputs: Sequence[Asked]) -> Callable[[int], Answer]:
    return lambda at: endpoint.predict(lab.signature, inputs[at].row, CALL_TIMEOUT_S)


def _reframed(lab: Lab, endpoint: Endpoint, inputs: Sequence[Asked]) -> Callable[[int], Answer]:
    """The same call in another form, which no cache can know: more copies of the row, other bytes, another URL."""
    signature = lab.signature

    def ask(at: int) -> Answer:
        copies = _copied(signature, inputs[at].row, 2 + at)
        if endpoint.address.is_grpc:
            return _first_row(endpoint.predict(signature, copies, CALL_TIMEOUT_S))
        try:
            body = endpoint.body(signature, copies)
        except UnstuckError as error:
            return Answer(None, error, 0.0, 0)
        padded = re.sub(rb"^\{", b"{" + b" " * (17 + 3 * at), body, count=1)
        return _first_row(endpoint.post(padded, signature, CALL_TIMEOUT_S, query=f"?input={at}"))

    return ask


def _copied(signature: Signature, row: Row, count: int) -> Tensors:
    small = sum(array.size for array in row.values()) <= SMALL_ROW
    return stacked([row] * (count if small else 2)) or row if has_batch(signature) else row


def _first_row(answer: Answer) -> Answer:
    if answer.outputs is None:
        return answer
    rows = list(rows_of(answer.outputs))
    return replace(answer, outputs=rows[0]) if rows else answer


def _truths(lab: Lab, inputs: Sequence[Asked]) -> list[Tensors] | None:
    """What the local model answers; None where it does not run, or its answers are too few to tell inputs by them."""
    if lab.question.model is None:
        return None
    try:
        truths = [_local(lab, each.row) for each in inputs]
    except UnstuckError:
        return None
    return truths if Ruler(truths).kinds(truths) >= max(3, len(truths) / 2) else None


def _first_truth(lab: Lab) -> Tensors | None:
    """What the local model answers to the very first call of this diagnosis."""
    first = sendables(lab, 1)[0].inputs
    try:
        return _local(lab, first) if lab.question.model is not None and first else None
    except UnstuckError:
        return None


def _local(lab: Lab, inputs: Tensors) -> Tensors:
    return {alias: np.asarray(value) for alias, value in lab.model.run(lab.signature, inputs).items()}


def _read(
    inputs: Sequence[Asked],
    told: Sequence[Told],
    history: Sequence[Tensors],
    truths: Sequence[Tensors] | None,
    first: Tensors | None,
) -> RepeatProbe:
    ruler = Ruler([each.outputs for each in told] + list(truths or ()))
    own: list[list[Told]] = [[each for each in told if each.input == at] for at in range(len(inputs))]
    inconsistent = [at for at, answers in enumerate(own) if not _agree(ruler, answers)]
    replays = {at: replay for at in inconsistent if (replay := _borrowed(ruler, inputs, told, at)) is not None}
    by_truth, contradictions, constant_is_first = 0, 0, False
    if truths is not None:
        confirmed, contradictions = _against_truth(ruler, inputs, told, history, truths)
        by_truth = len(confirmed)
        replays = {**confirmed, **replays}
        constant_is_first = first is not None and _is_always(ruler, first, told, truths)
    twice = [(told[at - 1], each) for at, each in enumerate(told) if each.at_once and at]
    return RepeatProbe(
        inputs=len(inputs),
        calls=len(told),
        distinct=ruler.kinds([each.outputs for each in told]),
        inconsistent=len(inconsistent),
        replays=list(replays.values()),
        by_truth=by_truth,
        contradictions=contradictions,
        constant_is_first=constant_is_first,
        at_once_differs=sum(one.input == two.input and ruler.is_apart(one.outputs, two.outputs) for one, two in twice),
        reframed_differs=sum(_differs_reframed(ruler, answers) for answers in own),
    )


def _agree(ruler: Ruler, answers: Sequence[Told]) -> bool:
    return all(not ruler.is_apart(answers[0].outputs, each.outputs) for each in answers[1:])


def _differs_reframed(ruler: Ruler, answers: Sequence[Told]) -> bool:
    reframed = [each for each in answers if each.reframed]
    plain = [each for each in answers if not each.reframed]
    return bool(reframed and plain) and all(ruler.is_apart(reframed[0].outputs, each.outputs) for each in plain)


def _borrowed(ruler: Ruler, inputs: Sequence[Asked], told: Sequence[Told], at: int) -> Replay | None:
    """An answer to an input with several, which an input asked before got first, and which is not its usual one."""
    mine = [(when, each) for when, each in enumerate(told) if each.input == at]
    for when, each in mine:
        before = [other for other in told[:when] if other.input != at]
        source = next((other for other in reversed(before) if is_copy(other.outputs, each.outputs)), None)
        otherwise = next((other for _, other in mine if ruler.is_apart(other.outputs, each.outputs)), None)
        if source is not None and otherwise is not None:
            return _replay(inputs, each, source.input, otherwise.outputs)
    return None


def _against_truth(
    ruler: Ruler,
    inputs: Sequence[Asked],
    told: Sequence[Told],
    history: Sequence[Tensors],
    truths: Sequence[Tensors],
) -> tuple[dict[int, Replay], int]:
    """Inputs that got a copy of the right answer to an earlier input, and wrong answers that nobody had got before.

    Args:
        history: answers from before this probe.
    """
    found: dict[int, Replay] = {}
    contradictions = 0
    for when, each in enumerate(told):
        if not ruler.is_apart(each.outputs, truths[each.input]):
            continue
        copied = [other for other in told[:when] if is_copy(other.outputs, each.outputs)]
        right = [other for other in copied if ruler.is_same(other.outputs, truths[other.input])]
        if right:
            found.setdefault(each.input, _replay(inputs, each, right[-1].input, truths[each.input]))
        elif not copied and not any(is_copy(outputs, each.outputs) for outputs in history):
            contradictions += 1
    return found, contradictions


def _is_always(ruler: Ruler, first: Tensors, told: Sequence[Told], truths: Sequence[Tensors]) -> bool:
    """Whether every answer is ``first``, though the local model answers at least two inputs otherwise."""
    otherwise = sum(ruler.is_apart(first, truth) for truth in truths)
    return otherwise >= SPECIFIC * len(truths) and all(
        ruler.is_same(each.outputs, first) and is_copy(each.outputs, told[0].outputs) for each in told
    )


def _replay(inputs: Sequence[Asked], got: Told, source: int, expected: Tensors) -> Replay:
    return Replay(
        input=inputs[got.input].name,
        belongs_to=inputs[source].name,
        got=shown(got.outputs),
        expected=shown(expected),
    )
