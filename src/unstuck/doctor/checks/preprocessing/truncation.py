"""Requests differ only where the pipeline cuts them off.

What it finds
    Requests that differ, and that the model's graph cuts to parts that are all the same.

Why it happens
    All texts begin with a long common part (a template, a URL's host), or are padded on the left, and the graph keeps
    the first so many tokens.

How it decides
    The model is run on the requests, and every tensor is watched: variation dies where the graph slices, or fills lists
    up to a fixed length. Other inputs (training data, golden rows or drawn ones) stay alive there.

How to fix it
    Send the part that tells requests apart first, pad on the side that training padded, or export the model with a
    longer sequence.

When it is wrong
    Requests that are meant to share the part which the model reads.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, check
from unstuck.doctor.evidence.deaths import Death, deaths
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.request_facts import RequestFacts
from unstuck.doctor.evidence.requests_dying import lives_elsewhere
from unstuck.doctor.evidence.samples_of_requests import ALIVE_REQUESTS, CUT, CUT_EVERYWHERE, SENT
from unstuck.doctor.evidence.variation import PoolTrace, VariationTrace
from unstuck.doctor.mapped import on_the_way

ENOUGH = 5  # different requests
CUTS = frozenset({
    "StridedSlice", "Slice", "Split", "SplitV", "Unpack", "RaggedTensorToTensor", "Substr", "GatherV2", "Gather",
    "GatherNd", "MirrorPad", "TensorListStack", "RaggedTensorToVariant",
})  # fmt: skip

ON_THE_WAY = (
    "What stands between client and model cuts the values ({what}): pass on the whole of them, or as much "
    "as the model was trained on."
)


@check(
    explains=(
        "preprocessing/missing-tokenization", "preprocessing/wrong-vocabulary", "model/disconnected-input",
        "model/dead-activation", "model/saturated-activation", "model/collapsed", "model/output-hides-variation",
    )
)  # fmt: skip
def truncation(
    replay: EndpointReplay | None, facts: RequestFacts | None, trace: VariationTrace | None
) -> Iterator[Outcome]:
    found = on_the_way("preprocessing/truncation", replay, ON_THE_WAY)
    if found:
        yield from found
    elif facts is None or trace is None:
        yield NotTested("the requests could not be watched inside the model")
    else:
        yield from _of_requests(facts, trace)


def _of_requests(facts: RequestFacts, trace: VariationTrace) -> Iterator[Outcome]:
    pool = trace.pool("requests")
    if pool is None or facts.distinct < ENOUGH:
        yield NotTested("too few different requests could be run through the model")
        return
    found = [cut for output in pool.outputs if (cut := _cut(pool, output)) and lives_elsewhere(trace, output)]
    for cut in found[:1]:
        names = [alias for alias, tensor in pool.inputs.items() if _varies(pool, tensor)]
        yield Fault(
            why=f"The requests differ ({facts.distinct} different ones), but are all the same after "
            f"{cut.tensor.op} {cut.tensor.node!r}, which keeps {cut.tensor.shape} of them: they differ only in what is "
            "cut off.",
            evidence={
                "distinct_requests": facts.distinct, "op": cut.tensor.op, "kept_shape": cut.tensor.shape,
                "before": [[each.tensor, each.shape, each.distinct] for each in cut.alive[:3]], "rows": pool.rows,
            },
            fix="Send the part that tells requests apart first (without the common beginning), pad on the side on "
            "which training padded, or export the model with a longer sequence.",
            confidence=0.93,
            location=Location(
                input=", ".join(names), node=cut.tensor.node, layer=cut.layer or None, output=cut.output
            ),
        )  # fmt: skip
    if not found:
        yield RuledOut("What tells the requests apart is not cut off.", {"distinct_requests": facts.distinct})


def _cut(pool: PoolTrace, output: str) -> Death | None:
    """The first place where the requests' variation dies, if all such places are cuts."""
    found = deaths(pool, output)
    real = [death for death in found if death.kind == "cut" or death.tensor.op in CUTS]
    first = min(found, key=lambda death: death.at, default=None)
    return real[0] if real and first is not None and real[0].at <= first.at + len(found) else None


def _varies(pool: PoolTrace, tensor: str) -> bool:
    facts = pool.by_name().get(tensor)
    return facts is None or facts.alive


CASES = (
    Case("all differ after what the graph keeps", (SENT, CUT), "fault"),
    Case("the requests are alive", (SENT, ALIVE_REQUESTS), "ruled-out"),
    Case("dead whatever is sent", (SENT, CUT_EVERYWHERE), "ruled-out"),
)
