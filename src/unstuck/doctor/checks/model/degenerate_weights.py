"""A layer's weights are zero, constant or were never restored.

What it finds
    A product, sum or gathering that gives the same for every input because its weights are all zero, all equal, or
    so small that nothing remains at their precision.

Why it happens
    An initialiser of zeros that was never trained, a checkpoint that was not restored before the export, a layer
    frozen too early, or an export in a narrower dtype.

How it decides
    The model is run alone on varied rows (training data where given, else golden rows, requests and drawn ones),
    and every tensor is watched. Back from an output that stays the same, the first tensor that does not vary though
    its inputs do is a product, gathering or sum with weights, or a softmax of equal scores.

How to fix it
    Restore the checkpoint before exporting (check expect_partial and the variable names), initialise with other
    than zeros, and train.

When it is wrong
    Without training data the rows are drawn: a place that only real inputs reach may look dead. Weights that vary
    and yet move the answer by next to nothing are collapsed, not degenerate.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Outcome, check
from unstuck.doctor.dying import dying_of
from unstuck.doctor.evidence.samples import ALIVE, COLLAPSED, ZERO_WEIGHTS
from unstuck.doctor.evidence.variation import VariationTrace


@check()
def degenerate_weights(trace: VariationTrace) -> Iterator[Outcome]:
    yield from dying_of(
        trace,
        "degenerate-weights",
        what="gives one value because of its weights",
        fix="Restore the weights of {layer} before exporting "
        "(tf.train.Checkpoint(...).restore(...).assert_consumed()), or train it: they are zero, all equal, or "
        "vanish at their precision.",
    )


CASES = (
    Case("a kernel of zeros", (ZERO_WEIGHTS,), "fault"),
    Case("alive", (ALIVE,), "ruled-out"),
    Case("weights that vary", (COLLAPSED,), "ruled-out"),
)
