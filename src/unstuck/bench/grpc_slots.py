"""Calls over gRPC: streams of HTTP/2 connections, written for one shape of call.

grpcio's asynchronous channel makes a tenth of the calls that a fast server answers, and would be what is measured.
"""

import asyncio
from typing import cast

from hpack import Encoder

from unstuck.bench import http2_frames as h2
from unstuck.bench.slots import CUT_OFF, NO_CONNECTION, UNREADABLE, Destination, Done
from unstuck.errors import Code

STREAMS_OF_A_CONNECTION = 32
_LAST_STREAM = h2.MAX_WINDOW - 2
_REPLENISH = 1 << 30
_PREFIX_BYTES = 5


class GrpcCaller:
    """See ``slots.Caller``."""

    def __init__(self, destination: Destination, timeout_s: float) -> None:
        self._destination = destination
        self._headers = [
            (":method", "POST"),
            (":scheme", "https" if destination.is_secure else "http"),
            (":path", destination.path),
            (":authority", destination.authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "unstuck-bench"),
            ("grpc-timeout", f"{max(1, round(timeout_s * 1000))}m"),
            *destination.headers,
        ]
        self._connections: list[Connection] = []
        self._slots = 0

    def framed(self, body: bytes) -> bytes:
        return b"\0" + len(body).to_bytes(4, "big") + body

    def slot(self, done: Done) -> "GrpcSlot":
        slot = GrpcSlot(self, self._slots // STREAMS_OF_A_CONNECTION, done)
        self._slots += 1
        return slot

    def connection(self, number: int) -> "Connection":
        """The connection ``number``, a new one where the last takes no more calls."""
        if number == len(self._connections):
            self._connections.append(Connection(self._destination, self._headers))
        if self._connections[number].is_done:
            self._connections[number] = Connection(self._destination, self._headers)
        return self._connections[number]


class GrpcSlot:
    """See ``slots.Slot``."""

    def __init__(self, caller: GrpcCaller, connection: int, done: Done) -> None:
        self.intended = 0.0
        self.number = 0
        self.is_busy = False
        self.error = ""
        self.answer = b""
        self.stream = 0
        self.status = ""  # HTTP's
        self._caller = caller
        self._at = connection
        self._done = done
        self._connection: Connection | None = None

    def send(self, request: bytes) -> None:
        self.is_busy = True
        self.error = self.status = ""
        self.answer = b""
        self._connection = self._caller.connection(self._at)
        self._connection.call(self, request)

    def give_up(self, why: str) -> None:
        if self._connection is not None:
            self._connection.cancel(self)
        self.end(why)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def headers(self, found: dict[str, str], *, is_last: bool) -> None:
        self.status = found.get(":status", self.status)
        if not is_last:
            return
        told = found.get("grpc-status", "")
        if told == "0":
            is_whole = len(self.answer) >= _PREFIX_BYTES
            self.answer = self.answer[_PREFIX_BYTES:]
            self.end("" if is_whole else UNREADABLE)
        else:
            self.answer = found.get("grpc-message", "").encode()
            self.end(Code.from_number(int(told)).name if told.isdigit() else f"HTTP {self.status}")

    def end(self, error: str = "") -> None:
        if self.is_busy:
            self.is_busy = False
            self.error = error
            self._done(self)


class Connection(asyncio.Protocol):
    """One HTTP/2 connection, which connects with its first call."""

    def __init__(self, destination: Destination, headers: list[tuple[str, str]]) -> None:
        self.is_done = False
        self._destination = destination
        self._headers = headers
        self._encoder = Encoder()
        self._block = b""
        self._is_settled = False
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._early: list[tuple[GrpcSlot, bytes]] = []  # calls made before the connection was
        self._streams: dict[int, GrpcSlot] = {}
        self._next_stream = 1
        self._frames = h2.Frames()
        self._partial = b""  # of a header block that goes on in the next frame
        self._partial_flags = 0
        self._received = 0
        self._window = h2.DEFAULT_WINDOW  # what may be sent on the connection
        self._stream_window = h2.DEFAULT_WINDOW
        self._frame_bytes = h2.DEFAULT_FRAME
        self._unsent: dict[int, tuple[bytes, int]] = {}  # by stream, what its windows hold up, and its own window

    def call(self, slot: GrpcSlot, request: bytes) -> None:
        if self._transport is None:
            self._early.append((slot, request))
            if self._connecting is None:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
            return
        stream = slot.stream = self._next_stream
        self._next_stream += 2
        self.is_done = self.is_done or self._next_stream > _LAST_STREAM
        self._streams[stream] = slot
        size = len(request)
        head = self._head(stream)
        if size <= self._window and size <= self._stream_window and size <= self._frame_bytes and not self._unsent:
            self._window -= size
            self._transport.write(head + h2.frame(h2.DATA, h2.END_STREAM, stream, request))
            return
        self._transport.write(head)
        self._unsent[stream] = (request, self._stream_window)
        self._send_on()

    def _head(self, stream: int) -> bytes:
        if not self._is_settled:
            block = self._encoder.encode(self._headers)
            self._is_settled = block == self._block  # the server's table has them all: the bytes stay the same
            self._block = block
        return h2.frame(h2.HEADERS, h2.END_HEADERS, stream, self._block)

    def _send_on(self) -> None:
        """Sends what the windows let through, oldest first."""
        assert self._transport is not None
        for stream, (request, window) in list(self._unsent.items()):
            end = min(len(request), self._window, window)
            for at in range(0, end, self._frame_bytes):
                part = request[at : min(at + self._frame_bytes, end)]
                flags = h2.END_STREAM if at + len(part) == len(request) else 0
                self._transport.write(h2.frame(h2.DATA, flags, stream, part))
            if end == len(request):
                del self._unsent[stream]
            elif end > 0:
                self._unsent[stream] = (request[end:], window - end)
            self._window -= max(end, 0)

    def cancel(self, slot: GrpcSlot) -> None:
        self._unsent.pop(slot.stream, None)
        if self._streams.pop(slot.stream, None) is not None and self._transport is not None:
            self._transport.write(h2.frame(h2.RST_STREAM, 0, slot.stream, h2.CANCEL.to_bytes(4, "big")))
        self._early = [early for early in self._early if early[0] is not slot]

    def close(self) -> None:
        self.is_done = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        try:
            await self._destination.connect(self)
        except OSError as error:
            self._fail(f"{NO_CONNECTION}: {error.strerror or error}")
            return
        early, self._early = self._early, []
        for slot, request in early:
            self.call(slot, request)

    def _fail(self, why: str) -> None:
        """Ends the connection, and every call on it."""
        self.is_done = True
        self._unsent.clear()
        slots = [*self._streams.values(), *(slot for slot, _ in self._early)]
        self._streams, self._early = {}, []
        for slot in slots:
            slot.end(why)

    # asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        wanted = {h2.HEADER_TABLE_SIZE: 0, h2.ENABLE_PUSH: 0, h2.INITIAL_WINDOW_SIZE: h2.MAX_WINDOW}
        window = h2.window_update(0, h2.MAX_WINDOW - h2.DEFAULT_WINDOW)
        self._transport.write(h2.PREFACE + h2.settings(wanted) + window)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(CUT_OFF)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, flags, stream, payload in self._frames.feed(data):
                if kind == h2.DATA:
                    self._data(flags, stream, payload)
                elif kind == h2.HEADERS:
                    self._header_block(flags, stream, h2.content(kind, flags, payload))
                elif kind == h2.CONTINUATION:
                    self._header_block(flags | self._partial_flags, stream, self._partial + payload)
                elif kind == h2.RST_STREAM:
                    self._reset(stream, payload)
                else:
                    self._control(kind, flags, stream, payload)
        except (ValueError, IndexError):
            self.close()
            self._fail(UNREADABLE)

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received > _REPLENISH and self._transport is not None:
            self._transport.write(h2.window_update(0, self._received))
            self._received = 0
        slot = self._streams.get(stream)
        if slot is None:
            return
        inside = h2.content(h2.DATA, flags, payload) if flags & h2.PADDED else payload
        slot.answer = slot.answer + inside if slot.answer else inside
        if flags & h2.END_STREAM:  # without trailers, which no gRPC server does
            self._end(stream, UNREADABLE)

    def _header_block(self, flags: int, stream: int, block: bytes) -> None:
        if not flags & h2.END_HEADERS:
            self._partial, self._partial_flags = block, flags & h2.END_STREAM
            return
        self._partial, self._partial_flags = b"", 0
        is_last = bool(flags & h2.END_STREAM)
        slot = self._streams.pop(stream, None) if is_last else self._streams.get(stream)
        if slot is not None:
            if is_last:
                self._unsent.pop(stream, None)
            slot.headers(h2.read_headers(block), is_last=is_last)

    def _reset(self, stream: int, payload: bytes) -> None:
        self._end(stream, f"stream reset, code {int.from_bytes(payload, 'big')}")

    def _end(self, stream: int, error: str) -> None:
        self._unsent.pop(stream, None)
        slot = self._streams.pop(stream, None)
        if slot is not None:
            slot.end(error)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        assert self._transport is not None
        if kind == h2.SETTINGS and not flags & h2.ACK:
            self._settings(h2.read_settings(payload))
            self._transport.write(h2.frame(h2.SETTINGS, h2.ACK, 0))
        elif kind == h2.PING and not flags & h2.ACK:
            self._transport.write(h2.frame(h2.PING, h2.ACK, 0, payload))
        elif kind == h2.GOAWAY:
            self.is_done = True
            last = int.from_bytes(payload[:4], "big")
            for number in [number for number in self._streams if number > last]:
                self._end(number, CUT_OFF)
        elif kind == h2.WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._window += more
            elif stream in self._unsent:
                rest, window = self._unsent[stream]
                self._unsent[stream] = (rest, window + more)
            self._send_on()

    def _settings(self, told: dict[int, int]) -> None:
        self._frame_bytes = told.get(h2.MAX_FRAME_SIZE, self._frame_bytes)
        if h2.HEADER_TABLE_SIZE in told:
            self._encoder.header_table_size = min(told[h2.HEADER_TABLE_SIZE], h2.DEFAULT_TABLE)
            self._is_settled = False
        if h2.INITIAL_WINDOW_SIZE in told:
            more = told[h2.INITIAL_WINDOW_SIZE] - self._stream_window
            self._stream_window += more
            self._unsent = {stream: (rest, window + more) for stream, (rest, window) in self._unsent.items()}
            self._send_on()
