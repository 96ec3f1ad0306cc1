"""Which rows the model is watched on: those handed over, and drawn ones that its own graph makes plausible."""

from collections.abc import Iterator

import numpy as np

from unstuck.core.tracing import Traceable, TracedGraph, TracedNode
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.variation import CENTRED
from unstuck.doctor.experiments.drawing import draw
from unstuck.doctor.lab import Lab, Row
from unstuck.errors import UnstuckError

DRAWN = 24
SEED = 7
_GATHERS = frozenset({"GatherV2", "Gather", "ResourceGather", "EmbeddingLookup"})
_PASS_ON = frozenset({"Identity", "Cast", "ReadVariableOp", "ExpandDims", "Reshape", "Squeeze", "StopGradient"})


def given_pools(lab: Lab) -> Iterator[tuple[str, list[Row]]]:
    """The rows that were handed over, the most telling first."""
    for name, attribute in (
        ("training", "training_rows"),
        ("golden", "golden_rows"),
        ("profile", "profile_rows"),
        ("requests", "request_rows"),
    ):
        try:
            yield name, getattr(lab, attribute)
        except NotRun:
            continue
        except UnstuckError as error:
            lab.progress(f"{name}: {error}")


def drawn_pools(lab: Lab, traced: Traceable, graph: TracedGraph) -> Iterator[tuple[str, list[Row]]]:
    """Rows drawn in several scales, words and ids from the model's own tables and embeddings."""
    signature = lab.signature
    words = [key for table in traced.tables() for key in table.keys if isinstance(key, bytes)]
    ids = _vocabulary_size(traced, graph, signature.name)
    try:
        for scale in ("unit", "normal", "bytes", "wide"):
            yield f"synthetic {scale}", draw(signature, DRAWN, SEED, scale, words[:2000], ids)
        centred = _centres(traced, graph, signature.name)
        if centred:
            rows = draw(signature, DRAWN, SEED, "normal", words[:2000], ids)
            yield CENTRED, [_moved(row, centred) for row in rows]
    except NotRun:
        return


def _vocabulary_size(traced: Traceable, graph: TracedGraph, signature: str) -> int | None:
    """The rows of the smallest embedding that the graph gathers from."""
    weights = traced.weights(signature)
    sizes = [
        weights[name].shape[0]
        for node in graph.nodes
        if node.op in _GATHERS and node.inputs
        for name in (_weight_behind(graph, node.inputs[0]),)
        if name in weights and weights[name].ndim == 2
    ]
    return min(sizes, default=None)


def _weight_behind(graph: TracedGraph, tensor: str) -> str:
    for _ in range(8):
        node = graph.by_name.get(tensor.split(":", maxsplit=1)[0])
        if node is None or node.weight:
            return node.weight if node else ""
        if node.op not in _PASS_ON or not node.inputs:
            return ""
        tensor = node.inputs[0]
    return ""


def _centres(traced: Traceable, graph: TracedGraph, signature: str) -> dict[str, tuple["np.ndarray", "np.ndarray"]]:
    """By float input, what the graph itself takes off and divides by at once: the mean and deviation of training."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for alias, tensor in graph.inputs.items():
        first = _next(graph, tensor, frozenset({"Sub", "AddV2"}))
        if first is None:
            continue
        second = _next(graph, f"{first.name}:0", frozenset({"RealDiv", "Mul"}))
        mean = _constant(traced, graph, signature, first.inputs[1])
        scale = _constant(traced, graph, signature, second.inputs[1]) if second else None
        if mean is None or (first.op == "AddV2" and second is None):
            continue
        mean = -mean if first.op == "AddV2" else mean  # less a mean below zero
        spread = np.ones_like(mean) if scale is None else (1 / scale if second and second.op == "Mul" else scale)
        found[alias] = (mean, np.abs(np.nan_to_num(spread, posinf=1.0)))
    return found


def _next(graph: TracedGraph, tensor: str, ops: frozenset[str]) -> TracedNode | None:
    names = {tensor.split(":", maxsplit=1)[0]}
    for node in graph.nodes:
        if node.inputs and node.inputs[0].split(":")[0] in names:
            if node.op in ops:
                return node
            if node.op in _PASS_ON:
                names.add(node.name)
    return None


def _constant(traced: Traceable, graph: TracedGraph, signature: str, tensor: str) -> "np.ndarray | None":
    """The value of a tensor that does not depend on the inputs."""
    try:
        return np.asarray(traced.fetch(signature, {}, [tensor])[0], np.float64)
    except (UnstuckError, ValueError, TypeError):
        return None


def _moved(row: Row, centres: dict[str, tuple["np.ndarray", "np.ndarray"]]) -> Row:
    moved = dict(row)
    for alias, (mean, spread) in centres.items():
        value = row[alias]
        if value.dtype.kind == "f":
            with_shape = value * spread + mean
            moved[alias] = with_shape.astype(value.dtype) if with_shape.shape == value.shape else value
    return moved
