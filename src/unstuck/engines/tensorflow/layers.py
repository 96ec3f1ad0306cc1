"""The layers that a graph's nodes belong to, in the words of who wrote the model."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from unstuck.engines.tensorflow.meta_graph import node_name

_CALLS = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?|Func|unstuck_\w+|input|output)$")
_MODELS = re.compile(r"^(?:functional|sequential|model)(?:_\d+)*$")
_PASS_ON = frozenset({"ReadVariableOp", "Identity", "Enter", "Cast"})


def sources(nodes: Sequence[Any], variables: Mapping[str, str]) -> dict[str, str]:
    """By node, the variable that it hands on as it is: its handle, or its value."""
    found = {node.name: variables[node.name] for node in nodes if node.name in variables}
    for node in nodes:
        if node.op in _PASS_ON and node.input and (source := found.get(node_name(node.input[0]))):
            found[node.name] = source
    return found


def layers_of(nodes: Sequence[Any], read: Mapping[str, str]) -> dict[str, str]:
    """By node, its layer: the scope's name, or where its weights were given one by the user, that.

    Keras numbers the scopes of an export anew (``dense`` becomes ``dense_1``), but not the names of the weights.

    Args:
        nodes: of the inlined graph, inputs first.
        read: the variable that a node hands on (``sequential/dense/kernel``), of ``sources``.
    """
    scopes = {node.name: _scope(node.name) for node in nodes}
    named: dict[tuple[str, ...], Counter[str]] = {}
    for node in nodes:
        for name in (node.name, *map(node_name, node.input)):
            variable = read.get(name, "")
            if "/" in variable and scopes[node.name]:
                named.setdefault(scopes[node.name], Counter())[_named(variable)] += 1
    known = {scope: layers.most_common(1)[0][0] for scope, layers in named.items()}
    renumbered = any(scope[-1] == f"{layer}_1" for scope, layer in known.items())
    return {name: _layer(scope, known, renumbered) for name, scope in scopes.items() if scope}


def _named(variable: str) -> str:
    """``lstm/lstm_cell`` of ``sequential/lstm/lstm_cell/kernel``."""
    parts = variable.split("/")[:-1]
    return "/".join(part for part in parts if not _MODELS.match(part)) or parts[-1]


def _layer(scope: tuple[str, ...], known: Mapping[tuple[str, ...], str], renumbered: bool) -> str:
    for depth in range(len(scope), 0, -1):
        if scope[:depth] in known:
            return known[scope[:depth]]
    name = next((part for part in scope if not _MODELS.match(part)), scope[-1])
    return name.removesuffix("_1") if renumbered else name


def _scope(name: str) -> tuple[str, ...]:
    """The node's scope without the calls that inlining left in it."""
    return tuple(part for part in name.split("/")[:-1] if not _CALLS.match(part))
