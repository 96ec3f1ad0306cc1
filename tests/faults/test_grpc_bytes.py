"""What arrives at a gRPC port from clients that keep to no protocol, or never finish, must not reach anybody else."""

import contextlib
import queue
import socket
import struct
import time

import pytest
from grpc_client import PREDICT, TIMEOUT_S, check_healthy, predict, request
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


GRPC = {"content-type": "application/grpc", "te": "trailers"}


def headers(stream: int, flags: int = 4, **changed: str) -> bytes:
    """Those of a Predict call, none of them compressed; flag 4 ends the headers, 1 the stream."""
    fields = {":method": "POST", ":scheme": "http", ":path": PREDICT, ":authority": "x", **GRPC}
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    literal = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
        if value
    )
    return frame(1, flags, stream, literal)


def message(length: int, payload: bytes, compressed: int = 0) -> bytes:
    return bytes([compressed]) + struct.pack(">I", length) + payload


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
BODY = request(2.0).SerializeToString()
GOOD = message(len(BODY), BODY)
HOSTILE = {
    "nothing": b"",
    "http-1": f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode(),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half-a-preface": HELLO[:10],
    "no-settings": HELLO[:24] + headers(1),
    "only-a-preface": HELLO,
    "random": HELLO + bytes(range(256)) * 40,
    "huge-frame": HELLO + b"\xff\xff\xff\x00\x01" + struct.pack(">I", 1) + bytes(100),
    "headers-alone": HELLO + headers(1),
    "no-message": HELLO + headers(1, 5),
    "half-a-message": HELLO + headers(1) + frame(0, 1, 1, GOOD[:9]),
    "never-the-rest": HELLO + headers(1) + frame(0, 0, 1, GOOD[:9]),
    "a-length-of-4-gb": HELLO + headers(1) + frame(0, 0, 1, message(0xFFFFFFFF, BODY)),
    "a-shorter-length": HELLO + headers(1) + frame(0, 1, 1, message(3, BODY)),
    "compressed-with-nothing": HELLO + headers(1) + frame(0, 1, 1, message(len(BODY), BODY, 1)),
    "no-gzip": HELLO + headers(1, grpc_encoding="gzip") + frame(0, 1, 1, message(len(BODY), BODY, 1)),
    "unknown-encoding": HELLO + headers(1, grpc_encoding="zip") + frame(0, 1, 1, message(len(BODY), BODY, 1)),
    "another-content-type": HELLO + headers(1, content_type="text/html") + frame(0, 1, 1, GOOD),
    "no-content-type": HELLO + headers(1, content_type="") + frame(0, 1, 1, GOOD),
    "a-get": HELLO + headers(1, **{":method": "GET"}) + frame(0, 1, 1, GOOD),
    "a-bad-timeout": HELLO + headers(1, grpc_timeout="soon") + frame(0, 1, 1, GOOD),
    "bad-base64": HELLO + headers(1, trace_bin="%%%") + frame(0, 1, 1, GOOD),
    "a-stream-twice": HELLO + headers(1) + headers(1) + frame(0, 1, 1, GOOD) * 2,
    "an-even-stream": HELLO + headers(2) + frame(0, 1, 2, GOOD),
    "resets": HELLO + b"".join(headers(1 + 2 * n) + frame(3, 0, 1 + 2 * n, bytes(4)) for n in range(500)),
    "pings": HELLO + frame(6, 0, 0, bytes(8)) * 2000,
    "settings": HELLO + frame(4, 0, 0) * 2000,
    "no-window": HELLO + frame(4, 0, 0, struct.pack(">HI", 4, 0)) + headers(1) + frame(0, 1, 1, GOOD),
}


def test_the_frames_made_here_are_a_call_where_nothing_is_wrong_with_them(grpc_server):
    host, port = grpc_server.grpc_address.split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        connection.sendall(HELLO + headers(1) + frame(0, 1, 1, GOOD))
        while struct.pack("<f", 3.0) not in received:
            part = connection.recv(4096)
            assert part, received
            received += part


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_client_of_another_mind_disturbs_nobody(sent, reset, grpc_server, channel):
    """``channel`` was open before, and stays so."""
    assert predict(channel, 1.0) == [2.5]
    host, port = grpc_server.grpc_address.split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(sent)
            time.sleep(0.02)
    assert predict(channel, 2.0) == [3.0]


def test_clients_that_stay_silent_disturb_nobody(grpc_server, channel):
    host, port = grpc_server.grpc_address.split(":")
    silent = [socket.create_connection((host, int(port)), timeout=TIMEOUT_S) for _ in range(50)]
    try:
        for number, connection in enumerate(silent):
            connection.sendall([b"", HELLO, HOSTILE["never-the-rest"]][number % 3])
        check_healthy(grpc_server.grpc_address)
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("count", [5, 20])
def test_streams_that_stay_open_disturb_nobody(count, grpc_server, channel):
    """Of reflection and health: whoever watches or asks nothing more must not keep a probe from its answer."""
    waiting: queue.SimpleQueue[None] = queue.SimpleQueue()
    health = health_pb2_grpc.HealthStub(channel)
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    streams = [reflection.ServerReflectionInfo(iter(waiting.get, None)) for _ in range(count)]
    streams += [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(count)]
    try:
        time.sleep(0.2)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        check_healthy(grpc_server.grpc_address)
    finally:
        for stream in streams:
            stream.cancel()
            waiting.put(None)
