"""TFRecord files: records of bytes, each with its length and checksums.

Source of the framing: tensorflow/core/lib/io/record_writer.h.
"""

import importlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

from unstuck.data.columns import DataError
from unstuck.data.lines import Bytes, opened
from unstuck.errors import SetupError

LENGTH = struct.Struct("<QI")  # of the data, and the length's checksum
CHECKSUM = struct.Struct("<I")
MASK_DELTA = 0xA282EAD8

Crc = Callable[[bytes], int]


class Framed(NamedTuple):
    """A record: where it is (``record 3``), how far the file has been read with it, and its bytes."""

    where: str
    position: int
    data: bytes


def records(path: Path) -> Iterator[Framed]:
    """The records of ``path``, gzipped or not, in order.

    Raises:
        DataError: the file is cut off, or a checksum is wrong.
        SetupError: google-crc32c is not installed.
    """
    crc = _crc32c()
    with opened(path) as file:
        number = 0
        while (data := _next(file, crc, f"{path}, record {number + 1}")) is not None:
            number += 1
            yield Framed(f"record {number}", file.position, data)


def _crc32c() -> Crc:
    try:
        return cast("Crc", importlib.import_module("google_crc32c").value)
    except ModuleNotFoundError:
        raise SetupError(
            "TFRecords' checksums are computed by google-crc32c, which is not installed.",
            hint='Run: pip install "unstuck[data]"',
        ) from None


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
