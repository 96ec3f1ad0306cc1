"""Reading a SavedModel's graph with TensorFlow: its meta graph, and which of its signatures are stateless."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unstuck.engines.tensorflow.meta_graph import MetaGraph, Reach
from unstuck.engines.tensorflow.runtime import loader_impl, op_def_registry
from unstuck.engines.tensorflow.unreadable import unreadable, without_graph
from unstuck.errors import LoadFailed, did_you_mean


def read_meta_graph(version_path: Path, tags: Sequence[str]) -> MetaGraph:
    """The meta graph with exactly ``tags``.

    Raises:
        LoadFailed: no readable saved_model.pb, or no such meta graph in it.
    """
    try:
        saved_model = loader_impl.parse_saved_model(str(version_path))
    except Exception as error:
        raise unreadable(version_path, error) from error
    if not saved_model.meta_graphs:
        raise without_graph(version_path)
    found = [tuple(sorted(each.meta_info_def.tags)) for each in saved_model.meta_graphs]
    for meta_graph, its_tags in zip(saved_model.meta_graphs, found, strict=True):
        if its_tags == tuple(sorted(tags)):
            return meta_graph
    listed = " or ".join(",".join(its_tags) or "(no tags)" for its_tags in found)
    raise LoadFailed(
        f"{version_path} has no graph with the tags {','.join(tags)!r}; it has {listed}.",
        hint=did_you_mean(",".join(tags), map(",".join, found)) or "Name one with --saved_model_tags.",
    )


# Stateful in TensorFlow's registry, though running them changes nothing: they read variables and tables, or call on.
# fmt: off
_READS = frozenset({
    "VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "Variable", "VariableV2", "HashTable",
    "HashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2",
    "MutableHashTableV2", "AnonymousHashTable", "AnonymousMutableHashTable", "StatefulPartitionedCall", "If",
    "While", "Case", "Assert",
})
# fmt: on


def stateless_signatures(meta_graph: MetaGraph) -> frozenset[str]:
    """The signatures whose outputs are reached without any op that writes state or draws random numbers."""
    reach = Reach(meta_graph)
    return frozenset(
        name
        for name, signature in meta_graph.signature_def.items()
        if not any(_is_stateful(op, reach.functions) for op in reach.ops(signature))
    )


def _is_stateful(op: str, functions: dict[str, Any]) -> bool:
    definition = op_def_registry.get(op)
    if op in functions or op in _READS:
        return False
    # Writing to a TF1 variable is not stateful in the registry; that it takes a reference gives it away.
    return definition is None or definition.is_stateful or any(each.is_ref for each in definition.input_arg)
