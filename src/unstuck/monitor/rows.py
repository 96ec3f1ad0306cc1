"""Runs taken apart into rows, each an input and the answer to it; inputs hashed, and compared element by element."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.proto.wire.example_pb2 import Example

MAX_BYTES = 1 << 23  # of the rows of one run
MAX_HASHED_BYTES = 1 << 18  # of one tensor of a row
MAX_ELEMENTS = 4096  # that are compared of one tensor of a row
WORDS_OF_A_TEXT = 3

Row = tuple[Tensors, Tensors]  # of one input, and of its answer


def rows_of(signature: Signature, inputs: Tensors, outputs: Tensors, most: int) -> Iterator[Row]:
    """The rows of a run, ``most`` of them, spread over it; the run as a whole where its arrays are not of rows."""
    count = _row_count(signature, inputs, outputs)
    if count is None:
        yield inputs, outputs
        return
    size = sum(array.nbytes for array in inputs.values())
    most = min(most, max(1, MAX_BYTES * count // max(1, size)))
    for at in range(0, count, max(1, -(-count // most))):
        yield (
            {alias: array[at : at + 1] for alias, array in inputs.items()},
            {alias: array[at : at + 1] for alias, array in outputs.items()},
        )


def _row_count(signature: Signature, inputs: Tensors, outputs: Tensors) -> int | None:
    for specs in (signature.inputs, signature.outputs):
        for spec in specs.values():
            if not spec.shape or spec.shape[0] is not None:
                return None
    sizes = {array.shape[:1] for arrays in (inputs, outputs) for array in arrays.values()}
    return sizes.pop()[0] if len(sizes) == 1 and () not in sizes else None


def hash_of(tensors: Tensors) -> int:
    """64 bits, evenly spread, of the values; of very large tensors, of bytes spread over them."""
    return hash(tuple([_hash_of_input(array) for array in tensors.values()]))


def _hash_of_input(array: Tensor) -> int:
    if array.dtype.kind == "O" or array.nbytes <= MAX_HASHED_BYTES:
        return hash_of_values(array)
    step = array.nbytes // MAX_HASHED_BYTES | 1  # odd, so that each byte of an element has its turn
    return hash(np.ascontiguousarray(array).reshape(-1).view(np.uint8)[::step].tobytes())


def hash_of_values(array: Tensor) -> int:
    """64 bits, evenly spread, of all values."""
    if array.dtype.kind == "O":
        return hash(tuple(cast("list[object]", array.ravel().tolist())))
    return hash(array.tobytes())


class Differences:
    """Whether inputs differ in what may matter: in more than one of their elements. Not thread-safe; bounded memory.

    An element is a number or a text at its place, of tf.Examples a feature. One alone may be an id, a time, a counter;
    unless it is all that there is, or a text of several words.
    """

    def __init__(self) -> None:
        self._first: Mapping[str, Sequence[bytes] | NDArray[np.generic]] = {}
        self._differ: dict[str, NDArray[np.bool_]] = {}
        self._examples = False
        self.matter = False

    def restart(self, inputs: Tensors, *, examples: bool) -> None:
        """From now on rows are compared with this one; ``examples``: its texts are serialised tf.Examples."""
        self._examples = examples
        self._first = {alias: _elements(array, examples) for alias, array in inputs.items()}
        self._differ = {alias: np.zeros(len(first), np.bool_) for alias, first in self._first.items()}
        self.matter = sum(map(len, self._first.values())) == 1

    def add(self, inputs: Tensors) -> None:
        """Compares one more row."""
        if self.matter:
            return
        for alias, first in self._first.items():
            elements = _elements(inputs[alias], self._examples)
            if len(elements) != len(first):
                self.matter = True
            elif isinstance(first, np.ndarray):
                self._differ[alias] |= _unequal(first, cast("NDArray[np.generic]", elements))
            else:
                self._add_texts(self._differ[alias], first, cast("Sequence[bytes]", elements))
        if sum(int(differ.sum()) for differ in self._differ.values()) > 1:
            self.matter = True

    def _add_texts(self, differ: NDArray[np.bool_], first: Sequence[bytes], texts: Sequence[bytes]) -> None:
        for at, (one, other) in enumerate(zip(first, texts, strict=True)):
            if one != other:
                differ[at] = True
                self.matter |= not self._examples and len(other.split()) >= WORDS_OF_A_TEXT


def _unequal(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where they differ; what is missing from both, NaN, does not."""
    differ = np.not_equal(one, other)
    return differ & (np.equal(one, one) | np.equal(other, other)) if differ.any() else differ


def _elements(array: Tensor, examples: bool) -> Sequence[bytes] | NDArray[np.generic]:
    """A copy of the elements, some where there are many."""
    flat = array.reshape(-1)
    if len(flat) > MAX_ELEMENTS:
        flat = flat[:: -(-len(flat) // MAX_ELEMENTS)]
    if array.dtype.kind != "O":
        return flat.copy()
    texts = cast("list[bytes]", flat.tolist())
    return [feature for text in texts for feature in _features(text)] if examples else texts


def _features(serialised: bytes) -> list[bytes]:
    try:
        features = Example.FromString(serialised).features.feature
    except DecodeError:
        return [serialised]
    return [name.encode() + b"=" + features[name].SerializeToString() for name in sorted(features)]
