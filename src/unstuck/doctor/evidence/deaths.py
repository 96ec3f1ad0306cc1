"""Where variation dies in a watched pool, and of what: pure reading of the trace, shared by the checks of the model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from unstuck.doctor.evidence.op_kinds import (
    BRANCHES,
    CHOICES,
    CUTS,
    GATHERS,
    HIDERS,
    LOOKUPS,
    LOOPS,
    MASKS,
    PRODUCTS,
    RELUS,
    SHAPES,
    SQUASHERS,
    SUMS,
    TRANSPARENT,
)
from unstuck.doctor.evidence.variation import LOOSE, PoolTrace, TensorFacts

Kind = Literal[
    "non-finite",
    "degenerate-weights",
    "lookup",
    "disconnected",
    "dead",
    "saturated",
    "collapsed",
    "hides",
    "cut",
    "unknown",
]  # in the order in which one produces the other

_KINDS: tuple[Kind, ...] = (
    "non-finite", "degenerate-weights", "lookup", "disconnected", "dead", "saturated", "collapsed", "hides", "cut",
    "unknown",
)  # fmt: skip
NEAR_ZERO = 1e-3
TINY = 1e-6
LITTLE = 0.01  # of movement between scores, which a softmax makes no more of
APART = 12.0  # between two scores, from which softmax says 0 and 1
SOME = 0.01  # of the elements: more than a freak


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
    """One pool's trace, read either strictly (no variation) or loosely (at most ``least`` of a tensor's magnitude)."""

    def __init__(self, trace: PoolTrace, *, loose: bool, least: float = LOOSE) -> None:
        self.trace = trace
        self.known: Mapping[str, TensorFacts] = trace.by_name()
        self.order = {each.tensor: at for at, each in enumerate(trace.tensors)}
        self._loose = loose
        self._least = least
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
        if tensor.constant or not tensor.alive:
            return False
        return not self._loose or not tensor.magnitude or tensor.spread > self._least * tensor.magnitude

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
        return sorted(self._by_shape(list(map(self.origin, found))), key=lambda death: death.at)

    def _by_shape(self, found: list[Death]) -> list[Death]:
        """The deaths, the last one's kind told where all that is taken of the inputs is their shape."""
        if not all(death.tensor.op in SHAPES or self._is_still_inside(death) for death in found):
            return found
        last = max(found, key=lambda death: death.at, default=None)
        return [replace(death, kind="disconnected") if death is last else death for death in found]

    def _is_still_inside(self, death: Death) -> bool:
        """Whether it is a loop or branch that was watched inside, and of which no result varies."""
        tensor = death.tensor
        watched = tensor.op in LOOPS | BRANCHES and bool(self.inner.get(tensor.node))
        return watched and death.kind == "unknown" and not self._would_vary(tensor)

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
        if op in CHOICES:
            return "dead" if tensor.magnitude <= NEAR_ZERO else "unknown"
        if op == "Mul":
            zeros = [each for each in fixed if each.magnitude <= NEAR_ZERO]
            if any(each.constant and self._is_variable(each) for each in zeros):
                return "degenerate-weights"
            return "dead" if zeros else "unknown"
        if op in PRODUCTS or op in GATHERS:
            of_variable = op == "ResourceGather"  # its table is a handle, which is not watched
            return "degenerate-weights" if weights or of_variable else "unknown"
        if op in LOOPS | BRANCHES:
            return "disconnected" if self._is_unrun(tensor) else "unknown"
        if op in SUMS:
            return "collapsed" if self._loose else self._drowned(tensor, alive)
        if op in CUTS:
            return "cut"
        if op in HIDERS:
            return "hides" if self._is_last(tensor) else self._clipped(tensor)
        return "unknown"

    def _squashed(self, tensor: TensorFacts, alive: list[TensorFacts]) -> Kind:
        if self._barely_moves(tensor, alive) and not any(self._by_equal_weights(each) for each in alive):
            return "collapsed"
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

    def _barely_moves(self, tensor: TensorFacts, alive: list[TensorFacts]) -> bool:
        """Whether a softmax moves, by more than its precision, as little as the scores that it is given."""
        scores = max((each.spread for each in alive), default=0.0)
        return self._loose and tensor.alive and tensor.op in ("Softmax", "LogSoftmax") and scores <= LITTLE

    def _drowned(self, tensor: TensorFacts, alive: list[TensorFacts]) -> Kind:
        """Of a sum in which what varies is lost: what varies is tiny, or the constant part is huge."""
        if max(each.spread for each in alive) < NEAR_ZERO:
            return "degenerate-weights"
        user = tensor
        while len(users := self.users.get(user.tensor, ())) == 1 and users[0].op in TRANSPARENT | SUMS:
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
                if user.op in TRANSPARENT and user.tensor not in seen:
                    seen.add(user.tensor)
                    queue.append(user.tensor)
        return False

    def _is_unrun(self, tensor: TensorFacts) -> bool:
        """Whether a loop never turns, or a branch is never taken, whose own results vary."""
        if not self._would_vary(tensor):
            return False
        number = int(tensor.tensor.rsplit(":", 1)[1])
        first = self.known.get(tensor.inputs[number if tensor.op in LOOPS else 0])
        if first is None or self.is_alive(first):
            return False
        return tensor.op in BRANCHES or (first.minimum, first.maximum, first.mean) == (
            tensor.minimum, tensor.maximum, tensor.mean,
        )  # fmt: skip

    def _would_vary(self, tensor: TensorFacts) -> bool:
        """Whether the copies of what a loop or branch holds give something that varies in place of ``tensor``."""
        return any(self.is_alive(each) for each in self._copies(tensor))

    def _copies(self, tensor: TensorFacts) -> list[TensorFacts]:
        """Of a loop's or branch's result, what the copies of its turns or sides give; else none."""
        if tensor.op not in LOOPS | BRANCHES:
            return []
        number = tensor.tensor.rsplit(":", 1)[1]
        return [
            each
            for each in self.trace.tensors
            if each.op == "IdentityN"
            and not each.inside
            and each.tensor.startswith(f"{tensor.node}/")
            and each.tensor.endswith(f":{number}")
        ]

    def origin(self, death: Death) -> Death:
        """Where the values that are not finite first arise, of a death by them; or the gate that left too little."""
        if death.kind in ("degenerate-weights", "collapsed") and death.tensor.op in SUMS | PRODUCTS:
            gate = self._shut_gate(death)
            return death if gate is None else replace(death, tensor=gate, kind="dead", at=self.order[gate.tensor])
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

    def _shut_gate(self, death: Death) -> TensorFacts | None:
        """The squashing function next to zero whose product is all that varies in a sum, or before a layer's weights.

        A product loses what is so small: it is below the least normal number, which is computed as zero.
        """
        queue, seen = [each for each in death.alive if each.magnitude <= TINY], set[str]()
        if len(queue) < len(death.alive):
            return None
        while queue:
            tensor = queue.pop()
            if tensor.op in SQUASHERS - {"Softmax", "LogSoftmax"} and self._gates(tensor):
                return tensor
            taken = [*self.taken(tensor), *self._copies(tensor)]
            before = [each for each in taken if each.magnitude <= TINY and not each.constant]
            queue.extend(each for each in before if each.tensor not in seen)
            seen.update(each.tensor for each in before)
        return None

    def _clipped(self, tensor: TensorFacts) -> Kind:
        if tensor.op in MASKS:
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


def deaths(trace: PoolTrace, output: str, *, loose: bool = False, least: float = LOOSE) -> list[Death]:
    """Where the variation of the inputs dies on its ways to ``output``, inputs first; empty where it survives.

    Args:
        trace: a pool that was run, on inputs that vary.
        output: the output's alias.
        loose: read a movement of at most ``least`` of a tensor's magnitude as none.
        least: a thousandth, or what the output itself moves by.
    """
    return _Reading(trace, loose=loose, least=least).deaths(output)


def root(found: Iterable[Death]) -> Death | None:
    """The first place where variation dies of something that has a name; NaN goes before all, which it produces."""
    named = [death for death in found if death.kind not in ("unknown", "cut")]
    rest = list(found)
    if not named:
        return min(rest, key=lambda death: death.at, default=None)
    return min(named, key=lambda death: (_KINDS.index(death.kind) if death.kind == "non-finite" else 1, death.at))
