"""Whether calls of a signature may be merged: decided by trying, at load, before the first request.

A signature is a candidate if each of its inputs and outputs has an unknown first dimension and running it changes no
state. Rows drawn by dtype and shape are then run alone, together, in another order and beside strangers: a model that
mixes rows (statistics of the batch, an operation across it) answers differently, and is served without merging.
"""

from collections.abc import Mapping

import numpy as np

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import UnstuckError

ROWS = 4
FREE_SIZE = 3  # for a dimension of any size
SEED = 20261122
TOLERANCE = {2: 2e-2, 4: 1e-5, 8: 1e-10}  # by bytes of a float, relative to the largest value
_WORDS = (b"alpha", b"beta", b"gamma", b"delta", b"a longer text of several words", b"")


def why_not_mergeable(servable: Servable, signature: Signature) -> str:
    """Empty if calls of ``signature`` may be merged, else the reason why not."""
    if signature.name not in servable.stateless:
        return "running it may change state, or draws random numbers"
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if not spec.shape or spec.shape[0] is not None:
            return f"{spec.alias!r} ({spec}) has no batch dimension of any size in front"
    if not signature.inputs:
        return "it has no inputs"
    if signature.takes_examples:
        return "it takes serialised tf.Examples, which cannot be drawn"
    try:
        return _probe(servable, signature)
    except (UnstuckError, TypeError) as error:
        return f"the probe could not be run: {error}"


def _probe(servable: Servable, signature: Signature) -> str:
    random = np.random.default_rng(SEED)
    rows = {alias: _draw(spec, ROWS, random) for alias, spec in signature.inputs.items()}
    strangers = {alias: _draw(spec, 2 * ROWS + 1, random) for alias, spec in signature.inputs.items()}
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


def _draw(spec: TensorSpec, rows: int, random: np.random.Generator) -> Tensor:
    dtype = spec.dtype.numpy
    shape = (rows, *(FREE_SIZE if size is None else size for size in (spec.shape or ())[1:]))
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
