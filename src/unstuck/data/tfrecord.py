"""TFRecord files, read: records of bytes, each with its length and checksums."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from unstuck.data.columns import DataError
from unstuck.data.lines import Bytes, opened
from unstuck.proto.tfrecord import CHECKSUM, HEAD, checksum


class CutOff(DataError):
    """The file ends inside its last record; those before are whole."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="It was copied in part, or its writer was killed; the records before are whole.")


class Framed(NamedTuple):
    """A record: where it is (``record 3``), how far the file has been read with it, and its bytes."""

    where: str
    position: int
    data: bytes


def records(path: Path) -> Iterator[Framed]:
    """The records of ``path``, gzipped or not, in order.

    Raises:
        CutOff: after the whole records, where the file ends inside one.
        DataError: a checksum is wrong.
    """
    with opened(path) as file:
        number = 0
        while (data := _next(file, f"{path}, record {number + 1}")) is not None:
            number += 1
            yield Framed(f"record {number}", file.position, data)


def _next(file: Bytes, where: str) -> bytes | None:
    head = file.stream.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise CutOff(f"{where}: the file ends in it.")
    length, expected = HEAD.unpack(head)
    _check(head[:8], expected, where)
    body = file.stream.read(length + CHECKSUM.size)
    if len(body) < length + CHECKSUM.size:
        raise CutOff(f"{where}: the file ends in it, {length + CHECKSUM.size - len(body):,} bytes too early.")
    data = body[:length]
    _check(data, CHECKSUM.unpack(body[length:])[0], where)
    return data


def _check(data: bytes, expected: int, where: str) -> None:
    if checksum(data) != expected:
        raise DataError(f"{where}: its checksum is wrong.", hint="The file is damaged, or no TFRecord file.")
