"""The lookup tables of a graph, and how many entries each gets from its assets and constants."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unstuck.core.inspection import Table
from unstuck.engines.tensorflow.meta_graph import node_name
from unstuck.proto.wire.saved_model_pb2 import MetaGraphDef

TABLES = frozenset(
    {
        "HashTable",
        "HashTableV2",
        "MutableHashTable",
        "MutableHashTableV2",
        "MutableDenseHashTableV2",
        "AnonymousHashTable",
    }
)
_FROM_FILE = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_FROM_TENSORS = frozenset({"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2"})
_PASS_ON = frozenset({"Identity", "ReadVariableOp", "Cast"})
MAX_PASSED = 16


def tables(meta_graph: MetaGraphDef, assets: Path) -> Iterator[Table]:
    """Every table that the graph itself holds, in the order of its nodes.

    Args:
        meta_graph: the graph.
        assets: the folder that its asset files are in.
    """
    graph = _Graph(meta_graph)
    filled = {table: (entries, source) for table, entries, source in graph.fillings(assets)}
    for node in meta_graph.graph_def.node:
        if node.op in TABLES:
            entries, source = filled.get(node.name, (None, ""))
            yield Table(node.name, node.op, entries, source)


class _Graph:
    """Follows tensors back to the constants, assets and tables that they come from."""

    def __init__(self, meta_graph: MetaGraphDef) -> None:
        self._nodes = {node.name: node for node in meta_graph.graph_def.node}
        self._functions = {each.signature.name: each for each in meta_graph.graph_def.library.function}
        self._assets = {node_name(each.tensor_info.name): each.filename for each in meta_graph.asset_file_def}
        self._assigned = {
            node.input[0]: node.input[1] for node in meta_graph.graph_def.node if node.op == "AssignVariableOp"
        }

    def fillings(self, assets: Path) -> Iterator[tuple[str, int | None, str]]:
        """The tables that are filled when the model is loaded: name, entries, source."""
        for node, given in self._fillers():
            table = self._origin(given[0])
            if node.op in _FROM_FILE:
                name = self._assets.get(self._origin(given[1]), "")
                size = int(node.attr["vocab_size"].i)
                yield table, size if size > 0 else _lines(assets / name) if name else None, name
            else:
                keys = self._nodes.get(self._origin(given[1]))
                yield table, _elements(keys), "constants in the graph"

    def _fillers(self) -> Iterator[tuple[Any, list[str]]]:
        """Every node that fills a table, with its inputs as the graph's own tensors."""
        for node in self._nodes.values():
            if node.op in _FROM_FILE | _FROM_TENSORS:
                yield node, list(node.input)
            for attribute in node.attr.values():
                if attribute.HasField("func") and attribute.func.name in self._functions:
                    yield from self._fillers_in(self._functions[attribute.func.name], list(node.input))

    def _fillers_in(self, function: Any, given: list[str]) -> Iterator[tuple[Any, list[str]]]:
        """Those in a function's body; what they take from its arguments is the caller's."""
        arguments = dict(zip((each.name for each in function.signature.input_arg), given, strict=False))
        for node in function.node_def:
            if node.op in _FROM_FILE | _FROM_TENSORS:
                yield node, [arguments.get(tensor, "") for tensor in node.input]

    def _origin(self, tensor: str) -> str:
        """The node whose value ``tensor`` has."""
        name = node_name(tensor)
        for _ in range(MAX_PASSED):
            node = self._nodes.get(name)
            if node is not None and node.op in _PASS_ON and node.input:
                name = node_name(node.input[0])
            elif name in self._assigned:
                name = node_name(self._assigned[name])
            else:
                break
        return name


def _lines(file: Path) -> int | None:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return content.count(b"\n") + (bool(content) and not content.endswith(b"\n"))


def _elements(node: Any) -> int | None:
    if node is None or node.op != "Const":
        return None
    count = 1
    for dim in node.attr["value"].tensor.tensor_shape.dim:
        count *= dim.size
    return int(count)
