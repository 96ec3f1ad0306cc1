"""Two or more features arrive in each other's place.

What it finds
    Inputs, or columns of a feature vector, that are exchanged, rotated, reversed or concatenated in another order.

Why it happens
    A client or a server in front concatenates features in the order of its own table, sorts names, or binds two inputs
    to each other's names. Every value is plausible, so nothing fails.

How it decides
    Answers that are not the reference's are compared with what the reference gives for rearranged inputs: every pair,
    reversals, rotations, blocks, and any map that steepest descent finds. A rearrangement that gives (almost) all
    answers to within a thousandth of their range, on rows where it matters, is proof. The reference is the local model
    for the endpoint's answers, and the golden answers for both. Without wrong answers, the requests' columns are
    compared with training's: columns that do not fit their own, and each another's of them, are swapped, if the answers
    move once they are put in order; so are all columns of an input that fit in one turn only (flags before numbers).

How to fix it
    Concatenate, or name, the features in the order of training; in a pipeline file, ``concat`` fixes the order.

When it is wrong
    Features that the model treats alike (a symmetric model) cannot be told apart, and are not reported. Where another
    change explains the answers as well, it is named, and the confidence is lower.
"""

from collections.abc import Iterator
from dataclasses import replace

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.feature_map import USED, EndpointSensitivity, FeatureEffects, ModelWiring, Sensitivity
from unstuck.doctor.evidence.feature_profile import FeatureProfile, Moved
from unstuck.doctor.evidence.pipeline_text import renamed
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.evidence.request_facts import RequestFacts
from unstuck.doctor.mapped import by_answers, settled

FIX = (
    "Give the model each feature in its own place: {what}.{undo} Where inputs have names, send them by name; where "
    "they are one vector, concatenate in the order of training, or let a pipeline do it: raw inputs {features}, then "
    "inputs: {{{input}: {{concat: […]}}}} in that order."
)


@check(
    explains=(
        "model/saturated-activation",
        "model/dead-activation",
        "model/collapsed",
        "preprocessing/missing-normalization",
        "preprocessing/double-normalization",
        "mapping/duplicated-feature",
        "mapping/dropped-feature",
        "resources/stale-response",
    )
)
def swapped_features(
    replay: EndpointReplay | None,
    golden: GoldenReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
    profile: FeatureProfile | None,
    model: Sensitivity | None,
    endpoint: EndpointSensitivity | None,
    wiring: ModelWiring | None,
    facts: RequestFacts | None,
) -> Iterator[Outcome]:
    found = by_answers("mapping/swapped-features", replay, golden, at_endpoint, FIX, wiring)
    outcomes = [_repaired(each, golden, facts) for each in found]
    if profile is not None:
        outcomes += _by_profile(profile, model or endpoint)
    yield from settled(outcomes, "there are no answers to compare, and no requests and training data")


def _repaired(outcome: Outcome, golden: GoldenReplay | None, facts: RequestFacts | None) -> Outcome:
    """With the pipeline that exchanges two inputs by name, where the model's own graph has them exchanged."""
    best = golden.best if golden is not None else None
    if not isinstance(outcome, Fault) or best is None or facts is None or outcome.evidence.get("source") != "golden":
        return outcome
    if len(best.features) != 2 or best.cause != "mapping/swapped-features":
        return outcome
    one, other = best.features
    pipeline = renamed(facts, {one: other, other: one})
    if not pipeline:
        return outcome
    return replace(
        outcome,
        fix=f"Export the model again with {one} and {other} in the order of training. Until then, this pipeline "
        f"exchanges them before the model:\n{pipeline}",
        evidence={**outcome.evidence, "pipeline": pipeline},
    )


def _by_profile(profile: FeatureProfile, used: FeatureEffects | None) -> Iterator[Outcome]:
    swapped = [each for each in profile.moved if not each.is_layout]
    for each in swapped:
        yield _moved(profile, each, used)
    if not swapped:
        yield RuledOut(
            f"No columns of {profile.requests} request rows fit each other's training values and not their own.",
            {"requests": profile.requests, "training": profile.training},
        )


def _moved(profile: FeatureProfile, found: Moved, used: FeatureEffects | None) -> Outcome:
    effects = [used.named(name) for name in found.features] if used else []
    is_used = not effects or any(each is not None and each.effect >= USED for each in effects)
    matters = is_used if found.moves is None else found.moves >= USED
    kind = Fault if matters else Suspect
    return kind(
        why=f"In {profile.requests} request rows, {found.what}: as sent they are {found.apart:.1f} times farther from "
        f"training than chance allows, exchanged {found.apart_moved:.1f} times.",
        evidence={
            "requests": profile.requests, "apart": found.apart, "apart_exchanged": found.apart_moved,
            "answers_move_by": found.moves,
        },
        fix=f"Send the features in training's order: {found.what}.",
        confidence=0.9 if matters and (effects or found.moves) else 0.8,
        location=Location(input=found.input, feature=", ".join(found.features)),
    )  # fmt: skip


def _replay(kind: str, **facts: object) -> EndpointReplay:
    best = {"kind": kind, "what": "b gets a, a gets b", "input": "x", "features": ["a", "b"], "share": 1.0}
    found = [Explanation.model_validate(best | {"telling": 20})] if kind else []
    told: dict[str, object] = {"source": "requests", "rows": 24, "wrong": 24, "distinct": 24, "explanations": found}
    return EndpointReplay.model_validate(told | facts)


CASES = (
    Case("two features exchanged explain every answer", (_replay("swapped"),), "fault"),
    Case("the answers are right", (_replay("", wrong=0, right=24),), "ruled-out"),
    Case("another version explains the answers", (_replay("version"),), "ruled-out"),
)
