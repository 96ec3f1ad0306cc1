"""A loaded SavedModel taken apart: every tensor between a signature's inputs and outputs can be fetched.

TensorFlow 2's exports hide everything in function calls. Grappler's function optimizer, alone, inlines them; its result
is imported beside the original in the same Session, and reads the same variables and tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.core.tracing import TableContents, Traceable, TracedGraph, TracedNode
from unstuck.engines.tensorflow import graph, meta_graph, ops, stray_variables, unsafe
from unstuck.engines.tensorflow.bake import rewrite
from unstuck.engines.tensorflow.files import ASSETS, Files
from unstuck.engines.tensorflow.inlining import inlined
from unstuck.engines.tensorflow.layers import layers_of, sources
from unstuck.engines.tensorflow.meta_graph import node_name
from unstuck.engines.tensorflow.pipeline import STATE, wrap
from unstuck.engines.tensorflow.runtime import close, first_lines, tf
from unstuck.engines.tensorflow.tables import tables
from unstuck.errors import Code, EngineError, LoadFailed, UnstuckError
from unstuck.pipeline import PLACE
from unstuck.pipeline.document import read_pipeline
from unstuck.pipeline.schema import Pipeline

SCOPE = "unstuck_trace"
MAX_KEYS = 200_000
LARGE_CONSTANT = 16  # elements from which a constant is a weight
_FRAMES = frozenset({"Enter", "RefEnter", "Switch", "RefSwitch"})
_FRAME_ENDS = frozenset({"Exit", "RefExit", "Merge", "RefMerge"})
_TURNS = frozenset({"Enter", "RefEnter", "NextIteration", "RefNextIteration"})
_UNFETCHABLE = frozenset({"resource", "variant"})


class TracedSavedModel(Traceable):
    """Owns a Session of its own; ``close`` it."""

    def __init__(
        self,
        version_path: Path,
        tags: Sequence[str] = ("serve",),
        pipeline_file: Path | None = None,
        *,
        allow_unsafe_ops: bool = False,
    ) -> None:
        """Loads the model as tensorflow_model_server does, by the V1 loader; with its pipeline, if it has one.

        Raises:
            LoadFailed: it does more than compute, TensorFlow cannot load it, or its pipeline does not fit it.
        """
        self._path = version_path
        self._exported = graph.read_meta_graph(version_path, tags)
        if not allow_unsafe_ops:
            unsafe.check(self._exported, version_path)
        self._signatures = meta_graph.signatures_of(self._exported)
        ops.ensure_registered(meta_graph.op_names(self._exported), ())
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                tf.compat.v1.saved_model.loader.load(self._session, list(tags), str(version_path))
                stray_variables.restore(self._session, self._exported, version_path)
            beside = version_path / PLACE
            if file := pipeline_file or (beside if beside.is_file() else None):
                self._wrap(read_pipeline(file), file.parent)
        except UnstuckError:
            close(self._session)
            raise
        except Exception as error:
            close(self._session)
            said = first_lines(error)
            raise LoadFailed(f"{version_path} cannot be loaded by TensorFlow {tf.__version__}: {said}") from error
        self._parts: dict[str, _Part] = {}
        self._tables: list[TableContents] | None = None

    def _wrap(self, declared: Pipeline, folder: Path) -> None:
        with self._session.graph.as_default():
            signatures, initializers = wrap(
                self._session, self._signatures, declared, Files(folder, self._path / ASSETS)
            )
            self._session.run(initializers)
            rewrite(self._exported, self._session.graph, signatures, declared, None)
        self._signatures = signatures

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    def close(self) -> None:
        close(self._session)

    def graph(self, signature: str) -> TracedGraph:
        return self._part(signature).graph

    def fetch(self, signature: str, inputs: Tensors, tensors: Sequence[str]) -> list[Tensor]:
        part = self._part(signature)
        feeds = {part.graph.inputs[alias]: value for alias, value in inputs.items() if alias in part.graph.inputs}
        prefix = f"{part.scope}/"
        try:
            return self._session.run(
                [prefix + name for name in tensors], {prefix + name: value for name, value in feeds.items()}
            )
        except (tf.errors.OpError, UnicodeDecodeError, ValueError) as error:
            said = str(getattr(error, "message", "") or error).split("\n")[0][:500]
            raise EngineError(said, code=Code.from_number(getattr(error, "error_code", 2))) from error

    def weights(self, signature: str) -> Mapping[str, Tensor]:
        part = self._part(signature)
        if part.values is None:  # reading adds ops to the graph: once is enough
            reads = {name: self._read(part, node) for name, node in part.weights.items()}
            try:
                part.values = dict(zip(reads, map(np.asarray, self._session.run(list(reads.values()))), strict=True))
            except (tf.errors.OpError, ValueError):  # some were never initialised
                part.values = {name: self._value(read) for name, read in reads.items()}
        return part.values

    def _read(self, part: "_Part", node: str) -> Any:
        """The tensor that gives a variable's or constant's value."""
        op = self._session.graph.get_operation_by_name(node if node in part.state else f"{part.scope}/{node}")
        tensor = op.outputs[0]
        if tensor.dtype != tf.resource:
            return tensor
        with self._session.graph.as_default():
            return tf.raw_ops.ReadVariableOp(resource=tensor, dtype=op.get_attr("dtype"))

    def _value(self, read: Any) -> Tensor:
        """What ``read`` gives; empty where it was never initialised."""
        try:
            return np.asarray(self._session.run(read))
        except (tf.errors.OpError, ValueError):
            return np.empty(0, np.float32)

    def tables(self) -> Sequence[TableContents]:
        if self._tables is None:
            known = {each.name: each for each in tables(self._exported, self._path / "assets")}
            self._tables = [
                TableContents(table, *self._contents(self._session.graph.get_operation_by_name(name)))
                for name, table in known.items()
            ]
        return self._tables

    def _contents(self, op: Any) -> tuple[tuple[bytes | int, ...], int | None]:
        keys, values = op.get_attr("key_dtype"), op.get_attr("value_dtype")
        if op.outputs[0].dtype != tf.resource:
            return (), None
        with self._session.graph.as_default():
            size_op = tf.raw_ops.LookupTableSizeV2(table_handle=op.outputs[0])
            export = tf.raw_ops.LookupTableExportV2(table_handle=op.outputs[0], Tkeys=keys, Tvalues=values)
        try:
            size = int(self._session.run(size_op))
            found = self._session.run(export[0]) if size <= MAX_KEYS else np.empty(0)
            return tuple(cast("Any", np.asarray(found)).ravel().tolist()), size
        except tf.errors.OpError:  # never initialised
            return (), 0

    def _part(self, signature: str) -> "_Part":
        if signature not in self._parts:
            number = len(self._parts)
            try:
                part = _Part(self._session, self._exported, self._signatures[signature], f"{SCOPE}_{number}")
            except (tf.errors.OpError, ValueError, KeyError) as error:
                said = str(error).split("\n")[0]
                raise LoadFailed(f"The graph of {self._path} cannot be taken apart: {said}") from error
            self._parts[signature] = part
        return self._parts[signature]


class _Part:
    """One signature's inlined graph, imported into the session's graph under ``scope``."""

    def __init__(self, session: Any, exported: Any, signature: Signature, scope: str) -> None:
        self.scope = scope
        self.values: dict[str, Tensor] | None = None
        feeds = {alias: spec.name for alias, spec in signature.inputs.items()}
        fetches = {alias: spec.name for alias, spec in signature.outputs.items()}
        graph_def, copies = inlined(exported, signature)
        with session.graph.as_default():
            state = {
                node.name: session.graph.get_operation_by_name(node.name).outputs[0]
                for node in graph_def.node
                if node.op in STATE
            }
            used = {node_name(tensor) for node in graph_def.node for tensor in node.input}
            tf.graph_util.import_graph_def(
                graph_def, input_map={f"{name}:0": value for name, value in state.items() if name in used}, name=scope
            )
        self._session = session
        variables = {name: _variable_name(session.graph, name) for name in state}
        self.state = frozenset(state)
        passed = _passed_on(graph_def.node)
        fetches = {alias: passed.get(name, name) for alias, name in fetches.items()}
        nodes = _on_path(graph_def.node, fetches.values(), copies, set(map(node_name, feeds.values())))
        framed = _in_frames(nodes)
        read = sources(nodes, variables)
        layers = layers_of(nodes, read)
        found = [
            TracedNode(
                name=node.name,
                op=node.op,
                layer=layers.get(node.name, ""),
                inputs=tuple(
                    passed.get(_tensor(each), _tensor(each)) for each in node.input if not each.startswith("^")
                ),
                tensors=() if node.name in framed else tuple(self._fetchable(node.name)),
                weight=_weight(node, read),
                inside=next((loop for copy, loop in copies.items() if node.name.startswith(copy + "/")), ""),
                is_training=bool(node.op.startswith("FusedBatchNorm") and node.attr["is_training"].b),
            )
            for node in nodes
        ]
        nodes_of = {variable: name for name, variable in variables.items()}
        self.weights = {node.weight: nodes_of.get(node.weight, node.name) for node in found if node.weight}
        self.graph = TracedGraph(tuple(found), feeds, fetches, {node.name: node for node in found})

    def _fetchable(self, name: str) -> Iterable[str]:
        op = self._session.graph.get_operation_by_name(f"{self.scope}/{name}")
        for at, tensor in enumerate(op.outputs):
            if tensor.dtype.base_dtype.name not in _UNFETCHABLE and op.type not in STATE:
                yield f"{name}:{at}"


def _variable_name(tf_graph: Any, node: str) -> str:
    op = tf_graph.get_operation_by_name(node)
    shared = op.get_attr("shared_name").decode() if op.type in STATE else ""
    return shared or node


def _weight(node: Any, read: Mapping[str, str]) -> str:
    """The variable that a read reads, or a handle holds, as of a gather; a large constant is a frozen weight."""
    if node.op in ("ReadVariableOp", "VarHandleOp", "Variable", "VariableV2"):
        return read.get(node.name, "")
    if node.op == "Const":
        shape = node.attr["value"].tensor.tensor_shape
        if len(shape.dim) and np.prod([dim.size for dim in shape.dim]) >= LARGE_CONSTANT:
            return node.name
    return ""


def _on_path(nodes: Iterable[Any], fetches: Iterable[str], copies: Mapping[str, str], feeds: set[str]) -> list[Any]:
    """The nodes that the outputs depend on, inputs first; copies of loops' bodies stand before their loop."""
    by_name = {node.name: node for node in nodes}
    inner: dict[str, list[str]] = {}
    for copy, loop in copies.items():
        inner.setdefault(loop, []).append(copy)
    order: list[Any] = []
    done: set[str] = set()
    stack = [(node_name(name), False) for name in fetches]
    while stack:
        name, ready = stack.pop()
        if ready:
            order.append(by_name[name])
            continue
        if name in done or name not in by_name:
            continue
        done.add(name)
        stack.append((name, True))
        if name in feeds:
            continue
        stack.extend((node_name(each), False) for each in by_name[name].input if not each.startswith("^"))
        stack.extend((copy, False) for copy in inner.get(name, ()))
    return order


def _in_frames(nodes: Sequence[Any]) -> set[str]:
    """The nodes inside TensorFlow 1's loops and branches, whose tensors cannot be fetched."""
    ops = {node.name: node.op for node in nodes}
    users: dict[str, list[Any]] = {}
    for node in nodes:
        for given in node.input:
            users.setdefault(node_name(given), []).append(node)
    inside = {name for name, op in ops.items() if op in _FRAMES}
    queue = list(inside)
    while queue:
        for user in users.get(queue.pop(), ()):
            turns = any(ops.get(node_name(each)) in _TURNS for each in user.input)  # a loop's Merge, not a branch's
            if user.name not in inside and (user.op not in _FRAME_ENDS or (turns and user.op.endswith("Merge"))):
                inside.add(user.name)
                queue.append(user.name)
    return inside


def _passed_on(nodes: Iterable[Any]) -> dict[str, str]:
    """For each tensor of an op that only hands several on, the one that it hands on."""
    given = {
        f"{node.name}:{at}": _tensor(each)
        for node in nodes
        if node.op == "IdentityN"
        for at, each in enumerate(each for each in node.input if not each.startswith("^"))
    }

    def followed(name: str) -> str:
        while name in given:
            name = given[name]
        return name

    return {name: followed(name) for name in given}


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"
