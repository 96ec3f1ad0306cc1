"""A sigmoid, tanh or softmax is pinned for every plausible input.

What it finds
    A squashing function whose result is at its end (0, 1 or -1) for every plausible input, while what goes in
    varies.

Why it happens
    Weights or a bias that grew without bound (no regularisation, a learning rate too high), or inputs on another
    scale than in training.

How it decides
    The model is run alone on varied rows (training data where given, else golden rows, requests and drawn ones),
    and every tensor is watched. Back from an output that stays the same, the first tensor that does not vary though
    its inputs do is a squashing function at its end.

How to fix it
    Retrain with weight decay, normalised inputs or a smaller learning rate; scale the layer before it.

When it is wrong
    Without training data the rows are drawn: a place that only real inputs reach may look dead. Where requests
    saturate it and training data do not, preprocessing/missing-normalization is the cause.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Outcome, check
from unstuck.doctor.dying import dying_of
from unstuck.doctor.evidence.samples import ALIVE, DEAD, SATURATED
from unstuck.doctor.evidence.variation import VariationTrace


@check()
def saturated_activation(trace: VariationTrace) -> Iterator[Outcome]:
    yield from dying_of(
        trace,
        "saturated",
        what="is pinned at its end for every input",
        fix="Retrain {layer} with weight decay, a smaller learning rate and normalised inputs: what it takes is so "
        "large that it always stands at its end.",
    )


CASES = (
    Case("a pinned sigmoid", (SATURATED,), "fault"),
    Case("alive", (ALIVE,), "ruled-out"),
    Case("dead, not pinned", (DEAD,), "ruled-out"),
)
