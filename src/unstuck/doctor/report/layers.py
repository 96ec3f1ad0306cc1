"""The picture of how much of the inputs' variation each layer of the model lets through."""

import math
from collections.abc import Iterator

from unstuck.doctor.evidence.variation import PoolTrace, TensorFacts, VariationTrace
from unstuck.doctor.findings import Location, Report
from unstuck.page import svg

_SHAPES_ONLY = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})
_TESTS = frozenset({"Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual"})  # Keras tests ids for < 0
_PASSING = frozenset({"Identity", "IdentityN"})
_LEAST = 1e-8  # of a tensor's magnitude: what float32 can just tell
_MOST_ROWS = 40


def layers(report: Report, trace: VariationTrace) -> str:
    """A bar a layer, from the inputs to the answer; empty where the model could not be watched."""
    pool = next(iter(trace.plausible()), None)
    if pool is None:
        return ""
    steps = list(_steps(pool))
    rows = [_row(step, report.verdict.location if report.verdict else Location(), pool) for step in steps]
    dead = [row[0] for row in rows if row[2] == "bad"]
    told = f"Variation ends at {dead[0]}." if dead else f"Each of {len(rows)} layers lets variation through."
    height, parts = svg.bars(_bounded(rows), left=250, right=190)
    return svg.picture("layers", height, "How much of the inputs' variation each layer lets through", told, parts)


def _steps(pool: PoolTrace) -> Iterator[tuple[str, TensorFacts]]:
    """Of each layer, the last tensor that values of the inputs reach, in the order of the graph."""
    carrying = set(pool.inputs.values())
    named = {tensor: alias for alias, tensor in pool.inputs.items()}
    answers = {tensor: alias for alias, tensor in pool.outputs.items()}
    found: dict[str, TensorFacts] = {}
    for each in pool.tensors:
        taken = {*each.inputs, *pool.links.get(each.node, ())}
        if each.tensor not in carrying and (each.op in _SHAPES_ONLY or carrying.isdisjoint(taken)):
            continue
        carrying.add(each.tensor)
        ends = each.tensor in named or each.tensor in answers
        if each.op in _PASSING and not each.layer and not ends:
            continue
        label = each.layer or each.node.rsplit("/", 1)[-1]
        if each.tensor in named:
            label = f"input {named[each.tensor]}"
        elif each.tensor in answers:
            label = f"answer {answers[each.tensor]}"
        earlier = found.pop(label, None)
        found[label] = each if earlier is None or earlier.alive or earlier.op in _TESTS else earlier
    yield from found.items()


def _row(step: tuple[str, TensorFacts], location: Location, pool: PoolTrace) -> tuple[str, float, str, str]:
    name, tensor = step
    share = tensor.spread / tensor.magnitude if tensor.magnitude else 0.0
    share = share if math.isfinite(share) else 0.0
    length = 1 - math.log10(max(share, _LEAST)) / math.log10(_LEAST) if tensor.alive else 0.0
    place = location.node or ""
    if (place and tensor.node.endswith(place)) or (location.layer and location.layer == tensor.layer):
        what = "goes wrong" if tensor.moves else "dies"
        return name, length or 0.01, "bad", f"✕ {what} here ({tensor.op})"
    if not tensor.alive:
        return name, 0.0, "bad", f"the same for {pool.rows} rows"
    if not tensor.spread:  # of no numbers
        return name, 1.0, "good", f"{tensor.distinct} different of {pool.rows}"
    return name, length, "good", f"{100 * share:.3g} % ({tensor.op})"


def _bounded(rows: list[tuple[str, float, str, str]]) -> list[tuple[str, float, str, str]]:
    """At most ``_MOST_ROWS``: those around the first death, the first and the last."""
    if len(rows) <= _MOST_ROWS:
        return rows
    death = next((at for at, row in enumerate(rows) if row[2] == "bad"), len(rows) - 1)
    kept = {0, 1, 2, len(rows) - 1, *range(max(0, death - 20), min(len(rows), death + 14))}
    found: list[tuple[str, float, str, str]] = []
    for at, row in enumerate(rows):
        if at in kept:
            found.append(row)
        elif at - 1 in kept:
            more = next((after for after in range(at, len(rows)) if after in kept), len(rows)) - at
            found.append((f"… {more} more", 0.0, "good", ""))
    return found
