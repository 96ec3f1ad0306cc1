"""Numbers normalised before they are sent, although the model, or its graph, normalises them again.

What it finds
    Requests that look normalised where the model takes raw numbers, or that were normalised twice.

Why it happens
    The normalisation was moved into the model's graph (a Rescaling or Normalization layer), and the client still does
    it. What is left for the model hardly varies.

How it decides
    With training data or golden rows: their distribution, once normalised in a usual way (by their own statistics, by
    255, to 0..1), is that of the requests. Without: the graph takes off and divides by constants at once; the requests
    look normalised already, and after the graph's own normalisation hardly vary, or are far from zero, in most places.
    In both cases the model's answers must move once the client's normalisation is undone.

How to fix it
    Send the raw numbers; or undo the normalisation by a pipeline before the model.

When it is wrong
    Features that are small by nature, such as shares, look normalised: so a graph's statistics count only where they
    contradict the requests in at least half of the places. A server that normalises what clients send raw does so once.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.pipeline_text import number_steps, pipeline
from unstuck.doctor.evidence.preparation import Trials
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.request_facts import RequestFacts
from unstuck.doctor.evidence.samples_of_requests import PIXELS, RAW_TRIALS, SENT, SIMILAR, TWICE, TWICE_BY_GRAPH
from unstuck.doctor.evidence.scales import MATTERS, UNCOMPARED, Mismatch, mismatches
from unstuck.doctor.evidence.server_preparation import ServerPreparation
from unstuck.doctor.mapped import on_the_way_or_sent

ON_THE_WAY = (
    "Normalise in one place: what stands between client and model changes the numbers once more ({what}). "
    "Take it out there, or out of the client."
)


@check(
    explains=(
        "mapping/swapped-features", "model/dead-activation", "model/saturated-activation", "model/collapsed",
        "model/output-hides-variation",
    )
)  # fmt: skip
def double_normalization(
    replay: EndpointReplay | None,
    profile: ProfileComparison | None,
    facts: RequestFacts | None,
    trials: Trials | None,
    server: ServerPreparation | None,
) -> Iterator[Outcome]:
    if server is not None and server.prepares and server.inputs:
        yield RuledOut(server.why, server.model_dump())
        return
    sent = _of_requests(profile, facts, trials) if profile is not None and facts is not None else None
    yield from on_the_way_or_sent("preprocessing/double-normalization", replay, ON_THE_WAY, sent, UNCOMPARED)


def _of_requests(profile: ProfileComparison, facts: RequestFacts, trials: Trials | None) -> Iterator[Outcome]:
    found = mismatches(profile, trials, "double")
    for each in found:
        yield _outcome(each, facts)
    if not found:
        apart = {each.input: round(each.apart, 2) for each in profile.inputs}
        yield RuledOut("The requests do not look normalised where the model takes raw numbers.", {"apart": apart})


def _outcome(each: Mismatch, facts: RequestFacts) -> Outcome:
    place = next((place for place in each.input.places if place.apart >= 0.5), each.input.places[0])
    repair = each.fit.repair
    mine = next(fact for fact in facts.inputs if fact.input == each.input.input)
    steps = number_steps(repair, mine) if repair else None
    text = pipeline(facts, {mine.input: steps}) if steps else ""
    source = each.input.reference
    taken = "the graph itself normalises" if source == "graph" else f"the {each.input.known_from} have"
    kind = Fault if each.changed is not None and each.changed >= MATTERS else Suspect
    return kind(
        why=f"Input {mine.input!r} gets normalised numbers, {place.requests.mean:.4g} ± {place.requests.std:.4g}, "
        f"while {taken} raw ones, {place.reference.mean:.4g} ± {place.reference.std:.4g}: they are normalised twice.",
        evidence={
            "requests_mean": place.requests.mean, "requests_std": place.requests.std,
            "trained_mean": place.reference.mean, "trained_std": place.reference.std, "says": each.input.reference,
            "distance": each.input.apart, "distance_of_normalised": each.fit.apart,
            "normalisation": each.fit.preparation.name, "answers_move_by": each.changed, "pipeline": text,
        },
        fix="Send the numbers as they are, without normalising them in the client"
        + (f"; or undo it before the model by this pipeline:\n{text}" if text else "."),
        confidence=each.confidence if kind is Fault else 0.5,
        location=Location(input=mine.input, feature=each.places or None),
    )  # fmt: skip


ON_THE_SERVER = ServerPreparation(
    inputs={"pixels": "divided by 255"}, rows=40, as_sent=0.6, prepared=0.0, correlation=1.0
)

CASES = (
    Case("pixels of 0..1 to a model of 0..255", (TWICE, SENT, RAW_TRIALS), "fault"),
    Case("standardised numbers to a Normalization layer", (TWICE_BY_GRAPH, SENT, RAW_TRIALS), "fault"),
    Case("a bit outside of training", (SIMILAR, SENT, RAW_TRIALS), "ruled-out"),
    Case("raw, not normalised twice", (PIXELS, SENT, RAW_TRIALS), "ruled-out"),
    Case("raw, and normalised by the server", (PIXELS, SENT, RAW_TRIALS, ON_THE_SERVER), "ruled-out"),
)
