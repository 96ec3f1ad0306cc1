"""The memory that a SavedModel will need, from its files, without TensorFlow. The factors are measured: ADR 18.

TensorFlow's graph in memory is many times its file, and differs by what the file is made of: nodes, or constants.
"""

import sys
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from google.protobuf.message import DecodeError

from unstuck.engines.estimating import MEBIBYTE, Place, Sizes, first_calls, messages, size_of
from unstuck.proto.wire.signature_pb2 import SignatureDef

FRAMEWORK = "tensorflow"
_RUNTIME = 272 * MEBIBYTE  # 208 of its own once it is imported, and of its mapped code what a load and a call need
_LEAST = 16 * MEBIBYTE  # a session, its threads
_PER_NODE = 24 << 10
_PER_CONSTANT_BYTE = 20  # it is copied from message to message
_PER_VARIABLE_BYTE = 1.15
_IS_CONSTANT = 1024  # bytes of a node: what is larger holds a tensor

# Fields of saved_model.proto, meta_graph.proto, graph.proto and function.proto.
_META_GRAPH, _GRAPH, _SIGNATURE, _NODE, _LIBRARY, _FUNCTION, _FUNCTIONS_NODE = 2, 2, 5, 1, 2, 1, 3
_MAP_VALUE = 2


def estimate(version_path: Path) -> int | None:
    """Bytes that loading it and the first calls will take; None where its graph cannot be read."""
    try:
        with (version_path / "saved_model.pb").open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            nodes = [end - start for start, end in _nodes(data)]
            calls = max((first_calls(_tensors(each)) for each in _signatures(data)), default=0)
        variables = size_of(version_path / "variables")
    except (OSError, ValueError, IndexError, DecodeError):  # the load says more clearly what is wrong
        return None
    runtime = 0 if FRAMEWORK in sys.modules else _RUNTIME
    constants = sum(size for size in nodes if size > _IS_CONSTANT)
    graph = len(nodes) * _PER_NODE + constants * _PER_CONSTANT_BYTE
    return runtime + _LEAST + graph + round(variables * _PER_VARIABLE_BYTE) + calls


def _nodes(data: mmap) -> Iterator[Place]:
    """Those of the graphs, and of their functions."""
    for meta_graph in messages(data, _META_GRAPH):
        for graph in messages(data, _GRAPH, meta_graph):
            yield from messages(data, _NODE, graph)
            for library in messages(data, _LIBRARY, graph):
                for function in messages(data, _FUNCTION, library):
                    yield from messages(data, _FUNCTIONS_NODE, function)


def _signatures(data: mmap) -> Iterator[SignatureDef]:
    for meta_graph in messages(data, _META_GRAPH):
        for entry in messages(data, _SIGNATURE, meta_graph):
            for start, end in messages(data, _MAP_VALUE, entry):
                yield SignatureDef.FromString(data[start:end])


def _tensors(signature: SignatureDef) -> Iterator[Sizes]:
    for tensors in (signature.inputs, signature.outputs):
        for each in tensors.values():
            yield [None if dim.size < 0 else int(dim.size) for dim in each.tensor_shape.dim]
