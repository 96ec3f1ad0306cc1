"""HTTP/1.1 by a slot whose connection is a list of what was written."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.bench.http_slots import HttpCaller, HttpSlot
from unstuck.bench.slots import CUT_OFF, NO_CONNECTION, UNREADABLE, Destination, Slot, destination
from unstuck.client.address import parse
from unstuck.client.tls import TlsFiles

TO = Destination("host", 1, "host:1", "/v1/models/m:predict", False, False, TlsFiles())
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"predictions":[1]'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


class Wire:
    """A transport."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


def connected() -> tuple[HttpSlot, Wire, list[tuple[str, bytes]]]:
    """A slot, its connection, and what its calls ended with."""
    ended: list[tuple[str, bytes]] = []

    def done(slot: Slot) -> None:
        ended.append((slot.error, slot.answer))

    slot, wire = HttpCaller(TO).slot(done), Wire()
    slot.connection_made(cast("Any", wire))
    return slot, wire, ended


def test_a_request_is_framed() -> None:
    head, _, body = HttpCaller(TO).framed(b'{"instances":[1]}').partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/models/m:predict HTTP/1.1"
    assert "Host: host:1" in lines
    assert "Content-Length: 17" in lines
    assert body == b'{"instances":[1]}'


@given(st.lists(st.integers(1, len(OK) - 1), max_size=6))
def test_an_answer_may_come_in_pieces(cuts: list[int]) -> None:
    slot, wire, ended = connected()
    slot.send(b"request")
    ends = sorted({*cuts, len(OK)})
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        assert not ended
        slot.data_received(OK[begin:end])
    assert ended == [("", b'{"predictions":[1]')]
    assert wire.written == [b"request"]
    assert not wire.aborted


def test_the_connection_is_kept_for_the_next_call() -> None:
    slot, wire, ended = connected()
    for _ in range(3):
        slot.send(b"request")
        slot.data_received(OK)
    assert len(wire.written) == len(ended) == 3


def test_chunks_are_put_together() -> None:
    slot, _, ended = connected()
    slot.send(b"request")
    slot.data_received(CHUNKED)
    assert ended == [("", b"hello world")]


@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_an_error_status_is_an_error_with_its_message(status: int) -> None:
    slot, _, ended = connected()
    slot.send(b"request")
    slot.data_received(b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nwhy?" % status)
    assert ended == [(f"HTTP {status}", b"why?")]


def test_a_server_that_closes_is_left() -> None:
    slot, wire, ended = connected()
    slot.send(b"request")
    slot.data_received(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
    assert ended == [("", b"{}")]
    assert wire.aborted
    slot.connection_lost(None)
    assert len(ended) == 1


def test_a_connection_that_ends_in_a_call() -> None:
    slot, _, ended = connected()
    slot.send(b"request")
    slot.data_received(OK[:40])
    slot.connection_lost(None)
    assert ended == [(CUT_OFF, b"")]


def test_an_idle_connection_may_end() -> None:
    slot, _, ended = connected()
    slot.connection_lost(None)
    assert not ended


def test_what_is_no_http() -> None:
    slot, wire, ended = connected()
    slot.send(b"request")
    slot.data_received(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert ended == [(UNREADABLE, b"")]
    assert wire.aborted


def test_giving_up_leaves_the_connection() -> None:
    slot, wire, ended = connected()
    slot.send(b"request")
    slot.give_up("timeout")
    assert ended == [("timeout", b"")]
    assert wire.aborted


def test_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: Destination, protocol: asyncio.Protocol) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(Destination, "connect", refuse)
    ended: list[str] = []

    async def call() -> None:
        HttpCaller(TO).slot(lambda slot: ended.append(slot.error)).send(b"request")
        await asyncio.sleep(0)

    asyncio.run(call())
    assert ended == [f"{NO_CONNECTION}: Connection refused"]


@pytest.mark.parametrize(
    ("address", "port", "authority", "path"),
    [
        ("http://h:8501", 8501, "h:8501", "/v1"),
        ("http://h", 80, "h", "/v1"),
        ("https://h/behind/a", 443, "h", "/behind/a/v1"),
        ("grpc://h", 8500, "h", "/v1"),
        ("http://[::1]:8501", 8501, "[::1]:8501", "/v1"),
    ],
)
def test_where_calls_go(address: str, port: int, authority: str, path: str) -> None:
    found = destination(parse(address), TlsFiles(), "/v1")
    assert (found.port, found.authority, found.path) == (port, authority, path)
