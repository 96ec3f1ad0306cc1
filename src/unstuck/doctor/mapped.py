"""What the checks of the mapping share: outcomes of comparisons, and the one set of outcomes that they come to."""

from collections.abc import Iterable, Iterator, Sequence

from unstuck.doctor.check import Fault, Location, NotTested, Outcome, RuledOut, Suspect
from unstuck.doctor.evidence.feature_map import FeatureEffects, ModelWiring
from unstuck.doctor.evidence.feature_profile import ColumnProfile, FeatureProfile
from unstuck.doctor.evidence.replay import Comparison, EndpointReplay, Explanation, GoldenAtEndpoint, GoldenReplay

ENOUGH = 8  # telling rows that make an explanation sure
RARE = 0.01  # of training, that may have a constant by right
BY_CHANCE = 1e-6
SURE, LIKELY, UNSURE = 0.97, 0.86, 0.7


def by_answers(
    cause: str,
    replay: EndpointReplay | None,
    golden: GoldenReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
    fix: str,
    wiring: ModelWiring | None = None,
) -> Iterator[Outcome]:
    """A fault for each comparison whose wrong answers ``cause`` explains; ruled out by those that say otherwise.

    An endpoint that gives the golden answers is right, whatever the local model says.

    Args:
        fix: what to change; ``{what}``, ``{features}``, ``{input}`` and ``{undo}`` stand for the explanation's.
        wiring: where the model's own graph moves features: the place of what golden rows show to be moved.
    """
    if at_endpoint is not None and at_endpoint.is_right:
        replay = None
    for each in (replay, golden, at_endpoint):
        if each is not None:
            yield _outcome(cause, each, fix, wiring.node if wiring is not None and each is golden else "")


def _outcome(cause: str, found: Comparison, fix: str, node: str) -> Outcome:
    best = found.best
    whose = _whose(found)
    if best is not None and best.cause == cause:
        return Fault(
            why=f"{found.wrong} of {found.rows} {whose} are wrong, and {best.share:.0%} are exactly what comes where "
            f"{best.what}.{_rivals(found)} {found.example[:1].upper()}{found.example[1:]}".strip(),
            evidence=numbers(found, best),
            fix=fix.format(what=best.what, features=", ".join(best.features), input=best.input, undo=undo(best)),
            confidence=_confidence(found, best),
            location=location(best, node),
        )
    if not found.wrong:
        return RuledOut(f"All {found.rows} {whose} are right.", {"rows": found.rows, "right": found.right})
    if best is not None:
        return RuledOut(f"What is wrong with {whose} is explained otherwise: {best.what}.", numbers(found, best))
    return RuledOut(
        f"{found.wrong} of {found.rows} {whose} are wrong, and none of {found.tried} changes of inputs explains it.",
        {"rows": found.rows, "wrong": found.wrong, "tried": found.tried},
    )


def _whose(found: Comparison) -> str:
    if isinstance(found, EndpointReplay):
        return "answers of the endpoint, compared with the model's,"
    if isinstance(found, GoldenReplay):
        return "answers of the model, compared with the golden ones,"
    return "answers of the endpoint, compared with the golden ones,"


def _rivals(found: Comparison) -> str:
    return f" As good an explanation: {found.rivals[0].what}." if found.rivals else ""


def _confidence(found: Comparison, best: Explanation) -> float:
    if found.rivals:
        return UNSURE
    return SURE if best.telling >= ENOUGH and found.distinct > 1 else LIKELY


def numbers(found: Comparison, best: Explanation) -> dict[str, object]:
    """The figures that prove an explanation."""
    said: dict[str, object] = {
        "source": found.source,
        "rows": found.rows,
        "wrong": found.wrong,
        "explained": best.share,
        "telling": best.telling,
        "tried": found.tried,
        "hypothesis": best.what,
    }
    if best.order:
        said["order"] = best.order
    return said


def location(best: Explanation, node: str = "") -> Location:
    return Location(
        input=best.input or None,
        feature=", ".join(best.features[:16]) or None,
        node=node or None,
        signature=best.signature or None,
        output=best.output or None,
        version=best.version or None,
    )


def undo(best: Explanation) -> str:
    """NumPy code that puts the elements of rows back into place."""
    if not best.order or len(set(best.order)) < len(best.order):
        return ""
    back = sorted(range(len(best.order)), key=lambda place: best.order[place])
    return f" As sent now, x.reshape(len(x), -1)[:, {back}].reshape(x.shape) is what the model needs."


def on_the_way(cause: str, replay: EndpointReplay | None, fix: str) -> list[Outcome]:
    """A fault where ``cause``, between client and model, gives the endpoint's answers; else nothing."""
    return [each for each in by_answers(cause, replay, None, None, fix) if isinstance(each, Fault)]


def on_the_way_or_sent(
    cause: str, replay: EndpointReplay | None, fix: str, sent: Iterable[Outcome] | None, untested: str
) -> Iterator[Outcome]:
    """What ``on_the_way`` finds; else what the requests say; else that it was not tested.

    Args:
        sent: the outcomes of the requests; None where there is nothing to judge them by.
        untested: why, then, nothing can be said.
    """
    found = on_the_way(cause, replay, fix)
    if found:
        yield from found
    elif sent is None:
        yield NotTested(untested)
    else:
        yield from sent


def settled(outcomes: Iterable[Outcome], untested: str) -> Iterator[Outcome]:
    """The faults, or else the suspects, or else why the cause is ruled out, or why nothing can be said."""
    found = list(outcomes)
    for kind in (Fault, Suspect):
        some: Sequence[Outcome] = [each for each in found if isinstance(each, kind)]
        if some:
            yield from _once(some)
            return
    out = [each for each in found if isinstance(each, RuledOut)]
    if out:
        yield RuledOut(" ".join(dict.fromkeys(each.why for each in out)), out[0].evidence)
    else:
        why = next((each.why for each in found if isinstance(each, NotTested)), untested)
        yield NotTested(why)


def _once(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """Each place once; the most confident first."""
    seen: set[Location] = set()
    for each in sorted(outcomes, key=lambda each: -getattr(each, "confidence", 0.0)):
        if isinstance(each, Fault | Suspect) and each.location not in seen:
            seen.add(each.location)
            yield each


def constants_sent(profile: FeatureProfile, used: FeatureEffects | None) -> Iterator[Outcome]:
    """What features with one value in all requests say: a fault where training has no such value and it is used."""
    constant = [each for each in profile.columns if each.constant is not None and each.trained_distinct > 1]
    if profile.distinct < 2 or 2 * len(constant) > len(profile.columns):
        return
    for each in constant:
        effect = used.named(each.feature) if used else None
        if effect is not None and not effect.moved:
            continue
        if each.is_default and each.trained_share < RARE:
            yield _constant(profile, each, Fault if effect else Suspect, 0.93 if effect else 0.5)
        elif each.trained_share**profile.requests < BY_CHANCE:
            yield _constant(profile, each, Suspect, 0.3)
    if not constant:
        yield RuledOut("Every feature varies in the requests as in training.", {"requests": profile.requests})


def _constant(profile: FeatureProfile, found: ColumnProfile, kind: type[Fault | Suspect], confidence: float) -> Outcome:
    return kind(
        why=f"{found.feature} is {found.constant} in all {profile.requests} request rows; in training it has "
        f"{found.trained_distinct} different values, and that one in {found.trained_share:.1%} of the rows.",
        evidence=found.model_dump(),
        fix=f"Send {found.feature} (input {found.input}) as it was in training.",
        confidence=confidence,
        location=Location(input=found.input, feature=found.feature),
    )
