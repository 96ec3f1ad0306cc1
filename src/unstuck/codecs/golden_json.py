"""Golden rows: inputs and the outputs known right, as JSON lines that travel with a model.

    {"tolerance": {"relative": 0.001, "absolute": 0.0}, "together": false}      optional; the first line alone
    {"inputs": {"x": [[1.0]]}, "outputs": {"y": [[2.5]]}, "signature_name": "serving_default"}

A line is a call, and its rows; without ``signature_name`` it calls whichever signature is in question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson

from unstuck.codecs import json_answer, predict_json
from unstuck.codecs.json_values import to_array
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import SetupError, UnstuckError, UnwritableOutput

PLACE = Path("assets.extra/unstuck/golden.jsonl")  # in a version's folder

_SETTINGS = {"tolerance", "together"}
_TOLERANCE = {"relative", "absolute"}


@dataclass(frozen=True, slots=True)
class GoldenLine:
    """One line as JSON, not bound yet; ``signature_name`` is empty where it names none."""

    number: int
    signature_name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """What a file says.

    Attributes:
        lines: the calls.
        tolerance: ``relative`` and ``absolute``, where it sets them.
        together: whether rows are also to be right in one batch.
    """

    lines: Sequence[GoldenLine]
    tolerance: Mapping[str, float]
    together: bool


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs and the outputs known right, by alias, rows first."""

    inputs: Tensors
    outputs: Tensors
    line: int = 0


def parse(content: bytes, path: Path) -> GoldenFile:
    """The calls in ``content``, which is what the file ``path`` holds.

    Raises:
        SetupError: a line that is not of the form; the message names it.
    """
    lines: list[GoldenLine] = []
    settings: dict[str, Any] = {}
    for number, text in enumerate(content.split(b"\n"), 1):
        if not text.strip():
            continue
        document = _object(text, f"{path}, line {number}")
        if not lines and not settings and document and document.keys() <= _SETTINGS:
            settings = document
            continue
        lines.append(_line(document, number, f"{path}, line {number}"))
    together = settings.get("together", True)
    if not isinstance(together, bool):
        raise SetupError(f"{path}: 'together' is true or false, got {together!r}.")
    return GoldenFile(lines, _tolerance(settings.get("tolerance", {}), path), together)


def bind(line: GoldenLine, path: Path, signature: Signature, *, as_declared: bool = True) -> Golden:
    """The tensors of a line; outputs that the signature does not have are kept as they are written.

    Args:
        line: the call.
        path: of its file.
        signature: the one called.
        as_declared: outputs must be of their declared dtype; else they may be what a model gave that was in order.

    Raises:
        SetupError: the line does not fit the signature.
    """
    where = f"{path}, line {line.number}"
    try:
        inputs = predict_json.parse(orjson.dumps({"inputs": line.inputs})).bind(signature)
        outputs = {
            alias: _expected(values, alias, signature.outputs.get(alias), as_declared)
            for alias, values in line.outputs.items()
        }
    except UnstuckError as error:
        raise SetupError(f"{where}: {error.message}", hint=error.hint) from error
    return Golden(inputs, outputs, line.number)


def encode(golden: Golden, signature_name: str) -> bytes:
    """A line, without its end. Raises UnwritableOutput for tensors that JSON cannot hold."""
    return orjson.dumps(
        {
            "inputs": {alias: _written(alias, array) for alias, array in golden.inputs.items()},
            "outputs": {alias: _written(alias, array) for alias, array in golden.outputs.items()},
            "signature_name": signature_name,
        }
    )


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        document: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SetupError(f"{where}: it is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise SetupError(f"{where}: expected a JSON object, got {type(document).__name__}.")
    return cast("dict[str, Any]", document)


def _line(document: dict[str, Any], number: int, where: str) -> GoldenLine:
    inputs, outputs = document.get("inputs"), document.get("outputs")
    name = document.get("signature_name", "")
    if not isinstance(inputs, dict) or not isinstance(outputs, dict) or not outputs:
        raise SetupError(f'{where}: expected {{"inputs": {{…}}, "outputs": {{…}}}}, got {sorted(document)}.')
    if not isinstance(name, str):
        raise SetupError(f"{where}: 'signature_name' is a string, got {name!r}.")
    return GoldenLine(number, name, cast("dict[str, Any]", inputs), cast("dict[str, Any]", outputs))


def _tolerance(given: object, path: Path) -> dict[str, float]:
    form = '{"tolerance": {"relative": 0.001, "absolute": 0.0}}'
    if not isinstance(given, dict):
        raise SetupError(f"{path}: expected {form}, got {given!r}.")
    tolerance = cast("dict[str, Any]", given)
    for name, value in tolerance.items():
        if name not in _TOLERANCE or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise SetupError(f"{path}: expected {form}, its numbers 0 or more, got {name!r}: {value!r}.")
    return tolerance


def _expected(values: object, alias: str, spec: TensorSpec | None, as_declared: bool) -> Tensor:
    place = f"outputs.{alias}"
    if spec is not None:
        try:
            return to_array(cast("Any", values), spec, lambda index: place + "".join(f"[{at}]" for at in index))
        except UnstuckError as error:
            if as_declared:
                error.message = error.message.replace(f"input {alias!r}", f"output {alias!r}")
                raise
    try:
        array = np.asarray(values)
    except ValueError:
        raise SetupError(f"{place} is ragged: expected lists of one length.") from None
    if array.dtype.kind in "US":
        return np.array([str(each).encode() for each in array.ravel()], object).reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise SetupError(f"{place} is neither numbers nor text.")
    return array


def _written(alias: str, array: Tensor) -> orjson.Fragment:
    try:
        body = json_answer.encode({alias: array}, "inputs")
    except UnwritableOutput:
        if array.dtype != object:
            raise
        body = json_answer.encode({alias + "_bytes": array}, "inputs")  # so it is written as base64
    return orjson.Fragment(body.removeprefix(b'{"outputs":').removesuffix(b"}"))
