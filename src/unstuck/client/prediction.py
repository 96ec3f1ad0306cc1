"""What a predict call answers."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from unstuck.core.signatures import Tensor, Tensors, show_shape
from unstuck.errors import SetupError


class Prediction(Mapping[str, Tensor]):
    """The outputs of one call, arrays by alias; strings are object arrays of bytes.

    Attributes:
        warnings: what the server said of inputs that it did not use as sent.
    """

    __slots__ = ("_outputs", "warnings")

    def __init__(self, outputs: Tensors, warnings: tuple[str, ...] = ()) -> None:
        self._outputs = dict(outputs)
        self.warnings = warnings

    @property
    def array(self) -> Tensor:
        """The only output. Raises ValueError where there are several."""
        if len(self._outputs) != 1:
            raise ValueError(
                f"There are {len(self._outputs)} outputs, {', '.join(self._outputs)}: take one by its alias."
            )
        return next(iter(self._outputs.values()))

    def to_dataframe(self) -> Any:
        """A pandas DataFrame of the outputs, a row for each of the batch, strings as text where they are UTF-8.

        An output [rows] or [rows, 1] is one column, named after its alias; [rows, k] is k columns, ``alias_0`` and so
        on.

        Raises:
            ValueError: an output that has no rows, or is of a higher rank; outputs with different numbers of rows.
            SetupError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise SetupError("A DataFrame needs pandas.", hint="pip install pandas") from None
        columns: dict[str, Any] = {}
        for alias, array in self._outputs.items():
            if array.ndim not in (1, 2):
                raise ValueError(
                    f"Output {alias!r} {show_shape(array.shape)} is no table; expected [rows] or [rows, k]."
                )
            columns.update(_columns(alias, array))
        if len({len(column) for column in columns.values()}) > 1:
            shapes = ", ".join(f"{alias!r} {show_shape(array.shape)}" for alias, array in self._outputs.items())
            raise ValueError(f"The outputs have different numbers of rows: {shapes}.")
        return pandas.DataFrame(columns)

    def __getitem__(self, alias: str) -> Tensor:
        return self._outputs[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        warned = f", warnings={self.warnings!r}" if self.warnings else ""
        return f"Prediction({self._outputs!r}{warned})"


def _columns(alias: str, array: Tensor) -> dict[str, Any]:
    values: Any = [_text(value) for value in array.ravel().tolist()] if array.dtype == object else array
    if array.ndim == 1:
        return {alias: values}
    if array.dtype == object:
        width = array.shape[1]
        split = [values[column::width] for column in range(width)]
    else:
        split = list(array.T)
    return {alias if len(split) == 1 else f"{alias}_{number}": column for number, column in enumerate(split)}


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
