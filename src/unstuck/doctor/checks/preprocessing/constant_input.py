"""The client itself sends the same effective values every time.

What it finds
    At least 20 requests that are all the same to the model, although clients mean them to differ.

Why it happens
    Numbers are cast to integers before they are scaled, so that all become 0; a feature cache has one key for all; only
    padding is sent; a parser fails and sends its default.

How it decides
    The requests are bound to the signature's inputs, as the server does, and compared in what an output is computed
    from: not in a key that is only handed back, nor in a column that the graph leaves out. Of tf.Examples, what the
    graph's parser reads is compared. Zeros and blanks are the same, however many. Inside of the model: files that are
    the same picture once decoded, and an input, such as an attention mask, that is zero in all requests and shuts the
    way of the others, while other inputs pass.

How to fix it
    Log what the client has before it builds a request, and find the first place where all values are the same.

When it is wrong
    A file of requests that was made by repeating one, for a load test, looks like this.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, check
from unstuck.doctor.evidence.request_facts import InputFacts, RequestFacts
from unstuck.doctor.evidence.requests_dying import same_contents, shut_by_constants
from unstuck.doctor.evidence.samples_of_requests import FEW, MASKED, REPEATED, SENT
from unstuck.doctor.evidence.variation import VariationTrace

ENOUGH = 20  # rows


@check(
    explains=(
        "preprocessing/missing-tokenization", "preprocessing/wrong-vocabulary", "preprocessing/missing-normalization",
        "preprocessing/double-normalization", "preprocessing/wrong-encoding", "preprocessing/truncation",
        "mapping/dropped-feature", "mapping/swapped-features", "mapping/duplicated-feature", "mapping/wrong-layout",
        "resources/stale-response", "model/dead-activation", "model/saturated-activation", "model/collapsed",
    )
)  # fmt: skip
def constant_input(facts: RequestFacts, trace: VariationTrace | None) -> Iterator[Outcome]:
    inside = list(_inside(facts, trace)) if trace is not None and facts.rows >= ENOUGH and facts.distinct > 1 else []
    yield from inside or _of_requests(facts)


def _inside(facts: RequestFacts, trace: VariationTrace) -> Iterator[Outcome]:
    """What differs as it is sent, and is one thing inside of the model."""
    files = [each.input for each in facts.inputs if each.takes_images]
    said = [(each, "hold the same once they are decoded") for each in same_contents(trace, files)]
    shut = [(each, "are the same in all, and shut the way of the others") for each in shut_by_constants(trace)]
    for (tensor, inputs), what in (said + shut)[:1]:
        names = ", ".join(inputs)
        yield Fault(
            why=f"All {facts.rows} requested rows are the same to the model: the values of {names} {what}, at "
            f"{tensor.op} {tensor.node!r}.",
            evidence={"rows": facts.rows, "distinct": facts.distinct, "op": tensor.op, "inputs": inputs},
            fix=f"Log what the client has before it builds {names}, and find the first place where it no longer "
            "differs, or is only padding.",
            confidence=0.95,
            location=Location(input=names, node=tensor.node, layer=tensor.layer or None),
        )


def _of_requests(facts: RequestFacts) -> Iterator[Outcome]:
    numbers = {"rows": facts.rows, "distinct": facts.distinct, "distinct_bodies": facts.distinct_bodies}
    if facts.distinct == 1 and facts.rows >= ENOUGH:
        used = [each for each in facts.inputs if each.is_used]
        parsed = any(each.distinct > 1 for each in used)
        values = ", ".join(f"{each.input} is {_value(each)}" for each in used[:4])
        yield Fault(
            why=f"All {facts.rows} requested rows are the same to the model{_but(facts)}: "
            + (f"of every {used[0].input} its parser reads the same, or its defaults." if parsed else f"{values}."),
            evidence={**numbers, "values": {each.input: each.example for each in used[:16]}},
            fix="Log what the client has before it builds a request, and find the first place where it no longer "
            "differs: an integer cast before scaling, a cache with one key, only padding, or features under other "
            "names than the parser reads, so that it takes its defaults.",
            confidence=0.98,
            location=Location(input=", ".join(each.input for each in used[:8])),
        )
    elif facts.rows < ENOUGH and facts.distinct <= 1:
        yield NotTested(f"{facts.rows} rows that fit the signature are too few to say that clients send nothing else")
    else:
        yield RuledOut(f"{facts.rows} requested rows have {facts.distinct} different values.", numbers)


def _but(facts: RequestFacts) -> str:
    """What differs all the same."""
    unused = [each.input for each in facts.inputs if not each.is_used and each.distinct > 1]
    return f", though {', '.join(unused)}, which no output is computed from, differ" if unused else ""


def _value(each: InputFacts) -> str:
    if each.zeros == 1.0:
        return "zero or empty throughout"
    return each.example


CASES = (
    Case("one row for all", (REPEATED,), "fault"),
    Case("a mask of zeros shuts the way", (SENT, MASKED), "fault"),
    Case("different rows", (SENT,), "ruled-out"),
    Case("the same, but a few only", (FEW,), "not-tested"),
)
