"""Which columns of training data make which input of a model, and how. What is not plain is asked for, not guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from unstuck.core.signatures import Shape, Signature, TensorSpec
from unstuck.data.columns import Column
from unstuck.errors import SetupError, did_you_mean

How = Literal["as it is", "numbers", "words", "values"]


class FitError(SetupError):
    """Training data and a model that do not fit, or not in one way alone."""


@dataclass(frozen=True, slots=True)
class Made:
    """How an input is made.

    Attributes:
        spec: the model's input.
        columns: what it is made of, joined in this order where they are several.
        how: ``numbers`` may need normalising; ``words`` and whole ``values`` become ids of a vocabulary.
        in_file_order: whether the order is the file's, for want of another.
    """

    spec: TensorSpec
    columns: tuple[Column, ...]
    how: How
    in_file_order: bool = False


def match(signature: Signature, columns: Mapping[str, Column], named: Mapping[str, Sequence[str]]) -> list[Made]:
    """How each input of ``signature`` is made of ``columns``.

    Args:
        signature: the model's.
        columns: the training data's.
        named: by input, the columns that the user names.

    Raises:
        FitError: for an input that no column, or more than one choice of columns, fits.
    """
    if signature.takes_examples:
        raise FitError(f"Signature {signature.name!r} takes serialised tf.Examples, and prepares them itself.")
    for alias, names in named.items():
        _check_known(alias, signature.inputs, "the model has no input", signature.inputs)
        for name in names:
            _check_known(name, columns, "the training data have no column", columns)
    chosen = {alias: tuple(names) for alias, names in named.items()}
    chosen |= {alias: (alias,) for alias in signature.inputs if alias in columns and alias not in chosen}
    missing = [alias for alias in signature.inputs if alias not in chosen]
    in_file_order = ""
    if missing:
        used = {name for names in chosen.values() for name in names}
        free = [column for name, column in columns.items() if name not in used and not column.fault]
        names = _only_choice(signature.inputs[missing[0]], free) if len(missing) == 1 else ()
        if not names:
            raise _unmatched(signature, missing, columns)
        chosen[missing[0]] = names
        in_file_order = missing[0] if len(names) > 1 else ""
    made: list[Made] = []
    for alias, spec in signature.inputs.items():
        parts = tuple(columns[name] for name in chosen[alias])
        made.append(Made(spec, parts, _how(spec, parts), in_file_order=alias == in_file_order))
    return made


def _check_known(name: str, known: Mapping[str, object], what: str, listed: Mapping[str, object]) -> None:
    if name not in known:
        raise FitError(
            f"{what[0].upper()}{what[1:]} {name!r}; there are {', '.join(map(repr, listed))}.",
            hint=did_you_mean(name, listed),
        )


def _only_choice(spec: TensorSpec, free: Sequence[Column]) -> tuple[str, ...]:
    """The columns that make ``spec``, if there is one way alone."""
    texts = tuple(column.name for column in free if column.is_text and not column.shape)
    numbers = tuple(column.name for column in free if column.dtype.kind in "iuf" and not column.shape)
    row = _row(spec)
    choices: list[tuple[str, ...]] = []
    if spec.dtype.is_number and row is not None and len(row) == 1 and row[0] == len(numbers):
        choices.append(numbers)
    if (spec.dtype.is_string or _is_integer(spec)) and len(texts) == 1:
        choices.append(texts)
    return choices[0] if len(choices) == 1 else ()


def _how(spec: TensorSpec, columns: tuple[Column, ...]) -> How:
    for column in columns:
        if column.fault:
            raise FitError(f"Input {spec.alias!r} ({spec}): column {column.name!r}: {column.fault}.")
    if len(columns) == 1 and columns[0].is_text:
        return _how_of_text(spec, columns[0])
    for column in columns:
        _check_number(spec, column, is_part=len(columns) > 1)
    if len(columns) == 1:
        _check_shape(spec, columns[0].shape, columns)
    else:
        _check_shape(spec, (sum(column.shape[0] if column.shape else 1 for column in columns),), columns)
    return "numbers" if spec.dtype.is_number and not _is_integer(spec) else "as it is"


def _how_of_text(spec: TensorSpec, column: Column) -> How:
    if spec.dtype.is_string:
        _check_shape(spec, column.shape, (column,))
        return "as it is"
    if not _is_integer(spec) or column.shape:
        why = f": {column.note}" if column.note else ""
        raise FitError(
            f"Input {spec.alias!r} takes {spec}, and the column {column.name!r} is {column}{why}.",
            hint="" if why else "Declare by hand how text becomes that: docs/pipeline.md.",
        )
    row = _row(spec)
    return "values" if row in ((), (1,)) else "words"


def _check_number(spec: TensorSpec, column: Column, *, is_part: bool) -> None:
    kind = column.dtype.kind
    fits = {True: kind in "iu", False: kind in "iuf"}[_is_integer(spec)] if spec.dtype.is_number else kind == "b"
    if fits and not (is_part and len(column.shape) > 1):
        return
    why = f": {column.note}" if column.note else ""
    if _is_integer(spec) and kind == "f":
        why = ": some of its values have fractions, or are missing"
    raise FitError(f"Input {spec.alias!r} takes {spec}, and the column {column.name!r} is {column}{why}.")


def _check_shape(spec: TensorSpec, shape: tuple[int, ...], columns: tuple[Column, ...]) -> None:
    row = _row(spec)
    if row is None or (shape, row) == ((), (1,)):
        return
    if len(shape) != len(row) or any(want not in (None, got) for got, want in zip(shape, row, strict=True)):
        given = " and ".join(f"{column.name!r} ({column})" for column in columns)
        raise FitError(
            f"Input {spec.alias!r} takes {spec}, and {given} give{'s' * (len(columns) == 1)} rows of {list(shape)}.",
            hint=f"Name the columns that make it, in training's order: --map {spec.alias}=COLUMN,COLUMN…",
        )


def _row(spec: TensorSpec) -> Shape | None:
    return None if spec.shape is None else spec.shape[1:]


def _is_integer(spec: TensorSpec) -> bool:
    return spec.dtype.numpy is not None and spec.dtype.numpy.kind in "iu"


def _unmatched(signature: Signature, missing: Sequence[str], columns: Mapping[str, Column]) -> FitError:
    inputs = ", ".join(f"{alias!r} ({spec})" for alias, spec in signature.inputs.items())
    listed = ", ".join(f"{name!r} ({column})" for name, column in columns.items())
    row = _row(signature.inputs[missing[0]])
    size = row[0] if row and len(row) == 1 else None
    shown = ",".join(["COLUMN"] * size) if size and size <= 4 else "COLUMN" if row == () else "COLUMN,COLUMN,…"
    return FitError(
        f"It is not plain which columns make {' and '.join(map(repr, missing))}. "
        f"The model takes {inputs}; the training data have {listed}.",
        hint=f"Name them, several in training's order: --map {missing[0]}={shown}",
    )
