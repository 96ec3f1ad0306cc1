"""What the checks of the model share: the outcomes of deaths of one kind."""

from collections.abc import Iterator

from unstuck.doctor.check import Fault, Location, NotTested, Outcome, RuledOut
from unstuck.doctor.evidence.deaths import Death, Kind
from unstuck.doctor.evidence.judging import judged
from unstuck.doctor.evidence.variation import VariationTrace

KNOWN = ("training", "golden")


def dying_of(trace: VariationTrace, kind: Kind, *, what: str, fix: str) -> Iterator[Outcome]:
    """A fault for each output whose variation dies of ``kind``; ruled out where outputs vary, or die of another.

    Args:
        trace: of the model.
        kind: of the death.
        what: what the place does, after its name.
        fix: what to change; ``{layer}`` stands for the place's name.
    """
    pools = trace.plausible()
    if not pools:
        yield NotTested("the model could not be run on rows that vary")
        return
    found = judged(trace)
    mine = [death for death in found if death.kind == kind]
    for death in mine:
        yield _fault(death, what, fix)
    if not mine:
        if found:
            yield RuledOut(f"Variation dies at {place(found[0])}, and of something else.", numbers(found[0]))
        else:
            rows = sum(pool.rows for pool in pools)
            yield RuledOut(f"Every output varies over {rows} rows run alone.", {"rows": rows})


def place(death: Death) -> str:
    """The place in words: the layer and the op."""
    layer = f"layer {death.layer!r} " if death.layer else ""
    return f"{layer}({death.tensor.op} {short(death.tensor.node)!r})"


def numbers(death: Death) -> dict[str, object]:
    """The figures that prove a death."""
    alive = max(death.alive, key=lambda each: each.spread, default=None)
    return {
        "pool": death.pool,
        "op": death.tensor.op,
        "minimum": death.tensor.minimum,
        "maximum": death.tensor.maximum,
        "spread": death.tensor.spread,
        "zeros": death.tensor.zeros,
        "nonfinite": death.tensor.nonfinite,
        "spread_of_what_it_takes": alive.spread if alive else 0.0,
        "taken_from": short(alive.node) if alive else "",
    }


def short(node: str) -> str:
    """A node's name without the calls that inlining left in it."""
    parts = [part for part in node.split("/") if not part.startswith(("StatefulPartitionedCall", "PartitionedCall"))]
    return "/".join(parts) or node


def _fault(death: Death, what: str, fix: str) -> Fault:
    confidence = 0.95 if death.pool in KNOWN else 0.85
    return Fault(
        why=f"Variation dies at {place(death)}: it {what}, while what it takes varies by up to "
        f"{max((each.spread for each in death.alive), default=0.0):.3g}. So output {death.output!r} is "
        f"the same for all rows of the {death.pool} inputs.",
        evidence=numbers(death),
        fix=fix.format(layer=death.layer or short(death.tensor.node)),
        confidence=confidence,
        location=Location(node=short(death.tensor.node), layer=death.layer or None, output=death.output),
    )
