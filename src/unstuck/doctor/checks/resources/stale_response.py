"""An earlier answer is replayed.

What it finds
    A cache keyed on part of the request (its path, its shape, the start of the body, one field), a proxy that keeps an
    answer for a while, a buffer that is sent again: an input gets what an earlier input got.

Why it happens
    A POST is cached by its URL, a handler memoises by the wrong key, a result buffer is not cleared.

How it decides
    Inputs are asked again and again: in order, after a pause backwards in bodies of another form, twice in a row, and
    after a longer pause in order. It is a fault when at least two inputs are answered in two ways, one of which is what
    an input asked before had got; or when they get the local model's answer to an earlier input; or when all get that
    to the very first one. With the local model, the first calls tell as well: every wrong answer is exactly the one
    that an earlier request, whose own it was, had got.

How to fix it
    Key the cache on the whole body (and the path), or switch it off for POST.

When it is wrong
    A cache keyed on the whole body gives equal inputs equal answers, which is right, and is not seen. Wrong answers
    that no input had got *before* cannot be replays, and speak against it. A model that is random gives answers that
    belong to nobody.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.probes import EarlierAnswers, RepeatProbe, Replay
from unstuck.doctor.evidence.replay import EndpointReplay

FEW = 2  # inputs
FIX = (
    "Find the cache between client and model (proxy_cache in nginx, a gateway's response cache, functools.cache in a "
    "handler): key it on the whole body and the path, or switch it off for POST :predict; clear output buffers "
    "between calls."
)


@check(
    explains=(
        "resources/crosstalk", "resources/overload", "mapping/batch-broadcast", "mapping/dropped-feature",
        "mapping/swapped-features", "mapping/duplicated-feature", "mapping/wrong-layout", "mapping/wrong-version",
        "mapping/wrong-signature", "preprocessing/truncation", "preprocessing/constant-input",
    )
)  # fmt: skip
def stale_response(probe: RepeatProbe, replay: EndpointReplay | None) -> Iterator[Outcome]:
    explained = replay is not None and replay.best is not None and replay.best.kind != "other-row"
    if confidence := _confidence(probe, explained):
        said = Fault if confidence >= 0.7 else Suspect
        yield said(
            why=_why(probe),
            evidence={
                "inputs": probe.inputs,
                "calls": probe.calls,
                "replayed": len(probe.replays),
                "inconsistent": probe.inconsistent,
                "confirmed_by_model": probe.by_truth,
                "other_body_other_answer": probe.reframed_differs,
                "first_calls": probe.first.model_dump() if probe.first else {},
                "example": probe.replays[0].model_dump() if probe.replays else {},
            },
            fix=FIX,
            confidence=confidence,
        )
    elif probe.distinct == 1:
        yield NotTested(f"all {probe.inputs} inputs get one answer, so an earlier one cannot be told from their own")
    else:
        yield RuledOut(
            f"{probe.inputs} inputs, asked {probe.calls} times in several orders, never got an earlier one's answer.",
            {"calls": probe.calls, "distinct": probe.distinct, "inconsistent": probe.inconsistent},
        )


def _confidence(probe: RepeatProbe, explained: bool) -> float:
    """``explained``: a change of the inputs gives every answer, so that none needs to be an earlier one."""
    changed = min(len(probe.replays), probe.inconsistent)
    # Of few different answers, random ones meet by chance; unless the same input twice in a row always agrees.
    telling = probe.distinct >= max(3, 0.4 * probe.inputs) or not probe.at_once_differs
    if changed >= FEW and telling:
        return 0.97
    if probe.first is not None and probe.first.proves_stale and not explained:
        return 0.97
    if probe.constant_is_first and not probe.contradictions:
        return 0.9
    if probe.by_truth >= FEW and probe.distinct > FEW and not probe.contradictions and not explained:
        return 0.85
    return 0.4 if changed and telling else 0.0


def _why(probe: RepeatProbe) -> str:
    first = probe.first
    if first is not None and first.proves_stale:
        return (
            f"{first.wrong} of the first {first.calls} calls got a wrong answer, each exactly what one of "
            f"{first.sources} requests before had got, whose own it was."
        )
    if not probe.replays:
        return f"All {probe.calls} calls got the model's answer to the first one that was made."
    one = probe.replays[0]
    return (
        f"{len(probe.replays)} of {probe.inputs} inputs got the answer of one asked before: {one.input} got {one.got}, "
        f"the answer of {one.belongs_to}, instead of {one.expected}."
    )


def _probe(replays: int = 0, inconsistent: int = 0, distinct: int = 8, **more: object) -> RepeatProbe:
    one = Replay(input="input 2", belongs_to="input 1", got="[0.1]", expected="[0.7]")
    given = {"inputs": 9, "calls": 45, "distinct": distinct, "inconsistent": inconsistent, "replays": [one] * replays}
    return RepeatProbe.model_validate(given | more)


def _first(earlier: int) -> EarlierAnswers:
    return EarlierAnswers(calls=48, inputs=48, kinds=47, wrong=38, earlier=earlier, sources=10, chance=1e-9)


CASES = (
    Case("a cache that ignores the body", (_probe(7, 7),), "fault"),
    Case("each its own", (_probe(),), "ruled-out"),
    Case("a random model", (_probe(0, 9, distinct=45, at_once_differs=9),), "ruled-out"),
    Case("a random model with two classes", (_probe(5, 5, distinct=2, at_once_differs=4),), "ruled-out"),
    Case("a feature that does not arrive", (_probe(3, 0, by_truth=3, contradictions=1),), "ruled-out"),
    Case("a cache by a part of the key", (_probe(first=_first(38)),), "fault"),
    Case("a lost feature that meets earlier answers", (_probe(first=_first(12)),), "ruled-out"),
)
