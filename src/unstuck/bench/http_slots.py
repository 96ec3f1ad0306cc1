"""Calls over HTTP/1.1: a connection a slot, kept alive, parsed by httptools.

An ordinary client costs a load generator ten times what the server spends; nothing is done here that is not measured.
"""

import asyncio
from typing import Any, cast

import httptools

from unstuck.bench.slots import CUT_OFF, NO_CONNECTION, UNREADABLE, Destination, Done


class HttpCaller:
    """See ``slots.Caller``."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def framed(self, body: bytes) -> bytes:
        to = self._destination
        more = "".join(f"{name}: {value}\r\n" for name, value in to.headers)
        head = (
            f"POST {to.path} HTTP/1.1\r\nHost: {to.authority}\r\nContent-Type: application/json\r\n"
            f"Accept-Encoding: identity\r\nUser-Agent: unstuck-bench\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def slot(self, done: Done) -> "HttpSlot":
        return HttpSlot(self._destination, done)


class HttpSlot(asyncio.Protocol):
    """See ``slots.Slot``."""

    def __init__(self, destination: Destination, done: Done) -> None:
        self.intended = 0.0
        self.number = 0
        self.is_busy = False
        self.error = ""
        self.answer = b""
        self._destination = destination
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._parser: Any = None

    def send(self, request: bytes) -> None:
        self.is_busy = True
        self.error = ""
        self.answer = b""
        if self._transport is not None:
            self._transport.write(request)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect_and_send(request))

    async def _connect_and_send(self, request: bytes) -> None:
        try:
            await self._destination.connect(self)
        except OSError as error:
            self._end(f"{NO_CONNECTION}: {error.strerror or error}")
            return
        if self._transport is not None:
            self._transport.write(request)

    def give_up(self, why: str) -> None:
        self.close()
        self._end(why)

    def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._drop()

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _end(self, error: str = "") -> None:
        if self.is_busy:
            self.is_busy = False
            self.error = error
            self._done(self)

    # asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._drop()
            self._end(UNREADABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._end(CUT_OFF)

    # httptools'

    def on_body(self, body: bytes) -> None:
        self.answer = self.answer + body if self.answer else body

    def on_message_complete(self) -> None:
        status: int = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self._drop()
        self._end("" if 200 <= status < 300 else f"HTTP {status}")
