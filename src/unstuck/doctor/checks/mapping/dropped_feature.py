"""A feature that the model uses never reaches it.

What it finds
    An input, or a column, whose place is filled with zero, a default or a mean, whatever the client has.

Why it happens
    A feature table without the column, a misspelt key whose default steps in, a client that stopped sending it.

How it decides
    Answers that are the reference's once the feature is replaced by a constant; or a feature that, moved, never moves
    the endpoint's answer, though it moves the model's, or though the endpoint's golden answers are wrong. Inside of the
    model, a feature, a channel, or a feature of its tf.Examples that moves nothing and ranks its errors. From outside
    alone, a whole input that never moves an answer while others do. From the client's side: a feature that has one
    value in all requests, a default that training has not, and that the model uses; or a key of tf.Examples that the
    graph's parser looks for under a like name, by which the answers move.

How to fix it
    Fill the feature from its field, and fail where the field is missing instead of stepping in with a default.

When it is wrong
    A model that learnt to ignore an input: with golden rows, which it answers rightly, nothing is reported.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence import samples_of_features as samples
from unstuck.doctor.evidence.feature_map import (
    USED,
    EndpointSensitivity,
    ExampleKeys,
    FeatureEffect,
    ModelWiring,
    Sensitivity,
    chance,
)
from unstuck.doctor.evidence.feature_profile import FeatureProfile
from unstuck.doctor.evidence.probes import RepeatProbe
from unstuck.doctor.evidence.replay import EndpointReplay, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.mapped import by_answers, constants_sent, settled

FIX = "Fill {features} from its own field: {what}. Let a missing field fail instead of being replaced."
TRIALS, LUCK = 3, 0.01
RANKED = 0.6  # correlation of a feature with the golden answers' distance from the model's


@check(explains=("resources/stale-response",))
def dropped_feature(
    replay: EndpointReplay | None,
    golden: GoldenReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
    profile: FeatureProfile | None,
    model: Sensitivity | None,
    endpoint: EndpointSensitivity | None,
    repeated: RepeatProbe | None,
    wiring: ModelWiring | None,
    keys: ExampleKeys | None,
) -> Iterator[Outcome]:
    outcomes = [*by_answers("mapping/dropped-feature", replay, golden, at_endpoint, FIX)]
    explained = any(each is not None and each.best for each in (replay, at_endpoint))
    is_stale = repeated is not None and repeated.is_stale
    if endpoint is not None and not explained and not is_stale:
        outcomes += _at_endpoint(endpoint, model, replay, at_endpoint)
    if model is not None and golden is not None and golden.wrong and golden.best is None:
        outcomes += _in_model(model, wiring)
    if profile is not None:
        outcomes += constants_sent(profile, model or endpoint)
    if keys is not None and not (keys.source == "golden" and golden is not None and golden.is_right):
        outcomes += _misnamed(keys, golden)
    yield from settled(outcomes, "there are no answers to compare, and no requests and training data")


def _at_endpoint(
    endpoint: EndpointSensitivity,
    model: Sensitivity | None,
    replay: EndpointReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
) -> Iterator[Outcome]:
    silent = [each for each in endpoint.silent if each.trials >= TRIALS]
    is_right = (at_endpoint is not None and at_endpoint.is_right) or (replay is not None and replay.is_right)
    if not silent or not endpoint.telling or is_right:
        if endpoint.telling:
            yield RuledOut(
                "Every feature that was moved moves the endpoint's answers, or its answers are right.",
                {"moved": len(endpoint.telling), "silent": len(silent)},
            )
        return
    for each in silent:
        own = model.named(each.feature) if model is not None else None
        if own is not None:
            if own.effect >= USED:
                proves = chance(own.moved, own.trials, each.trials) <= LUCK
                yield _silent(each, f"it moves the model's by up to {own.effect:.2g} of their range", 0.92, proves)
        elif at_endpoint is not None and at_endpoint.wrong:
            yield _silent(each, f"{at_endpoint.wrong} of {at_endpoint.rows} golden answers are not given", 0.9)
        else:
            moved, trials = sum(it.moved for it in endpoint.telling), sum(it.trials for it in endpoint.telling)
            reacts = endpoint.distinct > endpoint.rows / 2 and chance(moved, trials, each.trials) <= LUCK
            proves = each.is_input and 2 * len(silent) <= len(endpoint.features) and reacts
            yield _silent(each, f"{len(endpoint.telling)} other features move them", 0.8 if proves else 0.4, proves)


def _misnamed(keys: ExampleKeys, golden: GoldenReplay | None) -> Iterator[Outcome]:
    fix = "Name the feature {} in the client's tf.Examples, as the parser does."
    if golden is not None and golden.wrong:
        fix = "Export again with a parser that looks for {1!r}; until then, name the feature {0} in tf.Examples."
    for each in keys.renamed:
        if each.moves >= USED:
            yield Fault(
                why=f"The parser in the graph looks for {each.wanted!r}, which none of {keys.rows} tf.Examples has: it "
                f"takes its default. They have {each.sent!r}, which nothing reads; renamed, the answers move by "
                f"{each.moves:.2g} of their range.",
                evidence={"rows": keys.rows, "absent": keys.absent, "unread": keys.unread, "moves": each.moves},
                fix=fix.format(each.wanted, each.sent),
                confidence=0.88,
                location=Location(input=keys.input, feature=each.wanted),
            )


def _silent(found: FeatureEffect, contrast: str, confidence: float, proves: bool = True) -> Outcome:
    kind = Fault if proves else Suspect
    return kind(
        why=f"{found.feature} was moved {found.trials} times and never moved the endpoint's answer, while {contrast}.",
        evidence={"trials": found.trials, "moved": found.moved, "contrast": contrast},
        fix=f"Feed {found.feature} from the request to the model's input {found.input}: something before the model "
        "replaces it, or never reads it.",
        confidence=confidence,
        location=Location(input=found.input, feature=found.feature),
    )


def _in_model(model: Sensitivity, wiring: ModelWiring | None) -> Iterator[Outcome]:
    node = wiring.node or None if wiring is not None and wiring.lost else None
    for each in model.silent:
        if each.trials >= TRIALS and each.residual >= RANKED and model.telling:
            yield Fault(
                why=f"{each.feature} never moves the model's answers, and the golden answers' distance from them goes "
                f"with it (rank correlation {each.residual:.2f} over {model.golden_rows} rows).",
                evidence={"trials": each.trials, "rank_correlation": each.residual, "rows": model.golden_rows},
                fix=f"Export the model again with {each.feature} connected: its graph replaces it by a constant.",
                confidence=0.84,
                location=Location(input=each.input, feature=each.feature, node=node),
            )


CASES = (
    Case("b moves the model's answers and not the endpoint's", (samples.endpoint(0), samples.MODEL), "fault"),
    Case("every feature moves the answers", (samples.endpoint(12),), "ruled-out"),
    Case("from outside, a column that nothing shows to matter", (samples.endpoint(0, is_input=False),), "suspect"),
)
