"""Functions inlined: a signature's graph as plain nodes, what its loops and branches hold copied out beside them."""

from collections.abc import Iterable
from typing import Any

from unstuck.core.signatures import Signature
from unstuck.engines.tensorflow.runtime import config_pb2, meta_graph_pb2, tf_optimizer

UNROLLED = 4  # iterations of a loop that can be watched
_NOT_INLINED = (
    "_noinline",
    "_lower_using_switch_merge",
    "_XlaMustCompile",
    "_XlaHasReferenceVars",
    "_XlaSeparateCompiledGradients",
)
_LOOPS = ("While", "StatelessWhile")
_BRANCHES = ("If", "StatelessIf")


def inlined(exported: Any, signature: Signature) -> tuple[Any, dict[str, str]]:
    """The graph with every function call of ``signature`` inlined, and copies of what loops and branches hold.

    Returns:
        A GraphDef with the exported graph's names for state; and for each copied call its loop's or branch's name. The
        first iterations of a loop are copied, each fed with what the one before gives; of a branch, both its sides.
    """
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.CopyFrom(exported)
    for name in list(meta_graph.signature_def):
        if name != signature.name:
            del meta_graph.signature_def[name]
    for function in meta_graph.graph_def.library.function:
        _allow(function.attr)
        for node in function.node_def:
            _allow(node.attr)
    for node in meta_graph.graph_def.node:
        _allow(node.attr)
    graph_def = _optimized(meta_graph, ())
    copies: dict[str, str] = {}
    for node in list(graph_def.node):
        for copy in _copied(node, graph_def):
            copies[copy.name] = node.name
    if copies:
        meta_graph.graph_def.CopyFrom(graph_def)
        graph_def = _optimized(meta_graph, copies)
    originals = {function.signature.name: function for function in exported.graph_def.library.function}
    for function in graph_def.library.function:  # the session has them already, and takes only the same again
        function.CopyFrom(originals.get(function.signature.name, function))
    return graph_def, copies


def _allow(attributes: Any) -> None:
    for name in _NOT_INLINED:
        if name in attributes:
            del attributes[name]


def _optimized(meta_graph: Any, fetches: Iterable[str]) -> Any:
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.append("function")
    rewrite.min_graph_nodes = -1
    rewrite.meta_optimizer_iterations = 1
    keep = meta_graph.collection_def["train_op"].node_list.value
    del keep[:]
    keep.extend(fetches)
    if not keep:
        del meta_graph.collection_def["train_op"]
    return tf_optimizer.OptimizeGraph(config, meta_graph, verbose=False)


def _copied(node: Any, graph_def: Any) -> list[Any]:
    """Calls of the functions that a loop or branch holds, added to ``graph_def``."""
    if node.op in _LOOPS:
        dtypes = list(node.attr["T"].list.type)
        given, calls = list(node.input), list[Any]()
        data = [name for name in given if not name.startswith("^")]
        for turn in range(UNROLLED):
            call = _call(graph_def, f"{node.name}/unstuck_turn_{turn}", node.attr["body"], data, dtypes, dtypes)
            data = [f"{call.name}:{at}" for at in range(len(dtypes))]
            calls.append(call)
        return calls
    if node.op in _BRANCHES:
        data = [name for name in node.input[1:] if not name.startswith("^")]
        takes, gives = list(node.attr["Tin"].list.type), list(node.attr["Tout"].list.type)
        return [
            _call(graph_def, f"{node.name}/unstuck_{side}", node.attr[f"{side}_branch"], data, takes, gives)
            for side in ("then", "else")
        ]
    return []


def _call(graph_def: Any, name: str, function: Any, data: list[str], takes: list[int], gives: list[int]) -> Any:
    call = graph_def.node.add()
    call.name, call.op = name, "StatefulPartitionedCall"
    call.input.extend(data)
    call.attr["f"].CopyFrom(function)
    call.attr["Tin"].list.type.extend(takes)
    call.attr["Tout"].list.type.extend(gives)
    return call
