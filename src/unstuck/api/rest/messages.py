"""HTTP requests and responses as the REST API sees them: limits, compression, headers."""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

import orjson

from unstuck.api.compat import rest_body_is_empty
from unstuck.core.observers import AnsweredCalls
from unstuck.errors import (
    BodyTooLarge,
    BodyTooSlow,
    Code,
    EngineError,
    MalformedBody,
    Unauthenticated,
    UnstuckError,
    cut,
)
from unstuck.guard.inflation import DEFAULT_MAX_TIMES, gunzip

Headers = list[tuple[str, str]]

JSON = ("content-type", "application/json")
JSON_HEADERS: Headers = [JSON]
HINT_HEADER = "x-unstuck-hint"
CAUSE_HEADER = "x-unstuck-cause"
RETRY_HEADER = "retry-after"
CHALLENGE_HEADER = "www-authenticate"
WARNING_HEADER = "x-unstuck-warning"
MAX_HEADER_CHARACTERS = 1024
MAX_ERROR_CHARACTERS = 8192

GZIP_MIN_BYTES = 16 * 1024
INLINE_GZIP_BYTES = 1024  # a larger body is inflated on a thread: a kilobyte may hold a megabyte
MIN_BYTES_A_SECOND = 64 * 1024  # a client that is slower than this uses up its seconds
_GZIP_WBITS = 31

log = logging.getLogger(__name__)


class HeaderLookup(Protocol):
    def get(self, key: str, default: str | None = None, /) -> str | None: ...


class BodyFuture(Awaitable[bytes], Protocol):
    """The part of asyncio.Future that RSGI's body has: a body cut off by a client that left raises from ``result``."""

    def result(self) -> bytes: ...

    def add_done_callback(self, cb: "Callable[[BodyFuture], object]") -> None: ...


class Scope(Protocol):
    """The part of RSGI's scope that is used here."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> HeaderLookup: ...


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
        if error.retry_after_s is not None:
            headers.append((RETRY_HEADER, str(error.retry_after_s)))
        if isinstance(error, BodyTooSlow):
            headers.append(("connection", "close"))  # what is still to come of it is no request
        if isinstance(error, Unauthenticated):
            headers.append((CHALLENGE_HEADER, error.challenge))
        return cls(error.http_status, orjson.dumps({"error": cut(_text(error), MAX_ERROR_CHARACTERS)}), headers)


def _text(error: UnstuckError) -> str:
    """What a name holds of bytes that are no text cannot be written as JSON."""
    return str(error).encode(errors="replace").decode()


@lru_cache(256)  # most hints are said again and again, and overload is no time to take long to refuse
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


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may be.

    Attributes:
        most_bytes: as sent, and inflated.
        most_times: as large as sent it may be inflated, beyond what is always allowed.
        timeout_s: from the headers to its end, and a second more for each MIN_BYTES_A_SECOND; None for ever.
    """

    most_bytes: int
    most_times: int = DEFAULT_MAX_TIMES
    timeout_s: float | None = None

    def allowed_s(self, size_bytes: int) -> float | None:
        """How long a body of ``size_bytes`` may take."""
        return None if self.timeout_s is None else self.timeout_s + size_bytes / MIN_BYTES_A_SECOND


def read_body(
    exchange: Exchange, headers: HeaderLookup, limits: BodyLimits, take: Callable[[int], None] | None = None
) -> Awaitable[bytes]:
    """The request's body, inflated.

    Args:
        exchange: that it comes by.
        headers: of the request.
        limits: of the body.
        take: hears how many bytes have come, where they come in chunks, before they are kept; may raise.

    Raises:
        BodyTooLarge: more than the limits, as sent or inflated.
        BodyTooSlow: it did not come in time.
        MalformedBody: an encoding other than gzip, or bytes that are not gzip.
    """
    length = headers.get("content-length")
    if length is not None and int(length) > limits.most_bytes:
        raise BodyTooLarge("request body", limits.most_bytes)
    if is_plain(headers, limits.most_bytes):
        return _in_time(exchange(), limits.allowed_s(int(length or 0)))
    return _read_and_inflate(exchange, headers.get("content-encoding"), limits, take)


async def _in_time(body: Awaitable[bytes], allowed_s: float | None) -> bytes:
    try:
        async with asyncio.timeout(allowed_s):
            return await body
    except TimeoutError:
        raise BodyTooSlow(allowed_s or 0) from None


async def _read_and_inflate(
    exchange: Exchange, encoding: str | None, limits: BodyLimits, take: Callable[[int], None] | None
) -> bytes:
    body = await _read_chunks(exchange, limits, take)
    if encoding is None:
        return body
    if len(body) <= INLINE_GZIP_BYTES:
        return inflate(body, encoding, limits.most_bytes, limits.most_times)
    return await asyncio.to_thread(inflate, body, encoding, limits.most_bytes, limits.most_times)


async def _read_chunks(exchange: Exchange, limits: BodyLimits, take: Callable[[int], None] | None) -> bytes:
    body = bytearray()
    began_s = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(limits.timeout_s) as timer:
            async for chunk in exchange:
                if take is not None:
                    take(len(chunk))
                body += chunk
                if len(body) > limits.most_bytes:
                    raise BodyTooLarge("request body", limits.most_bytes)
                if (allowed_s := limits.allowed_s(len(body))) is not None:
                    timer.reschedule(began_s + allowed_s)
    except TimeoutError:
        raise BodyTooSlow(limits.allowed_s(len(body)) or 0) from None
    return bytes(body)


def inflate(body: bytes, encoding: str, limit_bytes: int, most_times: int = DEFAULT_MAX_TIMES) -> bytes:
    """``body`` without its content encoding. Raises as ``gunzip``."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip"):
        raise MalformedBody(f"Content-Encoding {encoding[:40]!r} is not supported; expected gzip or none.")
    return gunzip(body, limit_bytes, most_times)


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
