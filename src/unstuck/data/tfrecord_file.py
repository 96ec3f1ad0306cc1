"""TFRecord files of tf.Examples. A feature of one value is a single value, of several a list of them.

Source of the framing: tensorflow/core/lib/io/record_writer.h.
"""

import importlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from google.protobuf.message import DecodeError

from unstuck.data.columns import DataError, Progress
from unstuck.data.lines import Bytes, opened
from unstuck.data.records import Placed, RecordFile
from unstuck.errors import SetupError
from unstuck.proto.wire.example_pb2 import Example, Feature

LENGTH = struct.Struct("<QI")  # of the data, and the length's checksum
CHECKSUM = struct.Struct("<I")
MASK_DELTA = 0xA282EAD8

Crc = Callable[[bytes], int]


def open_file(path: Path, _text: frozenset[str], progress: Progress) -> RecordFile:
    """Reads the file once. Raises DataError."""
    crc = _crc32c()
    return RecordFile(path, path.stat().st_size, lambda: _records(path, crc), progress)


def _crc32c() -> Crc:
    try:
        return cast("Crc", importlib.import_module("google_crc32c").value)
    except ModuleNotFoundError:
        raise SetupError(
            "TFRecords' checksums are computed by google-crc32c, which is not installed.",
            hint='Run: pip install "unstuck[data]"',
        ) from None


def _records(path: Path, crc: Crc) -> Iterator[Placed]:
    with opened(path) as file:
        number = 0
        while (data := _next(file, crc, f"{path}, record {number + 1}")) is not None:
            number += 1
            where = f"record {number}"
            yield Placed(where, file.position, len(data), _values(data, f"{path}, {where}"))


def _next(file: Bytes, crc: Crc, where: str) -> bytes | None:
    head = file.stream.read(LENGTH.size)
    if not head:
        return None
    if len(head) < LENGTH.size:
        raise DataError(f"{where}: the file ends in it.")
    length, checksum = LENGTH.unpack(head)
    _check(head[:8], checksum, crc, where)
    body = file.stream.read(length + CHECKSUM.size)
    if len(body) < length + CHECKSUM.size:
        raise DataError(f"{where}: the file ends in it, {length + CHECKSUM.size - len(body):,} bytes too early.")
    data = body[:length]
    _check(data, CHECKSUM.unpack(body[length:])[0], crc, where)
    return data


def _check(data: bytes, checksum: int, crc: Crc, where: str) -> None:
    found = crc(data)
    masked = (((found >> 15) | (found << 17)) + MASK_DELTA) & 0xFFFFFFFF
    if masked != checksum:
        raise DataError(f"{where}: its checksum is wrong.", hint="The file is damaged, or no TFRecord file.")


def _values(data: bytes, where: str) -> dict[str, object]:
    try:
        features = Example.FromString(data).features.feature
    except DecodeError:
        raise DataError(f"{where}: it is not a tf.Example.") from None
    return {name: _value(feature) for name, feature in features.items()}


def _value(feature: Feature) -> object:
    kind = feature.WhichOneof("kind")
    values: list[object] = list(getattr(feature, kind).value) if kind else []
    return values[0] if len(values) == 1 else values or None
