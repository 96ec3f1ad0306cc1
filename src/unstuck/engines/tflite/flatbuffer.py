"""Reading FlatBuffers, the format of TensorFlow Lite's files: tables whose fields are found by number."""

import struct
from collections.abc import Sequence
from mmap import mmap

ERRORS = (struct.error, IndexError, ValueError, TypeError)  # what reading a file that is cut off raises


class Table:
    """One table in ``data``; what it refers to is read when it is asked for."""

    def __init__(self, data: bytes | mmap, at: int) -> None:
        self.data = data
        self._at = at
        self._fields = at - self._read("i", at)  # a table of their places, which tables of one kind share

    def integer(self, number: int, kind: str = "i", default: int = 0) -> int:
        """The field ``number``, of a format character of ``struct``."""
        place = self.place(number)
        return self._read(kind, place) if place else default

    def text(self, number: int) -> str:
        return self.bytes(number).decode()

    def bytes(self, number: int) -> bytes:
        start, size = self._vector(number)
        return self.data[start : start + size]

    def integers(self, number: int) -> tuple[int, ...]:
        """A vector of int32."""
        start, size = self._vector(number)
        return struct.unpack_from(f"<{size}i", self.data, start)

    def tables(self, number: int) -> "list[Table]":
        start, size = self._vector(number)
        return [Table(self.data, self._follow(start + 4 * each)) for each in range(size)]

    def table(self, number: int) -> "Table | None":
        place = self.place(number)
        return Table(self.data, self._follow(place)) if place else None

    def place(self, number: int) -> int:
        """Where the field ``number`` is; 0 where it is left out."""
        slot = 4 + 2 * number
        if slot >= self._read("H", self._fields):
            return 0
        offset = self._read("H", self._fields + slot)
        return self._at + offset if offset else 0

    def replace(self, data: bytearray, number: int, values: Sequence[int]) -> None:
        """Makes the field ``number``, a vector of int32 that ``data`` has, another one, at the end of ``data``."""
        place = self.place(number)
        data.extend(bytes(-len(data) % 4))
        struct.pack_into("<I", data, place, len(data) - place)
        data.extend(struct.pack(f"<I{len(values)}i", len(values), *values))

    def remove(self, data: bytearray, number: int, at: int) -> None:
        """Takes the table ``at`` out of the field ``number``, a vector of tables, in ``data``."""
        start, size = self._vector(number)
        for place in range(start + 4 * at, start + 4 * (size - 1), 4):
            struct.pack_into("<I", data, place, self._follow(place + 4) - place)  # each says how far away it is
        struct.pack_into("<I", data, start - 4, size - 1)

    def _vector(self, number: int) -> tuple[int, int]:
        place = self.place(number)
        if not place:
            return 0, 0
        start = self._follow(place)
        return start + 4, self._read("I", start)

    def _follow(self, place: int) -> int:
        return place + self._read("I", place)

    def _read(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(f"<{kind}", self.data, at)[0])


def root(data: bytes | mmap) -> Table:
    """The table that a file begins with."""
    return Table(data, struct.unpack_from("<I", data)[0])
