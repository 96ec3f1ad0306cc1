"""Runs the model on varied rows and watches every tensor: where does the inputs' variation die?"""

import hashlib
import itertools
import time
from collections.abc import Sequence

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.core.tracing import Traceable, TracedGraph, TracedNode
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.variation import BatchDifference, PoolTrace, TensorFacts, VariationTrace
from unstuck.doctor.experiments.pools import drawn_pools, given_pools
from unstuck.doctor.given import stacked
from unstuck.doctor.lab import Lab, Row, spread
from unstuck.errors import EngineError, LoadFailed

ROWS = 24
LOOPS = frozenset({"While", "StatelessWhile", "If", "StatelessIf"})
BATCH_TOLERANCE = 1e-3
WATCHED = 1 << 16  # elements of a tensor
FEW_ROWS = 8  # that must do for a slow model
SECONDS_A_POOL = 3.0
SECONDS = 15.0  # after which no more pools are drawn
_EPS = {2: 2.0**-10, 4: 2.0**-23, 8: 2.0**-52}  # by bytes of a float
PRECISION = 8  # times a dtype's epsilon: what rounding may do
NOISE = 1e-9  # of a tensor's magnitude


def run(lab: Lab) -> VariationTrace:
    """Raises NotRun where there is no model whose inside can be watched."""
    try:
        traced, signature = lab.traced(), lab.signature.name
        graph = traced.graph(signature)
    except LoadFailed as error:
        raise NotRun(f"the model cannot be loaded: {error.message}") from error
    pools: list[PoolTrace] = []
    rows_of: dict[str, list[Row]] = {}
    enough = time.monotonic() + SECONDS
    for name, rows in itertools.chain(given_pools(lab), drawn_pools(lab, traced, graph)):
        if name.startswith("synthetic") and pools and (_is_alive(pools) or time.monotonic() > enough):
            break
        rows_of[name] = spread(rows, ROWS)
        pools.append(_Watch(traced, signature, graph, name).over(rows_of[name], rows))
    deterministic, differences = _batch_probe(traced, signature, graph, rows_of)
    return VariationTrace(
        pools=pools, deterministic=deterministic, differences=differences, golden_range=_golden_range(lab)
    )


def _golden_range(lab: Lab) -> dict[str, float]:
    """By output alias, the largest difference between two golden answers, over all elements."""
    try:
        golden = lab.golden
    except NotRun:
        return {}
    found: dict[str, float] = {}
    for alias in {alias for each in golden for alias in each.outputs}:
        rows = [row for each in golden if alias in each.outputs for row in each.outputs[alias]]
        if len({np.shape(row) for row in rows}) == 1 and np.asarray(rows[0]).dtype.kind in "fiu":
            found[alias] = float(np.ptp(np.stack(rows).astype(np.float64), axis=0).max(initial=0.0))
    return found


def _is_alive(pools: Sequence[PoolTrace]) -> bool:
    """Whether the model is seen to answer inputs of its own kind with variation: drawn ones could add nothing."""
    return any(
        pool.pool in ("training", "golden", "profile") and all(each.moves for each in pool.answers.values())
        for pool in pools
        if pool.answers
    )


class _Watch:
    """One pool's run."""

    def __init__(self, traced: Traceable, signature: str, graph: TracedGraph, pool: str) -> None:
        self._traced, self._signature, self._graph, self._pool = traced, signature, graph, pool
        downstream = set(map(_node, graph.inputs.values()))
        for node in graph.nodes:
            if any(_node(each) in downstream for each in node.inputs):
                downstream.add(node.name)
        self._downstream = downstream

    def over(self, rows: Sequence[Row], all_rows: Sequence[Row]) -> PoolTrace:
        if not rows:
            return PoolTrace(pool=self._pool, rows=0, failed="there are no rows")
        nodes = self._graph.nodes
        failure = ""
        for kept in (nodes, [node for node in nodes if not node.inside], self._outside(), self._ends()):
            try:
                return self._watched(kept, rows).model_copy(update={"answers": self._answers(all_rows)})
            except EngineError as error:
                failure = error.message
        return PoolTrace(pool=self._pool, rows=len(rows), failed=failure)

    def _answers(self, rows: Sequence[Row]) -> dict[str, TensorFacts]:
        """The outputs of all rows of the pool, not only of those that every tensor is watched on."""
        names = list(self._graph.outputs.values())
        seen = [_Seen(value) for value in self._fetch(rows[0], names)]
        for row in rows[1:]:
            for each, value in zip(seen, self._fetch(row, names), strict=True):
                each.add(value)
        nodes = [self._graph.by_name[_node(name)] for name in names]
        return {
            alias: each.facts(name, node)
            for alias, name, each, node in zip(self._graph.outputs, names, seen, nodes, strict=True)
        }

    def _outside(self) -> list[TracedNode]:
        """The nodes that take nothing from inside of a loop, whose later turns may not be run at all."""
        inner: set[str] = set()
        found: list[TracedNode] = []
        for node in self._graph.nodes:
            if node.inside or any(_node(each) in inner for each in node.inputs):
                inner.add(node.name)
            else:
                found.append(node)
        return found

    def _ends(self) -> list[TracedNode]:
        wanted = {*map(_node, self._graph.inputs.values()), *map(_node, self._graph.outputs.values())}
        return [node for node in self._graph.nodes if node.name in wanted]

    def _watched(self, nodes: Sequence[TracedNode], rows: Sequence[Row]) -> PoolTrace:
        watched = [(tensor, node) for node in nodes if node.name in self._downstream for tensor in node.tensors]
        fixed = [(tensor, node) for node in nodes if node.name not in self._downstream for tensor in node.tensors]
        names = [tensor for tensor, _ in watched]
        first = self._fetch(rows[0], names)
        seen = [_Seen(value) for value in first]
        began = time.monotonic()
        for done, row in enumerate(rows[1:], 2):
            for each, value in zip(seen, self._fetch(row, names), strict=True):
                each.add(value)
            if done >= FEW_ROWS and time.monotonic() - began > SECONDS_A_POOL:
                rows = rows[:done]
                break
        facts = {tensor: each.facts(tensor, node) for (tensor, node), each in zip(watched, seen, strict=True)}
        values = self._fetch(rows[0], [tensor for tensor, _ in fixed])
        for (tensor, node), value in zip(fixed, values, strict=True):
            facts[tensor] = _Seen(value).facts(tensor, node).model_copy(update={"constant": True})
        order = [tensor for node in nodes for tensor in node.tensors]
        kept = {node.name for node in nodes}
        return PoolTrace(
            pool=self._pool,
            rows=len(rows),
            tensors=[facts[tensor] for tensor in order],
            inputs=dict(self._graph.inputs),
            outputs=dict(self._graph.outputs),
            links={
                node.name: list(node.inputs)
                for node in self._graph.nodes
                if node.name in self._downstream and (not node.tensors or node.op in LOOPS or node.name not in kept)
            },
        )

    def _fetch(self, row: Row, names: list[str]) -> list[Tensor]:
        return (
            [_thinned(np.asarray(value)) for value in self._traced.fetch(self._signature, row, names)] if names else []
        )


class _Seen:
    """One tensor's values so far, each of another row."""

    def __init__(self, value: Tensor) -> None:
        self._first = value
        self._rows = 1
        self._digests = {_digest(value)}
        self._numeric = value.dtype.kind in "fiub" or value.dtype.name == "bfloat16"
        self._shapes_vary = False
        if self._numeric:
            numbers = _numbers(value)
            self._low, self._high = numbers.copy(), numbers.copy()
            self._sums = _sums(numbers)
            self._level = _level(numbers)

    def add(self, value: Tensor) -> None:
        self._rows += 1
        self._digests.add(_digest(value))
        if not self._numeric:
            return
        numbers = _numbers(value)
        self._sums += _sums(numbers)
        self._level = max(self._level, _level(numbers))
        if numbers.shape != self._low.shape:
            self._shapes_vary = True
            low, high = _ends(numbers)
            self._low, self._high = np.fmin(self._low, low), np.fmax(self._high, high)
            return
        np.fmin(self._low, numbers, out=self._low)
        np.fmax(self._high, numbers, out=self._high)

    def facts(self, tensor: str, node: TracedNode) -> TensorFacts:
        facts = TensorFacts(
            tensor=tensor,
            op=node.op,
            layer=node.layer,
            inputs=list(node.inputs),
            inside=node.inside,
            dtype=self._first.dtype.name,
            shape=[int(size) for size in self._first.shape],
            distinct=len(self._digests),
            alive=len(self._digests) > 1,
        )
        if not self._numeric:
            return facts
        count, total, zeros, finite = self._sums
        low, high = _ends(self._low)[0], _ends(self._high)[1]
        magnitude = max(abs(low), abs(high))
        with np.errstate(invalid="ignore", over="ignore"):
            moved = np.nan_to_num(self._high - self._low)
            sizes = np.nan_to_num(np.maximum(abs(self._high), abs(self._low)))
        widest = float(moved.max(initial=0.0))
        if self._first.dtype.kind == "f" and not self._shapes_vary:
            eps = _EPS[self._first.dtype.itemsize] * PRECISION
            alive = bool(((moved > eps * sizes) & (moved > NOISE * magnitude)).any())
        else:
            alive = len(self._digests) > 1
        return facts.model_copy(
            update={
                "alive": alive,
                "spread": widest,
                "magnitude": magnitude,
                "minimum": low,
                "maximum": high,
                "mean": float(total / finite) if finite else 0.0,
                "zeros": float(zeros / count) if count else 0.0,
                "nonfinite": float(1 - finite / count) if count else 0.0,
                "level": self._level,
            }
        )


def _batch_probe(
    traced: Traceable, signature: str, graph: TracedGraph, pools: dict[str, list[Row]]
) -> tuple[bool, list[BatchDifference] | None]:
    """Rows alone against the same rows in one batch, in the first pool whose rows can be stacked and run."""
    for pool, rows in pools.items():
        batch = stacked(rows[:8]) if len(rows) > 1 else None
        if batch is None:
            continue
        names = list(dict.fromkeys(graph.outputs.values()))
        try:
            alone = [[np.asarray(each) for each in traced.fetch(signature, row, names)] for row in rows[:8]]
            again = [np.asarray(each) for each in traced.fetch(signature, rows[0], names)]
            together = [np.asarray(each) for each in traced.fetch(signature, batch, names)]
        except EngineError:
            continue
        if not all(_difference(a, b) <= BATCH_TOLERANCE for a, b in zip(alone[0], again, strict=True)):
            return False, None
        found: list[BatchDifference] = []
        for alias, name in graph.outputs.items():
            at = names.index(name)
            apart = [each[at] for each in alone]
            if together[at].shape[:1] != (len(apart),) or any(each.shape[:1] != (1,) for each in apart):
                continue
            difference = _difference(np.concatenate(apart), together[at])
            if difference > BATCH_TOLERANCE and not _is_one_rows(apart, together[at]):
                node = _first_difference(traced, signature, graph, rows[:8], batch)
                found.append(
                    BatchDifference(
                        output=alias,
                        difference=difference,
                        node=node.name if node else "",
                        op=node.op if node else "",
                        layer=node.layer if node else "",
                        pool=pool,
                    )
                )
        return True, found
    return True, None


def _is_one_rows(apart: Sequence[Tensor], together: Tensor) -> bool:
    """Whether all rows of a batch get what one of them gets alone: that is no statistics, but one row's answer."""
    return any(_difference(np.repeat(each, len(apart), axis=0), together) <= BATCH_TOLERANCE for each in apart)


def _first_difference(
    traced: Traceable, signature: str, graph: TracedGraph, rows: Sequence[Row], batch: Row
) -> TracedNode | None:
    nodes = [node for node in graph.nodes if node.tensors and not node.inside]
    names = [node.tensors[0] for node in nodes]
    try:
        alone = [traced.fetch(signature, row, names) for row in rows]
        together = traced.fetch(signature, batch, names)
    except EngineError:
        return None
    for at, node in enumerate(nodes):
        whole, parts = np.asarray(together[at]), [np.asarray(each[at]) for each in alone]
        if whole.shape[:1] == (len(rows),) and all(part.shape[:1] == (1,) for part in parts):
            if len({part.shape for part in parts}) > 1 or parts[0].shape[1:] != whole.shape[1:]:
                continue
            if _difference(np.concatenate(parts), whole) > BATCH_TOLERANCE:
                return node
    return None


def _difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, of the larger magnitude; 1 for other values of what is no number."""
    if one.shape != other.shape:
        return 1.0
    if one.dtype.kind not in "fiub":
        return float(not np.array_equal(one, other))
    a, b = np.nan_to_num(one.astype(np.float64)), np.nan_to_num(other.astype(np.float64))
    scale = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)), 1e-12)
    return float(np.abs(a - b).max(initial=0.0)) / scale


def _node(tensor: str) -> str:
    return tensor.split(":", maxsplit=1)[0]


def _thinned(value: Tensor) -> Tensor:
    """At most WATCHED elements of a large tensor, at even distances, its last axis whole where that is possible."""
    if value.size <= WATCHED or value.dtype == object:
        return value
    last = value.shape[-1] if value.shape[-1] <= WATCHED else 1
    lines = value.reshape(-1, last)
    return lines[:: -(-value.size // WATCHED)].copy()


def _digest(value: Tensor) -> bytes:
    content = repr(value.tolist()).encode() if value.dtype == object else np.ascontiguousarray(value).tobytes()
    return hashlib.blake2b(content + repr(value.shape).encode(), digest_size=12).digest()


def _numbers(value: Tensor) -> "np.ndarray":
    """Floats as they are, in at least single precision; the rest as double."""
    return value.astype(np.float32 if value.dtype.itemsize <= 4 and value.dtype.kind not in "iu" else np.float64)


def _sums(numbers: "np.ndarray") -> "np.ndarray":
    finite = np.isfinite(numbers)
    total = float(np.where(finite, numbers, 0).sum(dtype=np.float64))
    return np.array([numbers.size, total, float((numbers == 0).sum()), float(finite.sum())])


def _level(numbers: "np.ndarray") -> float:
    if numbers.ndim == 0 or not numbers.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.nan_to_num(np.ptp(numbers, axis=-1)).max(initial=0.0))


def _ends(numbers: "np.ndarray") -> tuple[float, float]:
    finite = numbers[np.isfinite(numbers)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
