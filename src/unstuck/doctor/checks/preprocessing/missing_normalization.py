"""Numbers on the raw scale where training saw normalised ones.

What it finds
    Requests whose numbers lie far outside of what the model was trained on, and fit once they are normalised.

Why it happens
    The training code scaled its data (a division by 255, a StandardScaler, a logarithm), and the client does not. The
    model's activations saturate or die, so that all answers are alike, or are confidently wrong.

How it decides
    Each place's distribution in the requests is compared with training data, or else golden rows. Places are off if
    they differ (Kolmogorov-Smirnov distance of 0.5 at least) and are of another scale: outside of training's range, or
    with four times its deviation. Then the usual normalisations are tried; one must make the distributions alike. The
    model's answers to the requests must move once they are so prepared: each input alone, or, where one that is far off
    hides what another does, all that are off together. Numbers that index a table have no scale.

How to fix it
    Normalise as in training, in the client or by a pipeline before the model.

When it is wrong
    The statistics in the proposed pipeline may be estimated from the requests; training's own are better. Columns in
    each other's place also look off: that is mapping/swapped-features, and is not reported here. A server that prepares
    what it is sent, by its word or its answers, is right to be sent raw numbers.
"""

from collections.abc import Iterator, Sequence

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.pipeline_text import number_steps, pipeline
from unstuck.doctor.evidence.preparation import Trials
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.request_facts import InputFacts, RequestFacts
from unstuck.doctor.evidence.samples_of_requests import PIXELS, RAW, RAW_TRIALS, SENT, SIMILAR, UNMOVED
from unstuck.doctor.evidence.scales import MATTERS, UNCOMPARED, Mismatch, mismatches
from unstuck.doctor.evidence.server_preparation import ServerPreparation
from unstuck.doctor.mapped import on_the_way_or_sent

MODEL_SYMPTOMS = (
    "model/dead-activation", "model/saturated-activation", "model/collapsed", "model/output-hides-variation",
)  # fmt: skip

ON_THE_WAY = (
    "What stands between client and model undoes the normalisation ({what}): take that out, or normalise behind it."
)


@check(explains=("mapping/swapped-features", *MODEL_SYMPTOMS))
def missing_normalization(
    replay: EndpointReplay | None,
    profile: ProfileComparison | None,
    facts: RequestFacts | None,
    trials: Trials | None,
    server: ServerPreparation | None,
) -> Iterator[Outcome]:
    sent = _of_requests(profile, facts, trials) if profile is not None and facts is not None else None
    if server is not None and server.prepares:
        sent = [RuledOut(server.why, server.model_dump())]
    yield from on_the_way_or_sent("preprocessing/missing-normalization", replay, ON_THE_WAY, sent, UNCOMPARED)


def _of_requests(profile: ProfileComparison, facts: RequestFacts, trials: Trials | None) -> Iterator[Outcome]:
    found = mismatches(profile, trials, "missing")
    proven = [each for each in found if _is_proven(each)]
    for each in found:
        yield _outcome(each, facts, _pipeline(proven if _is_proven(each) else [each], facts))
    if not found and all(each.reference == "graph" for each in profile.inputs):
        yield NotTested("neither --training-data, --golden rows nor a profile say on which scale the model was trained")
    elif not found:
        apart = {each.input: round(each.apart, 2) for each in profile.inputs}
        yield RuledOut("The requests' numbers are on the scale of training.", {"apart": apart})


def _is_proven(each: Mismatch) -> bool:
    return each.changed is not None and each.changed >= MATTERS


def _pipeline(found: Sequence[Mismatch], facts: RequestFacts) -> str:
    """One that puts all of ``found`` right; empty where it has no steps for that."""
    known = {fact.input: fact for fact in facts.inputs}
    steps = {each.input.input: _steps(each, known[each.input.input]) for each in found}
    done = {alias: each for alias, each in steps.items() if each}
    return pipeline(facts, done) if done else ""


def _steps(each: Mismatch, facts: InputFacts) -> list[str] | None:
    return number_steps(each.fit.repair, facts) if each.fit.repair else None


def _outcome(each: Mismatch, facts: RequestFacts, text: str) -> Outcome:
    place = each.input.off[0]
    where = f" (places {each.places})" if each.places else ""
    kind = Fault if _is_proven(each) else Suspect
    return kind(
        why=f"Input {each.input.input!r}{where} gets numbers from {place.requests.minimum:.4g} to "
        f"{place.requests.maximum:.4g}, while in the {each.input.known_from} they are from "
        f"{place.reference.minimum:.4g} to {place.reference.maximum:.4g}; {each.fit.preparation.name}, they fit.",
        evidence={
            "requests_mean": place.requests.mean, "requests_std": place.requests.std,
            "trained_mean": place.reference.mean, "trained_std": place.reference.std,
            "distance": each.input.apart, "distance_once_normalised": each.fit.apart,
            "normalisation": each.fit.preparation.name, "answers_move_by": each.changed, "pipeline": text,
        },
        fix="Normalise the requests as the training code did, with training's own statistics"
        + (f"; with statistics that fit the requests, this pipeline does it:\n{text}" if text else "."),
        confidence=each.confidence if kind is Fault else 0.5,
        location=Location(input=each.input.input, feature=each.places or None),
    )  # fmt: skip


SCALING_SERVER = ServerPreparation(inputs={"x": "by 255"}, rows=40, as_sent=0.6, prepared=0.02, correlation=0.99)

CASES = (
    Case("pixels of 0..255 to a model of 0..1", (PIXELS, SENT, RAW_TRIALS), "fault"),
    Case("raw columns", (RAW, SENT, RAW_TRIALS), "fault"),
    Case("the answers do not move", (PIXELS, SENT, UNMOVED), "suspect"),
    Case("a bit outside of training", (SIMILAR, SENT, RAW_TRIALS), "ruled-out"),
    Case("raw columns, which the server scales", (RAW, SENT, RAW_TRIALS, SCALING_SERVER), "ruled-out"),
)
