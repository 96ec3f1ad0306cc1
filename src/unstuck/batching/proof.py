"""Whether calls of a signature may be merged: decided by trying, at load, before the first request.

A signature is a candidate if each of its inputs and outputs has an unknown first dimension and running it changes no
state. Rows drawn by dtype and shape are then run alone, together, in another order and beside strangers: a model that
mixes rows (statistics of the batch, an operation across it) answers differently, and is served without merging.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unstuck.core.batching import Merging
from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import UnstuckError

ROWS = 4
FREE_SIZE = 3  # for a dimension of any size
SEED = 20261122
TOLERANCE = {2: 2e-2, 4: 1e-5, 8: 1e-10}  # by bytes of a float, relative to the largest value
_WORDS = (b"alpha", b"beta", b"gamma", b"delta", b"a longer text of several words", b"")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether calls of a signature may be merged.

    Attributes:
        why_not: empty if they may, else the reason.
        is_wrong: whether merging is known to be impossible or to change answers, not only unproven.
        has_rows: whether each of its inputs and outputs has a first dimension of any size.
    """

    why_not: str = ""
    is_wrong: bool = False
    has_rows: bool = True

    def why_not_merged(self, merging: Merging) -> str:
        """Empty if calls are merged with this setting of ``--batching``, else the reason why not."""
        if merging == "off":
            return "batching is off"
        if merging == "on" and self.has_rows and not self.is_wrong:
            return ""
        return self.why_not


def why_not_mergeable(servable: Servable, signature: Signature) -> str:
    """Empty if calls of ``signature`` may be merged, else the reason why not."""
    return examine(servable, signature).why_not


def examine(servable: Servable, signature: Signature) -> Verdict:
    """Whether calls of ``signature`` may be merged."""
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if not spec.shape or spec.shape[0] is not None:
            why_not = f"{spec.alias!r} ({spec}) has no batch dimension of any size in front"
            return Verdict(why_not, is_wrong=spec.shape is not None, has_rows=False)
    if not signature.inputs:
        return Verdict("it has no inputs", is_wrong=True, has_rows=False)
    if signature.name not in servable.stateless:
        return Verdict("running it may change state, or draws random numbers")
    if signature.takes_examples:
        return Verdict("it takes serialised tf.Examples, which cannot be drawn")
    try:
        why_not = _probe(servable, signature)
    except (UnstuckError, TypeError) as error:
        return Verdict(f"the probe could not be run: {error}")
    return Verdict(why_not, is_wrong=bool(why_not))


def _probe(servable: Servable, signature: Signature) -> str:
    random = np.random.default_rng(SEED)
    rows = {alias: draw(spec, ROWS, random) for alias, spec in signature.inputs.items()}
    strangers = {alias: draw(spec, 2 * ROWS + 1, random) for alias, spec in signature.inputs.items()}
    order = np.arange(ROWS)[::-1]
    alone = [servable.run(signature, {alias: array[i : i + 1] for alias, array in rows.items()}) for i in range(ROWS)]
    expected = {alias: np.concatenate([each[alias] for each in alone]) for alias in signature.outputs}
    if any(len(array) != ROWS for array in expected.values()):
        return "it does not give one row for each row"
    tries = {
        "together": (rows, slice(None)),
        "in another order": ({alias: array[order] for alias, array in rows.items()}, order),
        "beside others": (_joined(rows, strangers), slice(ROWS)),
    }
    for name, (inputs, pick) in tries.items():
        outputs = servable.run(signature, inputs)
        size = len(next(iter(inputs.values())))
        for alias, array in outputs.items():
            if array.ndim == 0 or len(array) != size or not _equal(array[pick], expected[alias]):
                return f"its rows answer differently {name} than alone (output {alias!r})"
    return ""


def _joined(rows: Tensors, strangers: Tensors) -> Mapping[str, Tensor]:
    return {alias: np.concatenate([array, strangers[alias]]) for alias, array in rows.items()}


def draw(spec: TensorSpec, rows: int, random: np.random.Generator, free_size: int = FREE_SIZE) -> Tensor:
    """Values of the dtype, whose dimensions of any size, but for the first, are of ``free_size``.

    Raises:
        TypeError: there are none of this dtype.
    """
    dtype = spec.dtype.numpy
    shape = (rows, *(free_size if size is None else size for size in (spec.shape or ())[1:]))
    if dtype is None:
        raise TypeError(f"no values of {spec.dtype.name} can be drawn")
    if spec.dtype.is_string:
        return random.choice(np.array(_WORDS, object), shape)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        return random.integers(0, 8, shape).astype(dtype)  # small enough to be ids of most vocabularies
    return random.normal(size=shape).astype(dtype)


def _equal(got: Tensor, expected: Tensor) -> bool:
    if got.shape != expected.shape:
        return False
    if got.dtype.kind in "OSUbiu":
        return bool(np.array_equal(got, expected))
    wide = np.complex128 if got.dtype.kind == "c" else np.float64
    a, b = got.astype(wide), expected.astype(wide)
    scale = float(np.nanmax(np.abs(b), initial=0.0, where=np.isfinite(b)))
    size = got.dtype.itemsize // (2 if got.dtype.kind == "c" else 1)
    return bool(np.allclose(a, b, rtol=0.0, atol=TOLERANCE.get(size, 0.0) * max(scale, 1e-30), equal_nan=True))
