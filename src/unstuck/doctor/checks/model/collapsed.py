"""Every layer is alive, yet the output moves by less than what matters.

What it finds
    An output whose range over plausible inputs is under 1% of the golden range, under 0.001 for probabilities, or
    under 0.0001 of its magnitude, with no other cause.

Why it happens
    Training stopped at the class prior or the mean: a learning rate too small or too large, labels shuffled, inputs
    without information, a loss dominated by one class.

How it decides
    The model is run alone on varied rows (training data where given, else golden rows, requests and drawn ones),
    and every tensor is watched. Back from an output that stays the same, no tensor is still, but from a sum on, the
    movement is lost beside a constant part, and the weights before it vary.

How to fix it
    Train again: check labels against inputs, the learning rate, the class weights; compare the loss with that of
    the prior alone.

When it is wrong
    Without training data the rows are drawn: a place that only real inputs reach may look dead. A quantity that
    naturally varies little passes, as its range is compared with its own magnitude.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Outcome, check
from unstuck.doctor.dying import dying_of
from unstuck.doctor.evidence.samples import ALIVE, COLLAPSED, DEAD
from unstuck.doctor.evidence.variation import VariationTrace


@check()
def collapsed(trace: VariationTrace) -> Iterator[Outcome]:
    yield from dying_of(
        trace,
        "collapsed",
        what="moves by next to nothing beside a constant part",
        fix="Train the model again: at {layer} it has learnt a constant (the class prior, the mean). Check labels, "
        "learning rate and class weights.",
    )


CASES = (
    Case("lost beside the bias", (COLLAPSED,), "fault"),
    Case("alive", (ALIVE,), "ruled-out"),
    Case("dead", (DEAD,), "ruled-out"),
)
