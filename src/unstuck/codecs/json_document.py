"""One JSON document from a request body, read as TensorFlow Serving's parser reads it.

Its parser (RapidJSON, iterative, NaN and Infinity allowed, stop when done) takes more than JSON: ``NaN``, ``Inf``,
``Infinity`` and their negatives, a byte order mark, and any bytes after the document. orjson reads nearly every real
request; what it refuses goes to the slower parser below, which accepts exactly that surplus and otherwise says what is
wrong and where. Nesting has a limit, unlike there: an empty list is a byte of a body and 88 of memory.
"""

import json
import re
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from math import inf, isinf, nan
from typing import NoReturn, cast

import orjson

from unstuck.errors import MalformedBody

MAX_DEPTH = 1_000_000
MAX_CONTAINERS = 1 << 22
COUNTED_FROM_BYTES = 2 * MAX_CONTAINERS  # no shorter body can hold as many

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def parse(body: bytes) -> Json:
    """The value of the JSON document at the start of ``body``.

    Raises:
        MalformedBody: with the line, the column and the text where reading stopped.
    """
    if len(body) > COUNTED_FROM_BYTES:
        _check_containers(body)
    try:
        document: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read(body)
    if has_equal_keys(body, document):
        return _read(body)
    return document


def has_equal_keys(body: bytes, document: Json) -> bool:
    """Whether an object in ``body`` may have a key twice, of which orjson keeps the last and RapidJSON the first.

    Never False for one that has; True for some that have not, which costs them the slower reader.
    """
    colons = body.count(b":")
    if isinstance(document, dict) and colons == len(document):
        return False  # the usual case, settled in 0.2 µs: each colon belongs to a key at the top
    return len(_KEY.findall(body)) > _count_keys(document)


def _count_keys(document: Json) -> int:
    count, queue = 0, [document]
    while queue:
        value = queue.pop()
        if isinstance(value, dict):
            count += len(value)
            queue.extend(value.values())
        elif isinstance(value, list):
            queue.extend(each for each in value if isinstance(each, dict | list))
    return count


def kind(value: object) -> str:
    """The JSON kind of ``value``, as errors name it: Null, Bool, Number, String, Array or Object."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "Bool"
    names: dict[type, str] = {int: "Number", float: "Number", str: "String", list: "Array", dict: "Object"}
    return names.get(type(value), type(value).__name__)


def excerpt(value: object, limit: int = 80) -> str:
    """``value`` as JSON text, cut to ``limit`` characters, for error messages; no more of it is written than that."""
    text = ""
    for part in _WRITER.iterencode(value if not isinstance(value, str) else value[:limit]):
        text += part[: limit + 1]
        if len(text) > limit:
            return text[: limit - 1] + "…"
    return text


def _check_containers(body: bytes) -> None:
    """Refuses what would take twenty times its size once it is read."""
    count = body.count(b"[") + body.count(b"{")
    if count > MAX_CONTAINERS:
        raise MalformedBody(
            f"The JSON body has {count:,} lists and objects; expected at most {MAX_CONTAINERS:,}.",
            hint="Send the tensors as application/x-npz or over gRPC, or fewer rows in a request.",
        )


def _read(body: bytes) -> Json:
    try:
        return _Reader(body.decode("utf-8-sig")).document()
    except UnicodeDecodeError as error:
        bad = error.start
    try:  # bytes after the document do not matter, whatever they are
        return _Reader(body[:bad].decode("utf-8-sig")).document()
    except MalformedBody:
        raise MalformedBody(
            f"JSON Parse error: byte {bad} (0x{body[bad]:02x}) is not UTF-8.",
            hint='Encode the body as UTF-8; send binary data as {"b64": "<base64>"}.',
        ) from None


_WRITER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_KEY = re.compile(rb'"\s*:')
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"true|false|null|-?(?:NaN|Inf(?:inity)?)")
_WORDS: dict[str, Json] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": nan,
    "-NaN": nan,
    "Inf": inf,
    "-Inf": -inf,
    "Infinity": inf,
    "-Infinity": -inf,
}


class _Reader:
    """Reads one document without recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Json:
        if self._peek() == "":
            self._fail("The document is empty.")
        stack: list[list[Json] | dict[str, Json]] = []
        keys: list[str] = []
        while True:
            opened = self._open()
            value = opened if opened is not None else self._scalar()
            if opened is not None and not self._closes(opened):
                stack.append(opened)
                if len(stack) > MAX_DEPTH:
                    self._fail(f"It is nested more than {MAX_DEPTH:,} deep.")
                if isinstance(opened, dict):
                    keys.append(self._key())
                continue
            while stack:
                container = stack[-1]
                if isinstance(container, dict):
                    container.setdefault(keys.pop(), value)  # the first of two equal keys counts, as in RapidJSON
                else:
                    container.append(value)
                if self._take(","):
                    if isinstance(container, dict):
                        keys.append(self._key())
                    break
                if not self._closes(container):
                    self._fail(f"Missing a comma or {']' if isinstance(container, list) else '}'}.")
                value = stack.pop()
            else:
                return value

    def _open(self) -> list[Json] | dict[str, Json] | None:
        if self._take("["):
            return []
        return {} if self._take("{") else None

    def _closes(self, container: list[Json] | dict[str, Json]) -> bool:
        return self._take("]" if isinstance(container, list) else "}")

    def _key(self) -> str:
        if self._peek() != '"':
            self._fail("Missing a name for object member.")
        name = self._string()
        if not self._take(":"):
            self._fail("Missing a colon after a name of object member.")
        return name

    def _scalar(self) -> Json:
        if self._peek() == '"':
            return self._string()
        if word := _WORD.match(self._text, self._at):
            self._at = word.end()
            return _WORDS[word.group()]
        if number := _NUMBER.match(self._text, self._at):
            return self._number(number)
        return self._fail("Invalid value.")

    def _string(self) -> str:
        try:
            value, end = cast("tuple[str, int]", scanstring(self._text, self._at + 1, True))
            value.encode()
        except JSONDecodeError as error:
            self._at = error.pos
            self._fail(f"{error.msg.removesuffix(' at').removesuffix(' starting')}.")
        except UnicodeEncodeError:
            self._fail("Incorrect surrogate pair in string.")
        self._at = end
        return value

    def _number(self, match: re.Match[str]) -> int | float:
        self._at = match.end()
        digits = match.group()
        if match.lastindex is None and len(digits) <= 20:
            value = int(digits)
            if -(2**63) <= value < 2**64:
                return value
        value = float(digits)
        if isinf(value):
            self._at = match.start()
            self._fail("Number too big to be stored in double.")
        return value

    def _peek(self) -> str:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _fail(self, what: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        near = self._text[self._at : self._at + 24]
        where = f" near {near!r}" if near else " at the end of the body"
        raise MalformedBody(f"JSON Parse error: {what} Line {line}, column {column},{where}.")
