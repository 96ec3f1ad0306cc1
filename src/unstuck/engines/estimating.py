"""What the engines' estimates of memory share: sizes of files, messages looked into without parsing, first calls."""

import math
from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from pathlib import Path

MEBIBYTE = 1 << 20

_LENGTH_DELIMITED, _VARINT = 2, 0
_FIXED = {1: 8, 5: 4}

# A version is tried with batches of so many rows before it serves. A float for each element; what is computed in
# between takes some times of what goes in and comes out, by what was measured of convolutional models (ADR 18).
_ROWS = 13
_FREE_SIZE = 3
_FLOAT = 4
_BETWEEN = 32

Place = tuple[int, int]
Sizes = Sequence[int | None]


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder and below; 0 where there is none."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(each.stat().st_size for each in files if each.is_file())


def first_calls(tensors: Iterable[Sizes]) -> int:
    """What the first calls of a signature will take at a time, whose inputs and outputs have these shapes."""
    elements = sum(math.prod(_FREE_SIZE if size is None else size for size in sizes[1:]) for sizes in tensors)
    return _ROWS * elements * _FLOAT * _BETWEEN


def messages(data: mmap, wanted: int, place: Place | None = None) -> Iterator[Place]:
    """Where the messages or texts are that are the field ``wanted`` of the message at ``place``, the whole by default.

    Other fields are passed over, and not read: of a file that is mapped, only their first bytes come into memory.

    Raises:
        ValueError, IndexError: there is no message.
    """
    at, end = place or (0, len(data))
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _LENGTH_DELIMITED:
            size, at = _varint(data, at)
            if tag >> 3 == wanted:
                yield at, at + size
            at += size
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError(f"no field of a message at byte {at}")


def _varint(data: mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
