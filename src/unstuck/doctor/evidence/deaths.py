"""Where variation dies in a watched pool, and of what: pure reading of the trace, shared by the checks of the model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from unstuck.doctor.evidence.variation import PoolTrace, TensorFacts, VariationTrace

Kind = Literal[
    "non-finite", "degenerate-weights", "lookup", "dead", "saturated", "collapsed", "hides", "cut", "unknown"
]  # in the order in which one produces the other

_KINDS: tuple[Kind, ...] = (
    "non-finite", "degenerate-weights", "lookup", "dead", "saturated", "collapsed", "hides", "cut", "unknown",
)  # fmt: skip
RELUS = frozenset({"Relu", "Relu6", "LeakyRelu", "CRelu"})
SQUASHERS = frozenset({"Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Softsign", "Erf", "Elu", "Selu", "Softplus", "Exp"})
LOOKUPS = frozenset({"LookupTableFindV2", "LookupTableFind"})
HIDERS = frozenset({
    "ArgMax", "ArgMin", "Round", "Rint", "Floor", "Ceil", "Sign", "Cast", "ClipByValue", "Minimum", "Maximum",
    "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "TopKV2", "TopK", "OneHot", "FloorDiv",
    "Bucketize", "QuantizeV2", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "Any", "All", "LogicalAnd",
})  # fmt: skip
PRODUCTS = frozenset({
    "MatMul", "BatchMatMulV2", "BatchMatMul", "Einsum", "Conv2D", "Conv3D", "DepthwiseConv2dNative",
    "Conv2DBackpropInput", "FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm", "SparseMatMul",
})  # fmt: skip
GATHERS = frozenset({"GatherV2", "Gather", "ResourceGather", "GatherNd"})
SUMS = frozenset({"BiasAdd", "AddV2", "Add", "Sub", "AddN"})
CUTS = frozenset({"StridedSlice", "Slice", "Split", "SplitV", "Unpack"})
WEIGHT_READS = frozenset({"ReadVariableOp", "Variable", "VariableV2", "Const"})
_MASKS = frozenset({"NotEqual", "Equal", "Less", "Greater", "GreaterEqual", "LessEqual", "LogicalAnd", "Any", "All"})
_TRANSPARENT = frozenset({
    "Identity", "IdentityN", "Cast", "Reshape", "ExpandDims", "Squeeze", "StopGradient", "Transpose", "Pack", "Tile",
    "PreventGradient", "EnsureShape", "ConcatV2", "BroadcastTo", "Enter", "While", "StatelessWhile",
})  # fmt: skip
VAGUE = frozenset({"degenerate-weights", "unknown"})  # what dies at its precision may have died before
NEAR_ZERO = 1e-3
TINY = 1e-6
APART = 12.0  # between two scores, from which softmax says 0 and 1
SOME = 0.01  # of the elements: more than a freak
LABELS = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "TopKV2",
        "TopK",
        "OneHot",
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "Equal",
        "NotEqual",
        "Any",
        "All",
        "LogicalAnd",
    }
)


@dataclass(frozen=True)
class Death:
    """A tensor that does not vary though something that it is computed from does.

    Attributes:
        output: the output alias that it starves.
        tensor: where variation dies.
        kind: of what.
        alive: the varying tensors that its node takes.
        fixed: the others.
        pool: the pool.
        at: its place in the order of the graph.
    """

    output: str
    tensor: TensorFacts
    kind: Kind
    alive: tuple[TensorFacts, ...]
    fixed: tuple[TensorFacts, ...]
    pool: str
    at: int

    @property
    def layer(self) -> str:
        return self.tensor.layer

    @property
    def weights(self) -> tuple[TensorFacts, ...]:
        """The fixed operands that are weights."""
        return tuple(each for each in self.fixed if each.constant)


class _Reading:
    """One pool's trace, read either strictly (no variation) or loosely (next to none)."""

    def __init__(self, trace: PoolTrace, *, loose: bool) -> None:
        self.trace = trace
        self.known: Mapping[str, TensorFacts] = trace.by_name()
        self.order = {each.tensor: at for at, each in enumerate(trace.tensors)}
        self._loose = loose
        self.nodes: dict[str, list[TensorFacts]] = {}
        self.inner: dict[str, list[TensorFacts]] = {}
        self.users: dict[str, list[TensorFacts]] = {}
        for each in trace.tensors:
            self.nodes.setdefault(each.node, []).append(each)
            if each.inside:
                self.inner.setdefault(each.inside, []).append(each)
            for name in each.inputs:
                self.users.setdefault(name, []).append(each)

    def is_alive(self, tensor: TensorFacts) -> bool:
        return not tensor.constant and (tensor.moves if self._loose else tensor.alive)

    def taken(self, tensor: TensorFacts) -> list[TensorFacts]:
        """What its node takes; through nodes whose tensors cannot be fetched."""
        found: dict[str, TensorFacts] = {}
        queue = list(tensor.inputs) + self.trace.links.get(tensor.node, [])
        seen: set[str] = set()
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            seen.add(name)
            facts = self.known.get(name)
            if facts is not None:
                found[name] = facts
            else:
                node = name.split(":")[0]
                queue.extend(self.trace.links.get(node, []))
                found.update({each.tensor: each for each in self.nodes.get(node, [])})
        return list(found.values())

    def deaths(self, output: str) -> list[Death]:
        start = self.known.get(self.trace.outputs.get(output, ""))
        if start is None or start.constant:
            return []
        if self.is_alive(start):
            return [self.origin(self._nonfinite(output, start))] if start.nonfinite > SOME else []
        found: list[Death] = []
        stack, seen = [start], {start.tensor}
        while stack:
            tensor = stack.pop()
            taken = self.taken(tensor)
            alive = [each for each in taken if self.is_alive(each)]
            inner = [each for each in self.inner.get(tensor.node, ()) if not self.is_alive(each) and not each.constant]
            if alive:
                found.append(self._death(output, tensor, alive, [each for each in taken if not self.is_alive(each)]))
            for each in [*taken, *inner]:
                if not self.is_alive(each) and not each.constant and each.tensor not in seen:
                    seen.add(each.tensor)
                    stack.append(each)
        return sorted(map(self.origin, found), key=lambda death: death.at)

    def _nonfinite(self, output: str, tensor: TensorFacts) -> Death:
        return Death(output, tensor, "non-finite", (), (), self.trace.pool, self.order[tensor.tensor])

    def _death(self, output: str, tensor: TensorFacts, alive: list[TensorFacts], fixed: list[TensorFacts]) -> Death:
        kind = self._kind(tensor, alive, fixed)
        return Death(output, tensor, kind, tuple(alive), tuple(fixed), self.trace.pool, self.order[tensor.tensor])

    def _kind(self, tensor: TensorFacts, alive: list[TensorFacts], fixed: list[TensorFacts]) -> Kind:
        op = tensor.op
        weights = [each for each in fixed if each.constant and each.dtype.startswith(("float", "bfloat", "double"))]
        if tensor.nonfinite:
            return "non-finite"
        if op in LOOKUPS:
            return "lookup"
        if op in RELUS or (op == "Maximum" and tensor.maximum <= 0):
            return "saturated" if tensor.maximum > 0 else "dead"
        if op in SQUASHERS:
            return self._squashed(tensor, alive)
        if op == "Mul":
            zeros = [each for each in fixed if each.magnitude <= NEAR_ZERO]
            if any(each.constant and self._is_variable(each) for each in zeros):
                return "degenerate-weights"
            return "dead" if zeros else "unknown"
        if op in PRODUCTS or op in GATHERS:
            return "degenerate-weights" if weights else "unknown"
        if op in SUMS:
            return "collapsed" if self._loose else self._drowned(tensor, alive)
        if op in CUTS:
            return "cut"
        if op in HIDERS:
            return "hides" if self._is_last(tensor) else self._clipped(tensor)
        return "unknown"

    def _squashed(self, tensor: TensorFacts, alive: list[TensorFacts]) -> Kind:
        if tensor.op in ("Softmax", "LogSoftmax") and all(
            each.level <= TINY * max(each.magnitude, 1.0) for each in alive
        ):
            return "degenerate-weights"  # all scores are equal: what made them so stands before
        if tensor.op in ("Softmax", "LogSoftmax") and max(each.level for each in alive) < APART:
            return "degenerate-weights"  # all scores move together, by the same
        if any(self._by_equal_weights(each) for each in alive):
            return "degenerate-weights"
        if tensor.maximum <= NEAR_ZERO and tensor.minimum >= -NEAR_ZERO and self._gates(tensor):
            return "dead"
        pinned = tensor.op == "Softmax" or max(abs(tensor.minimum), abs(tensor.maximum)) > 0.95 or tensor.maximum < 0.05
        return "saturated" if pinned else ("collapsed" if self._loose else "unknown")

    def _drowned(self, tensor: TensorFacts, alive: list[TensorFacts]) -> Kind:
        """Of a sum in which what varies is lost: what varies is tiny, or the constant part is huge."""
        if max(each.spread for each in alive) < NEAR_ZERO:
            return "degenerate-weights"
        user = tensor
        while len(users := self.users.get(user.tensor, ())) == 1 and users[0].op in _TRANSPARENT | SUMS:
            user = users[0]
        for each in users:
            if each.op in RELUS and each.maximum <= 0:
                return "dead"
            if each.op in SQUASHERS or each.op in RELUS:
                return "saturated"
        return "degenerate-weights"

    def _by_equal_weights(self, tensor: TensorFacts) -> bool:
        """Whether it is a product, and a sum with it, of weights that are all equal."""
        taken = self.taken(tensor)
        if tensor.op in SUMS:
            return any(each.op in PRODUCTS and self._by_equal_weights(each) for each in taken)
        weights = [each for each in taken if each.constant and len(each.shape) > 1]
        return tensor.op in PRODUCTS and any(each.minimum == each.maximum for each in weights)

    def _gates(self, tensor: TensorFacts) -> bool:
        """Whether it is multiplied with something that varies, so that at zero it shuts the way."""
        queue, seen = [tensor.tensor], set[str]()
        while queue:
            name = queue.pop()
            for user in self.users.get(name, ()):
                others = [self.known[each] for each in user.inputs if each != name and each in self.known]
                if user.op == "Mul" and any(self.is_alive(each) for each in others):
                    return True
                if user.op in _TRANSPARENT and user.tensor not in seen:
                    seen.add(user.tensor)
                    queue.append(user.tensor)
        return False

    def origin(self, death: Death) -> Death:
        """Where the values that are not finite first arise, of a death by them."""
        tensor, seen = death.tensor, set[str]()
        while death.kind == "non-finite":
            before = [each for each in self.taken(tensor) if each.nonfinite and each.tensor not in seen]
            if not before:
                return replace(death, tensor=tensor, at=self.order[tensor.tensor])
            computed = [each for each in before if not each.constant]
            if not computed and tensor.layer:  # its own operand: the layer is what the user knows
                return replace(death, tensor=tensor, at=self.order[tensor.tensor])
            tensor = min(computed or before, key=lambda each: self.order[each.tensor])
            seen.add(tensor.tensor)
        return death

    def _clipped(self, tensor: TensorFacts) -> Kind:
        if tensor.op in _MASKS:
            return "unknown"
        if tensor.op in ("Minimum", "Maximum", "ClipByValue"):
            return "dead" if tensor.magnitude <= NEAR_ZERO else "saturated"
        return "unknown"

    def _is_variable(self, tensor: TensorFacts) -> bool:
        """Whether a fixed tensor comes from a variable, or from a constant of several elements."""
        queue, seen = [tensor], set[str]()
        while queue:
            each = queue.pop()
            if each.op in ("ReadVariableOp", "Variable", "VariableV2"):
                return True
            if each.op == "Const" and each.shape and max(each.shape) > 1:
                return True
            for name in each.inputs:
                if name not in seen and name in self.known:
                    seen.add(name)
                    queue.append(self.known[name])
        return False

    def _is_last(self, tensor: TensorFacts) -> bool:
        """Whether nothing that was trained comes after it."""
        queue, seen = [tensor.tensor], set[str]()
        while queue:
            for user in self.users.get(queue.pop(), ()):
                if user.op in PRODUCTS or user.op in GATHERS:
                    return False
                if user.tensor not in seen:
                    seen.add(user.tensor)
                    queue.append(user.tensor)
        return True


def deaths(trace: PoolTrace, output: str, *, loose: bool = False) -> list[Death]:
    """Where the variation of the inputs dies on its ways to ``output``, inputs first; empty where it survives.

    Args:
        trace: a pool that was run, on inputs that vary.
        output: the output's alias.
        loose: read a movement of less than a thousandth of a tensor's magnitude as none.
    """
    return _Reading(trace, loose=loose).deaths(output)


def root(found: Iterable[Death]) -> Death | None:
    """The first place where variation dies of something that has a name; NaN goes before all, which it produces."""
    named = [death for death in found if death.kind not in ("unknown", "cut")]
    rest = list(found)
    if not named:
        return min(rest, key=lambda death: death.at, default=None)
    return min(named, key=lambda death: (_KINDS.index(death.kind) if death.kind == "non-finite" else 1, death.at))


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
        death = root(deaths(answered, alias, loose=loose))
        if death is not None and death.kind in VAGUE and not any(each.moves for each in death.alive):
            # What arrives there hardly moves: it was lost before, but for a last trace.
            death = root(deaths(answered, alias, loose=True)) or death
        if death is None or (moving and death.tensor.op in LABELS):
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
