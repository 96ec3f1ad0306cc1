"""Knocks at the endpoint: can it be reached, what does it say of itself, does it answer a call?"""

import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from unstuck.client.failures import Unreachable, UnreadableAnswer
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature
from unstuck.doctor.endpoint import Answer, Endpoint
from unstuck.doctor.evidence.answers import (
    REFUSED_ACCESS,
    TIMEOUT,
    UNREACHABLE,
    CallOutcome,
    EndpointState,
    VersionState,
)
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.experiments.sending import MAX_MESSAGE, Sendable, outcome, sendables
from unstuck.doctor.lab import Lab
from unstuck.errors import DeadlineExceeded, UnstuckError

T = TypeVar("T")

FIRST_TIMEOUT_S, NEXT_TIMEOUT_S = 10.0, 4.0
PREDICTS = 3
RECONNECT_PAUSE_S = 1.0


def serving(lab: Lab) -> Endpoint:
    """The endpoint, if it answers predict calls at all. Raises NotRun where there is none, or it does not."""
    endpoint = lab.endpoint
    state = lab.find(EndpointState)
    predicts = state.outcomes("predict")
    if state.refused:
        raise NotRun("the endpoint refuses access")
    if not predicts:
        raise NotRun("the endpoint could not be asked: nothing to send is known")
    if all(call.is_server_failure for call in predicts):
        raise NotRun("the endpoint does not answer")
    return endpoint


def affordable(lab: Lab, seconds: float, most: int, least: int) -> int:
    """How many calls one after another fit into ``seconds``, by what the first ones took; from least to most."""
    taken = [call.seconds for call in lab.find(EndpointState).outcomes("predict")[1:] if call.code == "OK"]
    return most if not taken else max(least, min(most, int(seconds / max(min(taken), 1e-4))))


def run(lab: Lab) -> EndpointState:
    """Raises NotRun where there is no endpoint."""
    endpoint = lab.endpoint
    told, versions = _timed("status", endpoint.status)
    if told.code == UNREACHABLE:
        time.sleep(RECONNECT_PAUSE_S)  # it may have been restarting
        told, versions = _timed("status", endpoint.status)
    calls, metadata = [told], None
    if told.code not in (UNREACHABLE, TIMEOUT):
        described, metadata = _timed("metadata", endpoint.metadata)
        calls.append(described)
    answers = list(_predicts(lab, endpoint, hangs=told.code == TIMEOUT))
    if not answers and all(call.code in REFUSED_ACCESS for call in calls):
        answers = [endpoint.predict(Signature(DEFAULT_SIGNATURE, {}, {}), {})]  # a proxy may let nothing else through
    predicts = [outcome("predict", answer) for answer in answers]
    calls += predicts
    return EndpointState(
        url=endpoint.url,
        model=endpoint.spec.name,
        asked_version=endpoint.spec.version,
        asked_label=endpoint.spec.label,
        is_reachable=any(call.code not in (UNREACHABLE, TIMEOUT) for call in calls),
        versions=[
            VersionState(version=each.version, state=each.state.name, error=str(each.error or "")[:MAX_MESSAGE])
            for each in versions or ()
        ],
        metadata_version=metadata.version if metadata else None,
        answer_versions=sorted({answer.version for answer in answers if answer.version is not None}),
        signatures=sorted(metadata.signatures) if metadata else [],
        known_models=_known_models(calls),
        calls=calls,
        stopped_early=bool(predicts) and predicts[-1].code in (UNREACHABLE, TIMEOUT),
    )


def _predicts(lab: Lab, endpoint: Endpoint, *, hangs: bool) -> Iterator[Answer]:
    """A few calls; where none is answered, two, the second with little time."""
    for number, call in enumerate(_some(lab)):
        answer = call.send(endpoint, NEXT_TIMEOUT_S if hangs or number else FIRST_TIMEOUT_S)
        yield answer
        if answer.status < 0 and (hangs or number):
            return


def _some(lab: Lab) -> list[Sendable]:
    try:
        return sendables(lab, PREDICTS)
    except (NotRun, UnstuckError):
        return []


def _timed(what: str, ask: Callable[[], T]) -> tuple[CallOutcome, T | None]:
    began = time.monotonic()
    try:
        value = ask()
        return CallOutcome(what=what, code="OK", seconds=time.monotonic() - began), value
    except UnstuckError as error:
        is_local = isinstance(error, Unreachable | UnreadableAnswer | DeadlineExceeded)
        answer = Answer(None, error, time.monotonic() - began, -1 if is_local else error.http_status)
        return outcome(what, answer), None


def _known_models(calls: list[CallOutcome]) -> list[str]:
    for call in calls:
        listed = re.search(r"models served are (.+?)\.(?:\s|$)", call.message)
        if listed:
            return re.findall(r"'([^']+)'", listed.group(1))
    return []
