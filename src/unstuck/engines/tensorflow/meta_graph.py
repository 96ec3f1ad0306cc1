"""What a meta graph says of itself: its signatures, its ops, and which of them a signature runs. Without TensorFlow.

A meta graph is TensorFlow's message or ours (``unstuck.proto.wire.saved_model_pb2``), which have the same fields.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from unstuck.core import dtypes
from unstuck.core.signatures import Signature, TensorSpec

MetaGraph = Any

_PARSERS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample", "ParseSequenceExample"})


def signatures_of(meta_graph: MetaGraph) -> dict[str, Signature]:
    """Every signature of the meta graph, by name, in sorted order."""
    reach = Reach(meta_graph)
    return {
        name: _signature(name, each, takes_examples=not _PARSERS.isdisjoint(reach.ops(each)))
        for name, each in sorted(meta_graph.signature_def.items())
    }


def op_names(meta_graph: MetaGraph) -> set[str]:
    """The types of all ops in the graph and in its functions' bodies."""
    return {node.op for node in all_nodes(meta_graph.graph_def)} - {
        function.signature.name for function in meta_graph.graph_def.library.function
    }


def all_nodes(graph_def: Any) -> Iterator[Any]:
    """The nodes of the graph and of its functions' bodies."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _signature(name: str, definition: Any, *, takes_examples: bool) -> Signature:
    return Signature(
        name=name,
        inputs={alias: _spec(alias, info) for alias, info in sorted(definition.inputs.items())},
        outputs={alias: _spec(alias, info) for alias, info in sorted(definition.outputs.items())},
        method_name=definition.method_name,
        defaults={alias: tensor.SerializeToString() for alias, tensor in sorted(definition.defaults.items())},
        takes_examples=takes_examples,
    )


def _spec(alias: str, info: Any) -> TensorSpec:
    shape, has_shape = info.tensor_shape, info.HasField("tensor_shape")
    sizes = None
    if has_shape and not shape.unknown_rank:
        sizes = tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
    return TensorSpec(alias, str(info.name), dtypes.from_number(int(info.dtype)), sizes, has_shape)


class Reach:
    """Which nodes run when a signature's outputs are fetched."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._nodes = {node.name: node for node in meta_graph.graph_def.node}
        self.functions = {each.signature.name: each for each in meta_graph.graph_def.library.function}

    def ops(self, signature: Any) -> set[str]:
        """The types of the nodes, those in the bodies of the functions that they call included."""
        return {node.op for node in self.nodes(signature).values()}

    def nodes(self, signature: Any) -> dict[tuple[str, str], Any]:
        """The nodes by their function's name (empty for the graph itself) and their own."""
        fed = [info.name for info in signature.inputs.values()]
        return self.nodes_of([info.name for info in signature.outputs.values()], fed)

    def nodes_of(self, fetched: Iterable[str], fed: Iterable[str] = ()) -> dict[tuple[str, str], Any]:
        """The same for the tensors or nodes ``fetched``."""
        names = [node_name(tensor) for tensor in fetched]
        seen = {node_name(tensor) for tensor in fed}  # what is fed does not run
        called: set[str] = set()
        found: dict[tuple[str, str], Any] = {}
        while names:
            name = names.pop()
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            node = self._nodes[name]
            names.extend(node_name(tensor) for tensor in node.input)
            self._add(node, found, called)
        return found

    def nodes_in(self, functions: Iterable[str]) -> dict[tuple[str, str], Any]:
        """The same for whole functions."""
        found: dict[tuple[str, str], Any] = {}
        called = set(functions)
        for function in list(called):
            for node in self.functions[function].node_def:
                self._add(node, found, called, function)
        return found

    def calls(self, node: Any) -> set[str]:
        """The functions that ``node`` names."""
        return {node.op, *_functions_named(node)} & self.functions.keys()

    def _add(self, node: Any, found: dict[tuple[str, str], Any], called: set[str], body: str = "") -> None:
        queue = [(body, node)]
        while queue:
            body, each = queue.pop()
            found[body, each.name] = each
            for function in self.calls(each) - called:
                called.add(function)
                queue.extend((function, inner) for inner in self.functions[function].node_def)


def node_name(tensor: str) -> str:
    """The node that gives the tensor ``^node``, ``node:0`` or ``node:output:0``."""
    return tensor.lstrip("^").split(":")[0]


def _functions_named(node: Any) -> Iterator[str]:
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for function in attribute.list.func:
            yield function.name
