"""Where the requests' variation dies inside the model while that of other inputs lives: pure reading of the trace."""

from collections.abc import Collection, Iterator

from unstuck.doctor.evidence.deaths import Death, deaths
from unstuck.doctor.evidence.variation import PoolTrace, TensorFacts, VariationTrace

# The same content in other bytes: what these ops make of it is equal.
CONTENTS = frozenset({
    "DecodeImage", "DecodePng", "DecodeJpeg", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg", "DecodeWav", "DecodeRaw",
    "DecodePaddedRaw", "DecodeBase64", "DecodeCompressed", "DecodeCSV", "DecodeJSONExample", "ParseTensor",
    "StringStrip", "StringLower", "StringUpper", "RegexReplace", "StaticRegexReplace", "StringToNumber",
})  # fmt: skip


def lives_elsewhere(trace: VariationTrace, output: str) -> bool:
    """Whether other inputs than the requests pass: else the graph itself is at fault."""
    others = [pool for pool in trace.pools if pool.pool != "requests" and not pool.failed and output in pool.answers]
    return any(pool.answers[output].alive for pool in others)


def same_contents(trace: VariationTrace, files: Collection[str] = ()) -> Iterator[tuple[TensorFacts, list[str]]]:
    """What requests hold once they are decoded, where that is the same of all; and of which inputs.

    Args:
        files: inputs that the graph decodes: what a loop over them gives is what they hold.
    """
    for pool, output in _constant(trace):
        known = pool.by_name()
        for each in (death.tensor for death in deaths(pool, output) if death.tensor.op == "TensorListStack"):
            behind = sorted(_inputs_behind(pool, each))
            if behind and set(behind) <= set(files):
                yield each, behind
        for each in pool.tensors:
            died_before = any(name in known and not known[name].alive for name in each.inputs[:1])
            if each.op in CONTENTS and not (each.constant or each.alive or died_before):
                yield each, sorted(_inputs_behind(pool, each))


def shut_by_constants(trace: VariationTrace) -> Iterator[tuple[TensorFacts, list[str]]]:
    """Where inputs that are the same in all requests shut the way of the others, as an attention mask of zeros does.

    Gives the place, and the inputs that are the same.
    """
    for pool, output in _constant(trace):
        found = deaths(pool, output)
        shut = [death for death in found if death.tensor.op == "Mul" and _constants_behind(pool, death)]
        if shut and len(shut) == len(found) and lives_elsewhere(trace, output):
            yield shut[0].tensor, _constants_behind(pool, shut[0])


def _constant(trace: VariationTrace) -> Iterator[tuple[PoolTrace, str]]:
    """The requests, with each output that they do not move."""
    pool = trace.pool("requests")
    if pool is not None and pool.inputs_vary and not any(each.alive for each in pool.answers.values()):
        yield from ((pool, output) for output in pool.outputs)


def _constants_behind(pool: PoolTrace, death: Death) -> list[str]:
    """The inputs that make what a varying tensor is multiplied with: those that are the same in all requests."""
    fixed = [each for each in death.fixed if not each.constant and not each.magnitude]
    behind = {alias for each in fixed for alias in _inputs_behind(pool, each)}
    known = pool.by_name()
    return sorted(alias for alias in behind if not known[pool.inputs[alias]].alive) if behind else []


def _inputs_behind(pool: PoolTrace, tensor: TensorFacts) -> set[str]:
    known = pool.by_name()
    aliases = {name.split(":")[0]: alias for alias, name in pool.inputs.items()}
    queue, seen, found = [tensor.node], set[str](), set[str]()
    takes: dict[str, list[str]] = {each.node: each.inputs for each in known.values()}
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in aliases:
            found.add(aliases[node])
        queue += [name.split(":")[0] for name in [*takes.get(node, ()), *pool.links.get(node, ())]]
    return found
