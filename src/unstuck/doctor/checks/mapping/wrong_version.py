"""Another version than meant answers.

What it finds
    An endpoint that answers by another version of the model than its URL asks for, or than its status says is served.

Why it happens
    A pinned version in the server's configuration, a replica that was not restarted, a label that was not moved.

How it decides
    Answers that are not those of the version in question are compared with those of the base path's other versions;
    where every answer is one of two versions', and at least a fifth of them the other's, a replica was left behind.
    Over gRPC, an answer names its version.

How to fix it
    Load the version that is meant, and drop the other: model_version_policy, the version label, the stale replica.

When it is wrong
    Versions that answer alike cannot be told apart, and are not reported.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.answers import EndpointState
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation, GoldenAtEndpoint
from unstuck.doctor.mapped import by_answers, settled

FIX = (
    "Serve the version that is meant; now {what}. Check model_version_policy and version_labels in the model "
    "configuration, the version in the URL, and replicas that were not restarted."
)


@check(
    explains=(
        "mapping/swapped-features",
        "mapping/wrong-layout",
        "mapping/dropped-feature",
        "mapping/wrong-signature",
        "preprocessing/missing-normalization",
        "resources/stale-response",
    )
)
def wrong_version(
    replay: EndpointReplay | None, at_endpoint: GoldenAtEndpoint | None, state: EndpointState | None
) -> Iterator[Outcome]:
    found = by_answers("mapping/wrong-version", replay, None, at_endpoint, FIX)
    outcomes = [_weighed(each, state) for each in found]
    if state is not None:
        outcomes += _by_state(state)
    yield from settled(outcomes, "there is no model to compare with, and the answers do not name their version")


def _weighed(outcome: Outcome, state: EndpointState | None) -> Outcome:
    """Only suspect where the URL asks for no version, and the status says that it is the only one."""
    if not isinstance(outcome, Fault) or state is None or state.asked_version is not None:
        return outcome
    version = outcome.location.version
    if [str(each) for each in state.available] != [version]:
        return outcome
    return Suspect(
        why=f"{outcome.why} The endpoint's status says so, too: it serves only version {version}.",
        evidence=outcome.evidence,
        fix=outcome.fix,
        confidence=0.6,
        location=outcome.location,
    )


def _by_state(state: EndpointState) -> Iterator[Outcome]:
    meant = state.asked_version
    if meant is None and state.asked_label is None and state.available:
        meant = state.available[0]
    others = [version for version in state.answer_versions if version != meant]
    if meant is None or not state.answer_versions:
        return
    if not others:
        yield RuledOut(f"The answers say that they are of version {meant}.", {"versions": state.answer_versions})
        return
    yield Fault(
        why=f"Version {meant} should answer, and answers say that they are of version {others[0]}.",
        evidence={"expected": meant, "answered": state.answer_versions, "available": state.available},
        fix=FIX.format(what=f"version {others[0]} answers"),
        confidence=0.95,
        location=Location(version=str(others[0])),
    )


def _replay(kind: str) -> EndpointReplay:
    best = {"kind": kind, "what": "version 1 answers", "version": "1", "share": 1.0, "telling": 20}
    found = [Explanation.model_validate(best)] if kind else []
    wrong = 20 if kind else 0
    return EndpointReplay(source="requests", rows=20, wrong=wrong, right=20 - wrong, distinct=20, explanations=found)


def _state(*answered: int) -> EndpointState:
    return EndpointState(
        url="grpc://host:1/m", model="m", asked_version=2, is_reachable=True, answer_versions=[*answered]
    )


CASES = (
    Case("an older version gives the answers", (_replay("version"),), "fault"),
    Case("the answers are the version's own", (_replay(""), _state(2)), "ruled-out"),
    Case("exchanged features explain the answers", (_replay("swapped"),), "ruled-out"),
)
