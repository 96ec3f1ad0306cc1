"""Follows each element of the inputs through the nodes that only move values: in which order do they arrive?"""

from collections import Counter
from collections.abc import Sequence
from math import prod

import numpy as np

from unstuck.core.signatures import Signature
from unstuck.core.tracing import TracedGraph, TracedNode
from unstuck.data.drawing import sizes
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_map import ModelWiring
from unstuck.doctor.experiments.naming import names_of
from unstuck.doctor.experiments.transformations import Array
from unstuck.doctor.lab import Lab
from unstuck.errors import LoadFailed, UnstuckError

MOVES = frozenset({
    "Identity", "IdentityN", "Reshape", "Transpose", "ConcatV2", "Concat", "Pack", "GatherV2", "Gather", "GatherNd",
    "StridedSlice", "Slice", "Split", "SplitV", "Unpack", "ReverseV2", "Reverse", "ExpandDims", "Squeeze", "Cast",
    "Roll", "EnsureShape", "StopGradient", "PlaceholderWithDefault", "Tile",
})  # fmt: skip
MAX_ELEMENTS = 1 << 16
MAX_LISTED = 64


def run(lab: Lab) -> ModelWiring:
    """Raises NotRun where the inside of the model cannot be watched, or its inputs are no numbers."""
    try:
        traced = lab.traced()
        graph = traced.graph(lab.signature.name)
    except LoadFailed as error:
        raise NotRun(f"the model cannot be loaded: {error.message}") from error
    row, features = _numbered(lab.signature, {alias: list(names) for alias, names in names_of(lab).items()})
    moving = _moving(graph, [graph.inputs[alias] for alias in row])
    tensors = [(node, tensor) for node in moving for tensor in node.tensors]
    try:
        values = traced.fetch(lab.signature.name, row, [tensor for _, tensor in tensors])
    except UnstuckError as error:
        raise NotRun(f"the nodes behind the inputs cannot be watched: {error.message}") from error
    places = {tensor: _ids(np.asarray(value), features) for (_, tensor), value in zip(tensors, values, strict=True)}
    places = {tensor: ids for tensor, ids in places.items() if ids}
    places |= {graph.inputs[alias]: [int(each) for each in values.ravel()] for alias, values in row.items()}
    return _read(graph, moving, places, features)


def _numbered(signature: Signature, names: dict[str, list[str]]) -> tuple[dict[str, Array], list[str]]:
    """A row each of whose elements has a number of its own, from 1 on, and the feature that each number is of."""
    row: dict[str, Array] = {}
    features: list[str] = []
    for alias, spec in signature.inputs.items():
        shape = sizes(spec.shape)
        count = prod(shape)
        if spec.dtype.numpy is None or np.dtype(spec.dtype.numpy).kind not in "fiu" or count > MAX_ELEMENTS:
            raise NotRun(f"input {alias!r} holds no numbers, or too many, to be followed")
        row[alias] = np.arange(len(features) + 1, len(features) + 1 + count).reshape(shape).astype(spec.dtype.numpy)
        called = names.get(alias, [f"{alias}[{at}]" for at in range(shape[-1])]) if shape[1:] else []
        features += [called[at % shape[-1]] if len(called) > 1 else alias for at in range(count)]
        if np.unique(row[alias]).size < count:
            raise NotRun(f"input {alias!r} has too few values to tell its elements apart")
    return row, features


def _moving(graph: TracedGraph, inputs: Sequence[str]) -> list[TracedNode]:
    carried = {each.split(":")[0] for each in inputs}
    found: list[TracedNode] = []
    for node in graph.nodes:
        if node.op in MOVES and not node.inside and any(each.split(":")[0] in carried for each in node.inputs):
            carried.add(node.name)
            found.append(node)
    return found


def _ids(value: Array, features: Sequence[str]) -> list[int]:
    """The numbers of the elements that a tensor holds; empty where it holds anything else."""
    if value.dtype.kind not in "fiu" or not value.size:
        return []
    ids = value.ravel()
    whole = ids.astype(np.int64)
    fits = bool(np.all(whole == ids)) and int(whole.min()) >= 1 and int(whole.max()) <= len(features)
    return [int(each) for each in whole] if fits else []


def _read(
    graph: TracedGraph, moving: Sequence[TracedNode], places: dict[str, list[int]], features: Sequence[str]
) -> ModelWiring:
    moves = {node.name for node in moving}
    used: Counter[int] = Counter()
    twice: set[int] = set()
    ends = {each for node in graph.nodes if node.name not in moves for each in node.inputs}
    for tensor in set(places) & (ends | set(graph.outputs.values())):
        ids = places[tensor]
        used.update(set(ids))
        twice |= {each for each, count in Counter(ids).items() if count > 1}
    lost = [each for each in range(1, len(features) + 1) if not used[each]] if used else []
    node, op, order = "", "", list[int]()
    for each in moving:
        ids = next((places[tensor] for tensor in each.tensors if tensor in places), list[int]())
        if len(ids) > 1 and (ids != sorted(ids) or len(set(ids)) < len(ids)):
            node, op, order = each.name, each.op, [place - 1 for place in ids]
            break
    return ModelWiring(
        node=node,
        op=op,
        lost=list(dict.fromkeys(features[each - 1] for each in lost))[:MAX_LISTED],
        twice=list(dict.fromkeys(features[each - 1] for each in sorted(twice)))[:MAX_LISTED],
        order=order if len(order) <= MAX_LISTED else [],
    )
