"""Whether an answer is the one that was recorded, as far as another machine's arithmetic lets it be."""

from dataclasses import dataclass
from typing import Any, cast

import ml_dtypes
import numpy as np

from unstuck.core.signatures import Tensor, Tensors, show_shape

# Relative and absolute; another CPU, thread count or batch size changes about the last two digits.
_BY_DTYPE: dict[Any, tuple[float, float]] = {
    np.dtype(np.float64): (1e-6, 1e-9),
    np.dtype(np.float32): (1e-4, 1e-5),
    np.dtype(np.float16): (1e-2, 1e-3),
    np.dtype(ml_dtypes.bfloat16): (5e-2, 1e-2),
}
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far floating-point outputs may be apart; None takes the dtype's own. All others must be equal."""

    relative: float | None = None
    absolute: float | None = None

    def allowed(self, expected: "np.ndarray[Any, np.dtype[np.float64]]", dtype: Any) -> Tensor:
        relative, absolute = _BY_DTYPE.get(dtype, (0.0, 0.0))
        relative = relative if self.relative is None else self.relative
        absolute = absolute if self.absolute is None else self.absolute
        return absolute + relative * np.abs(expected)


def first_difference(expected: Tensors, got: Tensors, tolerance: Tolerance) -> str:
    """What of ``got`` is not as ``expected``, in words; empty where all is."""
    for alias, wanted in expected.items():
        answered = got[alias]
        if wanted.shape != answered.shape:
            shapes = f"expected shape {show_shape(wanted.shape)}, got {show_shape(answered.shape)}"
            return f"output {alias!r}: {shapes}."
        if why := _difference(alias, wanted, answered, tolerance):
            return why
    return ""


def _difference(alias: str, expected: Tensor, got: Tensor, tolerance: Tolerance) -> str:
    if got.dtype not in _BY_DTYPE:
        differs = np.asarray(expected != got)
        at = _first(differs)
        return "" if at is None else _words(alias, at, expected[at], got[at]) + "."
    wanted, answered = (cast("Any", each).astype(np.float64) for each in (expected, got))
    allowed = tolerance.allowed(wanted, got.dtype)
    with np.errstate(invalid="ignore"):
        excess = np.where(wanted == answered, -np.inf, np.abs(answered - wanted) - allowed)
    excess = np.where(np.isnan(excess), np.inf, excess)
    if not excess.size or excess.max() <= 0:
        return ""
    at = np.unravel_index(int(excess.argmax()), excess.shape)
    return _words(alias, at, wanted[at], answered[at]) + f" (may differ by {allowed[at]:.2g})."


def _first(differs: Tensor) -> Any:
    return np.unravel_index(int(differs.argmax()), differs.shape) if differs.any() else None


def _words(alias: str, at: Any, expected: object, got: object) -> str:
    place = f"[{', '.join(str(int(each)) for each in at)}]" if at else ""
    return f"output {alias!r}{place}: expected {_value(expected)}, got {_value(got)}"


def _value(value: object) -> str:
    if isinstance(value, float):  # as np.float64 is
        return f"{value:.7g}"
    text = repr(value) if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
