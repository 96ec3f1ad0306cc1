"""Which of the places where variation dies is at fault, for each output over all pools."""

from unstuck.doctor.evidence.deaths import Death, deaths, root
from unstuck.doctor.evidence.op_kinds import LABELS, SHAPES
from unstuck.doctor.evidence.variation import LOOSE, PoolTrace, TensorFacts, VariationTrace

VAGUE = frozenset({"degenerate-weights", "unknown"})  # what dies at its precision may have died before


def judged(trace: VariationTrace) -> list[Death]:
    """For each output that is constant, or next to it, on every plausible pool, the root of it.

    An output that depends on no input, or is a hard label, is constant for a good reason where another output varies.
    """
    pools = trace.plausible()
    outputs = list(dict.fromkeys(alias for pool in pools for alias in pool.answers))
    moving = [alias for alias in outputs if not _still(trace, pools, alias, loose=True)]
    found: list[Death] = []
    for alias in outputs:
        if alias in moving:
            found.extend(_some_nonfinite(pools, alias) or _rounded_away(pools, alias))
            continue
        loose = not _still(trace, pools, alias, loose=False)
        answered = next(pool for pool in pools if alias in pool.answers)
        least = _relative(answered, alias) if loose else LOOSE
        death = root(deaths(answered, alias, loose=loose, least=least))
        if death is not None and death.kind in VAGUE and not any(each.moves for each in death.alive):
            # What arrives there hardly moves: it was lost before, but for a last trace.
            death = root(deaths(answered, alias, loose=True)) or death
        if death is None or (moving and death.tensor.op in LABELS | SHAPES):
            continue
        if death.tensor.op in LABELS and not all(
            not pool.answers[alias].alive for pool in trace.pools if alias in pool.answers
        ):
            continue
        found.append(death)
    return found


def _some_nonfinite(pools: list[PoolTrace], alias: str) -> list[Death]:
    """An output that varies, and is not finite for some inputs that it knows."""
    for pool in pools:
        if pool.pool in ("training", "golden", "requests"):
            found = [death for death in deaths(pool, alias) if death.kind == "non-finite"]
            if found:
                return found[:1]
    return []


def _rounded_away(pools: list[PoolTrace], alias: str) -> list[Death]:
    """An output that is still for all inputs that it knows because of a cast, rounding or clip at its end."""
    real = [pool for pool in pools if pool.pool in ("training", "golden", "requests") and alias in pool.answers]
    if not real or any(pool.answers[alias].alive for pool in real):
        return []
    death = root(deaths(real[0], alias))
    return [death] if death is not None and death.kind == "hides" and death.tensor.op not in LABELS else []


def _still(trace: VariationTrace, pools: list[PoolTrace], alias: str, *, loose: bool) -> bool:
    answers = [pool.answers[alias] for pool in pools if alias in pool.answers]
    if not loose:
        return bool(answers) and not any(each.alive for each in answers)
    return bool(answers) and all(not each.alive or each.spread < _matters(trace, alias, each) for each in answers)


def _relative(pool: PoolTrace, alias: str) -> float:
    """How far an output that is next to constant moves, of its magnitude; a golden range may ask for much more."""
    answer = pool.output(alias)
    moved = answer.spread / answer.magnitude if answer is not None and answer.magnitude else 0.0
    return max(LOOSE, moved * (1 + LOOSE))


def _matters(trace: VariationTrace, alias: str, answer: TensorFacts) -> float:
    """The least range of an output that is more than nothing: the contract's figures."""
    if not answer.dtype.startswith(("float", "bfloat")):
        return 0.0
    golden = trace.golden_range.get(alias, 0.0)
    if golden:
        return 0.01 * golden
    if answer.minimum >= 0.0 and answer.maximum <= 1.0:
        return 1e-3
    return 1e-4 * answer.magnitude
