"""Real sockets: what the kernel says of them is what is in question."""

import socket
import sys
import time

import pytest

from unstuck.guard.silent_connections import close_silent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a connection spoke last")
TIMEOUT_S = 10


@pytest.fixture
def pair():
    """A listener's port, the server's end of a connection to it, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
            accepted, _ = listener.accept()
            with accepted:
                yield port, accepted, client


def closed_within_time(port, *limits):
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if closed := close_silent(port, *limits):
            return closed
        time.sleep(0.01)
    return 0


def test_a_connection_without_a_byte_is_closed_once_its_time_is_over(pair):
    port, accepted, client = pair
    assert close_silent(port, TIMEOUT_S, None) == 0
    assert closed_within_time(port, 0.05, None) == 1
    assert client.recv(1) == b"", "it sees the end"
    assert accepted.recv(1) == b""


def test_one_that_has_spoken_is_closed_by_its_silence_alone(pair):
    port, accepted, client = pair
    client.sendall(b"x")
    accepted.recv(1)
    time.sleep(0.1)
    assert close_silent(port, 0.05, None) == 0
    assert close_silent(port, 0.05, TIMEOUT_S) == 0
    assert closed_within_time(port, TIMEOUT_S, 0.2) == 1
    assert client.recv(1) == b""


def test_an_answer_is_no_silence(pair):
    port, accepted, client = pair
    client.sendall(b"x")
    accepted.recv(1)
    time.sleep(0.5)
    accepted.sendall(b"y")
    assert close_silent(port, 0.05, 0.4) == 0


def test_connections_of_other_ports_and_the_listener_stay(pair):
    port, accepted, client = pair
    time.sleep(0.1)
    assert close_silent(port + 1, 0.01, 0.01) == 0
    client.sendall(b"x")
    assert accepted.recv(1) == b"x"
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
        pass
