"""What a graph does beside computing: reads and writes files, calls Python or other machines. Without TensorFlow.

A model is a program, and these are the ops by which it could do harm on purpose; that no other op can be misused, by a
fault of TensorFlow's, nobody can say.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstuck.engines.tensorflow.meta_graph import MetaGraph, Reach, node_name
from unstuck.errors import LoadFailed
from unstuck.proto.wire.saved_model_pb2 import AssetFileDef

INIT_SIGNATURE = "__saved_model_init_op"
INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
ASSETS = "saved_model_assets"
_OF_OBJECTS = frozenset({"_create_resource", "_initialize", "_destroy_resource"})

_READS = "reads files of the server's machine"
_WRITES = "writes files on the server's machine"
_PYTHON = "calls Python of the process that exported the model, and fails in any other"
_MACHINES = "speaks to other machines"
_NATIVE = "calls native code by its name"
# fmt: off
UNSAFE: Mapping[str, str] = {
    **dict.fromkeys((
        "MatchingFiles", "MatchingFilesDataset", "ExperimentalMatchingFilesDataset", "WholeFileReader",
        "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2",
        "FixedLengthRecordReader", "FixedLengthRecordReaderV2", "LMDBReader", "SqlDataset", "ExperimentalSqlDataset",
        "LoadDataset", "ListSnapshotChunksDataset", "SnapshotChunkDataset", "RecordInput", "ImmutableConst", "Skipgram",
        "DTensorRestoreV2",
    ), _READS),
    **dict.fromkeys((
        "WriteFile", "Save", "SaveV2", "SaveSlices", "MergeV2Checkpoints", "SaveDataset", "SaveDatasetV2",
        "SnapshotDataset", "SnapshotDatasetV2", "DatasetToTFRecord", "ExperimentalDatasetToTFRecord", "DistributedSave",
        "CreateSummaryFileWriter", "CreateSummaryDbWriter", "DumpTensor", "CalibrationStatisticsSaver",
    ), _WRITES),
    **dict.fromkeys(("PyFunc", "PyFuncStateless", "EagerPyFunc"), _PYTHON),
    **dict.fromkeys((
        "RemoteCall", "Send", "Recv", "RpcClient", "RpcCall", "RpcServer", "RpcServerRegister", "RpcServerStart",
        "DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4", "RegisterDataset",
        "RegisterDatasetV2",
    ), _MACHINES),
    **dict.fromkeys(("XlaCustomCall", "XlaCustomCallV2"), _NATIVE),
    "FileSystemSetConfiguration": "changes how the server reads files",
}
# Which inputs name files. A model may read its own, which are its assets.
_NAMED_BY: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys((
        "ReadFile", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2", "CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "LMDBDataset",
        "ExperimentalLMDBDataset", "LoadAndRemapMatrix", "Restore", "RestoreSlice", "RestoreV2",
    ), (0,)),
    **dict.fromkeys(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"), (1,)),
    "GenerateVocabRemapping": (0, 1),
}
_DEBUGS = frozenset({"DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount", "DebugNumericSummary"})
# Ops that give the strings that they take, as they are: with how many of their inputs.
_PASS_ON: Mapping[str, int | None] = {
    "Identity": 1, "ReadVariableOp": 1, "Reshape": 1, "ExpandDims": 1, "Squeeze": 1, "Pack": None, "ShardedFilename": 1,
}
# fmt: on
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_CACHES = frozenset({"CacheDataset", "CacheDatasetV2"})
# By kind of variable, the ops that give it to others so that they can write to it.
_HANDED_ON: Mapping[str, Mapping[str, int | None]] = {"VarHandleOp": {"Identity": 1}, "Variable": {}, "VariableV2": {}}
_ASSIGNS = frozenset({"AssignVariableOp", "Assign"})
_LEAVES_AS_IT_IS = frozenset({*_PASS_ON, "VarIsInitializedOp", "IsVariableInitialized", "NoOp", "DestroyResourceOp"})

Place = tuple[str, str]  # a function, empty for the graph itself, and a node or an argument of it


@dataclass(frozen=True, slots=True)
class UnsafeNode:
    """A node that is run, and should not be.

    Attributes:
        op: its type.
        name: its name, after that of its function if it is in one.
        run_by: what runs it: ``the signature 'serving_default'``, ``loading the model``.
        why: what it does.
    """

    op: str
    name: str
    run_by: str
    why: str


def unsafe_nodes(meta_graph: MetaGraph) -> list[UnsafeNode]:
    """The unsafe nodes that serving the model runs, each once."""
    reach = Reach(meta_graph)
    roots = list(_roots(meta_graph, reach))
    found: dict[Place, UnsafeNode] = {}
    for root in roots:
        for place, node in root.nodes.items():
            if place not in found and (why := _why(root, place, node, roots)):
                found[place] = UnsafeNode(node.op, "/".join(filter(None, place)), root.run_by, why)
    return list(found.values())


def check(meta_graph: MetaGraph, path: Path) -> None:
    """Raises LoadFailed: serving the model in ``path``, or only loading it, runs unsafe nodes."""
    found = unsafe_nodes(meta_graph)
    if not found:
        return
    first, others = found[0], sorted({each.op for each in found[1:]} - {found[0].op})
    besides = f" So do {', '.join(others)}." if others else ""
    raise LoadFailed(
        f"{path} does more than compute: {first.op} (node {first.name!r}) {first.why}, and is run by {first.run_by}."
        f"{besides}",
        hint="Export it without that; or, if you trust whoever made the model as much as the programs that you run, "
        "give --allow_unsafe_ops.",
    )


@dataclass(frozen=True, slots=True)
class _Root:
    """What is run at one time.

    Attributes:
        run_by: what for.
        nodes: which run.
        callers: of each function, who calls it: in which function, and the node.
        arguments: of each function.
        given: nodes of the graph itself that get a file of the model's from the loader.
        trusts_arguments: whether arguments of functions that nobody calls are the model's own.
    """

    run_by: str
    nodes: Mapping[Place, Any]
    callers: Mapping[str, list[tuple[str, Any]]]
    arguments: Mapping[str, list[str]]
    given: frozenset[str] = frozenset()
    trusts_arguments: bool = False

    def origins(self, body: str, tensor: str, through: Mapping[str, int | None] = _PASS_ON) -> set[Place]:
        """Where what ``tensor`` is comes from: nodes, and arguments that nobody gives.

        Args:
            body: the function that it is in.
            tensor: its name there.
            through: ops that give what they take, with how many of their inputs.
        """
        return set(self._walk((body, node_name(tensor)), through))

    def _walk(self, start: Place, through: Mapping[str, int | None]) -> Iterator[Place]:
        seen, queue = set[Place](), [start]
        while queue:
            place = queue.pop()
            if place in seen:
                continue
            seen.add(place)
            body, name = place
            node = self.nodes.get(place)
            if body and name in self.arguments[body]:
                index = self.arguments[body].index(name)
                givers = [(where, each) for where, call in self.callers[body] for each in _given(call, body, index)]
                queue += [(where, node_name(tensor)) for where, tensor in givers]
                if not givers:
                    yield place
            elif node is not None and node.op in through and not (not body and name in self.given):
                queue += [(body, node_name(tensor)) for tensor in _data(node)[: through[node.op]]]
            else:
                yield place


def _given(call: Any, function: str, index: int) -> list[str]:
    """What may become the argument ``index`` of ``function``: exactly known of plain calls, of others any input."""
    inputs = _data(call)
    return inputs[index : index + 1] if call.op == function or call.op in _CALLS else inputs


def _data(node: Any) -> list[str]:
    return [tensor for tensor in node.input if not tensor.startswith("^")]


def _roots(meta_graph: MetaGraph, reach: Reach) -> Iterator[_Root]:
    arguments = {name: [each.name for each in body.signature.input_arg] for name, body in reach.functions.items()}

    def root(run_by: str, nodes: dict[Place, Any], **trusted: Any) -> _Root:
        callers: dict[str, list[tuple[str, Any]]] = {name: [] for name in reach.functions}
        for (body, _), node in nodes.items():
            for function in reach.calls(node):
                callers[function].append((body, node))
        return _Root(run_by, nodes, callers, arguments, **trusted)

    assets = frozenset(node_name(each.tensor_info.name) for each in _assets(meta_graph))
    initialisers = [name for key in INIT_COLLECTIONS for name in _collected(meta_graph, key)]
    for name, definition in sorted(meta_graph.signature_def.items()):
        if name == INIT_SIGNATURE:
            initialisers += [each.name for each in definition.outputs.values()]
        else:
            yield root(f"the signature {name!r}", reach.nodes(definition))
    yield root("loading the model", reach.nodes_of(initialisers), given=assets)
    saver = meta_graph.saver_def
    if saver.restore_op_name:
        file = node_name(saver.filename_tensor_name)
        restored = reach.nodes_of([saver.restore_op_name], fed=[file])
        yield root("restoring its variables", restored, given=frozenset({file}))
    objects = reach.nodes_in(_functions_of_objects(meta_graph) & reach.functions.keys())
    yield root("loading the model", objects, trusts_arguments=True)


def _assets(meta_graph: MetaGraph) -> Iterable[Any]:
    """Those that the loader feeds: older exports have them in a collection."""
    if meta_graph.asset_file_def or ASSETS not in meta_graph.collection_def:
        return meta_graph.asset_file_def
    return [AssetFileDef.FromString(each.value) for each in meta_graph.collection_def[ASSETS].any_list.value]


def _collected(meta_graph: MetaGraph, key: str) -> Iterable[str]:
    return meta_graph.collection_def[key].node_list.value if key in meta_graph.collection_def else ()


def _functions_of_objects(meta_graph: MetaGraph) -> set[str]:
    """What TensorFlow 2's loader runs, as converters use it; our own messages do not have these."""
    nodes = meta_graph.object_graph_def.nodes if hasattr(meta_graph, "object_graph_def") else ()
    ids = {child.node_id for node in nodes for child in node.children if child.local_name in _OF_OBJECTS}
    ids |= {each.restore_function for node in nodes for each in node.saveable_objects.values()}
    return {name for each in ids for name in _concrete(nodes[each])}


def _concrete(node: Any) -> list[str]:
    return [*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name]


def _why(root: _Root, place: Place, node: Any, roots: list[_Root]) -> str:
    """What is unsafe about the node; empty where nothing is."""
    op, inputs = node.op, _data(node)
    if op in UNSAFE:
        return UNSAFE[op]
    if op in _NAMED_BY:
        named = [inputs[index] for index in _NAMED_BY[op] if index < len(inputs)]
        own = all(_is_own(root, place[0], tensor, roots) for tensor in named)
        return "" if own and named else f"{_READS}: others than the model's assets"
    if op in _CACHES:
        files = [each for tensor in inputs[1:2] for each in root.origins(place[0], tensor)]
        return "" if all(_is_empty_text(root.nodes.get(each)) for each in files) else _WRITES
    if op in _DEBUGS:
        return _WRITES if node.attr["debug_urls"].list.s else ""
    if op == "PrintV2":
        return _WRITES if node.attr["output_stream"].s.startswith(b"file:") else ""
    if op == "FixedUnigramCandidateSampler":
        return _READS if node.attr["vocab_file"].s else ""
    if op in ("DecodeProtoV2", "EncodeProto"):
        return "" if node.attr["descriptor_source"].s.startswith((b"local://", b"bytes://")) else _READS
    return ""


def _is_own(root: _Root, body: str, tensor: str, roots: list[_Root]) -> bool:
    """Whether the file name ``tensor`` is one that the loader gives, and neither the graph nor a client."""
    return all(_is_given(root, place, roots) for place in root.origins(body, tensor))


def _is_given(root: _Root, place: Place, roots: list[_Root]) -> bool:
    body, name = place
    if body:
        return root.trusts_arguments and name in root.arguments[body]
    if name in root.given:
        return True
    node = root.nodes.get(place)
    return node is not None and node.op in _HANDED_ON and _keeps_an_asset(node, roots)


def _keeps_an_asset(variable: Any, roots: list[_Root]) -> bool:
    """Whether all that is ever written to the variable is what the loader gave."""
    handle, through, is_assigned = ("", variable.name), _HANDED_ON[variable.op], False
    for root in roots:
        for (body, _), node in root.nodes.items():
            if node.op in _LEAVES_AS_IT_IS or node.op in root.callers or node.op in _CALLS:
                continue
            if not any(handle in root.origins(body, tensor, through) for tensor in _data(node)):
                continue
            value = _data(node)[1] if node.op in _ASSIGNS else ""
            places = root.origins(body, value) if value else ()
            if not places or any(each[0] or each[1] not in root.given for each in places):
                return False
            is_assigned = True
    return is_assigned


def _is_empty_text(node: Any) -> bool:
    tensor = node.attr["value"].tensor if node is not None and node.op == "Const" else None
    return tensor is not None and not any(tensor.string_val) and not tensor.tensor_content
