"""The variation is there, and is thrown away last.

What it finds
    An argmax, rounding, clipping or cast to integers at the end of the graph that gives one value, although what it
    takes varies.

Why it happens
    The export returns the class or a rounded number in place of the scores; argmax runs over the wrong axis; a clip
    has its bounds wrong.

How it decides
    The model is run alone on varied rows (training data where given, else golden rows, requests and drawn ones),
    and every tensor is watched. Back from an output that stays the same, the first tensor that does not vary though
    its inputs do is such an op, with nothing that was trained after it, and it gives one value in every pool.

How to fix it
    Export the scores beside, or in place of, the label; check the axis of argmax and the bounds of clip.

When it is wrong
    Without training data the rows are drawn: a place that only real inputs reach may look dead. A hard label of
    which the rows at hand have only one is healthy as soon as any pool shows another.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Outcome, check
from unstuck.doctor.dying import dying_of
from unstuck.doctor.evidence.samples import ALIVE, DEAD, HIDDEN
from unstuck.doctor.evidence.variation import VariationTrace


@check()
def output_hides_variation(trace: VariationTrace) -> Iterator[Outcome]:
    yield from dying_of(
        trace,
        "hides",
        what="gives one value for every input",
        fix="Export what {layer} takes (the scores) as an output of the signature, beside or in place of its result; "
        "check its axis or bounds.",
    )


CASES = (
    Case("argmax of one class", (HIDDEN,), "fault"),
    Case("scores", (ALIVE,), "ruled-out"),
    Case("dead before", (DEAD,), "ruled-out"),
)
