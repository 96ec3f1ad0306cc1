"""Axes or channels of an image-like or sequence tensor arrive in another order.

What it finds
    Rows and columns exchanged, channels first read as channels last, RGB as BGR, time reversed, a flattened picture
    read in the other direction.

Why it happens
    Image libraries and frameworks disagree on axes and channels, and a reshape takes any of them without a complaint.

How it decides
    As swapped-features does, with rearrangements of axes and channels. A model that hardly minds them answers nearly
    right: where few answers are clearly wrong, the order must give all of them to the last digit. From requests and
    training data alone: each picture's channels (means, deviations, differences) and the mean picture are compared (of
    an order of channels, the picture within each), and how channels run along each axis (slope, roughness, skew of the
    steps; Hotelling's test); an order that fits training where the order as sent does not is proof.

How to fix it
    Transpose before sending, or declare ``reverse_channels``, ``channels_first`` or ``reshape`` in a pipeline.

When it is wrong
    Pictures without a direction, or channels that are alike, cannot be told apart, and are not reported.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, check
from unstuck.doctor.evidence.feature_map import ModelWiring
from unstuck.doctor.evidence.feature_profile import FeatureProfile, Moved, RequestShapes, Turned
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.mapped import by_answers, settled

FIX = (
    "Put the axes of {input} in the order that the model was trained on: {what}; undo that before the model, with "
    "numpy.transpose or [..., ::-1], or with the pipeline steps channels_first, reverse_channels or reshape.{undo}"
)

MOST = 0.9  # of the requests


@check(
    explains=(
        "model/saturated-activation",
        "model/dead-activation",
        "model/collapsed",
        "preprocessing/missing-normalization",
        "mapping/swapped-features",
        "resources/stale-response",
    )
)
def wrong_layout(
    replay: EndpointReplay | None,
    golden: GoldenReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
    profile: FeatureProfile | None,
    wiring: ModelWiring | None,
    shapes: RequestShapes | None,
) -> Iterator[Outcome]:
    outcomes = [*by_answers("mapping/wrong-layout", replay, golden, at_endpoint, FIX, wiring)]
    if profile is not None:
        moved = [each for each in profile.moved if each.is_layout]
        outcomes += [_moved(profile, each) for each in moved] or [
            RuledOut("The requests' axes and channels fit training as they are.", {"requests": profile.requests})
        ]
    if shapes is not None:
        outcomes += [_turned(shapes, each) for each in shapes.turned if each.count >= MOST * shapes.requests]
    yield from settled(outcomes, "there are no answers to compare, and no requests and training data")


def _turned(shapes: RequestShapes, found: Turned) -> Outcome:
    return Fault(
        why=f"{found.count} of {shapes.requests} requests send {found.input} as {found.sent} where {found.declared} is "
        f"declared: the sizes fit with the axes in the order {found.axes}.",
        evidence=found.model_dump(),
        fix=f"Send numpy.transpose(x, {found.axes}) as {found.input}.",
        confidence=0.95,
        location=Location(input=found.input),
    )


def _moved(profile: FeatureProfile, found: Moved) -> Outcome:
    return Fault(
        why=f"Input {found.input!r} of {profile.requests} requests is not laid out as in training: {found.what} "
        f"(misfit {found.apart:.2g} as sent, {found.apart_moved:.2g} so).",
        evidence={"requests": profile.requests, "apart": found.apart, "apart_rearranged": found.apart_moved},
        fix=f"Send {found.input} laid out as in training: {found.what}. In a pipeline: "
        "steps: [reverse_channels], [channels_first] or [{reshape: {shape: […]}}].",
        confidence=0.9,
        location=Location(input=found.input, feature=", ".join(found.features) or None),
    )


def _replay(**facts: object) -> EndpointReplay:
    best = Explanation(kind="layout", what="image arrives turned", input="image", share=1.0, telling=9)
    told: dict[str, object] = {"source": "requests", "rows": 9, "wrong": 9, "distinct": 9, "explanations": [best]}
    return EndpointReplay.model_validate(told | facts)


_FIRST = Turned(input="x", axes=[0, 2, 3, 1], sent=[3, 8, 8], declared=[8, 8, 3], count=9)
CASES = (
    Case("pictures turned explain every answer", (_replay(),), "fault"),
    Case(
        "channels are sent first",
        (
            RequestShapes(
                requests=9, turned=[Turned(input="x", axes=[0, 2, 3, 1], sent=[3, 8, 8], declared=[8, 8, 3], count=9)]
            ),
        ),
        "fault",
    ),
    Case("the answers are right", (_replay(wrong=0, right=9, explanations=[]),), "ruled-out"),
    Case("wrong answers that no order explains", (_replay(explanations=[], tried=40),), "ruled-out"),
)
