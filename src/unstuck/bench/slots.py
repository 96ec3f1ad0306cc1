"""What the generator needs of a protocol: slots, each of which makes one call at a time."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol
from urllib.parse import urlsplit

from unstuck.client.address import Address
from unstuck.client.tls import TlsFiles

# Why there was no answer, where no status says so.
NO_CONNECTION = "no connection"
CUT_OFF = "connection ended before the answer"
TIMEOUT = "timeout"
UNREADABLE = "unreadable answer"

DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 8500, "grpcs": 8500}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where calls go.

    Attributes:
        host: without brackets.
        authority: as the Host header has it.
        path: of each call: REST's with what stands before it in the address, or the RPC's.
        headers: more of each call; their names in lower case.
    """

    host: str
    port: int
    authority: str
    path: str
    is_secure: bool
    is_grpc: bool
    tls: TlsFiles
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    async def connect(self, protocol: asyncio.Protocol) -> None:
        """Raises OSError."""
        context = _context(self.tls, "h2" if self.is_grpc else "http/1.1") if self.is_secure else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: protocol, self.host, self.port, ssl=context)


@cache
def _context(tls: TlsFiles, protocol: str) -> ssl.SSLContext:
    """One for all connections: reading the system's certificates takes milliseconds."""
    context = tls.context()
    context.set_alpn_protocols([protocol])
    return context


def destination(address: Address, tls: TlsFiles, path: str) -> Destination:
    """Where calls to ``path`` of the server at ``address`` go."""
    parts = urlsplit(address.text)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    authority = parts.netloc.rpartition("@")[2]
    before = "" if address.is_grpc else parts.path.rstrip("/")
    return Destination(host, port, authority, before + path, address.is_secure, address.is_grpc, tls)


class Slot(Protocol):
    """Belongs to the event loop.

    Attributes:
        intended: when the call was to be sent, on ``time.perf_counter``; the generator's to set.
        number: which request it sends; the generator's to set.
        is_busy: whether a call is under way.
        error: why it failed, as failures are counted; empty where it did not.
        answer: its answer, or the server's message of the failure.
    """

    intended: float
    number: int
    is_busy: bool
    error: str
    answer: bytes

    def send(self, request: bytes) -> None:
        """Begins a call; the slot is handed to ``Done`` once it has ended, in a later turn of the loop."""
        ...

    def give_up(self, why: str) -> None:
        """Ends the call with the error ``why``."""
        ...

    def close(self) -> None: ...


Done = Callable[[Slot], None]


class Caller(Protocol):
    """A protocol's way to make calls."""

    def framed(self, body: bytes) -> bytes:
        """What a slot sends for ``body``."""
        ...

    def slot(self, done: Done) -> Slot:
        """A new slot, which connects when it first sends."""
        ...
