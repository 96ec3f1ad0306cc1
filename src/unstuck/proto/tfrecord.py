"""The framing of TFRecord files: a record's length and its bytes, each with a checksum.

Source: tensorflow/core/lib/io/record_writer.h.
"""

import struct
from typing import Any, cast

import google_crc32c

HEAD = struct.Struct("<QI")  # the length of the data, and the length's checksum
CHECKSUM = struct.Struct("<I")

_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")


def checksum(data: bytes) -> int:
    """The CRC-32C of ``data``, masked as records have it."""
    crc = cast("int", cast("Any", google_crc32c).value(data))
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    """``data`` as a record."""
    length = _LENGTH.pack(len(data))
    return b"".join((length, CHECKSUM.pack(checksum(length)), data, CHECKSUM.pack(checksum(data))))
