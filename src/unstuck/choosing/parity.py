"""Whether two servables answer a signature alike: on drawn and on given rows, each alone and together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstuck.acceptance.comparing import Tolerance
from unstuck.batching.proof import FREE_SIZE, SEED, draw
from unstuck.choosing.switching import Guard
from unstuck.core.signatures import Signature, Tensor, Tensors, show_shape
from unstuck.errors import EngineError

ROWS = 5
FREE_SIZES = (FREE_SIZE, 16, 64)  # for dimensions of any size; those that the first servable refuses are left out
SCALES = (1, 100)
WIDE_IDS = 1000  # times the integers that are drawn, which are below eight
WIDE_BYTES = 15

Run = Callable[[Tensors], Tensors]  # of one signature; raises EngineError


class Different(Exception):
    """They do not answer alike; says where."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How alike they are.

    Attributes:
        largest_difference: of all numbers that were compared.
        free_size: of dimensions of any size, the largest that was answered.
        guards: kinds of values that they differ on all the same.
    """

    largest_difference: float
    free_size: int
    guards: frozenset[Guard]


def takes_batches(signature: Signature) -> bool:
    """Whether all inputs have a first dimension of any size."""
    return bool(signature.inputs) and all(spec.shape and spec.shape[0] is None for spec in signature.inputs.values())


def drawn(signature: Signature, rows: int, free_size: int, scale: int = 1) -> dict[str, Tensor]:
    """Random inputs, the same ones each time. Raises TypeError where a dtype has no values to draw."""
    random = np.random.default_rng(SEED)
    inputs: dict[str, Tensor] = {}
    for alias, spec in signature.inputs.items():
        array: Any = draw(spec, rows, random, free_size) if spec.shape else draw(spec, 1, random).reshape(())
        if spec.shape and spec.shape[0] is not None:
            array = np.resize(array, (spec.shape[0], *array.shape[1:]))
        if scale > 1 and array.dtype.kind in "iufV":
            times = (WIDE_IDS if array.dtype.itemsize > 1 else WIDE_BYTES) if array.dtype.kind in "iu" else scale
            array = (array * np.asarray(times, array.dtype)).astype(array.dtype)
        inputs[alias] = array
    return inputs


def compare(signature: Signature, first: Run, second: Run, given: Sequence[Tensors]) -> Parity:
    """Raises Different where ``second`` does not answer as ``first`` does.

    Args:
        signature: what both run.
        first: the answers that are right.
        second: those in question.
        given: inputs to try besides the drawn ones.
    """
    largest, free_size = 0.0, 0
    for size, inputs in _tries(signature):
        difference = _difference(first, second, inputs)
        if difference is not None:
            largest, free_size = max(largest, difference), size
    if not free_size:
        raise Different("TensorFlow refuses all inputs that were drawn for it, so nothing could be compared")
    for inputs in given:
        largest = max(largest, _difference(first, second, inputs) or 0.0)
    return Parity(largest, free_size, frozenset(_guards(signature, first, second, free_size)))


def _tries(signature: Signature) -> Iterator[tuple[int, Tensors]]:
    for size in FREE_SIZES if _has_free_sizes(signature) else FREE_SIZES[:1]:
        for scale in SCALES:
            inputs = drawn(signature, ROWS, size, scale)
            yield size, inputs
            if takes_batches(signature):
                for at in range(0, ROWS, 2):
                    yield size, {alias: array[at : at + 1] for alias, array in inputs.items()}


def _has_free_sizes(signature: Signature) -> bool:
    return any(size is None for spec in signature.inputs.values() for size in (spec.shape or ())[1:])


def _guards(signature: Signature, first: Run, second: Run, free_size: int) -> Iterator[Guard]:
    """The kinds of unusual values on which ``second`` answers otherwise, or answers what ``first`` refuses."""
    kinds: tuple[tuple[Guard, str, tuple[float, ...]], ...] = (
        ("negative", "i", (-1,)),
        ("not finite", "f", (np.nan, np.inf)),
    )
    for guard, kind, values in kinds:
        inputs = drawn(signature, ROWS, free_size)
        unusual = [array for array in inputs.values() if array.dtype.kind == kind and array.size]
        for array in unusual:
            flat = array.reshape(-1)
            flat[: len(values)] = values[: len(flat)]
        try:
            if unusual:
                _difference(first, second, inputs)
        except Different:
            yield guard


def _difference(first: Run, second: Run, inputs: Tensors) -> float | None:
    """How far their answers are apart; None where both refuse the inputs."""
    rows = next(iter(inputs.values())).shape
    try:
        expected = first(inputs)
    except EngineError:
        expected = None
    try:
        got = second(inputs)
    except EngineError as error:
        if expected is None:
            return None
        raise Different(f"ONNX Runtime refuses inputs of shape {show_shape(rows)}: {error.message}") from None
    if expected is None:
        raise Different(f"ONNX Runtime answers inputs of shape {show_shape(rows)} that TensorFlow refuses")
    return max((_apart(alias, expected[alias], got[alias]) for alias in expected), default=0.0)


def _apart(alias: str, expected: Tensor, got: Tensor) -> float:
    if expected.dtype != got.dtype or expected.shape != got.shape:
        kinds = [f"{each.dtype} {show_shape(each.shape)}" for each in (expected, got)]
        raise Different(f"the output {alias!r} is {kinds[0]} by TensorFlow and {kinds[1]} by ONNX Runtime")
    if expected.dtype.kind in "biuO":
        if not np.array_equal(expected, got):
            raise Different(f"the output {alias!r}, of {expected.dtype}, is another one")
        return 0.0
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = expected.astype(wide), got.astype(wide)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(a - b))
    scale = float(np.abs(a).max(initial=0.0, where=np.isfinite(a))) or 1.0
    relative: Any = Tolerance().allowed(np.abs(np.where(np.isfinite(a), a, 0.0)) / scale, expected.dtype)
    wrong = ~(apart <= relative * scale)  # also where one of them is no number
    if wrong.any():
        raise Different(f"the output {alias!r} differs by {float(apart[wrong].max()):.2g}, at values up to {scale:.2g}")
    return float(apart.max(initial=0.0))
