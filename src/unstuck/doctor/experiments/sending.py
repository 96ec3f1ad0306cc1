"""What the endpoint is asked: the client's own requests, or inputs like them, each ready to be sent."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from unstuck.client.failures import Unreachable, UnreadableAnswer
from unstuck.core.signatures import Signature, Tensors
from unstuck.doctor.endpoint import CALL_TIMEOUT_S, Answer, Endpoint
from unstuck.doctor.evidence.answers import CUT_OFF, TIMEOUT, UNREACHABLE, UNREADABLE, UNSENDABLE, CallOutcome
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.experiments.drawing import draw
from unstuck.doctor.given import Request
from unstuck.doctor.lab import Lab, Row, spread
from unstuck.errors import DeadlineExceeded, UnstuckError

MAX_MESSAGE = 300
DRAWN, GROUPS = 20, 3  # rows of each scale, scales
SEED = 7
FEW = 8  # rows of requests, of which a probe wants more

_groups: "WeakKeyDictionary[Lab, list[list[Row]]]" = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Sendable:
    """One call to be made.

    Attributes:
        inputs: by alias; empty for a request that does not fit the signature.
        signature: what it calls.
        source: ``requests``, ``training``, ``golden``, ``profile`` or ``synthetic``.
        request: the client's; None for inputs of another source.
    """

    inputs: Tensors
    signature: Signature
    source: str
    request: Request | None = None

    @property
    def line(self) -> int:
        return self.request.line if self.request else 0

    def send(self, endpoint: Endpoint, timeout_s: float = CALL_TIMEOUT_S) -> Answer:
        """The endpoint's answer; a client's request is sent with its very bytes."""
        if self.request is not None:
            return endpoint.replay(self.request, self.signature, timeout_s)
        return endpoint.predict(self.signature, self.inputs, timeout_s)


def sendables(lab: Lab, count: int) -> list[Sendable]:
    """At most ``count`` calls, spread over what was handed over: requests, else training, golden or drawn inputs.

    Raises:
        NotRun: there is nothing to send, and nothing can be drawn.
        UnstuckError: what was handed over cannot be read, or the signature is not known.
    """
    if lab.question.requests is not None and (found := _requests(lab)):
        chosen = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).astype(int))
        return [found[int(at)] for at in chosen]
    source, rows = inputs_like_training(lab)
    return [Sendable(row, lab.signature, source) for row in spread(rows, count)]


def inputs_like_training(lab: Lab) -> tuple[str, list[Row]]:
    """Rows of the training data, golden ones, ones drawn from the profile or at random, and where they are from.

    Raises NotRun.
    """
    if lab.question.training_data is not None:
        return "training", lab.training_rows
    if lab.question.golden is not None:
        return "golden", lab.golden_rows
    try:
        return "profile", lab.profile_rows
    except NotRun:
        return "synthetic", _drawn(lab)


def _requests(lab: Lab) -> list[Sendable]:
    signatures = lab.model.signatures if lab.question.model else lab.endpoint.signatures()
    found: list[Sendable] = []
    for each in lab.requests:
        if each.inputs or (each.body and not lab.endpoint.address.is_grpc):
            found.append(Sendable(each.inputs, signatures.get(each.signature, lab.signature), "requests", each))
    return found


def _drawn(lab: Lab) -> list[Row]:
    return [row for rows in itertools.zip_longest(*drawn_groups(lab)) for row in rows if row is not None]


def drawn_groups(lab: Lab) -> list[list[Row]]:
    """Rows that the model's own graph makes plausible, where it is there; else of several scales. Raises NotRun."""
    if lab not in _groups:
        _groups[lab] = list(itertools.islice(_draw(lab), GROUPS))
    return _groups[lab]


def _draw(lab: Lab) -> Iterator[list[Row]]:
    signature = lab.signature
    if lab.question.model is not None:
        from unstuck.doctor.experiments.pools import drawn_pools

        try:
            traced = lab.traced()
            for _, rows in drawn_pools(lab, traced, traced.graph(signature.name)):
                yield rows[:DRAWN]
            return
        except (NotRun, UnstuckError):
            pass  # the inside cannot be watched: drawn by the signature alone
    for scale in ("unit", "normal", "bytes"):
        yield draw(signature, DRAWN, SEED, scale)


def rows_to_send(lab: Lab, count: int) -> tuple[str, list[Row]]:
    """At most ``count`` single rows for the signature in question, and where they are from. Raises NotRun."""
    try:
        rows = lab.request_rows
        return "requests", spread(rows, count) if len(rows) >= FEW else [*rows, *_more(lab, count - len(rows))][:count]
    except NotRun:
        source, rows = inputs_like_training(lab)
        return source, spread(rows, count)


def _more(lab: Lab, count: int) -> list[Row]:
    """Rows drawn from the profile, where there is one."""
    try:
        return spread(lab.profile_rows, max(0, count))
    except NotRun:
        return []


def has_batch(signature: Signature) -> bool:
    """Whether every input has a batch dimension of any size."""
    return bool(signature.inputs) and all(
        spec.shape is None or spec.shape[:1] == (None,) for spec in signature.inputs.values()
    )


def code_of(answer: Answer) -> str:
    """OK, a canonical status code, or why there was no answer."""
    error = answer.error
    if error is None:
        return "OK"
    if isinstance(error, UnreadableAnswer):
        return UNREADABLE
    if isinstance(error, Unreachable):
        return CUT_OFF if error.may_have_run else UNREACHABLE
    if answer.status >= 0:
        return error.code.name
    return TIMEOUT if isinstance(error, DeadlineExceeded) else UNSENDABLE


def outcome(what: str, answer: Answer) -> CallOutcome:
    """An answer as evidence."""
    message = "" if answer.error is None else answer.error.message[:MAX_MESSAGE]
    return CallOutcome(what=what, code=code_of(answer), status=answer.status, seconds=answer.seconds, message=message)


def counted(messages: Sequence[str], limit: int = 8) -> dict[str, int]:
    """Each message once, cut, with how often it came; the most frequent first."""
    found: dict[str, int] = {}
    for message in messages:
        short = message[:MAX_MESSAGE]
        found[short] = found.get(short, 0) + 1
    return dict(sorted(found.items(), key=lambda each: -each[1])[:limit])


def failures(codes: Sequence[str]) -> dict[str, int]:
    """By code, how many calls did not succeed."""
    return counted([code for code in codes if code != "OK"], limit=20)


def until_silent(lab: Lab, calls: Sequence[Sendable], endpoint: Endpoint, silent: int = 3) -> Iterator[Answer]:
    """The answers to ``calls``, one after another; it ends after ``silent`` calls in a row that met no answer."""
    unanswered = 0
    for call in calls:
        answer = call.send(endpoint, min(CALL_TIMEOUT_S, max(1.0, lab.seconds_left())))
        yield answer
        unanswered = unanswered + 1 if code_of(answer) in (UNREACHABLE, TIMEOUT) else 0
        if unanswered == silent or not lab.seconds_left():
            return
