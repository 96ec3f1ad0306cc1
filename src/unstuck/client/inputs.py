"""What a caller passes to ``predict``, by name, as the tensors of a signature's inputs."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

import numpy as np

from unstuck.client import foreign
from unstuck.client.tensors import check_shape, to_tensor
from unstuck.core.signatures import Signature, Tensor, TensorSpec
from unstuck.errors import InputNames, nearest

NOTHING: Final = object()
"""Stands for a positional argument that was not given."""


def bind(signature: Signature, inputs: object, named: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors by alias; an input that the signature has a default for may be left out.

    Args:
        signature: what is called.
        inputs: a mapping or a table by alias, or the value of the only input; NOTHING where all are in ``named``.
        named: values by alias.

    Raises:
        InputNames: missing, unknown or doubly given inputs.
        WrongType, WrongShape, UnsupportedType: as ``to_tensor`` and ``check_shape``.
    """
    if inputs is not NOTHING and named:
        raise InputNames(
            "Inputs were given both by position and by name.",
            hint="Put all of them into one mapping, or name them all.",
        )
    is_table = foreign.is_table(inputs)
    if inputs is NOTHING:
        values: Mapping[Any, object] = named
    elif is_table:
        values = foreign.columns(inputs)
    elif isinstance(inputs, Mapping):
        values = cast("Mapping[Any, object]", inputs)
    elif len(signature.inputs) == 1:
        values = dict.fromkeys(signature.inputs, inputs)
    else:
        raise InputNames(
            f"One value came without a name; signature {signature.name!r} takes {_listed(signature)}.",
            hint="Name the inputs: predict(a=…, b=…) or predict({'a': …, 'b': …}).",
        )
    _check_names(signature, values, is_table)
    return {
        alias: _tensor(values[alias], spec, is_column=is_table)
        for alias, spec in signature.inputs.items()
        if alias in values
    }


def _tensor(value: object, spec: TensorSpec, *, is_column: bool) -> Tensor:
    tensor = to_tensor(value, spec)
    if is_column and tensor.ndim == 1 and spec.shape is not None and spec.shape[1:] == (1,):
        tensor = tensor[:, np.newaxis]  # a column has one value a row, which is what the input declares
    check_shape(spec, tensor.shape)
    return tensor


def _check_names(signature: Signature, values: Mapping[Any, object], is_table: bool) -> None:
    missing = [alias for alias in signature.inputs if alias not in values and alias not in signature.defaults]
    unknown = [name for name in values if name not in signature.inputs]
    if missing or unknown:
        _wrong_names(signature, missing, unknown, is_table)


def _wrong_names(signature: Signature, missing: list[str], unknown: list[object], is_table: bool) -> NoReturn:
    faults: list[str] = []
    if missing:
        faults.append("misses " + ", ".join(f"{alias!r} ({signature.inputs[alias]})" for alias in missing))
    for name in unknown:
        near = nearest(str(name), missing or signature.inputs)
        faults.append(f"has {name!r}, which is no input" + f" (did you mean {near!r}?)" * bool(near))
    hint = ""
    if is_table and not missing:
        hint = f"Pass only the columns that are inputs: table[{list(signature.inputs)}]."
    elif is_table and len(signature.inputs) == 1:
        (alias,) = signature.inputs
        hint = f"To pass all columns as the one input, name it: predict({{{alias!r}: table}})."
    raise InputNames(
        f"The {'table' if is_table else 'call'} {', and '.join(faults)}. "
        f"Signature {signature.name!r} takes {_listed(signature)}.",
        hint=hint,
    )


def _listed(signature: Signature) -> str:
    return ", ".join(f"{alias!r} ({spec})" for alias, spec in signature.inputs.items()) or "no inputs"
