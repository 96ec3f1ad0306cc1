"""What of a request can move an answer: not a key that is only handed back, nor a feature that no parser reads."""

from collections.abc import Mapping, Sequence

import numpy as np

from unstuck.core.signatures import Signature, Tensor
from unstuck.core.tracing import TracedGraph
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.experiments.model_graph import reaches
from unstuck.doctor.lab import Lab, Row, spread
from unstuck.errors import UnstuckError

ROWS = 64  # that are parsed
ASKED = 6  # rows that an endpoint is asked, to see what it hands back
_HANDED_ON = frozenset({
    "Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "EnsureShape", "StopGradient", "Cast", "AsString",
})  # fmt: skip
_PARSERS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})


def moving_inputs(lab: Lab, signature: Signature, rows: Sequence[Row]) -> set[str]:
    """The inputs that an output is computed from; all, where nobody knows."""
    try:
        if lab.question.model is None:
            return set(signature.inputs) - _handed_back(lab, signature, rows)
        graph = lab.traced().graph(signature.name)
    except (NotRun, UnstuckError):
        return set(signature.inputs)
    computed = {alias for alias, tensor in graph.outputs.items() if not _is_input(graph, tensor)}
    reached = {alias for output, aliases in reaches(graph).items() if output in computed for alias in aliases}
    return reached & set(signature.inputs) or set(signature.inputs)


def _is_input(graph: TracedGraph, tensor: str) -> bool:
    """Whether an output is an input handed back."""
    fed = {name.split(":")[0] for name in graph.inputs.values()}
    name = tensor.split(":", maxsplit=1)[0]
    while name not in fed:
        node = graph.by_name.get(name)
        if node is None or node.op not in _HANDED_ON or not node.inputs:
            return False
        name = node.inputs[0].split(":")[0]
    return True


def _handed_back(lab: Lab, signature: Signature, rows: Sequence[Row]) -> set[str]:
    """The inputs that come back as they are while no other output differs: nothing else shows that they are used."""
    varying = {alias for alias in signature.inputs if len({row[alias].tobytes() for row in rows if alias in row}) > 1}
    if not rows or not varying or varying == set(signature.inputs):
        return set()
    asked = spread(rows, ASKED)
    answers = [lab.endpoint.predict(signature, row).outputs for row in asked]
    given = [each for each in answers if each]
    if len(given) < len(asked):
        return set()
    back = {
        (alias, output)
        for alias in varying
        for output in signature.outputs
        if all(np.array_equal(_flat(row[alias]), _flat(each[output])) for row, each in zip(asked, given, strict=True))
    }
    others = set(signature.outputs) - {output for _, output in back}
    if not others or any(not np.array_equal(each[output], given[0][output]) for each in given for output in others):
        return set()
    return {alias for alias, _ in back}


def _flat(values: Tensor) -> Tensor:
    return np.asarray(values).ravel()


def parsed(lab: Lab, signature: Signature, rows: Sequence[Row]) -> "Mapping[str, list[list[Tensor]]]":
    """By input of serialised tf.Examples, what the graph's parser reads of each of (at most 64) rows."""
    if lab.question.model is None or not any(spec.dtype.is_string for spec in signature.inputs.values()):
        return {}
    try:
        traced = lab.traced()
        graph = traced.graph(signature.name)
        found: dict[str, list[list[Tensor]]] = {}
        for node in graph.nodes:
            alias = _alias_of(graph, node.inputs[0]) if node.op in _PARSERS and node.inputs else None
            if alias is not None:
                names = list(node.tensors)
                found[alias] = [
                    [np.asarray(each) for each in traced.fetch(signature.name, row, names)]
                    for row in spread(rows, ROWS)
                ]
    except (NotRun, UnstuckError):
        return {}
    return found


def _alias_of(graph: TracedGraph, tensor: str) -> str | None:
    by_node = {name.split(":")[0]: alias for alias, name in graph.inputs.items()}
    name = tensor.split(":", maxsplit=1)[0]
    while name not in by_node:
        node = graph.by_name.get(name)
        if node is None or node.op not in _HANDED_ON or not node.inputs:
            return None
        name = node.inputs[0].split(":")[0]
    return by_node[name]
