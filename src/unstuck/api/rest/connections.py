"""What granian is told to take of a connection, and no more."""

from dataclasses import dataclass
from typing import Any

from granian.http import HTTP1Settings, HTTP2Settings

DEFAULT_CONNECTIONS = 16_384
DEFAULT_HEADER_BYTES = 64 * 1024
LEAST_HEADER_BYTES = 8192  # hyper's buffer has no fewer
DEFAULT_IDLE_S = 30.0
PING_INTERVAL_MS = 30_000


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one listener.

    Attributes:
        connections: at the same time; more wait until one is closed.
        header_bytes: of a request's line and headers.
        idle_timeout_s: from when a request may begin to the end of its headers; a connection kept alive waits as long.
        silence_s: from when nothing has come or gone, though a call may be running; None for ever.
    """

    connections: int = DEFAULT_CONNECTIONS
    header_bytes: int = DEFAULT_HEADER_BYTES
    idle_timeout_s: float = DEFAULT_IDLE_S
    silence_s: float | None = None

    def settings(self) -> dict[str, Any]:
        """granian's names for them."""
        return {
            "backpressure": self.connections,
            "http1_settings": HTTP1Settings(
                header_read_timeout=int(self.idle_timeout_s * 1000),
                max_buffer_size=max(self.header_bytes, LEAST_HEADER_BYTES),
            ),
            "http2_settings": HTTP2Settings(keep_alive_interval=PING_INTERVAL_MS, max_headers_size=self.header_bytes),
        }
