"""Connections that say nothing: closed by what the kernel knows of them; the front end waits for a first byte."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_FILES = Path("/proc/self/fd")
# Of struct tcp_info in linux/tcp.h: milliseconds since data was sent, and received; bytes received.
_LAST_SENT, _LAST_RECEIVED, _RECEIVED = 8 + 4 * 9, 8 + 4 * 11, 128
_INFO_BYTES = _RECEIVED + 8


def close_silent(port: int, first_byte_s: float, idle_s: float | None) -> int:
    """Closes this process's connections to ``port`` that are silent for too long; returns how many. Linux only.

    Args:
        port: of a listener of this process.
        first_byte_s: how long a connection may be open before its first byte.
        idle_s: how long nothing may come or go; None for ever.
    """
    closed = 0
    for connection in _connections(port):
        with connection, suppress(OSError):
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            if len(info) == _INFO_BYTES and _is_silent(info, first_byte_s, idle_s):
                connection.shutdown(socket.SHUT_RDWR)  # whoever owns it sees its end, and closes it
                closed += 1
    return closed


def _is_silent(info: bytes, first_byte_s: float, idle_s: float | None) -> bool:
    (sent_ms,), (received_ms,) = (struct.unpack_from("=I", info, at) for at in (_LAST_SENT, _LAST_RECEIVED))
    (received,) = struct.unpack_from("=Q", info, _RECEIVED)
    if received == 0:
        return received_ms > first_byte_s * 1000  # since it was accepted, then
    return idle_s is not None and min(sent_ms, received_ms) > idle_s * 1000


def _connections(port: int) -> Iterator[socket.socket]:
    """Each by a descriptor of our own: what its owner's number means may change meanwhile."""
    try:
        numbers = os.listdir(_FILES)
    except OSError:
        return
    for number in numbers:
        try:
            if not os.readlink(_FILES / number).startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(int(number)))
        except OSError:
            continue
        try:
            is_ours = found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM
            is_ours = is_ours and found.getsockname()[1] == port and bool(found.getpeername())
        except OSError:  # it listens, or is closed
            is_ours = False
        if is_ours:
            yield found
        else:
            found.close()
