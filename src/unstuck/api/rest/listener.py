"""The network front end of the REST API: granian's HTTP server, embedded in our event loop (docs/adr/0001)."""

import asyncio
import os
import socket
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server as GranianServer

from unstuck.api.rest.app import RestApp
from unstuck.errors import SetupError

BACKLOG = 1024
MAX_CONNECTIONS = 16_384


class RestListener:
    """One bound address that serves one application. Not thread-safe; belongs to the loop that starts it."""

    def __init__(self, host: str, port: int) -> None:
        """Binds at once, so that a taken port is an error before anything is loaded.

        Args:
            host: the address to bind.
            port: 0 for any free one.

        Raises:
            SetupError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            # Never SO_REUSEPORT: a second server on the port must fail, not take half of the requests in silence.
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise SetupError(
                f"The REST port {host}:{port} cannot be used: {os.strerror(error.errno) if error.errno else error}.",
                hint="Choose another with --rest_api_port=PORT, or let the server pick one: --rest_api_port=auto.",
            ) from None
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self._server: GranianServer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, app: RestApp) -> None:
        """Accepts connections from now on."""
        self._server = _EmbeddedServer(app, self._socket.detach())  # granian owns the descriptor from here on
        self._task = asyncio.get_running_loop().create_task(self._server.serve())

    async def stop(self, timeout_s: float) -> None:
        """Stops accepting, lets the requests in flight finish, and returns after ``timeout_s`` at the latest."""
        if self._server is not None and self._task is not None:
            self._server.stop()
            await asyncio.wait({self._task}, timeout=timeout_s)
        self._socket.close()


class _EmbeddedServer(GranianServer):
    """granian on a socket that is already bound, which its public constructor does not take."""

    def __init__(self, app: RestApp, bound_fd: int) -> None:
        options: dict[str, Any] = {
            "interface": Interfaces.RSGI,
            "http": HTTPModes.auto,
            "websockets": False,
            "backpressure": MAX_CONNECTIONS,
            "log_enabled": False,
        }
        super().__init__(app, **options)
        self._bound_fd = bound_fd

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._shd = SocketHolder(self._bound_fd, False, BACKLOG)  # pyright: ignore[reportCallIssue]
        self._sfd = self._bound_fd
