"""What a caller passes to the array of an input's dtype, with no silent loss.

Floats are rounded to a narrower float, as everywhere, but a finite one never becomes infinite. Integers and floats
become each other where that is exact. Nothing else is converted: ``True`` is no number, and ``"1"`` is none either.
"""

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any, NoReturn, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from unstuck.client import foreign
from unstuck.core.signatures import Shape, Tensor, TensorSpec, show_shape
from unstuck.errors import UnsupportedType, WrongShape, WrongType

MAX_RANK = 32
_ADVICE = "Convert it yourself if that is what you mean."

# What arrays become an array of a kind (NumPy's letters; "f" also bfloat16), where their values allow it.
_TAKES = {"b": "b", "i": "iuf", "u": "iuf", "f": "iuf", "c": "iufc"}

Index = tuple[int, ...]


def to_tensor(value: object, spec: TensorSpec) -> Tensor:
    """``value`` as an array of ``spec``'s dtype, in its own shape.

    Args:
        value: a NumPy array or scalar, a scalar or nested lists of Python's; a Series, DataFrame, Arrow array or image;
            anything that NumPy makes an array of by ``__array__``.
        spec: the input. Strings become an object array of bytes, ``str`` as UTF-8.

    Raises:
        WrongType: an element that the dtype cannot hold, or only with a loss.
        WrongShape: ragged lists, or more than 32 dimensions.
        UnsupportedType: an input of a dtype that NumPy has no equal of.
    """
    if spec.dtype.numpy is None or _kind(spec.dtype.numpy) not in "biufcO":
        raise UnsupportedType(f"Input {spec.alias!r} takes {spec.dtype.name}, of which no values can be sent.")
    return _convert(value, spec, ())


def check_shape(spec: TensorSpec, shape: Index) -> None:
    """Refuses rows that are not what ``spec`` declares, which a graph may broadcast into a wrong answer.

    What lacks only sizes of 1, or differs in the size of the batch, is for the server to judge.

    Raises:
        WrongShape: with both shapes.
    """
    declared = spec.shape
    if declared is None or _fits(shape, declared) or (declared[:1] != (None,) and _fits(shape[1:], declared)):
        return
    if len(shape) <= len(declared) and _fits(_row(shape), _row(declared)):
        return
    one_row = len(shape) + 1 == len(declared) and _fits(shape, declared[1:])
    raise WrongShape(
        f"Input {spec.alias!r} expects shape {show_shape(declared)} ({spec.dtype.name}), got {show_shape(shape)}.",
        hint="This is one row without its batch: put it into a list, [row]." * one_row,
    )


def _fits(shape: Shape, declared: Shape) -> bool:
    return len(shape) == len(declared) and all(want in (None, got) for got, want in zip(shape, declared, strict=True))


def _row(shape: Shape) -> Shape:
    return tuple(size for size in shape[1:] if size != 1)


def _convert(value: object, spec: TensorSpec, at: Index) -> Tensor:
    if foreign.is_table(value):
        each = [_convert(column, spec, at) for column in foreign.columns(value).values()]
        return np.stack(each, axis=-1) if each else _refuse(spec, "a table without columns", at)
    known = foreign.plain(value, spec)
    if isinstance(known, np.ndarray | np.generic):
        return _from_array(np.asarray(cast("Any", known)), spec, at)
    if isinstance(known, bool | int | float | complex | str | bytes | bytearray | memoryview):
        return _from_leaves([_base(cast("Any", known))], (), spec, at)
    if not isinstance(known, list | tuple):
        _refuse(spec, f"{known!r:.60} ({type(known).__name__})", at, "Make it an array: numpy.asarray(…).")
    return _from_leaves([cast("Any", known)], (), spec, at)


def _base(leaf: Any) -> object:
    """A scalar of one of the types that ``_from_leaves`` knows; enums and other subclasses lose their class."""
    if isinstance(leaf, str):
        return str.__str__(leaf)
    kind: Any = next((each for each in (bool, int, float, complex) if isinstance(leaf, each)), bytes)
    return kind(leaf)


def _from_leaves(leaves: list[Any], shape: Index, spec: TensorSpec, at: Index) -> Tensor:
    """The array of ``shape`` that ``leaves`` make, which may be lists themselves, all of one length."""
    kinds: set[type] = set(map(type, leaves))
    while kinds and kinds <= {list, tuple}:
        lengths = set(map(len, leaves))
        if len(lengths) > 1 or len(shape) == MAX_RANK:
            _ragged(spec, lengths)
        shape = (*shape, *lengths)
        leaves = list(chain.from_iterable(leaves))
        kinds = set(map(type, leaves))
    if not leaves:
        return cast("Tensor", np.empty(shape, cast("Any", spec.dtype.numpy)))
    wants_text = spec.dtype.is_string
    if wants_text and kinds <= {str, bytes}:
        return _strings(leaves, shape, spec, at)
    if (array := _numbers(leaves, kinds, spec)) is not None and not wants_text:
        return _from_array(array.reshape(shape), spec, at)
    if len(leaves) == 1 and kinds <= {str, bytes, int, float, bool, complex}:
        _refuse(spec, f"{leaves[0]!r:.60}", (*at, *(0 for _ in shape)))
    rows = [_convert(leaf, spec, (*at, *_unravel(place, shape))) for place, leaf in enumerate(leaves)]
    if len({row.shape for row in rows}) > 1:
        shapes = sorted({show_shape(row.shape) for row in rows})
        raise WrongShape(f"Input {spec.alias!r} ({spec}) is ragged: it has elements of the shapes {', '.join(shapes)}.")
    return np.stack(rows).reshape((*shape, *rows[0].shape))


def _numbers(leaves: list[Any], kinds: set[type], spec: TensorSpec) -> Tensor | None:
    """Scalars of one kind as NumPy reads them without changing any; None for others, which are looked at one by one."""
    if len(kinds) == 1:
        (kind,) = kinds
        if kind is int:
            least, most = min(leaves), max(leaves)
            if least >= -(2**63) and most < 2**63:
                return np.array(leaves, np.int64)
            return np.array(leaves, np.uint64) if least >= 0 and most < 2**64 else None
        if kind in (bool, float, complex) or (issubclass(kind, np.number | np.bool_) and leaves[0].ndim == 0):
            return cast("Tensor", np.array(leaves))
        return None
    if kinds == {int, float}:
        wanted = cast("Any", spec.dtype.numpy)
        limit = 2 ** min(_precision(wanted) if _kind(wanted) == "f" else 53, 53)
        if all(-limit <= leaf <= limit for leaf in leaves if type(leaf) is int):
            return np.array(leaves, np.float64)
    return None


def _strings(leaves: list[str | bytes], shape: Index, spec: TensorSpec, at: Index) -> Tensor:
    array = np.empty(len(leaves), np.object_)
    for place, leaf in enumerate(leaves):
        try:
            array[place] = leaf.encode() if isinstance(leaf, str) else leaf
        except UnicodeEncodeError:
            _refuse(spec, f"{leaf!r:.60}, which is no text that UTF-8 can hold", (*at, *_unravel(place, shape)))
    return array.reshape(shape)


def _from_array(array: NDArray[Any], spec: TensorSpec, at: Index) -> Tensor:
    wanted, kind = cast("Any", spec.dtype.numpy), _kind(array.dtype)
    if array.ndim > MAX_RANK:
        _ragged(spec, set())
    if kind == "O" or (spec.dtype.is_string and kind in "SUT"):
        return _from_leaves(array.ravel().tolist(), array.shape, spec, at)
    if array.dtype == wanted:
        return array
    if kind not in _TAKES.get(_kind(wanted), ""):
        if array.size == 0:
            return cast("Tensor", np.empty(array.shape, wanted))
        _refuse(spec, f"{array.dtype.name} {array.flat[0]!s:.40}", at + (0,) * array.ndim)
    bad = _out_of_range(array, kind, wanted) if array.size else None
    if bad is not None:
        index = _unravel(bad, array.shape)
        _refuse(spec, f"{array.dtype.name} {array[index]!s}", at + index, _ADVICE, "only with a loss")
    with np.errstate(all="ignore"):
        return array.astype(wanted)


def _out_of_range(array: NDArray[Any], kind: str, wanted: Any) -> int | None:
    """The flat place of the first element that ``wanted`` cannot hold; None where it holds all."""
    if kind == "c":
        parts = array.astype(np.complex128)
        return _first(np.isfinite(parts) & ~np.isfinite(_quietly(parts, wanted)))
    if _kind(wanted) in "iu":
        info = np.iinfo(wanted)
        if kind == "f":
            wide = array.astype(np.float64)
            held = (
                np.isfinite(wide) & (np.trunc(wide) == wide) & (wide >= float(info.min)) & (wide < float(info.max + 1))
            )
            return _first(~held)
        if int(array.min()) < info.min:
            return int(array.argmin())
        return int(array.argmax()) if int(array.max()) > info.max else None
    if kind == "f":
        return _first(np.isfinite(array) & ~np.isfinite(_quietly(array, wanted)))
    limit = 2 ** _precision(wanted)
    if int(array.min()) >= -limit and int(array.max()) <= limit:
        return None
    part = np.dtype(f"f{wanted.itemsize // 2}") if wanted.kind == "c" else wanted
    held = _quietly(array, part).astype(np.float64).ravel().tolist()
    pairs = enumerate(zip(array.ravel().tolist(), held, strict=True))
    return next((place for place, (whole, near) in pairs if near in (np.inf, -np.inf) or int(near) != whole), None)


def _quietly(array: NDArray[Any], wanted: Any) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return array.astype(wanted)


def _first(bad: NDArray[np.bool_]) -> int | None:
    return int(bad.argmax()) if bad.any() else None


def _precision(dtype: Any) -> int:
    """How many bits an integer may have for ``dtype`` to hold all up to there."""
    return int(cast("Any", ml_dtypes).finfo(dtype).nmant) + 1


def _kind(dtype: Any) -> str:
    """NumPy's letter for the kind of ``dtype``, bfloat16 being a float; others of ml_dtypes keep "V" or are opaque."""
    if dtype == ml_dtypes.bfloat16:
        return "f"
    return dtype.kind if dtype.isbuiltin == 1 or dtype.kind in "SUMmVT" or not dtype.isnative else "V"


def _unravel(place: int, shape: Sequence[int]) -> Index:
    return tuple(int(each) for each in np.unravel_index(place, shape)) if prod(shape) and shape else ()


def _ragged(spec: TensorSpec, lengths: set[int]) -> NoReturn:
    if len(lengths) > 1:
        listed = " and ".join(map(str, sorted(lengths)[:2]))
        raise WrongShape(f"Input {spec.alias!r} ({spec}) is ragged: it has lists of {listed} elements in one level.")
    raise WrongShape(f"Input {spec.alias!r} ({spec}) has more than {MAX_RANK} dimensions.")


def _refuse(spec: TensorSpec, got: str, at: Index, hint: str = "", why: str = "") -> NoReturn:
    where = " at " + "".join(f"[{place}]" for place in at) if at else ""
    held = f", which it can hold {why}" if why else ""
    raise WrongType(f"Input {spec.alias!r} expects {spec}, got {got}{where}{held}.", hint=hint)
