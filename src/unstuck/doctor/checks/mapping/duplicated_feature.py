"""One feature is fed in the place of another as well.

What it finds
    Two inputs, or two columns, that hold one feature's values, while the other feature arrives nowhere.

Why it happens
    A copied line in the code that fills the request, or a table with one field under two names.

How it decides
    Answers that are the reference's once one feature is given to both places. From requests and training data: two
    features, or whole inputs (vectors, texts), that are equal in all requests, over at least five values, and are not
    in training.

How to fix it
    Read the second feature from its own field.

When it is wrong
    Features that are copies of one another by design are equal in training, too, and are not reported.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.feature_map import EndpointSensitivity, ModelWiring
from unstuck.doctor.evidence.feature_profile import Copied, FeatureProfile
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.mapped import by_answers, settled

FIX = "Feed each of {features} from its own field: {what}."
MIN_DISTINCT = 5
MAX_TRAINED = 0.5  # of training, where they may be equal, too
BY_CHANCE = 1e-6


@check(explains=("mapping/dropped-feature", "resources/stale-response"))
def duplicated_feature(
    replay: EndpointReplay | None,
    golden: GoldenReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
    profile: FeatureProfile | None,
    endpoint: EndpointSensitivity | None,
    wiring: ModelWiring | None,
) -> Iterator[Outcome]:
    outcomes = [*by_answers("mapping/duplicated-feature", replay, golden, at_endpoint, FIX)]
    if profile is not None:
        outcomes += _by_profile(profile)
    if replay is None and endpoint is not None and endpoint.telling:
        outcomes += _silent(endpoint)
    if wiring is not None and wiring.twice and wiring.lost:
        outcomes.append(_in_model(wiring, golden))
    yield from settled(outcomes, "there are no answers to compare, and no requests and training data")


def _by_profile(profile: FeatureProfile) -> Iterator[Outcome]:
    found = [
        each
        for each in profile.copied
        if each.distinct >= MIN_DISTINCT
        and each.trained_share < MAX_TRAINED
        and each.trained_share**profile.distinct < BY_CHANCE
    ]
    for each in found:
        yield _copied(profile, each)
    if not found:
        yield RuledOut("No two features are equal in all requests and not in training.", {"requests": profile.requests})


def _copied(profile: FeatureProfile, found: Copied) -> Outcome:
    return Fault(
        why=f"In all {profile.requests} request rows {found.copy_} is equal to {found.original}; in training in "
        f"{found.trained_share:.0%} of the rows.",
        evidence=found.model_dump(),
        fix=f"Feed {found.copy_} from its own field, not from {found.original}'s.",
        confidence=0.92,
        location=Location(input=found.input, feature=f"{found.original}, {found.copy_}"),
    )


def _in_model(wiring: ModelWiring, golden: GoldenReplay | None) -> Outcome:
    """Proven by golden answers that the model does not give; it may have learnt so otherwise."""
    twice, lost = ", ".join(wiring.twice), ", ".join(wiring.lost)
    if golden is not None and golden.is_right:
        return RuledOut(f"The graph takes {twice} twice and {lost} never, and gives the golden answers.")
    proven = golden is not None and golden.wrong > 0 and golden.best is None
    kind = Fault if proven else Suspect
    return kind(
        why=f"At node {wiring.node!r} ({wiring.op}) the model takes {twice} twice, and {lost} never.",
        evidence={"twice": wiring.twice, "lost": wiring.lost, "order": wiring.order},
        fix=f"Export the model again with {lost} in its own place at {wiring.node}.",
        confidence=0.93 if proven else 0.4,
        location=Location(feature=f"{twice}, {lost}", node=wiring.node),
    )


def _silent(endpoint: EndpointSensitivity) -> Iterator[Outcome]:
    for each in [each for each in endpoint.silent if each.is_input]:
        yield Suspect(
            why=f"{each.feature} never moves an answer of the endpoint: another feature may be fed in its place.",
            evidence={"trials": each.trials, "moved": each.moved},
            fix=f"Compare with the model (--model) to see what is fed to {each.feature}.",
            confidence=0.3,
            location=Location(input=each.input, feature=each.feature),
        )


def _replay(**facts: object) -> EndpointReplay:
    best = Explanation(kind="duplicated", what="b gets a as well", features=["a", "b"], share=1.0, telling=20)
    told: dict[str, object] = {"source": "requests", "rows": 20, "wrong": 20, "distinct": 20, "explanations": [best]}
    return EndpointReplay.model_validate(told | facts)


def _profile(trained_share: float) -> FeatureProfile:
    copied = Copied(
        original="a", copy_="b", input="x", trained_share=trained_share, distinct=30, copy_apart=3.0, original_apart=0.4
    )
    return FeatureProfile(requests=40, training=200, distinct=40, copied=[copied])


CASES = (
    Case("one feature in two places explains every answer", (_replay(),), "fault"),
    Case("the client sends one column twice", (_profile(0.0),), "fault"),
    Case("the answers are right", (_replay(wrong=0, right=20, explanations=[]),), "ruled-out"),
    Case("two columns are equal in training, too", (_profile(1.0),), "ruled-out"),
)
