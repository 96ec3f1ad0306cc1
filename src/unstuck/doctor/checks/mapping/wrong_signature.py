"""Another signature, or another output, than meant is called.

What it finds
    Requests to a signature that does not give the golden answers while another one does; a server that answers with
    another signature's outputs; outputs under each other's names.

Why it happens
    serving_default was exported for something else, a client names an old signature, a router sends calls astray.

How it decides
    Every signature is asked for the golden rows, and those that give them are noted. Answers that are not the local
    model's are compared with those of its other signatures and outputs. Without either, the names and shapes of the
    answers are compared with what the signature declares.

How to fix it
    Name the right signature in the request (signature_name), or export the right function as serving_default.

When it is wrong
    Two signatures that compute the same cannot be told apart, and are not reported.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.replay import CalledSignatures, EndpointReplay, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.mapped import by_answers, settled

FIX = "Call what is meant: {what}. Check signature_name in the request, the server's routing and the export."
TOLERATED = 0.05  # of the golden rows


@check(
    explains=(
        "model/collapsed",
        "model/saturated-activation",
        "model/output-hides-variation",
        "mapping/dropped-feature",
        "mapping/swapped-features",
        "resources/stale-response",
    )
)
def wrong_signature(
    replay: EndpointReplay | None,
    golden: GoldenReplay | None,
    at_endpoint: GoldenAtEndpoint | None,
    called: CalledSignatures | None,
) -> Iterator[Outcome]:
    outcomes = [*by_answers("mapping/wrong-signature", replay, golden, at_endpoint, FIX)]
    if called is not None:
        outcomes = [*_by_golden(called), *_by_shape(called), *outcomes]
    yield from settled(outcomes, "there are no answers to compare")


def _by_golden(found: CalledSignatures) -> Iterator[Outcome]:
    calls = {name: count for name, count in found.called.items() if count}
    if found.golden and found.asked not in found.golden and found.wrong > TOLERATED * found.rows:
        yield _meant(found, found.golden[0], found.asked)
    elif found.golden and calls and not set(calls) & set(found.golden):
        yield _meant(found, found.golden[0], max(calls, key=lambda name: calls[name]))
    elif found.golden:
        yield RuledOut(f"Signature {found.asked!r} gives the golden answers.", {"rows": found.rows})


def _meant(found: CalledSignatures, meant: str, called: str) -> Outcome:
    return Fault(
        why=f"Signature {called!r} is called, and the golden answers are those of {meant!r}.",
        evidence={"golden": found.golden, "called": found.called, "rows": found.rows, "wrong": found.wrong},
        fix=f'Send "signature_name": "{meant}" with every request, or export {meant} as serving_default.',
        confidence=0.97,
        location=Location(signature=f"{meant}, {called}"),
    )


def _by_shape(found: CalledSignatures) -> Iterator[Outcome]:
    if not found.answered:
        return
    kind, confidence = (Fault, 0.97) if found.fits else (Suspect, 0.5)
    answered, declared = (", ".join(f"{k} {v}" for k, v in each.items()) for each in (found.answered, found.declared))
    others = f" {' and '.join(found.fits)} would." if found.fits else ""
    yield kind(
        why=f"Signature {found.asked!r} declares {declared}, and what came is {answered}: it did not answer.{others}",
        evidence={"answered": found.answered, "declared": found.declared, "fits": found.fits},
        fix=f"Find what sends calls of {found.asked!r} elsewhere: the server's routing, or signature_name.",
        confidence=confidence,
        location=Location(signature=", ".join([found.asked, *found.fits])),
    )


def _golden(*signatures: str, wrong: int = 0) -> CalledSignatures:
    return CalledSignatures(asked="serving_default", golden=list(signatures), rows=12, wrong=wrong)


CASES = (
    Case("another signature gives the golden answers", (_golden("predict", wrong=12),), "fault"),
    Case("the signature gives the golden answers", (_golden("serving_default"),), "ruled-out"),
    Case("two signatures compute the same", (_golden("serving_default", "predict"),), "ruled-out"),
)
