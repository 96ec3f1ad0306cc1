"""The requests, sent once and one after another: what each came to, and how much the answers vary."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from weakref import WeakKeyDictionary

import numpy as np
import orjson

from unstuck.core.signatures import Tensor, Tensors
from unstuck.doctor.endpoint import CALL_TIMEOUT_S, Answer
from unstuck.doctor.evidence.answers import EndpointAnswers, OutputAnswers, RequestAnswer
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import RepeatProbe
from unstuck.doctor.experiments.comparing import Ruler, digest, shown
from unstuck.doctor.experiments.endpoint_state import affordable, serving
from unstuck.doctor.experiments.sending import (
    Sendable,
    code_of,
    counted,
    drawn_groups,
    failures,
    rows_to_send,
    sendables,
    until_silent,
)
from unstuck.doctor.lab import Lab, Row, rows_of, spread
from unstuck.errors import UnstuckError

MAX_CALLS, MIN_CALLS = 60, 24  # a verdict on constant input needs twenty
CALLS_S = 4.0
MAX_RETRIES = 5
EQUAL = 1e-6  # of the magnitude: rounding of float32 when the same row runs again

Exchange = tuple[Sendable, Answer]

_exchanges: "WeakKeyDictionary[Lab, list[Exchange]]" = WeakKeyDictionary()


def answers_of(lab: Lab) -> list[Exchange]:
    """What was asked, in order, each with the endpoint's answer, failed ones too; asked once for a lab.

    Raises:
        NotRun: there is no endpoint, it does not answer, or there is nothing to send.
        UnstuckError: the signature, or a file that was handed over, cannot be read.
    """
    if lab not in _exchanges:
        endpoint = serving(lab)
        calls = sendables(lab, affordable(lab, CALLS_S, MAX_CALLS, MIN_CALLS))
        answers = until_silent(lab, calls, endpoint)
        _exchanges[lab] = list(zip(calls, answers, strict=False))
    return _exchanges[lab]


def asks_once(lab: Lab, timeout_s: float = CALL_TIMEOUT_S) -> Callable[[Tensors], Answer]:
    """Asks the endpoint for the answer to inputs, but for those that it was asked for before in the very same form.

    An endpoint that was seen to answer otherwise the next time is asked anew each time. Raises NotRun as ``serving``.
    """
    endpoint, signature = serving(lab), lab.signature
    known = _answered_alike(lab)

    def ask(inputs: Tensors) -> Answer:
        found = known.get(digest(inputs)) if known else None
        return found or endpoint.predict(signature, inputs, timeout_s)

    return ask


def _answered_alike(lab: Lab) -> dict[str, Answer]:
    """Of an endpoint whose answers can be relied on: by the digest of the inputs, what it answered."""
    try:
        repeated, exchanges = lab.find(RepeatProbe), answers_of(lab)
    except NotRun:
        return {}
    if repeated.inconsistent or repeated.replays or repeated.contradictions:
        return {}
    return {
        digest(call.inputs): answer
        for call, answer in exchanges
        if answer.outputs is not None and call.signature.name == lab.signature.name and _is_plain(lab, call)
    }


def _is_plain(lab: Lab, call: Sendable) -> bool:
    """Whether it was sent as ``Endpoint.predict`` sends its inputs."""
    if call.request is None or not call.request.body:
        return True
    if call.request.document is None or lab.endpoint.address.is_grpc:
        return lab.endpoint.address.is_grpc
    try:
        own = orjson.loads(lab.endpoint.body(call.signature, call.inputs))
    except UnstuckError:
        return False
    sent = {name: value for name, value in call.request.document.items() if name != "signature_name"}
    return sent == {name: value for name, value in own.items() if name != "signature_name"}


def rows_for_probes(lab: Lab, count: int) -> tuple[str, list[Row]]:
    """As ``rows_to_send``; of drawn rows those of the scale that is answered in the most different ways."""
    source, rows = rows_to_send(lab, count)
    return source, spread(_liveliest(lab), count) if source == "synthetic" else rows


def _liveliest(lab: Lab) -> list[Row]:
    groups = drawn_groups(lab)
    if not lab.question.target:
        return groups[0]
    answers = {id(call.inputs): answer.outputs for call, answer in answers_of(lab)}

    def distinct(rows: list[Row]) -> int:
        known = [outputs for row in rows if (outputs := answers.get(id(row))) is not None]
        return len(Ruler(known).distinct(known))

    return max(groups, key=distinct)


def run(lab: Lab) -> EndpointAnswers:
    """Raises NotRun as ``answers_of``."""
    exchanges = answers_of(lab)
    wanted = affordable(lab, CALLS_S, MAX_CALLS, MIN_CALLS)
    if not exchanges:
        raise NotRun("there was nothing to send")
    codes = [code_of(answer) for _, answer in exchanges]
    failed = [exchange for exchange in exchanges if exchange[1].error is not None]
    again = [call.send(lab.endpoint) for call, answer in failed[:MAX_RETRIES] if answer.status >= 0]
    seconds = [answer.seconds for _, answer in exchanges if answer.error is None]
    return EndpointAnswers(
        source=exchanges[0][0].source,
        asked=len(exchanges),
        failed=failures(codes),
        retried=len(again),
        failed_twice=sum(answer.error is not None for answer in again),
        messages=counted([answer.error.message for _, answer in failed if answer.error is not None]),
        outputs=_outputs(exchanges),
        requests=[
            RequestAnswer(line=call.line, code=code, seconds=answer.seconds, digest=digest(answer.outputs or {}))
            for (call, answer), code in zip(exchanges, codes, strict=True)
        ],
        median_s=median(seconds) if seconds else 0.0,
        slowest_s=max(seconds, default=0.0),
        stopped_early=len(exchanges) < len(sendables(lab, wanted)),
    )


def row_answers(exchanges: Sequence[Exchange]) -> list[tuple[Tensors, Tensors]]:
    """The rows that were answered, each with its outputs; of calls whose outputs have no row each, the whole call."""
    found: list[tuple[Tensors, Tensors]] = []
    for call, answer in exchanges:
        if answer.outputs is None or not call.inputs:
            continue
        inputs, outputs = list(rows_of(call.inputs)), list(rows_of(answer.outputs))
        matched = len(inputs) == len(outputs) and len(inputs) > 0
        found += zip(inputs, outputs, strict=True) if matched else [(call.inputs, answer.outputs)]
    return found


def _outputs(exchanges: Sequence[Exchange]) -> list[OutputAnswers]:
    rows = row_answers(exchanges)
    aliases = dict.fromkeys(alias for _, outputs in rows for alias in outputs)
    return [_output(alias, [(inputs, outputs) for inputs, outputs in rows if alias in outputs]) for alias in aliases]


def _output(alias: str, rows: Sequence[tuple[Tensors, Tensors]]) -> OutputAnswers:
    values = [np.asarray(outputs[alias]) for _, outputs in rows]
    kinds = _kinds(values)
    most, count = Counter(kinds).most_common(1)[0]
    numbers = [value.astype(np.float64) for value in values if value.dtype.kind in "fiub"]
    finite = np.concatenate([each[np.isfinite(each)].ravel() for each in numbers]) if numbers else np.empty(0)
    total = sum(each.size for each in numbers)
    return OutputAnswers(
        output=alias,
        rows=len(rows),
        distinct_inputs=len({digest(inputs) for inputs, _ in rows}),
        distinct=len(set(kinds)),
        lowest=float(finite.min()) if finite.size else None,
        highest=float(finite.max()) if finite.size else None,
        spread=_spread(numbers),
        nonfinite=1 - finite.size / total if total else 0.0,
        example=shown({alias: values[kinds.index(most)]}),
        most_frequent=count,
    )


def _kinds(values: Sequence[Tensor]) -> list[int]:
    """A number for each value, the same for equal ones."""
    found: list[Tensor] = []
    numbers: list[int] = []
    for value in values:
        at = next((at for at, other in enumerate(found) if _equal(value, other)), len(found))
        if at == len(found):
            found.append(value)
        numbers.append(at)
    return numbers


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return one.shape == other.shape and bool(np.all(one == other))
    first, second = one.astype(np.float64), other.astype(np.float64)
    largest = max(
        np.abs(first[np.isfinite(first)]).max(initial=0.0), np.abs(second[np.isfinite(second)]).max(initial=0.0)
    )
    return bool(np.allclose(first, second, rtol=0.0, atol=EQUAL * float(largest), equal_nan=True))


def _spread(numbers: Sequence[Tensor]) -> float:
    if not numbers or len({each.shape for each in numbers}) > 1 or not numbers[0].size:
        return 0.0
    stacked = np.stack(numbers)
    with np.errstate(invalid="ignore"):
        ranges = stacked.max(axis=0) - stacked.min(axis=0)
    return float(ranges[np.isfinite(ranges)].max(initial=0.0))
