import asyncio
import gzip
import json
import random
import zlib
from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest

from unstuck.api.rest import messages
from unstuck.api.rest.messages import (
    BodyLimits,
    Response,
    accepts_gzip,
    deflate,
    header_text,
    inflate,
    read_body,
    with_warnings,
)
from unstuck.errors import BodyTooLarge, BodyTooSlow, InputNames, MalformedBody, NotFound

LIMIT = 1000


class Exchange:
    """A request whose body comes in chunks; without a length, only they are asked for."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.read = 0

    async def __call__(self) -> bytes:
        self.read += len(self.chunks)
        return b"".join(self.chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk


def read(exchange, timeout_s=None, **headers):
    lookup = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(read_body(exchange, lookup, BodyLimits(LIMIT, timeout_s=timeout_s)))


def test_a_body_is_read_whole():
    assert read(Exchange(b"abc"), content_length="3") == b"abc"
    assert read(Exchange(b"a", b"", b"bc")) == b"abc"
    assert read(Exchange()) == b""
    assert read(Exchange(b"x" * LIMIT)) == b"x" * LIMIT
    assert read(Exchange(gzip.compress(b"abc")), content_encoding="gzip") == b"abc"


def test_a_body_that_says_it_is_too_large_is_not_read():
    exchange = Exchange(b"x" * (LIMIT + 1))
    with pytest.raises(BodyTooLarge, match=r"larger than the limit of 1,000 bytes.*--rest_api_max_body_bytes"):
        read(exchange, content_length=str(LIMIT + 1))
    assert exchange.read == 0


class Stuck(Exchange):
    """A body whose end never comes."""

    async def __call__(self) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in super().__aiter__():
            yield chunk
        await asyncio.Event().wait()


@pytest.mark.parametrize("headers", [{"content_length": "3"}, {}, {"content_encoding": "gzip"}])
def test_a_body_that_does_not_end_is_refused_in_time(headers):
    with pytest.raises(
        BodyTooSlow, match=r"within 0\.0\d+ s of its headers.*--rest_api_body_timeout_seconds"
    ) as caught:
        read(Stuck(b"ab"), timeout_s=0.01, **headers)
    assert caught.value.http_status == 408
    assert ("connection", "close") in Response.of_error(caught.value).headers


def test_a_large_body_is_given_more_time():
    limits = BodyLimits(LIMIT, timeout_s=30)
    assert limits.allowed_s(0) == 30
    assert limits.allowed_s(messages.MIN_BYTES_A_SECOND * 100) == 130
    assert BodyLimits(LIMIT).allowed_s(10) is None


def test_a_larger_gzip_body_is_inflated_off_the_loop():
    plain = random.Random(0).randbytes(LIMIT - 40)
    packed = gzip.compress(plain, 0)
    assert len(packed) <= messages.INLINE_GZIP_BYTES, "and a smaller one on it"
    for limit in (messages.INLINE_GZIP_BYTES, 0):
        messages.INLINE_GZIP_BYTES = limit
        assert read(Exchange(packed), content_encoding="gzip") == plain
    messages.INLINE_GZIP_BYTES = 1024


def test_an_error_is_told_in_so_many_characters_and_as_text():
    for said in ("x" * 100_000, "\udcff"):
        body = json.loads(Response.of_error(NotFound(said)).body)
        assert 0 < len(body["error"]) <= messages.MAX_ERROR_CHARACTERS


def test_a_body_in_chunks_is_read_no_further_than_the_limit():
    exchange = Exchange(*[b"x" * 400] * 100)
    with pytest.raises(BodyTooLarge):
        read(exchange)
    assert exchange.read == 3


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_gzip_is_inflated(encoding):
    assert inflate(gzip.compress(b"abc" * 300), encoding, LIMIT) == b"abc" * 300


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_no_encoding_is_no_change(encoding):
    assert inflate(b"abc", encoding, LIMIT) == b"abc"


def test_a_bomb_is_not_inflated_beyond_the_limit():
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(BodyTooLarge, match="inflated request body is larger"):
        inflate(bomb, "gzip", LIMIT)
    assert inflate(gzip.compress(b"x" * LIMIT), "gzip", LIMIT) == b"x" * LIMIT
    with pytest.raises(BodyTooLarge):
        inflate(gzip.compress(b"x" * (LIMIT + 1)), "gzip", LIMIT)


PACKED = gzip.compress(b"some text that is long enough" * 9, mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        *((PACKED[:cut], "gzip", "cut off before its end") for cut in (0, 1, 10, 20, len(PACKED) - 8, len(PACKED) - 1)),
        (b"plain text", "gzip", "is not gzip"),
        (zlib.compress(b"zlib"), "gzip", "is not gzip"),
        (PACKED[:20] + b"\0\0\0\0" + PACKED[24:], "gzip", "is not gzip"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "gzip", "is not gzip"),
        (PACKED, "br", "Content-Encoding 'br' is not supported; expected gzip or none"),
        (PACKED, "gzip, gzip", "is not supported"),
        (PACKED, "deflate", "is not supported"),
    ],
)
def test_what_cannot_be_inflated_is_refused(body, encoding, says):
    with pytest.raises(MalformedBody, match=says):
        inflate(body, encoding, LIMIT)


@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        *((None, False), ("", False), ("identity", False), ("br, deflate", False)),
        *(("gzip", True), ("GZip", True), ("br, gzip", True), ("gzip;q=0.5", True), ("*", True), ("gzip ; q=1", True)),
        *(("gzip;q=0", False), ("gzip; q=0.0", False), ("gzip;q=0.000", False), ("*;q=0", False)),
        *(("gzip;q=0, *", False), ("*, gzip;q=0", False), ("*;q=0, gzip", True), ("xgzip", False)),
    ],
)
def test_accept_encoding(offer, accepted):
    assert accepts_gzip({} if offer is None else {"accept-encoding": offer}) is accepted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain text, with 'quotes' \"double\" [1] {2} <3>", "plain text, with 'quotes' \"double\" [1] {2} <3>"),
        ("two\r\nlines\tand  spaces ", "two lines and spaces"),
        ("é", "%C3%A9"),
        ("100%", "100%25"),
        ("a\0b\x7f", "a%00b%7F"),
        ("", ""),
    ],
)
def test_header_text_is_one_line_of_ascii(text, value):
    assert header_text(text) == value


@pytest.mark.parametrize("text", ["x" * 5000, "é" * 5000, "x" + "é" * 5000, "xx" + "😀" * 5000])
def test_a_long_header_text_is_cut_between_characters(text):
    value = header_text(text)
    assert 1000 <= len(value) <= messages.MAX_HEADER_CHARACTERS
    assert text.startswith(unquote(value, errors="strict"))


def test_an_error_is_tensorflow_servings_json_with_hint_and_cause_beside_it():
    response = Response.of_error(InputNames("no 'y'", hint='Send {"é": 1}'))
    assert response.status == 400
    assert json.loads(response.body) == {"error": "no 'y' Send {\"é\": 1}"}
    assert dict(response.headers) == {
        "content-type": "application/json",
        "x-unstuck-hint": 'Send {"%C3%A9": 1}',
        "x-unstuck-cause": "mapping/input-names",
    }
    assert dict(Response.of_error(NotFound("gone")).headers) == {"content-type": "application/json"}


def test_warnings_are_one_header():
    response = with_warnings(Response(200, b"{}"), ["one\ntwo", "three"])
    assert dict(response.headers)["x-unstuck-warning"] == "one two; three"
    assert dict(Response(200, b"{}").headers) == {"content-type": "application/json"}, "of this response alone"


def test_deflate():
    response = deflate(Response(200, b"abc" * 1000))
    assert gzip.decompress(response.body) == b"abc" * 1000
    assert dict(response.headers) == {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "vary": "accept-encoding",
    }
    assert dict(Response(200, b"").headers) == {"content-type": "application/json"}, "of this response alone"
