"""Inputs drawn from a signature alone: for a model of which nobody has a request."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from unstuck.core.dtypes import DType
from unstuck.core.signatures import Shape, Signature, Tensor, TensorSpec

Row = dict[str, Tensor]
Scale = Literal["unit", "normal", "bytes", "wide"]

_FREE_SIZE = 16  # of a dimension that may have any size
_FREE_IMAGE_SIZE = 64  # the same of an image, which convolutions must not shrink to nothing
_ID_BOUND = {"unit": 10, "normal": 10, "bytes": 256, "wide": 10_000}
_WORDS = (
    *(b"the", b"film", b"was", b"not", b"good", b"bad", b"red", b"green", b"house", b"train", b"paris", b"monday"),
    *(b"fast", b"cheap", b"1", b"2", b"42", b"2020", b"male", b"female", b"yes", b"no", b"A", b"B", b"C", b"user_17"),
)


class CannotDraw(Exception):
    """Nothing can be drawn for a signature; ``str`` of it says why."""


def draw(
    signature: Signature,
    rows: int,
    seed: int,
    scale: Scale = "unit",
    vocabulary: Sequence[bytes] = (),
    ids: int | None = None,
) -> list[Row]:
    """Distinct rows that fit the signature; each has its own level and spread, so that their means differ as well.

    Args:
        signature: what they are for.
        rows: how many.
        seed: the same seed, the same rows.
        scale: numbers from 0 to 1, around 0 with deviation 1, whole ones from 0 to 255, or around 0 with deviation
            1000. Integers are from 0 to 9, 9, 255 and 9999.
        vocabulary: words for string inputs; without any, common ones.
        ids: integers stay below it.

    Returns:
        Rows; dimensions of any size are 16 long, 64 in images, and the batch is 1, or what the signature fixes.

    Raises:
        CannotDraw: an input's dtype is one that nothing can be drawn of, or holds serialised tf.Examples.
    """
    if signature.takes_examples:
        raise CannotDraw("the signature takes serialised tf.Examples, and nothing says which features they have")
    bound = max(1, _ID_BOUND[scale] if ids is None else min(ids, _ID_BOUND["wide"]))
    random = np.random.default_rng(seed)
    words = tuple(vocabulary) or _WORDS
    return [
        {alias: _values(spec, scale, words, bound, random) for alias, spec in signature.inputs.items()}
        for _ in range(rows)
    ]


def _values(spec: TensorSpec, scale: Scale, words: Sequence[bytes], bound: int, random: np.random.Generator) -> Tensor:
    shape = sizes(spec.shape)
    if spec.dtype.is_string:
        return _strings(shape, words, random)
    dtype = _numpy(spec)
    if dtype.kind == "b":
        return np.asarray(random.random(shape) < random.uniform(0.1, 0.9))
    if dtype.kind in "iu":
        return random.integers(0, min(bound, 2 ** (8 * dtype.itemsize - (dtype.kind == "i"))), shape).astype(dtype)
    return _numbers(shape, scale, random).astype(dtype)


def sizes(shape: Shape | None) -> tuple[int, ...]:
    """``shape`` with the batch 1 and sizes for the other free dimensions; an unknown rank is one value a row."""
    if shape is None:
        return (1,)
    free = _FREE_IMAGE_SIZE if len(shape) > 3 else _FREE_SIZE
    return tuple(size if size is not None else (1 if dimension == 0 else free) for dimension, size in enumerate(shape))


def _numbers(shape: tuple[int, ...], scale: Scale, random: np.random.Generator) -> Tensor:
    if scale in ("unit", "bytes"):
        spread = random.uniform(0.2, 1.0)
        unit = random.uniform(0.0, 1.0 - spread) + spread * random.random(shape)
        return unit if scale == "unit" else np.round(unit * 255.0)
    values = random.normal(random.normal(), random.uniform(0.3, 1.0), shape)
    return values if scale == "normal" else values * 1000.0


def _strings(shape: tuple[int, ...], words: Sequence[bytes], random: np.random.Generator) -> Tensor:
    """Words where a row has several strings, sentences and words in turn where it has one."""
    array = np.empty(shape, object)
    for at in np.ndindex(shape):
        count = 1 if array.size > 1 or random.random() < 0.3 else int(random.integers(2, 9))
        array[at] = b" ".join(words[int(each)] for each in random.integers(0, len(words), count))
    return array


def _numpy(spec: TensorSpec) -> "np.dtype[np.generic]":
    dtype: DType = spec.dtype
    if dtype.numpy is None or not (dtype.is_number or dtype.numpy.kind == "b"):
        raise CannotDraw(f"input {spec.alias!r} takes {dtype.name} values, which cannot be drawn")
    return dtype.numpy
