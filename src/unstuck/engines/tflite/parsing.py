"""The op that parses tf.Examples, which LiteRT does not have: it is cut out of the graph, and done here before it."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.signatures import Tensor
from unstuck.engines.tflite import flatbuffer
from unstuck.engines.tflite.graph import Model, Subgraph
from unstuck.errors import Code, EngineError, LoadFailed
from unstuck.proto.wire.example_pb2 import Example

OP = "ParseExampleV2"
_DENSE_KEYS, _DEFAULTS = 3, 5  # among its inputs; sparse and ragged keys are 2 and 4
_LISTS = {"float_list": dtypes.FLOAT, "int64_list": dtypes.INT64, "bytes_list": dtypes.STRING}


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of fixed length.

    Attributes:
        name: in the tf.Example.
        tensor: the number of the tensor that takes it.
        dtype: float, int64 or string.
        shape: of one example.
        default: its values where an example has none; empty where each must have it.
    """

    name: str
    tensor: int
    dtype: DType
    shape: tuple[int, ...]
    default: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Parser:
    """What the op does: from the tensor ``examples`` to one for each feature."""

    examples: int
    features: tuple[Feature, ...]

    def parse(self, examples: Tensor) -> dict[int, Tensor]:
        """The features' tensors by number. Raises EngineError where an example is not what the model parses."""
        parsed = [_parsed(serialized, row) for row, serialized in enumerate(examples.reshape(-1).tolist())]
        return {feature.tensor: _column(feature, parsed) for feature in self.features}


def without_parser(path: Path, model: Model) -> tuple[Path | bytes, Parser | None]:
    """The content of the file ``path`` without the op, and what does its work; the path itself where it has none.

    Raises:
        LoadFailed: it parses features of any length.
    """
    subgraph = model.subgraphs[0]
    at = next((at for at, operator in enumerate(subgraph.operators) if operator.op == OP), None)
    if at is None:
        return path, None
    data = path.read_bytes()
    operator = subgraph.operators[at]
    parser = Parser(operator.inputs[0], tuple(_features(data, subgraph, operator.inputs, operator.outputs)))
    inputs = [number for number in subgraph.inputs if number != parser.examples]
    table = flatbuffer.root(data).tables(2)[0]
    changed = bytearray(data)
    table.remove(changed, 3, at)
    table.replace(changed, 1, [*inputs, *operator.outputs])
    return bytes(changed), parser


def _features(data: bytes, subgraph: Subgraph, inputs: Sequence[int], outputs: Sequence[int]) -> list[Feature]:
    model = flatbuffer.root(data)
    buffers, tensors = model.tables(4), model.tables(2)[0].tables(0)

    def content(number: int) -> bytes:
        return buffers[tensors[number].integer(2, "I")].bytes(0)

    names = _texts(content(inputs[_DENSE_KEYS]))
    if len(names) != len(outputs):
        raise LoadFailed(
            "The model parses features of any length (VarLenFeature, RaggedFeature), which only TensorFlow can.",
            hint="Serve the SavedModel.",
        )
    features: list[Feature] = []
    for name, number, default in zip(names, outputs, inputs[_DEFAULTS:], strict=True):
        dtype, shape = subgraph.tensors[number].dtype, subgraph.tensors[number].shape[1:]
        if dtype is None or dtype not in _LISTS.values() or None in shape:
            raise LoadFailed(f"The model parses the feature {name!r} as {dtype} {shape}, which no tf.Example holds.")
        values = _texts(content(default)) if dtype is dtypes.STRING else np.frombuffer(content(default), dtype.numpy)
        sizes = tuple(size for size in shape if size is not None)
        features.append(Feature(name.decode(), number, dtype, sizes, [*values]))
    return features


def _texts(data: bytes) -> list[bytes]:
    """TensorFlow Lite's way to keep strings: how many, where each begins and where the last ends, and their bytes."""
    if not data:
        return []
    (count,) = struct.unpack_from("<i", data)
    places = struct.unpack_from(f"<{count + 1}i", data, 4)
    return [data[start:end] for start, end in pairwise(places)]


def _parsed(serialized: bytes, row: int) -> Mapping[str, Any]:
    try:
        return Example.FromString(serialized).features.feature
    except DecodeError:
        raise EngineError(f"Row {row} is not a serialised tf.Example.", code=Code.INVALID_ARGUMENT) from None


def _column(feature: Feature, examples: Sequence[Mapping[str, Any]]) -> Tensor:
    size = int(np.prod(feature.shape))
    rows: list[Any] = []
    for row, example in enumerate(examples):
        values = _values(feature, example)
        if len(values) != size:
            raise EngineError(
                f"Row {row}: the feature {feature.name!r} must have {size} values ({feature.dtype.name}), "
                f"and has {len(values)}.",
                code=Code.INVALID_ARGUMENT,
            )
        rows += values
    column = np.empty(len(rows), feature.dtype.numpy)
    column[:] = rows
    return column.reshape(len(examples), *feature.shape)


def _values(feature: Feature, example: Mapping[str, Any]) -> Sequence[Any]:
    given = example.get(feature.name)
    kind = given.WhichOneof("kind") if given is not None else None
    if given is None or kind is None:
        return feature.default
    if _LISTS[kind] is not feature.dtype:
        raise EngineError(
            f"The feature {feature.name!r} must be {feature.dtype.name}, and is {_LISTS[kind].name}.",
            code=Code.INVALID_ARGUMENT,
        )
    return getattr(given, kind).value
