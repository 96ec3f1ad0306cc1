"""HTTP requests and responses as the REST API sees them: limits, compression, headers."""

import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

import orjson

from unstuck.api.compat import rest_body_is_empty
from unstuck.core.observers import AnsweredCalls
from unstuck.errors import BodyTooLarge, Code, EngineError, MalformedBody, UnstuckError

Headers = list[tuple[str, str]]

JSON = ("content-type", "application/json")
JSON_HEADERS: Headers = [JSON]
HINT_HEADER = "x-unstuck-hint"
CAUSE_HEADER = "x-unstuck-cause"
WARNING_HEADER = "x-unstuck-warning"
MAX_HEADER_CHARACTERS = 1024

GZIP_MIN_BYTES = 16 * 1024
_GZIP_WBITS = 31

log = logging.getLogger(__name__)


class HeaderLookup(Protocol):
    def get(self, key: str, default: str | None = None, /) -> str | None: ...


class BodyFuture(Awaitable[bytes], Protocol):
    """The part of asyncio.Future that RSGI's body has: a body cut off by a client that left raises from ``result``."""

    def result(self) -> bytes: ...

    def add_done_callback(self, cb: "Callable[[BodyFuture], object]") -> None: ...


class Exchange(Protocol):
    """The part of RSGI's HTTP protocol that is used here: the body in, one response out."""

    def __call__(self) -> "BodyFuture": ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None: ...


@dataclass(slots=True)
class Response:
    """An answer; JSON unless its headers say otherwise. ``calls`` is what an observer is to be told once it is sent."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=lambda: JSON_HEADERS)  # shared: extended by copying, never in place
    calls: AnsweredCalls | None = None

    @classmethod
    def of_error(cls, error: UnstuckError) -> "Response":
        """TensorFlow Serving's ``{"error": …}``, with the hint and the cause in headers beside it."""
        headers: Headers = [JSON]
        if error.hint:
            headers.append((HINT_HEADER, header_text(error.hint)))
        if error.cause:
            headers.append((CAUSE_HEADER, error.cause))
        return cls(error.http_status, orjson.dumps({"error": str(error)}), headers)


def header_text(text: str) -> str:
    """``text`` as a header's value: one line of ASCII, what is not percent-encoded, cut to a sane length."""
    line = ""
    for character in " ".join(text.split()):
        escaped = quote(character, safe=" !\"#$&'()*+,/:;<=>?@[\\]^_`{|}~.-")
        if len(line) + len(escaped) > MAX_HEADER_CHARACTERS:
            break
        line += escaped
    return line


def with_warnings(response: Response, warnings: Iterable[str]) -> Response:
    """The response with a header that says what of the request was not used as sent."""
    text = "; ".join(warnings)
    if text:
        response.headers = [*response.headers, (WARNING_HEADER, header_text(text))]
    return response


def of_failure(error: BaseException) -> Response:
    """The response to a call that ended with ``error``, be it the caller's or ours."""
    if not isinstance(error, UnstuckError):
        log.error("A call failed inside the server", exc_info=error)
        return Response.of_error(EngineError(f"Internal error: {error!r}", code=Code.INTERNAL))
    response = Response.of_error(error)
    if rest_body_is_empty(error):
        response.body = b""
    return response


def is_plain(headers: HeaderLookup, limit_bytes: int) -> bool:
    """Whether the body comes whole, as it is, and has at most ``limit_bytes``."""
    length = headers.get("content-length")
    return length is not None and int(length) <= limit_bytes and headers.get("content-encoding") is None


def read_body(exchange: Exchange, headers: HeaderLookup, limit_bytes: int) -> Awaitable[bytes]:
    """The request's body, inflated.

    Raises:
        BodyTooLarge: more than ``limit_bytes``, as sent or inflated.
        MalformedBody: an encoding other than gzip, or bytes that are not gzip.
    """
    if is_plain(headers, limit_bytes):
        return exchange()
    length = headers.get("content-length")
    if length is not None and int(length) > limit_bytes:
        raise BodyTooLarge("request body", limit_bytes)
    return _read_and_inflate(exchange, headers.get("content-encoding"), limit_bytes)


async def _read_and_inflate(exchange: Exchange, encoding: str | None, limit_bytes: int) -> bytes:
    body = await _read_chunks(exchange, limit_bytes)
    return body if encoding is None else inflate(body, encoding, limit_bytes)


async def _read_chunks(exchange: Exchange, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in exchange:
        body += chunk
        if len(body) > limit_bytes:
            raise BodyTooLarge("request body", limit_bytes)
    return bytes(body)


def inflate(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """``body`` without its content encoding, never holding more than ``limit_bytes``."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip"):
        raise MalformedBody(f"Content-Encoding {encoding!r} is not supported; expected gzip or none.")
    inflater = zlib.decompressobj(_GZIP_WBITS)
    try:
        inflated = inflater.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise MalformedBody(f"The body is not gzip, though its Content-Encoding says so: {error}.") from None
    if len(inflated) > limit_bytes:
        raise BodyTooLarge("inflated request body", limit_bytes)
    if not inflater.eof:
        raise MalformedBody("The gzip body is cut off before its end.")
    return inflated


def wants_gzip(headers: HeaderLookup, response: Response) -> bool:
    """Whether the response is worth compressing, and its client takes gzip."""
    return len(response.body) >= GZIP_MIN_BYTES and accepts_gzip(headers)


def accepts_gzip(headers: HeaderLookup) -> bool:
    """Whether Accept-Encoding allows gzip: by its own name, else by ``*``."""
    weights: dict[str, float] = {}
    for offer in (headers.get("accept-encoding") or "").lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        weights[name] = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def deflate(response: Response) -> Response:
    """The response with its body as gzip."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WBITS)
    response.body = packer.compress(response.body) + packer.flush()
    response.headers = [*response.headers, ("content-encoding", "gzip"), ("vary", "accept-encoding")]
    return response
