"""Values of other libraries, in terms of NumPy and lists. Nothing is imported: a caller who has such a value, has it.

What these libraries can say and a tensor cannot is refused, not lost: missing values, the palette of an image, masks.
"""

import sys
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import TensorSpec
from unstuck.errors import InputNames, WrongType


def is_table(value: object) -> bool:
    """Whether ``value`` has columns by name: pandas' DataFrame, pyarrow's Table or RecordBatch."""
    return _is(value, "pandas", "DataFrame") or _is(value, "pyarrow", "Table", "RecordBatch")


def columns(table: Any) -> Mapping[object, object]:
    """The columns of a table by name. Raises InputNames where two have the same."""
    if _is(table, "pandas", "DataFrame"):
        names = list(table.columns)
        values = [table.iloc[:, number] for number in range(len(names))]
    else:
        names, values = list(table.column_names), list(table.columns)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise InputNames(f"The table has more than one column named {', '.join(map(repr, twice))}.")
    return dict(zip(names, values, strict=True))


def plain(value: Any, spec: TensorSpec) -> Any:
    """``value`` as a NumPy array, nested lists or a scalar of Python's; as it is where it is none of another library.

    Raises:
        WrongType: missing or masked values, an image that is a palette and indices, or what does not become an array.
    """
    if isinstance(value, np.ma.MaskedArray):
        masked = cast("Any", value)
        if masked.mask.any():
            raise WrongType(f"Input {spec.alias!r} ({spec}) got an array with masked values.", hint="Fill them in.")
        return masked.data
    if isinstance(value, np.ndarray | np.generic):
        return cast("Any", value)
    if _is(value, "pandas", "Series", "Index"):
        return _pandas(value, spec)
    if _is(value, "pyarrow", "ChunkedArray"):
        value = value.combine_chunks()
    if _is(value, "pyarrow", "Array", "ChunkedArray"):
        return _arrow(value, spec)
    if _is(value, "pyarrow", "Scalar"):
        return value.as_py()
    if _is(value, "PIL.Image", "Image"):
        return _image(value, spec)
    if isinstance(value, range):
        return list(value)
    if hasattr(value, "__array__") and not isinstance(value, type):
        try:
            return np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise WrongType(f"Input {spec.alias!r} ({spec}) got a {_name(value)} that is no array: {error}") from None
    return value


def _is(value: object, module: str, *names: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in names))


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def _pandas(series: Any, spec: TensorSpec) -> Any:
    dtype: Any = series.dtype
    if not isinstance(dtype, np.dtype) or cast("Any", dtype).kind != "f":  # NaN is a value there
        missing = np.flatnonzero(np.asarray(series.isna()))
        if missing.size:
            raise _missing(spec, f"at row {int(missing[0])}")
    return series.to_numpy()


def _arrow(array: Any, spec: TensorSpec) -> Any:
    pyarrow = sys.modules["pyarrow"]
    if array.null_count:
        raise _missing(spec, f"({array.null_count} of {len(array)} are null)")
    if hasattr(array, "to_numpy_ndarray"):
        return array.to_numpy_ndarray()
    kind: Any = array.type
    types: Any = pyarrow.types
    if types.is_fixed_size_list(kind):
        inner: Any = plain(array.flatten(), spec)
        if hasattr(inner, "reshape"):
            return inner.reshape(len(array), kind.list_size, *inner.shape[1:])
    if types.is_primitive(kind):
        return array.to_numpy(zero_copy_only=False)
    return array.to_pylist()


def _image(image: Any, spec: TensorSpec) -> Any:
    if spec.dtype.is_string:
        raise WrongType(
            f"Input {spec.alias!r} takes {spec}, got an image.",
            hint="Send the bytes of its file, as path.read_bytes().",
        )
    if image.mode in ("P", "PA"):
        raise WrongType(
            f"Input {spec.alias!r} ({spec}) got an image of mode {image.mode!r}: its pixels are indices of a palette.",
            hint="Convert it first: image.convert('RGB').",
        )
    return np.asarray(image)


def _missing(spec: TensorSpec, where: str) -> WrongType:
    return WrongType(
        f"Input {spec.alias!r} ({spec}) got missing values {where}, and a tensor has no form for them.",
        hint="Fill them in, or leave these rows out.",
    )
