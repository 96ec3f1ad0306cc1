"""Reading an ONNX file without a runtime: its signature, its ops, the files that it needs."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.signatures import DEFAULT_SIGNATURE, Shape, Signature, TensorSpec
from unstuck.errors import LoadFailed
from unstuck.proto.wire.onnx_pb2 import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

# By onnx.TensorProto.DataType; the others cannot be held by a request, or not be fed to ONNX Runtime from Python.
# fmt: off
DTYPES = {
    1: dtypes.FLOAT, 2: dtypes.UINT8, 3: dtypes.INT8, 4: dtypes.UINT16, 5: dtypes.INT16, 6: dtypes.INT32,
    7: dtypes.INT64, 8: dtypes.STRING, 9: dtypes.BOOL, 10: dtypes.HALF, 11: dtypes.DOUBLE, 12: dtypes.UINT32,
    13: dtypes.UINT64, 16: dtypes.BFLOAT16,
}
# fmt: on
_STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
PURE_DOMAINS = _STANDARD_DOMAINS | frozenset({"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Sampling"}
)
_TRAINING_MODE = 2  # the input of Dropout that makes it drop anything


def read_model(path: Path) -> ModelProto:
    """The model in the file ``path``.

    Raises:
        LoadFailed: it is not an ONNX model, or cut off.
    """
    try:
        model = ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise LoadFailed(f"{path} cannot be read: {error.strerror}.") from error
    except DecodeError:
        raise LoadFailed(f"{path} is not an ONNX model: the file is of another format, or cut off.") from None
    if not (model.ir_version and model.opset_import and model.graph.output):
        raise LoadFailed(f"{path} holds no ONNX graph: the file is empty, cut off, or of another format.")
    return model


def signature_of(model: ModelProto, path: Path) -> Signature:
    """The model's one signature: inputs and outputs under their names in the graph, initializers left out.

    Outputs that are not tensors are left out too (see ``not_tensors``).

    Raises:
        LoadFailed: an input cannot be held by a request, or no output by an answer.
    """
    constants = {tensor.name for tensor in _initializers(model.graph)}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for value in inputs:
        if _dtype(value.type) is None:
            raise LoadFailed(f"{path}: the input {value.name!r} is {_kind(value.type)}, which no request can hold.")
    outputs = [value for value in model.graph.output if _dtype(value.type) is not None]
    if not outputs:
        listed = ", ".join(f"{value.name!r} ({_kind(value.type)})" for value in model.graph.output)
        raise LoadFailed(f"{path} gives nothing that an answer can hold: {listed}.", hint=ZIPMAP_HINT)
    return Signature(DEFAULT_SIGNATURE, _specs(inputs), _specs(outputs))


ZIPMAP_HINT = "For scikit-learn models, convert with options={'zipmap': False}: probabilities become a tensor."


def not_tensors(model: ModelProto) -> dict[str, str]:
    """The outputs that no answer can hold, by name: what they are."""
    return {value.name: _kind(value.type) for value in model.graph.output if _dtype(value.type) is None}


def is_stateless(model: ModelProto) -> bool:
    """Whether a run depends on its inputs alone: no op draws random numbers, and none is unknown here."""
    functions = {(function.domain, function.name) for function in model.functions}
    return not any(_may_vary(node, functions) for node in nodes(model))


def op_counts(model: ModelProto) -> Counter[str]:
    """How many nodes there are of each op, in subgraphs and functions too; ops of other domains as ``domain.Op``."""
    return Counter(
        node.op_type if node.domain in _STANDARD_DOMAINS else f"{node.domain}.{node.op_type}" for node in nodes(model)
    )


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Every node: the graph's, those of its subgraphs (bodies of If, Loop, Scan) and of the model's functions."""
    yield from _with_subgraphs(model.graph.node)
    for function in model.functions:
        yield from _with_subgraphs(function.node)


def external_files(model: ModelProto) -> list[str]:
    """The files that hold weights outside of the model's own, relative to it, in sorted order."""
    tensors = [*_initializers(model.graph), *_constants(nodes(model))]
    return sorted({entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"})


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values


def _constants(found: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in found:
        for attribute in node.attribute:
            yield attribute.t
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer


def _with_subgraphs(found: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in found:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _with_subgraphs(graph.node)


def _may_vary(node: NodeProto, functions: set[tuple[str, str]]) -> bool:
    if (node.domain, node.op_type) in functions:
        return False  # its nodes are looked at themselves
    if node.op_type == "Dropout":
        return len(node.input) > _TRAINING_MODE and bool(node.input[_TRAINING_MODE])
    return node.domain not in PURE_DOMAINS or node.op_type in RANDOM


def _specs(values: Iterable[ValueInfoProto]) -> dict[str, TensorSpec]:
    return {
        value.name: TensorSpec(
            value.name,
            value.name,
            _dtype(value.type) or dtypes.INVALID,
            _shape(value.type),
            value.type.tensor_type.HasField("shape"),
        )
        for value in sorted(values, key=lambda value: value.name)
    }


def _shape(kind: TypeProto) -> Shape | None:
    if not kind.tensor_type.HasField("shape"):
        return None
    sizes = kind.tensor_type.shape.dim
    return tuple(int(each.dim_value) if each.HasField("dim_value") and each.dim_value >= 0 else None for each in sizes)


def _dtype(kind: TypeProto) -> DType | None:
    return DTYPES.get(kind.tensor_type.elem_type) if kind.HasField("tensor_type") else None


def _kind(kind: TypeProto) -> str:
    of = kind.WhichOneof("value")
    if of == "tensor_type":
        return f"a tensor of ONNX's element type {kind.tensor_type.elem_type}"
    return f"a {of.removesuffix('_type').replace('_', ' ')}" if of else "of no type"
