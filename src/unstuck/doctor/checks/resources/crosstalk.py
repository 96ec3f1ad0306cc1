"""Under concurrency, an answer reaches the wrong request.

What it finds
    Calls that get their own answer alone, and the answer of another call when several come at the same time.

Why it happens
    A buffer shared by threads, a batcher that gives rows back in another order than it took them, a connection whose
    replies are matched by time instead of by id.

How it decides
    Requests whose answers alone are clearly apart are sent 4, 8 and 16 at a time. It is a fault when at least two
    answers are wrong, most of the wrong ones are other requests' answers, of at least two different ones, and the same
    requests are right again when asked alone afterwards.

How to fix it
    Give each call its own buffers, and match answers to calls by an id; until then allow one call at a time.

When it is wrong
    With coarse outputs (a class number), a default can look like another's answer: at least three requests with
    different answers are needed. An endpoint that replays answers when asked one by one is
    ``resources/stale-response``.
"""

from collections.abc import Iterator
from typing import Any

from unstuck.doctor.check import Case, Fault, NotTested, Outcome, RuledOut, check
from unstuck.doctor.evidence.probes import ConcurrencyProbe, Mixed, RepeatProbe

DISTINCT = 3  # requests: with two, a default is as likely as another's answer
FEW = 2
MOSTLY = 0.6


@check()
def crosstalk(probe: ConcurrencyProbe, repeated: RepeatProbe | None) -> Iterator[Outcome]:
    worst = max(probe.rounds, key=lambda each: each.others)
    if probe.requests < DISTINCT:
        yield NotTested(f"too few requests ({probe.requests}) get answers of their own, to tell them by")
    elif worst.others < FEW or worst.swapped_with < 2 or worst.others < MOSTLY * worst.wrong:
        yield RuledOut(
            f"In {probe.calls} simultaneous calls, no answer was another request's.",
            {"calls": probe.calls, "wrong": worst.wrong, "others": worst.others},
        )
    elif worst.wrong_alone_again or (repeated is not None and repeated.inconsistent):
        yield RuledOut("The answers change when asked one by one, too, so simultaneous calls are not the reason.")
    else:
        yield Fault(
            why=f"Alone, every request gets its own answer; {worst.threads} at a time, {worst.others} of "
            f"{worst.calls - worst.failures} got the answer of another request.",
            evidence={
                "simultaneous": {str(each.threads): f"{each.others} of {each.calls}" for each in probe.rounds},
                "requests": probe.requests,
                "answers_of_others": worst.swapped_with,
                "wrong": worst.wrong,
            },
            fix="Keep nothing of a call outside it: own input and output buffers for each (no module-level arrays, no "
            "self.x in a handler), and match batched rows to calls by index. Until then allow one call at a time.",
            confidence=0.97,
        )


def _probe(requests: int = 6, **more: Any) -> ConcurrencyProbe:
    rounds = [Mixed(threads=8, calls=32, **more)]
    return ConcurrencyProbe(requests=requests, alone_calls=32, alone_failed=0, alone_median_s=0.01, rounds=rounds)


CASES = (
    Case("answers exchanged", (_probe(wrong=26, others=26, one_default=6, swapped_with=8),), "fault"),
    Case("each its own", (_probe(),), "ruled-out"),
    Case("a default that is one request's answer", (_probe(wrong=20, others=20, swapped_with=1),), "ruled-out"),
    Case("answers too alike", (_probe(2, wrong=9, others=9, swapped_with=2),), "not-tested"),
)
