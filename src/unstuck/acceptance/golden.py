"""Golden rows: a new version gives the outputs that were known right when it was exported, or it does not serve."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unstuck.acceptance.comparing import Tolerance, first_difference
from unstuck.acceptance.lookup import Only
from unstuck.codecs import golden_json
from unstuck.codecs.golden_json import Golden, GoldenFile, GoldenLine
from unstuck.core.servables import AvailableModel
from unstuck.core.signatures import Signature, Tensors, show_shape
from unstuck.errors import LoadFailed, SetupError, UnstuckError, did_you_mean
from unstuck.inference.predict import Bound, prepare, signature_of

log = logging.getLogger(__name__)

HINT = "unstuck diagnose --model PATH --golden FILE looks for the cause; --golden_rows=warn serves it all the same."


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a line, or the whole line where its signature takes no batches."""

    where: str
    signature: Signature
    golden: Golden
    is_of_a_batch: bool


def check_golden(model: AvailableModel, folder: Path) -> int:
    """Asks for the golden rows in the version's ``folder``, each alone and all together; how many there are.

    Raises:
        LoadFailed: an answer is not the one that was recorded, or there is none.
        SetupError: the file cannot be read, or does not fit the model.
    """
    path = folder / golden_json.PLACE
    if not path.is_file():
        return 0
    try:
        file = golden_json.parse(path.read_bytes(), path)
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}.") from None
    rows = rows_of(model, file, path)
    if len(rows) > 1 and are_alike([row.golden.outputs for row in rows]):
        log.warning("%s: all rows have the same outputs, so a model that is stuck there passes.", path)
    if wrong := wrong_rows(model, rows, file):
        raise LoadFailed(f"{len(wrong)} of {len(rows)} golden rows fail. {path}, {wrong[0]}", hint=HINT)
    return len(rows)


def rows_of(model: AvailableModel, file: GoldenFile, path: Path) -> list[Row]:
    """The rows of a file. Raises SetupError where it does not fit the model."""
    return [row for line in file.lines for row in _rows(model, line, path)]


def wrong_rows(model: AvailableModel, rows: Sequence[Row], file: GoldenFile) -> list[str]:
    """What of the answers is not as recorded: a text for each row alone, or else for each batch of them."""
    tolerance = Tolerance(file.tolerance.get("relative"), file.tolerance.get("absolute"))
    wrong = [said for row in rows if (said := _wrong(model, [row], tolerance))]
    if not wrong and file.together:
        wrong = [said for batch in _batches(rows) if (said := _wrong(model, batch, tolerance))]
    return wrong


def are_alike(answers: Sequence[Tensors]) -> bool:
    """Whether every answer is the first one, within its tolerance."""
    first = answers[0]
    return all(each.keys() == first.keys() and not first_difference(first, each, Tolerance()) for each in answers[1:])


def takes_batches(signature: Signature) -> bool:
    """Whether it declares a batch of any size as the first dimension of all inputs and outputs."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs) and all(spec.shape and spec.shape[0] is None for spec in specs)


def split(golden: Golden) -> list[Golden] | None:
    """One for each row; None where inputs and outputs do not have equally many."""
    arrays = [*golden.inputs.values(), *golden.outputs.values()]
    counts = {array.shape[0] if array.ndim else -1 for array in arrays}
    if len(counts) != 1 or -1 in counts:
        return None
    return [
        Golden(
            {alias: array[at : at + 1] for alias, array in golden.inputs.items()},
            {alias: array[at : at + 1] for alias, array in golden.outputs.items()},
            golden.line,
        )
        for at in range(counts.pop())
    ]


def _rows(model: AvailableModel, line: GoldenLine, path: Path) -> list[Row]:
    try:
        signature = signature_of(model, line.signature_name)
    except UnstuckError as error:
        raise SetupError(f"{path}, line {line.number}: {error.message}", hint=error.hint) from None
    golden = golden_json.bind(line, path, signature)
    for alias in golden.outputs:
        if alias not in signature.outputs:
            raise SetupError(
                f"{path}, line {line.number}: signature {signature.name!r} has no output {alias!r}; "
                f"its outputs are {', '.join(map(repr, signature.outputs))}.",
                hint=did_you_mean(alias, signature.outputs),
            )
    parts = split(golden) if takes_batches(signature) else None
    if parts is None:
        return [Row(f"line {line.number}", signature, golden, is_of_a_batch=False)]
    if len(parts) == 1:
        return [Row(f"line {line.number}", signature, golden, is_of_a_batch=True)]
    return [
        Row(f"line {line.number}, row {at}", signature, each, is_of_a_batch=True) for at, each in enumerate(parts, 1)
    ]


def _batches(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows that can be asked for in one call."""
    batches: dict[object, list[Row]] = {}
    for row in rows:
        if row.is_of_a_batch:
            shapes = tuple(array.shape[1:] for array in row.golden.inputs.values())
            batches.setdefault((row.signature.name, shapes), []).append(row)
    return [batch for batch in batches.values() if len(batch) > 1]


def _wrong(model: AvailableModel, rows: Sequence[Row], tolerance: Tolerance) -> str:
    """What of the rows' answers, from one call, is not as recorded; empty where all is right."""
    beside = f" asked together with {len(rows) - 1} others" if len(rows) > 1 else ""
    try:
        answers = _answers(model, rows)
    except UnstuckError as error:
        return f"{rows[0].where}{beside}: {error}"
    for row, answer in zip(rows, answers, strict=True):
        if why := first_difference(row.golden.outputs, answer, tolerance):
            return f"{row.where}{beside}: {why}"
    return ""


def _answers(model: AvailableModel, rows: Sequence[Row]) -> list[Tensors]:
    """The outputs for each row, from one call. Raises UnstuckError."""
    signature, inputs = rows[0].signature, dict(rows[0].golden.inputs)
    if len(rows) > 1:
        inputs = {alias: np.concatenate([row.golden.inputs[alias] for row in rows]) for alias in inputs}
    outputs = prepare(Only(model), Only(model).spec, Bound(signature.name, inputs)).run(lambda outputs: outputs)
    if len(rows) == 1:
        return [outputs]
    for alias, array in outputs.items():
        if array.shape[:1] != (len(rows),):
            raise LoadFailed(f"output {alias!r} has shape {show_shape(array.shape)} for {len(rows)} rows.")
    return [{alias: array[at : at + 1] for alias, array in outputs.items()} for at in range(len(rows))]
