"""HTTP/2 by a connection whose server is the test: it reads what was written, and answers frames."""

from typing import Any, cast

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.bench import http2_frames as h2
from unstuck.bench.grpc_slots import STREAMS_OF_A_CONNECTION, GrpcCaller, GrpcSlot
from unstuck.bench.slots import CUT_OFF, UNREADABLE, Destination, Slot
from unstuck.client.tls import TlsFiles

TO = Destination("host", 1, "host:1", "/tensorflow.serving.PredictionService/Predict", False, True, TlsFiles())


class Server:
    """The other end of a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.aborted = False
        self.decoder = hpack.Decoder()
        self._frames = h2.Frames()
        self._written = b""
        connection.connection_made(cast("Any", self))

    def write(self, data: bytes) -> None:
        self._written += data

    def abort(self) -> None:
        self.aborted = True

    def got(self) -> list[h2.Frame]:
        """What was written since the last look."""
        written, self._written = self._written.removeprefix(h2.PREFACE), b""
        return list(self._frames.feed(written))

    def settings(self, **values: int) -> None:
        told = {getattr(h2, name.upper()): value for name, value in values.items()}
        self.connection.data_received(h2.settings(told))

    def answer(self, stream: int, message: bytes, **trailers: str) -> None:
        self.connection.data_received(answered(stream, message, **trailers))


def block(*headers: tuple[str, str]) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(headers)


def answered(stream: int, message: bytes, **trailers: str) -> bytes:
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    last = trailers or {"grpc_status": "0"}
    told = block(*((name.replace("_", "-"), value) for name, value in last.items()))
    return (
        h2.frame(h2.HEADERS, h2.END_HEADERS, stream, block((":status", "200"), ("content-type", "application/grpc")))
        + h2.frame(h2.DATA, 0, stream, framed)
        + h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, told)
    )


@pytest.fixture
def caller() -> GrpcCaller:
    return GrpcCaller(TO, timeout_s=2.5)


@pytest.fixture
def ended() -> list[tuple[str, bytes]]:
    return []


@pytest.fixture
def slot(caller: GrpcCaller, ended: list[tuple[str, bytes]]) -> GrpcSlot:
    return caller.slot(lambda slot: _note(slot, ended))


def _note(slot: Slot, ended: list[tuple[str, bytes]]) -> None:
    ended.append((slot.error, slot.answer))


@pytest.fixture
def server(caller: GrpcCaller) -> Server:
    found = Server(caller.connection(0))
    found.got()
    return found


def test_a_call(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[tuple[str, bytes]]) -> None:
    slot.send(caller.framed(b"message"))
    (kind, flags, stream, payload), data = server.got()
    assert (kind, flags, stream) == (h2.HEADERS, h2.END_HEADERS, 1)
    headers = dict(server.decoder.decode(payload))
    assert headers[":path"] == TO.path
    assert headers["grpc-timeout"] == "2500m"
    assert headers["te"] == "trailers"
    assert data == (h2.DATA, h2.END_STREAM, 1, b"\0\0\0\0\x07message")
    server.answer(1, b"outputs")
    assert ended == [("", b"outputs")]


def test_headers_are_the_same_however_they_are_written(caller: GrpcCaller, slot: GrpcSlot, server: Server) -> None:
    blocks: list[bytes] = []
    for number in range(6):
        if number == 4:
            server.settings(header_table_size=64)
        slot.send(caller.framed(b""))
        heads = [each for each in server.got() if each[0] == h2.HEADERS]
        assert heads[0][2] == 2 * number + 1
        blocks.append(heads[0][3])
        assert dict(server.decoder.decode(heads[0][3]))[":authority"] == "host:1"
        server.answer(2 * number + 1, b"")
    assert len(blocks[1]) < len(blocks[0]) / 4
    assert blocks[1] == blocks[2] == blocks[3]


@given(st.data())
def test_answers_may_come_in_pieces_and_in_any_order(data: st.DataObject) -> None:
    caller, ended = GrpcCaller(TO, 1.0), list[bytes]()
    server = Server(caller.connection(0))
    slots = [caller.slot(lambda each: ended.append(each.answer)) for _ in range(4)]
    for each in slots:
        each.send(caller.framed(b"m"))
    order = data.draw(st.permutations([1, 3, 5, 7]))
    sent = b"".join(answered(stream, b"answer %d" % stream) for stream in order)
    cuts = sorted({*data.draw(st.lists(st.integers(1, len(sent)), max_size=8)), len(sent)})
    for begin, end in zip([0, *cuts[:-1]], cuts, strict=True):
        server.connection.data_received(sent[begin:end])
    assert ended == [b"answer %d" % stream for stream in order]


@pytest.mark.parametrize(
    ("trailers", "error"),
    [({"grpc_status": "14", "grpc_message": "try%20again"}, "UNAVAILABLE"), ({"grpc_status": "99"}, "UNKNOWN")],
)
def test_a_failure(trailers: dict[str, str], error: str, caller: GrpcCaller, slot: GrpcSlot, server: Server,
                   ended: list[tuple[str, bytes]]) -> None:  # fmt: skip
    slot.send(caller.framed(b"m"))
    server.answer(1, b"", **trailers)
    assert ended == [(error, b"try again" if "grpc_message" in trailers else b"")]


def test_a_failure_of_a_proxy(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    told = h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, block((":status", "502")))
    server.connection.data_received(told)
    assert ended == [("HTTP 502", b"")]


def test_headers_that_go_on(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    told = block((":status", "200"), ("grpc-status", "5"), ("grpc-message", "no such model"))
    server.connection.data_received(
        h2.frame(h2.HEADERS, h2.END_STREAM, 1, told[:9]) + h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1, told[9:])
    )
    assert ended == [("NOT_FOUND", b"no such model")]


def test_padding_is_left_out(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    padded = b"\x03" + b"\0\0\0\0\x02hi" + b"\0\0\0"
    server.connection.data_received(h2.frame(h2.DATA, h2.PADDED, 1, padded))
    last = h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, block(("grpc-status", "0")))
    server.connection.data_received(last)
    assert ended == [("", b"hi")]


def test_a_large_request_waits_for_its_windows(caller: GrpcCaller, slot: GrpcSlot, server: Server) -> None:
    server.settings(initial_window_size=20_000, max_frame_size=16_384)
    server.got()
    request = caller.framed(bytes(range(256)) * 400)
    slot.send(request)
    sent = [each for each in server.got() if each[0] == h2.DATA]
    assert [len(each[3]) for each in sent] == [16_384, 3_616]
    server.connection.data_received(h2.window_update(1, 1_000_000))
    sent += server.got()
    assert sum(len(each[3]) for each in sent) == h2.DEFAULT_WINDOW  # of the connection
    server.connection.data_received(h2.window_update(0, 1_000_000))
    sent += server.got()
    assert b"".join(each[3] for each in sent) == request
    assert [each[1] for each in sent] == [0] * (len(sent) - 1) + [h2.END_STREAM]


def test_a_larger_window_for_all_streams(caller: GrpcCaller, slot: GrpcSlot, server: Server) -> None:
    server.settings(initial_window_size=10)
    slot.send(caller.framed(b"0123456789"))
    server.got()
    server.settings(initial_window_size=100)
    assert [each[3] for each in server.got() if each[0] == h2.DATA] == [b"56789"]


def test_pings_and_settings_are_acknowledged(server: Server) -> None:
    server.settings(max_concurrent_streams=5)
    server.connection.data_received(h2.frame(h2.PING, 0, 0, b"12345678"))
    assert server.got() == [(h2.SETTINGS, h2.ACK, 0, b""), (h2.PING, h2.ACK, 0, b"12345678")]


def test_a_server_that_goes_away(caller: GrpcCaller, server: Server, ended: list[tuple[str, bytes]]) -> None:
    slots = [caller.slot(lambda slot: _note(slot, ended)) for _ in range(2)]
    for each in slots:
        each.send(caller.framed(b"m"))
    server.connection.data_received(h2.frame(h2.GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4)))
    assert ended == [(CUT_OFF, b"")]  # the second; the first is still answered
    server.answer(1, b"yes")
    assert ended[1] == ("", b"yes")
    assert caller.connection(0) is not server.connection


def test_a_reset_stream(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    server.connection.data_received(h2.frame(h2.RST_STREAM, 0, 1, (11).to_bytes(4, "big")))
    assert ended == [("stream reset, code 11", b"")]


def test_a_connection_that_ends(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    server.connection.connection_lost(None)
    assert ended == [(CUT_OFF, b"")]


def test_giving_up_tells_the_server(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    server.got()
    slot.give_up("timeout")
    assert ended == [("timeout", b"")]
    assert server.got() == [(h2.RST_STREAM, 0, 1, h2.CANCEL.to_bytes(4, "big"))]
    server.answer(1, b"late")
    assert len(ended) == 1


def test_headers_that_cannot_be_read(caller: GrpcCaller, slot: GrpcSlot, server: Server, ended: list[Any]) -> None:
    slot.send(caller.framed(b"m"))
    server.connection.data_received(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"))
    assert ended[0][0] in (UNREADABLE, CUT_OFF)
    assert server.aborted


def test_slots_share_connections(caller: GrpcCaller) -> None:
    slots = [caller.slot(lambda slot: None) for _ in range(STREAMS_OF_A_CONNECTION + 1)]
    for number in (0, 1):
        Server(caller.connection(number))
    for each in slots:
        each.send(b"")
    assert slots[0].stream == slots[-1].stream == 1
    assert slots[-2].stream == 2 * STREAMS_OF_A_CONNECTION - 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40))),
       st.integers(1, 30))  # fmt: skip
def test_frames_are_cut_right(frames: list[h2.Frame], step: int) -> None:
    data = b"".join(h2.frame(*each) for each in frames)
    reader = h2.Frames()
    assert [each for at in range(0, len(data), step) for each in reader.feed(data[at : at + step])] == frames
