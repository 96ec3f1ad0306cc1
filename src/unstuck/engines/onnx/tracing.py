"""An ONNX model taken apart: every tensor between its inputs and outputs can be fetched.

Its own graph is loaded once more, with every node's results as outputs. What depends on no input is a graph by itself,
run once: the weights and what is computed from them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.core.tracing import TableContents, Traceable, TracedGraph, TracedNode
from unstuck.engines.onnx import graph, model_file
from unstuck.engines.onnx.runtime import ERRORS, ort, watching_session
from unstuck.engines.onnx.servable import OnnxServable, as_bytes, reason
from unstuck.errors import Code, EngineError, LoadFailed
from unstuck.proto.wire.onnx_pb2 import GraphProto, ModelProto, NodeProto, ValueInfoProto

LARGE_CONSTANT = 16  # elements from which a constant is a weight
MAX_BYTES = 2**31 - 1  # of a message that protobuf can write

# By the name that the operation has in TensorFlow, which is how the doctor knows it.
_KNOWN_AS = {
    "Conv": "Conv2D", "ConvTranspose": "Conv2DBackpropInput", "Gemm": "MatMul", "Gather": "GatherV2",
    "BatchNormalization": "FusedBatchNormV3", "GatherND": "GatherNd", "Add": "AddV2", "Sum": "AddN", "Div": "RealDiv",
    "Clip": "ClipByValue", "Max": "Maximum", "Min": "Minimum", "Where": "SelectV2", "PRelu": "LeakyRelu",
    "HardSigmoid": "Sigmoid", "Slice": "StridedSlice", "LessOrEqual": "LessEqual", "GreaterOrEqual": "GreaterEqual",
    "And": "LogicalAnd", "QuantizeLinear": "QuantizeV2", "Dropout": "Identity", "Flatten": "Reshape",
    "Unsqueeze": "ExpandDims", "Concat": "ConcatV2", "Expand": "BroadcastTo", "Constant": "Const", "Loop": "While",
    "Scan": "While",
}  # fmt: skip
_TYPES = {
    "tensor(float)": 1, "tensor(uint8)": 2, "tensor(int8)": 3, "tensor(uint16)": 4, "tensor(int16)": 5,
    "tensor(int32)": 6, "tensor(int64)": 7, "tensor(string)": 8, "tensor(bool)": 9, "tensor(float16)": 10,
    "tensor(double)": 11, "tensor(uint32)": 12, "tensor(uint64)": 13, "tensor(bfloat16)": 16,
}  # fmt: skip


class TracedOnnx(Traceable):
    """Owns a session of its own; ``close`` it."""

    def __init__(self, version_path: Path) -> None:
        """Raises LoadFailed where ONNX Runtime cannot load the model."""
        path = model_file(version_path)
        model = graph.read_model(path)
        signature = graph.signature_of(model, path)
        self._signatures = {signature.name: signature}
        parts = _parts(model.graph, signature)
        try:
            varying = [name for node in parts.varying for name in node.output if name]
            session = watching_session(_with_outputs(model, varying), path.parent)
            fixed = watching_session(_fixed_part(model, parts), path.parent) if parts.fixed_names else None
            values: list[Any] = fixed.run(list(parts.fixed_names), {}) if fixed is not None else []
        except ERRORS as error:
            raise LoadFailed(f"{path} cannot be loaded by ONNX Runtime {ort.__version__}: {reason(error)}") from error
        self._fixed: dict[str, Tensor] = dict(zip(parts.fixed_names, map(_plain, values), strict=True))
        self._specs = {each.name: _spec(each.name, each.type) for each in session.get_outputs() if each.type in _TYPES}
        self._servable = OnnxServable(session, signature, stateless=True)
        self._names = _Names(signature, parts)
        self._graph = TracedGraph(
            nodes := tuple(self._nodes(model.graph, signature, parts)),
            {alias: self._names.tensors[alias] for alias in signature.inputs},
            {alias: self._names.tensors[alias] for alias in signature.outputs},
            {node.name: node for node in nodes},
        )

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    def graph(self, signature: str) -> TracedGraph:
        if signature not in self._signatures:
            raise LoadFailed(f"An ONNX model has no signature {signature!r}.")
        return self._graph

    def fetch(self, signature: str, inputs: Tensors, tensors: Sequence[str]) -> list[Tensor]:
        wanted = [self._names.values[name] for name in tensors]
        run = list(dict.fromkeys(name for name in wanted if name in self._specs))
        found = {**self._fixed, **inputs}
        if run:
            own = self._signatures[signature]
            if missing := sorted(set(own.inputs) - set(inputs)):
                raise EngineError(f"nothing was given for {', '.join(missing)}", code=Code.INVALID_ARGUMENT)
            found |= self._servable.run(replace(own, outputs={name: self._specs[name] for name in run}), inputs)
        if unknown := [name for name in wanted if name not in found]:
            raise EngineError(f"nothing gives {', '.join(unknown)}", code=Code.INVALID_ARGUMENT)
        return [found[name] for name in wanted]

    def weights(self, signature: str) -> Mapping[str, Tensor]:
        return {node.weight: self._fixed[node.weight] for node in self._graph.nodes if node.weight}

    def tables(self) -> Sequence[TableContents]:
        return ()

    def close(self) -> None:
        self._servable.close()

    def _nodes(self, own: GraphProto, signature: Signature, parts: "_Parts") -> Iterator[TracedNode]:
        """Of what an output needs: inputs, weights, then the nodes in the file's order, which is one of computing."""
        needed = _needed(own.node, signature.outputs)
        for alias in signature.inputs:
            tensor = self._names.tensors[alias]
            yield TracedNode(_node(tensor), "Placeholder", "", (), (tensor,))
        for name in parts.initializers:
            if name in needed:
                tensor = self._names.tensors[name]
                yield TracedNode(_node(tensor), "Const", "", (), (tensor,), self._weight(name))
        for node in own.node:
            given = [name for name in node.output if name]
            if needed.isdisjoint(given):
                continue
            tensors = tuple(self._names.tensors[name] for name in given)
            yield TracedNode(
                name=_node(tensors[0]),
                op=_KNOWN_AS.get(node.op_type, node.op_type),
                layer=_layer(node, parts.initializers),
                inputs=tuple(self._names.tensors[name] for name in _taken(node) if name in self._names.tensors),
                tensors=tuple(
                    self._names.tensors[name] for name in given if name in self._specs or name in self._fixed
                ),
                weight=self._weight(given[0]) if node.op_type == "Constant" else "",
                is_training=any(each.name == "training_mode" and each.i for each in node.attribute),
            )

    def _weight(self, name: str) -> str:
        """Its name, if it is large enough for a weight."""
        return name if name in self._fixed and self._fixed[name].size >= LARGE_CONSTANT else ""


@dataclass(frozen=True, slots=True)
class _Parts:
    """A graph's nodes apart: those that depend on an input, and the others, with the names of all their results."""

    initializers: tuple[str, ...]
    varying: tuple[NodeProto, ...]
    fixed: tuple[NodeProto, ...]
    fixed_names: tuple[str, ...]


def _parts(own: GraphProto, signature: Signature) -> _Parts:
    initializers = tuple(tensor.name for tensor in own.initializer)
    reached = set(signature.inputs)
    varying: list[NodeProto] = []
    fixed: list[NodeProto] = []
    for node in own.node:
        if node.op_type in graph.RANDOM or not reached.isdisjoint(_taken(node)):
            reached.update(node.output)
            varying.append(node)
        else:
            fixed.append(node)
    results = tuple(name for node in fixed for name in node.output if name)
    return _Parts(initializers, tuple(varying), tuple(fixed), (*initializers, *results))


class _Names:
    """ONNX's names of values, and ``node:0`` as the traced graph has them, both ways."""

    def __init__(self, signature: Signature, parts: _Parts) -> None:
        self.tensors: dict[str, str] = {}
        self.values: dict[str, str] = {}
        taken: set[str] = set()
        for name in signature.inputs:
            self._add(_unique(name, taken), [name])
        for node in (*parts.fixed, *parts.varying):
            given = [name for name in node.output if name]
            self._add(_unique(node.name or given[0], taken), given)
        for name in parts.initializers:
            self._add(_unique(name, taken), [name])

    def _add(self, node: str, given: Iterable[str]) -> None:
        for at, name in enumerate(given):
            self.tensors[name] = f"{node}:{at}"
            self.values[f"{node}:{at}"] = name


def _unique(name: str, taken: set[str]) -> str:
    plain = name.removesuffix(":0").replace(":", "_")
    found, number = plain, 0
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    taken.add(found)
    return found


def _node(tensor: str) -> str:
    return tensor.rsplit(":", 1)[0]


def _taken(node: NodeProto) -> list[str]:
    """What a node takes, and what its branches and loop bodies take from around it."""
    outer: dict[str, None] = {}
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            own = {name for each in inner.node for name in each.output} | {each.name for each in inner.input}
            own |= {each.name for each in inner.initializer}
            outside = [name for each in inner.node for name in _taken(each)] + [each.name for each in inner.output]
            outer.update({name: None for name in outside if name not in own and name})
    return [*(name for name in node.input if name), *outer]


def _needed(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> set[str]:
    """The names of all values that ``outputs`` are computed from, their own too."""
    needed = set(outputs)
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            needed.update(_taken(node))
    return needed


def _layer(node: NodeProto, initializers: Iterable[str]) -> str:
    """The module that exporters put before the operation's name, or that owns the weight which it takes."""
    path = [part for part in (node.name or node.output[0]).split("/") if part]
    if len(path) > 1:
        return "/".join(path[:-1])
    known = set(initializers)
    owners = (name.rpartition(".")[0] or name.rpartition("/")[0] for name in node.input if name in known)
    return next((owner for owner in owners if owner), "")


def _with_outputs(model: ModelProto, names: Iterable[str]) -> bytes:
    """The model, serialised, that gives the values ``names`` as well; their types are ONNX Runtime's to infer."""
    watched = ModelProto()
    watched.CopyFrom(model)
    known = {value.name for value in watched.graph.output}
    watched.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in known)
    return _serialised(watched)


def _fixed_part(model: ModelProto, parts: _Parts) -> bytes:
    """The part of the model that depends on no input, with all of its values as outputs."""
    alone = ModelProto()
    alone.CopyFrom(model)
    for place in ("input", "output", "node"):
        alone.graph.ClearField(place)
    alone.graph.node.extend(parts.fixed)
    alone.graph.output.extend(ValueInfoProto(name=name) for name in parts.fixed_names)
    return _serialised(alone)


def _serialised(model: ModelProto) -> bytes:
    if model.ByteSize() > MAX_BYTES:
        raise LoadFailed("The model's file is too large for its inside to be watched (2 GiB).")
    return model.SerializeToString()


def _spec(name: str, kind: str) -> TensorSpec:
    return TensorSpec(name, name, graph.DTYPES[_TYPES[kind]], None)


def _plain(value: Any) -> Tensor:
    """A constant as an array: text as bytes; what is no tensor is empty."""
    if not isinstance(value, np.ndarray):
        return np.empty(0, np.float32)
    array = cast("Tensor", value)
    return as_bytes(array) if array.dtype == object else array
