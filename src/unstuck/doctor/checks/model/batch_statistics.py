"""The answer to a row depends on the rows beside it.

What it finds
    Normalisation by the statistics of the batch at inference: a row's answer changes with its batch mates, and is
    constant for a batch of one.

Why it happens
    The model was exported in training mode (``training=True``), with batch normalisation that computes its own mean and
    variance, or with hand-written code that subtracts the mean over the batch.

How it decides
    The same rows are run alone and in one batch. Where they answer differently, and a row alone twice answers the same,
    the first tensor whose rows differ though those of its inputs do not is the place.

How to fix it
    Export in inference mode: ``model(x, training=False)``, with the moving averages of training. Until then, send no
    batches of one, and expect answers that depend on their company.

When it is wrong
    A model that compares its rows on purpose (a ranking over the batch) is reported too.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, check
from unstuck.doctor.dying import short
from unstuck.doctor.evidence.samples import ALIVE, DEAD, MIXED
from unstuck.doctor.evidence.variation import VariationTrace


@check(
    explains=(
        "model/dead-activation",
        "model/saturated-activation",
        "model/collapsed",
        "model/output-hides-variation",
        "model/degenerate-weights",
        "mapping/batch-broadcast",
    )
)
def batch_statistics(trace: VariationTrace) -> Iterator[Outcome]:
    if trace.differences is None:
        yield NotTested("rows could not be run both alone and together")
        return
    for each in trace.differences:
        place = f"layer {each.layer!r} ({each.op})" if each.layer else each.op or "an op"
        yield Fault(
            why=f"A row beside others answers differently than alone, by {each.difference:.2g} of the magnitude, "
            f"from {place} on: it normalises by the batch at inference.",
            evidence={"difference": each.difference, "op": each.op, "pool": each.pool},
            fix="Export in inference mode: call the model with training=False, so that it uses the moving averages of "
            "training and not the statistics of the batch.",
            confidence=0.95,
            location=Location(node=short(each.node) or None, layer=each.layer or None, output=each.output),
        )
    if not trace.differences:
        yield RuledOut("Rows answer the same alone and in a batch.")


CASES = (
    Case("a norm in training mode", (MIXED,), "fault"),
    Case("rows that do not meet", (ALIVE,), "ruled-out"),
    Case("dead, alone and together", (DEAD,), "ruled-out"),
)
