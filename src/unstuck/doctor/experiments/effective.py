"""What of a request can move an answer: not a key that is only handed back, nor a feature that no parser reads."""

from collections.abc import Mapping, Sequence

import numpy as np

from unstuck.core.signatures import Signature, Tensor
from unstuck.core.tracing import TracedGraph
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_map import ModelWiring
from unstuck.doctor.experiments.model_graph import reaches
from unstuck.doctor.experiments.naming import names_of
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
        computed, read = _computed_with(graph), dict[str, list[str]]()
        for node in graph.nodes:
            alias = _alias_of(graph, node.inputs[0]) if node.op in _PARSERS and node.inputs else None
            if alias is not None:
                read.setdefault(alias, []).extend(node.tensors)
        for alias, names in read.items():
            used = [name for name in names if name in computed] or names
            found[alias] = [
                [np.asarray(each) for each in traced.fetch(signature.name, row, used)] for row in spread(rows, ROWS)
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


def _computed_with(graph: TracedGraph) -> set[str]:
    """The tensors that an output is computed from: not those that are only handed back."""
    found: set[str] = set()
    for tensor in graph.outputs.values():
        name = tensor
        while (node := graph.by_name.get(_node(name))) is not None and node.op in _HANDED_ON and node.inputs:
            name = node.inputs[0]
        if node is not None and node.op not in _PARSERS:
            found.add(name)
    queue = list(found)
    while queue:
        node = graph.by_name.get(_node(queue.pop()))
        new = set(node.inputs if node is not None else ()) - found
        found |= new
        queue += new
    return found


def _node(tensor: str) -> str:
    return tensor.split(":", maxsplit=1)[0]


def unread_columns(lab: Lab, signature: Signature) -> dict[str, list[int]]:
    """By input that is a row of features, the columns that the graph leaves out at once: a row's number, a key.

    Texts, ids and time have a length that may be cut, which is another matter.
    """
    vectors = {
        alias: spec.shape[1]
        for alias, spec in signature.inputs.items()
        if spec.shape and len(spec.shape) == 2 and spec.shape[1] and spec.dtype.numpy and spec.dtype.numpy.kind == "f"
    }
    try:
        lost = set(lab.find(ModelWiring).lost) if lab.question.model is not None and vectors else set[str]()
    except NotRun:
        return {}
    named = names_of(lab)
    columns = {
        alias: [at for at in range(size) if (named.get(alias) or _numbered(alias, size))[at] in lost]
        for alias, size in vectors.items()
    }
    return {alias: each for alias, each in columns.items() if 0 < len(each) < vectors[alias]}


def _numbered(alias: str, size: int) -> list[str]:
    return [f"{alias}[{at}]" for at in range(size)]


def without_columns(row: Row, unread: Mapping[str, Sequence[int]]) -> Row:
    """``row`` without the columns that nothing reads."""
    return {
        alias: np.delete(value, unread[alias], axis=-1) if alias in unread else value for alias, value in row.items()
    }
