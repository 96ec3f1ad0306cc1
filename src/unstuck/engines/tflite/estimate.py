"""The memory that a TensorFlow Lite model will need, from its file, without a runtime; the factors are ADR 18's."""

import math
import sys
from mmap import ACCESS_READ, mmap
from pathlib import Path

from unstuck.engines.estimating import MEBIBYTE
from unstuck.engines.tflite import flatbuffer, graph, model_file

FRAMEWORK = "ai_edge_litert"
_RUNTIME = 12 * MEBIBYTE
_LEAST = 8 * MEBIBYTE
_PER_BYTE = 2.1  # of the file, which is mapped, and whose weights are packed anew
_INTERPRETERS = 1.6  # one that has failed a call is replaced by another
_POINTER = 8  # a convolution keeps one for each place of its kernel at each place of its output
_UNKNOWN = 4  # bytes of an element of a kind that we do not name


def estimate(version_path: Path) -> int | None:
    """Bytes that loading it and the first calls will take; None where the file cannot be read."""
    file = model_file(version_path)
    try:
        with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as data:
            size = len(data)
            work = _INTERPRETERS * sum(map(_work, graph.subgraphs_of(flatbuffer.root(data))))
    except (OSError, *flatbuffer.ERRORS):  # the load says more clearly what is wrong
        return None
    return (0 if FRAMEWORK in sys.modules else _RUNTIME) + _LEAST + round(size * _PER_BYTE + work)


def _work(subgraph: graph.Subgraph) -> int:
    """What one run computes, and what convolutions keep beside; dimensions that are not known count as 1."""
    tensors = subgraph.tensors
    computed = {number for each in subgraph.operators for number in each.outputs} | {*subgraph.inputs}
    kernels = sum(_kernel(tensors, each) for each in subgraph.operators if "CONV" in each.op)
    return kernels + sum(_elements(tensors[number]) * _width(tensors[number]) for number in computed)


def _kernel(tensors: list[graph.Tensor], operator: graph.Operator) -> int:
    if len(operator.inputs) < 2 or len(tensors[operator.inputs[1]].shape) != 4:
        return 0
    _, height, width, _ = tensors[operator.inputs[1]].shape
    output = tensors[operator.outputs[0]]
    places = _elements(output) // max((output.shape or (1,))[-1] or 1, 1)
    return places * (height or 1) * (width or 1) * _POINTER


def _elements(tensor: graph.Tensor) -> int:
    return math.prod(each or 1 for each in tensor.shape)


def _width(tensor: graph.Tensor) -> int:
    numpy = tensor.dtype.numpy if tensor.dtype else None
    return numpy.itemsize if numpy else _UNKNOWN
