"""The fast way for a large body that is one array of numbers: an image, a batch of feature vectors.

Reading 150,528 pixels as nested Python lists costs 16 ms; simdjson reads them into one flat buffer in 2. A flat buffer
has lost the shape, and would take ragged rows for regular ones. So the body's *skeleton*, what is left of it without
its digits and spaces, is compared with the skeleton that a regular array of that shape must have: equal means regular,
and that nothing but numbers was in it. Whatever does not fit (other keys, strings, NaN, ragged rows) is None here, and
takes the general way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import simdjson

from unstuck.codecs.json_values import MAX_RANK, cast_numbers
from unstuck.core.signatures import Tensor

_SIGNATURE = rb'"signature_name"\s*:\s*"(?P<%s>[^"\\]*)"\s*'
_HEAD = re.compile(rb"\s*\{\s*(?:" + _SIGNATURE % b"before" + rb',\s*)?"(?P<format>instances|inputs)"\s*:\s*')
_TAIL = re.compile(rb"\s*(?:,\s*" + _SIGNATURE % b"after" + rb")?\}\s*")
_NAME = rb'\{\s*"(?P<name>[^"\\]*)"\s*:\s*'
_NAMED_COLUMN = re.compile(_NAME)
_NAMED_ROW = re.compile(rb"\[\s*" + _NAME)
_ROW_HEAD = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[\s*\[')
_ROW_TAIL = re.compile(rb"\]\s*\]\s*\}\s*")
_LAST_ROW = re.compile(rb"\}\s*\]\Z")
KEPT_BYTES = 4 << 20  # of a text; the parser that has read it is kept, with six times as much memory
_spare_parsers: list[simdjson.Parser] = []  # one at most: a parser is busy for a moment only
KEPT_SKELETONS, KEPT_SKELETON_BYTES = 64, 256 << 10  # 16 MiB at most; that of an image of 224×224×3 has 251,331 bytes
_shapes: dict[int, tuple[bytes, tuple[int, ...]]] = {}  # the latest skeleton of each length, and its shape
_NOT_SKELETON = b"0123456789.eE+- \t\r\n"


@dataclass(frozen=True, slots=True)
class DenseBody:
    """A request body that is one regular array of numbers.

    Attributes:
        format: ``instances`` or ``inputs``.
        signature_name: empty where the body names none.
        input_name: the only input's name, None where the body gives none.
        shape: the array's shape; in row format its first dimension counts the instances.
        text: the array's own JSON text.
    """

    format: str
    signature_name: str
    input_name: str | None
    shape: tuple[int, ...]
    text: bytes

    def numbers(self, dtype: "np.dtype[np.generic]") -> Tensor | None:
        """The array as ``dtype``; None if some number cannot be read or held (the general way says which)."""
        if dtype.kind not in "fiuV":
            return None
        integral = dtype.kind in "iu"
        try:
            buffer = _read(self.text, "i" if integral else "d")
        except (ValueError, TypeError, RuntimeError):  # simdjson has no class of its own for what it cannot read
            return None
        flat = np.frombuffer(buffer, np.int64 if integral else np.float64)
        if flat.size != prod(self.shape):  # an empty list looks like a list of one in the skeleton
            return None
        return cast_numbers(flat.reshape(self.shape), dtype)


def recognise(body: bytes) -> DenseBody | None:
    """The array of numbers that ``body`` consists of, or None."""
    head = _HEAD.match(body)
    end = body.rfind(b"]") + 1
    if head is None or not end:
        return None
    form, start = head["format"].decode(), head.end()
    closing, rows = b"", None
    name = _NAMED_COLUMN.match(body, start) if form == "inputs" else _NAMED_ROW.match(body, start)
    if name is not None and form == "inputs":
        start, closing = name.end(), b"}"
    elif name is not None:
        rows = _rows_named(name["name"], body[name.end() : end])
        if rows is None:
            return None
    rest = body[end:].lstrip()
    tail = _TAIL.fullmatch(rest[len(closing) :]) if rest.startswith(closing) else None
    if tail is None or (head["before"] is not None and tail["after"] is not None):
        return None
    text = body[start:end] if rows is None else b"[%b]" % b",".join(rows)
    shape = _shape_of(text.translate(None, _NOT_SKELETON))
    if shape is None:
        return None
    try:
        signature = (head["before"] or tail["after"] or b"").decode()
        return DenseBody(form, signature, None if name is None else name["name"].decode(), shape, text)
    except UnicodeDecodeError:
        return None


def recognise_single_rows(bodies: Sequence[bytes]) -> DenseBody | None:
    """The rows of bodies that each hold one row, ``{"instances": [[1, 2]]}``, as one array; None for any other.

    All must begin and end as the first does. They are cut in one pass over all of them: each place where one ends and
    the next begins becomes ``],[``, and there must be as many as there are bodies, less one. A body that is malformed
    or holds more than a row has a cut too many or leaves a brace behind, so none can take a part of another's.
    """
    first = bodies[0]
    head = _ROW_HEAD.match(first)
    at = first.find(b"]")
    if head is None or at < 0 or not _ROW_TAIL.fullmatch(first, at):
        return None
    start, end, joined = head.group(), first[at:], b"\n".join(bodies)
    cut = end + b"\n" + start
    if joined.count(cut) != len(bodies) - 1 or not joined.endswith(end):
        return None
    text = b"[[%b]]" % joined[len(start) : -len(end)].replace(cut, b"],[")
    shape = _shape_of(text.translate(None, _NOT_SKELETON))
    if shape is None or len(shape) != 2 or shape[0] != len(bodies):
        return None
    return DenseBody("instances", "", None, shape, text)


def _rows_named(name: bytes, text: bytes) -> list[bytes] | None:
    """The values of ``[1]}, {"x": [2]}]``, what follows the first name; None unless all have the same skeleton."""
    last = _LAST_ROW.search(text)
    if last is None:
        return None
    rows = re.split(rb'\}\s*,\s*\{\s*"' + re.escape(name) + rb'"\s*:', text[: last.start()])
    skeleton = rows[0].translate(None, _NOT_SKELETON)
    return rows if all(row.translate(None, _NOT_SKELETON) == skeleton for row in rows[1:]) else None


def _read(text: bytes, of_type: str) -> bytes:
    """The numbers of ``text``, one after the other. Memory that is new costs more than reading into it."""
    try:
        parser = _spare_parsers.pop()
    except IndexError:
        parser = simdjson.Parser()
    array: Any = parser.parse(text)
    buffer: bytes = array.as_buffer(of_type=of_type)
    del array  # as long as it lives, its parser reads nothing else
    if not _spare_parsers and len(text) <= KEPT_BYTES:
        _spare_parsers.append(parser)
    return buffer


def _shape_of(skeleton: bytes) -> tuple[int, ...] | None:
    """As ``_regular_shape``; the bodies of one model have few skeletons, and comparing costs a tenth of reading."""
    known, shape = _shapes.get(len(skeleton), (b"", None))
    if known == skeleton:
        return shape
    shape = _regular_shape(skeleton)
    if shape is not None and len(skeleton) <= KEPT_SKELETON_BYTES:
        if len(_shapes) >= KEPT_SKELETONS:
            _shapes.clear()
        _shapes[len(skeleton)] = skeleton, shape
    return shape


def _regular_shape(skeleton: bytes) -> tuple[int, ...] | None:
    """The shape of the only regular array with this skeleton (``[[,],[,]]`` is [2,2]); None if there is none."""
    rank = len(skeleton) - len(skeleton.lstrip(b"["))
    if not 0 < rank <= MAX_RANK:
        return None
    sizes: list[int] = []
    unit = b""
    for level in range(1, rank + 1):
        close = skeleton.find(b"]" * level)
        if close < 0:
            return None
        length = close + level - (rank - level)  # of the first list of this level, brackets included
        size, remainder = divmod(length - 1, len(unit) + 1)
        if remainder or size < 1:
            return None
        unit = b"[" + (unit + b",") * (size - 1) + unit + b"]"
        sizes.append(size)
    return tuple(reversed(sizes)) if unit == skeleton else None
