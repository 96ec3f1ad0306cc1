"""What a model takes and gives: tensor specs and signatures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from unstuck.core.dtypes import DType

DEFAULT_SIGNATURE = "serving_default"

METHOD_NAMES = {
    "predict": "tensorflow/serving/predict",
    "classify": "tensorflow/serving/classify",
    "regress": "tensorflow/serving/regress",
}

Tensor = NDArray[np.generic]
Tensors = Mapping[str, Tensor]
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
        alias: its name in the signature, which requests and answers use.
        name: the tensor's name in the graph (``serving_default_x:0``).
        dtype: its element type.
        shape: a size per dimension, None where any size fits; None where the rank itself is unknown.
        has_shape: False where the export says nothing of the shape, not even that it is unknown.
    """

    alias: str
    name: str
    dtype: DType
    shape: Shape | None
    has_shape: bool = True

    def __str__(self) -> str:
        return f"{self.dtype.name} {show_shape(self.shape)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A named way to call a model.

    Attributes:
        name: its name.
        inputs: by alias, in sorted order.
        outputs: by alias, in sorted order.
        method_name: as exported; says which of predict, classify and regress it is meant for.
        takes_examples: whether its graph parses serialised tf.Examples, which its string input must then hold.
        defaults: by alias, the value for an input that a gRPC request leaves out, a serialised TensorProto.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = METHOD_NAMES["predict"]
    takes_examples: bool = False
    defaults: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def narrowed(signature: Signature, aliases: Sequence[str]) -> Signature:
    """``signature`` with only the outputs ``aliases``, which it must have, in their order."""
    return replace(signature, outputs={alias: signature.outputs[alias] for alias in aliases})


def show_shape(shape: Iterable[int | None] | None) -> str:
    """A shape as TensorFlow Serving prints it: ``[-1,3]``, ``[?]`` for an unknown rank."""
    if shape is None:
        return "[?]"
    return "[" + ",".join("-1" if size is None else str(size) for size in shape) + "]"
