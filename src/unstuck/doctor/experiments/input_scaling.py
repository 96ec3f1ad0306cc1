"""What the graph does to an input at once: subtract, divide, multiply by constants, each number by itself."""

from collections.abc import Mapping, Sequence

import numpy as np

from unstuck.core.signatures import Tensor, TensorSpec
from unstuck.core.tracing import Traceable, TracedGraph, TracedNode
from unstuck.data.drawing import sizes
from unstuck.errors import UnstuckError

_PASS_ON = frozenset({"Identity", "Cast", "StopGradient", "EnsureShape", "Placeholder", "PlaceholderWithDefault"})
_PUT_TOGETHER = frozenset({"Pack", "ConcatV2", "Concat", "ExpandDims", "Reshape"})
_AFFINE = frozenset({"Sub", "Add", "AddV2", "Mul", "RealDiv", "Div", "BiasAdd", "FusedBatchNormV3", "FusedBatchNorm"})


def input_scaling(
    traced: Traceable, graph: TracedGraph, signature: str, spec: TensorSpec, all_inputs: Mapping[str, TensorSpec] = {}
) -> "tuple[Tensor, Tensor] | None":
    """Factor and offset of what the graph makes of the input first, x * factor + offset, for each place.

    Args:
        all_inputs: the signature's, by alias: some graphs put inputs together before they scale them.

    Returns:
        Arrays of the last dimension's size, or of one number; None where the graph does nothing of the kind.
    """
    tensor = graph.inputs.get(spec.alias)
    if tensor is None or spec.dtype.numpy is None or spec.dtype.numpy.kind not in "fiu":
        return None
    end = _end(graph, tensor)
    if end is None:
        return None
    shape = sizes(spec.shape)
    others = {
        alias: np.zeros(sizes(each.shape), each.dtype.numpy)
        for alias, each in all_inputs.items()
        if each.dtype.numpy is not None and not each.dtype.is_string
    }
    try:
        zero, one = (
            np.asarray(traced.fetch(signature, others | {spec.alias: np.full(shape, each, spec.dtype.numpy)}, [end])[0])
            for each in (0, 1)
        )
    except (UnstuckError, ValueError, TypeError, KeyError):
        return None
    if one.dtype.kind != "f" or one.shape != zero.shape:
        return None
    last = shape[-1] if len(shape) > 1 else 1
    if one.shape != shape:
        own = one != zero
        if int(own.sum()) != last:
            return None
        zero, one = zero[own], one[own]
    offset = zero.astype(np.float64)
    factor = one.astype(np.float64) - offset
    factor, offset = factor.reshape(-1, last)[0], offset.reshape(-1, last)[0]
    if not np.isfinite(factor).all() or not factor.all():
        return None
    return factor, offset


def _end(graph: TracedGraph, tensor: str) -> str | None:
    """The last tensor of the chain of affine ops that begins at ``tensor``; None where there is no such op."""
    users: dict[str, list[TracedNode]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(_node(name), []).append(node)
    downstream = _downstream(graph.nodes, _node(tensor))
    at, last = _node(tensor), None
    while True:
        after = [node for node in users.get(at, ()) if not node.inside]
        if len(after) != 1 or not after[0].tensors:
            return last
        (node,) = after
        if node.op in _AFFINE and sum(_node(each) in downstream for each in node.inputs) == 1 and not node.is_training:
            last = node.tensors[0]
        elif node.op not in _PASS_ON | _PUT_TOGETHER:
            return last
        at = node.name


def _downstream(nodes: Sequence[TracedNode], start: str) -> set[str]:
    found = {start}
    for node in nodes:
        if any(_node(each) in found for each in node.inputs):
            found.add(node.name)
    return found


def _node(tensor: str) -> str:
    return tensor.split(":", maxsplit=1)[0]
