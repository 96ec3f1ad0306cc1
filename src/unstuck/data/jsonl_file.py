"""JSON lines: an object a line, a member a column, as the instances of a predict request: ``{"b64": …}`` is bytes."""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import orjson

from unstuck.data.columns import DataError, Progress
from unstuck.data.lines import opened
from unstuck.data.records import Placed, RecordFile


def open_file(path: Path, _text: frozenset[str], progress: Progress) -> RecordFile:
    """Reads the file once. Raises DataError."""
    return RecordFile(path, path.stat().st_size, lambda: _records(path), progress)


def _records(path: Path) -> Iterator[Placed]:
    with opened(path) as file:
        for number, line in file.numbered_lines():
            if line.strip():
                where = f"line {number}"
                yield Placed(where, file.position, len(line), _record(line, f"{path}, {where}"))


def _record(line: bytes, where: str) -> dict[str, object]:
    try:
        record: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: it is not JSON: {error}.") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object, one value by field, got {type(record).__name__}.")
    fields = cast("dict[str, object]", record)
    if b'"b64"' in line:
        return {name: _decoded(value, f"{where}, field {name!r}") for name, value in fields.items()}
    return fields


def _decoded(value: Any, where: str) -> object:
    if isinstance(value, list):
        return [_decoded(each, where) for each in cast("list[Any]", value)]
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if fields.keys() != {"b64"}:
        return cast("object", value)
    try:
        return base64.b64decode(fields["b64"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise DataError(f"{where}: its b64 is not base64: {error}.") from None
