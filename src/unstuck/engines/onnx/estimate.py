"""The memory that an ONNX model will need, from its files, without a runtime. The factors are measured: ADR 18."""

import sys
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from google.protobuf.message import DecodeError

from unstuck.engines.estimating import MEBIBYTE, Sizes, first_calls, messages
from unstuck.engines.onnx import model_file
from unstuck.proto.wire.onnx_pb2 import TensorProto, ValueInfoProto

FRAMEWORK = "onnxruntime"
_RUNTIME = 24 * MEBIBYTE
_LEAST = 24 * MEBIBYTE  # a session, its threads
_PER_BYTE = 2.2  # of the file, which is read whole twice, and of the weights beside it
_PER_BYTE_OF_TWO_SESSIONS = 3.2
NARROW_BYTES = 64 * MEBIBYTE  # of a model that may have a second session, with weights of its own
_HAS_NO_DATA = 4096  # bytes of a tensor: what is larger holds its values itself

_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12  # fields of onnx.proto


def estimate(version_path: Path) -> int | None:
    """Bytes that loading it and the first calls will take; None where the file cannot be read."""
    path = model_file(version_path)
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            weights = len(data) + sum((path.parent / name).stat().st_size for name in _files_beside(data))
            calls = first_calls(_tensors(data))
    except (OSError, ValueError, IndexError, DecodeError):  # the load says more clearly what is wrong
        return None
    factor = _PER_BYTE_OF_TWO_SESSIONS if weights <= NARROW_BYTES else _PER_BYTE
    return (0 if FRAMEWORK in sys.modules else _RUNTIME) + _LEAST + round(weights * factor) + calls


def _files_beside(data: mmap) -> set[str]:
    """The files that hold weights outside of the model's own."""
    names = set[str]()
    for graph in messages(data, _GRAPH):
        for start, end in messages(data, _INITIALIZER, graph):
            if end - start <= _HAS_NO_DATA:
                tensor = TensorProto.FromString(data[start:end])
                names |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    return names


def _tensors(data: mmap) -> Iterator[Sizes]:
    for graph in messages(data, _GRAPH):
        for field in (_INPUT, _OUTPUT):
            for start, end in messages(data, field, graph):
                shape = ValueInfoProto.FromString(data[start:end]).type.tensor_type.shape
                yield [int(dim.dim_value) if dim.HasField("dim_value") else None for dim in shape.dim]
