"""A ReLU-like layer is zero, or a gate is shut, for every input.

What it finds
    A ReLU whose result is 0 for every plausible input, or a product with a gate or mask that is 0: nothing after it
    can vary.

Why it happens
    A bias far below zero, a learning rate so high that every unit died, or a mask that hides everything.

How it decides
    The model is run alone on varied rows (training data where given, else golden rows, requests and drawn ones),
    and every tensor is watched. Back from an output that stays the same, the first tensor that does not vary though
    its inputs do is a ReLU of only zeros, or a product with zeros that are no weights. Where weights or a sum lose what
    varies because a gate before them left next to nothing of it, the gate is at fault.

How to fix it
    Retrain from that layer on, with a smaller learning rate, He initialisation, normalisation before it, or
    LeakyReLU.

When it is wrong
    Without training data the rows are drawn: a place that only real inputs reach may look dead. A layer that is
    alive on training data and dead on requests alone is not at fault, and is not reported here.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Outcome, check
from unstuck.doctor.dying import dying_of
from unstuck.doctor.evidence.samples import ALIVE, DEAD, SATURATED
from unstuck.doctor.evidence.variation import VariationTrace


@check()
def dead_activation(trace: VariationTrace) -> Iterator[Outcome]:
    yield from dying_of(
        trace,
        "dead",
        what="is zero for every input",
        fix="Retrain from {layer} on: its bias, or what comes before it, keeps it at zero. A smaller learning rate, "
        "normalisation before it, or LeakyReLU in its place keep units alive.",
    )


CASES = (
    Case("a ReLU of zeros", (DEAD,), "fault"),
    Case("alive", (ALIVE,), "ruled-out"),
    Case("pinned, not dead", (SATURATED,), "ruled-out"),
)
