"""Reading a SavedModel's graph: its meta graph, its signatures, its ops."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from unstuck.core import dtypes
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.engines.tensorflow.runtime import loader_impl, op_def_registry
from unstuck.errors import LoadFailed, did_you_mean

MetaGraph = Any


def read_meta_graph(version_path: Path, tags: Sequence[str]) -> MetaGraph:
    """The meta graph with exactly ``tags``.

    Raises:
        LoadFailed: no readable saved_model.pb, or no such meta graph in it.
    """
    try:
        saved_model = loader_impl.parse_saved_model(str(version_path))
    except Exception as error:
        raise LoadFailed(f"{version_path} has no readable saved_model.pb: {error}") from error
    if not saved_model.meta_graphs:
        raise LoadFailed(f"{version_path}/saved_model.pb holds no graph: the file is empty or cut off.")
    found = [tuple(sorted(each.meta_info_def.tags)) for each in saved_model.meta_graphs]
    for meta_graph, its_tags in zip(saved_model.meta_graphs, found, strict=True):
        if its_tags == tuple(sorted(tags)):
            return meta_graph
    listed = " or ".join(",".join(its_tags) or "(no tags)" for its_tags in found)
    raise LoadFailed(
        f"{version_path} has no graph with the tags {','.join(tags)!r}; it has {listed}.",
        hint=did_you_mean(",".join(tags), map(",".join, found)) or "Name one with --saved_model_tags.",
    )


def signatures_of(meta_graph: MetaGraph) -> dict[str, Signature]:
    """Every signature of the meta graph, by name, in sorted order."""
    reach = _Reach(meta_graph)
    return {
        name: _signature(name, each, takes_examples=not _PARSERS.isdisjoint(reach.ops(each)))
        for name, each in sorted(meta_graph.signature_def.items())
    }


def op_names(meta_graph: MetaGraph) -> set[str]:
    """The types of all ops in the graph and in its functions' bodies."""
    return {node.op for node in _nodes(meta_graph.graph_def)} - {
        function.signature.name for function in meta_graph.graph_def.library.function
    }


def _nodes(graph_def: Any) -> Iterator[Any]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _signature(name: str, definition: Any, *, takes_examples: bool) -> Signature:
    return Signature(
        name=name,
        inputs={alias: _spec(alias, info) for alias, info in sorted(definition.inputs.items())},
        outputs={alias: _spec(alias, info) for alias, info in sorted(definition.outputs.items())},
        method_name=definition.method_name,
        defaults={alias: _as_json(tensor) for alias, tensor in sorted(definition.defaults.items())},
        takes_examples=takes_examples,
    )


def _spec(alias: str, info: Any) -> TensorSpec:
    shape, has_shape = info.tensor_shape, info.HasField("tensor_shape")
    sizes = None
    if has_shape and not shape.unknown_rank:
        sizes = tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
    return TensorSpec(alias, str(info.name), dtypes.from_number(int(info.dtype)), sizes, has_shape)


def _as_json(message: Any) -> object:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


# Stateful in TensorFlow's registry, though running them changes nothing: they read variables and tables, or call on.
# fmt: off
_READS = frozenset({
    "VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "Variable", "VariableV2", "HashTable",
    "HashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2",
    "MutableHashTableV2", "AnonymousHashTable", "AnonymousMutableHashTable", "StatefulPartitionedCall", "If",
    "While", "Case", "Assert",
})
# fmt: on


_PARSERS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample", "ParseSequenceExample"})


def stateless_signatures(meta_graph: MetaGraph) -> frozenset[str]:
    """The signatures whose outputs are reached without any op that writes state or draws random numbers."""
    reach = _Reach(meta_graph)
    return frozenset(
        name
        for name, signature in meta_graph.signature_def.items()
        if not any(_is_stateful(op, reach.functions) for op in reach.ops(signature))
    )


class _Reach:
    """Which ops run when a signature's outputs are fetched."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._nodes = {node.name: node for node in meta_graph.graph_def.node}
        self.functions = {each.signature.name: each for each in meta_graph.graph_def.library.function}

    def ops(self, signature: Any) -> set[str]:
        """Their types, those in the bodies of the functions that they call included."""
        names = [_node_name(info.name) for info in signature.outputs.values()]
        seen = {_node_name(info.name) for info in signature.inputs.values()}  # what is fed does not run
        called: set[str] = set()
        ops: set[str] = set()
        while names:
            name = names.pop()
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            node = self._nodes[name]
            names.extend(_node_name(tensor) for tensor in node.input)
            self._add(node, ops, called)
        return ops

    def _add(self, node: Any, ops: set[str], called: set[str]) -> None:
        queue = [node]
        while queue:
            each = queue.pop()
            ops.add(each.op)
            for function in {each.op, *_functions_named(each)} & self.functions.keys() - called:
                called.add(function)
                queue.extend(self.functions[function].node_def)


def _functions_named(node: Any) -> Iterator[str]:
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        for function in attribute.list.func:
            yield function.name


def _node_name(tensor: str) -> str:
    return tensor.lstrip("^").split(":")[0]


def _is_stateful(op: str, functions: dict[str, Any]) -> bool:
    definition = op_def_registry.get(op)
    if op in functions or op in _READS:
        return False
    # Writing to a TF1 variable is not stateful in the registry; that it takes a reference gives it away.
    return definition is None or definition.is_stateful or any(each.is_ref for each in definition.input_arg)
