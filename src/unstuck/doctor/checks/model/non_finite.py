"""NaN or Inf in weights or activations.

What it finds
    A tensor of NaN or infinite values on the way to the output.

Why it happens
    A division by zero, a log of 0, an overflow of half precision, or weights that diverged in training and were
    exported all the same.

How it decides
    The model is run alone on varied rows (training data where given, else golden rows, requests and drawn ones),
    and every tensor is watched. Back from an output that stays the same, the first tensor that does not vary though
    its inputs do holds values that are not finite.

How to fix it
    Find the first such layer named here; clip what it divides by or takes the logarithm of, or train again with
    gradient clipping.

When it is wrong
    Without training data the rows are drawn: a place that only real inputs reach may look dead. An infinite mask
    before a softmax is fine: only what reaches the output counts.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Outcome, check
from unstuck.doctor.dying import dying_of
from unstuck.doctor.evidence.samples import ALIVE, DEAD, NAN
from unstuck.doctor.evidence.variation import VariationTrace


@check(
    explains=(
        "model/degenerate-weights",
        "model/dead-activation",
        "model/saturated-activation",
        "model/collapsed",
        "model/output-hides-variation",
        "preprocessing/truncation",
    )
)
def non_finite(trace: VariationTrace) -> Iterator[Outcome]:
    yield from dying_of(
        trace,
        "non-finite",
        what="is not finite",
        fix="Make {layer} finite: if its weights are NaN, export an earlier checkpoint; else guard its division, "
        "logarithm or overflow (tf.math.divide_no_nan, an epsilon, float32).",
    )


CASES = (
    Case("NaN after a product", (NAN,), "fault"),
    Case("finite", (ALIVE,), "ruled-out"),
    Case("zeros", (DEAD,), "ruled-out"),
)
