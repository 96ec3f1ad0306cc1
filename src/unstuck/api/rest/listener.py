"""The network front end of the REST API: granian's HTTP server, embedded in our event loop (docs/adr/0001)."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol, cast

from granian._granian import CallbackScheduler, RSGIWorker, SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import AsyncWorker
from granian.server.embed import Server as GranianServer

from unstuck.api.rest.connections import ConnectionLimits
from unstuck.api.rest.messages import Exchange
from unstuck.config.tls import TlsConfig, write_pem
from unstuck.errors import SetupError
from unstuck.guard.silent_connections import close_silent

log = logging.getLogger(__name__)

BACKLOG = 1024
WATCH_INTERVAL_S = 1.0
SILENT_EVERY = 5  # intervals: it looks at each connection


class RsgiApp(Protocol):
    """An RSGI application that can answer some requests without a coroutine."""

    def begin(self, scope: Any, exchange: Exchange) -> bool:
        """True if the request is being answered: by ``exchange.response_bytes``, later.

        Called on granian's thread, not on the loop's. It may call ``exchange()`` and add a callback to what that
        returns, which then runs on the loop: granian completes a body on this same thread, so never in between.
        """
        ...

    def refuse_late_bodies(self) -> None:
        """Answers requests whose bodies do not come. Called on the loop, every second."""
        ...

    def __rsgi__(self, scope: Any, exchange: Exchange) -> Awaitable[None]: ...


class RestListener:
    """One bound address that serves one application. Not thread-safe; belongs to the loop that starts it."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: TlsConfig | None = None,
        *,
        shares_port: bool = False,
        limits: ConnectionLimits | None = None,
    ) -> None:
        """Binds at once, so that a taken port is an error before anything is loaded; listens from ``start`` on.

        Args:
            host: the address to bind.
            port: 0 for any free one.
            tls: None for plaintext.
            shares_port: other processes of this server listen on it, too.
            limits: of its connections.

        Raises:
            SetupError: the address cannot be bound.
        """
        self._tls = tls
        self._limits = limits or ConnectionLimits()
        self._folder: Path | None = None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = _bound(host, port, family, shares_port=shares_port)
        except OSError as error:
            raise SetupError(
                f"The REST port {host}:{port} cannot be used: {os.strerror(error.errno) if error.errno else error}.",
                hint="Choose another with --rest_api_port=PORT, or let the server pick one: --rest_api_port=auto.",
            ) from None
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self._server: GranianServer | None = None
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    def start(self, app: RsgiApp) -> None:
        """Accepts connections from now on."""
        files: dict[str, Any] = {}
        if self._tls:
            self._folder = Path(tempfile.mkdtemp(prefix="unstuck-"))  # which only this user can read
            files = _tls_options(self._tls, self._folder)
        self._socket.listen(BACKLOG)
        bound_fd = self._socket.detach()  # which granian owns from here on
        self._server = _EmbeddedServer(app, bound_fd, files, self._limits)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve(_spawn))
        self._watch = loop.create_task(self._watch_connections(app))

    async def stop(self, timeout_s: float) -> None:
        """Stops accepting, lets the requests in flight finish, and returns after ``timeout_s`` at the latest."""
        if self._server is not None and self._task is not None:
            self._server.stop()
            await asyncio.wait({self._task}, timeout=timeout_s)
        if self._watch is not None:
            self._watch.cancel()
        self.close()

    async def _watch_connections(self, app: RsgiApp) -> None:
        limits, seconds = self._limits, 0
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            seconds += 1
            try:
                app.refuse_late_bodies()
                if seconds % SILENT_EVERY == 0:
                    await asyncio.to_thread(close_silent, self.port, limits.idle_timeout_s, limits.silence_s)
            except Exception:  # it must go on
                log.exception("The connections could not be looked at")

    def close(self) -> None:
        """Gives the address back, if it was never started."""
        self._socket.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _bound(host: str, port: int, family: socket.AddressFamily, *, shares_port: bool) -> socket.socket:
    """Without ``shares_port`` it listens, too: a second server on the port must fail, not take half of the requests."""
    if not shares_port:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as create_server does
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


class _EmbeddedServer(GranianServer):
    """granian on a socket that is already bound, which its public constructor does not take."""

    def __init__(self, app: RsgiApp, bound_fd: int, tls: dict[str, Any], limits: ConnectionLimits) -> None:
        options: dict[str, Any] = {
            "interface": Interfaces.RSGI,
            "http": HTTPModes.auto,
            "websockets": False,
            "log_enabled": False,
            **limits.settings(),
            **tls,
        }
        super().__init__(app, **options)
        self._bound_fd = bound_fd

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._shd = SocketHolder(self._bound_fd, False, BACKLOG)  # pyright: ignore[reportCallIssue]
        self._sfd = self._bound_fd


def _tls_options(tls: TlsConfig, folder: Path) -> dict[str, Any]:
    """granian's, with the keys and certificates in ``folder``: it takes files."""
    certificate, key = write_pem(tls, folder)
    options: dict[str, Any] = {"ssl_cert": certificate, "ssl_key": key, "ssl_protocol_min": SSLProtocols.tls12}
    if tls.client_authority and tls.client_verify:
        options["ssl_ca"] = folder / "clients.crt"
        options["ssl_client_verify"] = True
        options["ssl_ca"].write_bytes(tls.client_authority)
    return options


async def _run_worker(
    worker: int,
    stop: Any,
    app: RsgiApp,
    sockets: Any,
    loop: asyncio.AbstractEventLoop,
    threads: int,
    io_threads: int,
    py_threads: int,
    py_threads_idle_s: int,
    backpressure: int,
    _task_impl: Any,
    *options: Any,
) -> None:
    """granian's own worker function with another scheduler: it makes a task of its own for every request."""
    http, http1, http2, websockets, static_files, _log_format, tls, _scope = options
    stopped = asyncio.Event()
    stop.add_cb(lambda: loop.call_soon_threadsafe(stopped.set))
    runtime = (threads, io_threads, py_threads, py_threads_idle_s, backpressure)
    protocol = (http, http1, http2, websockets, static_files)
    rust: Any = RSGIWorker
    rust(worker, sockets, None, *runtime, *protocol, *tls, (None, None)).serve_async(_scheduler(loop, app), loop, stop)
    await stopped.wait()


_spawn: Any = cast("Any", AsyncWorker).wrap_target(_run_worker)


def _scheduler(loop: asyncio.AbstractEventLoop, app: RsgiApp) -> Any:
    """Brings each request from granian's thread to the loop's; a task is made only for what ``app`` does not begin."""
    rust: Any = CallbackScheduler
    scheduler = rust(loop, None, None, None, None)

    def start_task(request: Any) -> None:
        request.taskref(loop.create_task(_run(app, request)))

    def schedule(request: Any) -> None:  # must return None, and not raise: granian looks at neither
        try:
            begun = app.begin(request.scope, request.proto)
        except Exception:
            log.exception("A request could not be begun")
            begun = False
        if not begun:
            loop.call_soon_threadsafe(start_task, request, context=context)

    context = scheduler._ctx
    scheduler._schedule_fn = schedule
    return scheduler


async def _run(app: RsgiApp, request: Any) -> None:
    try:
        await app.__rsgi__(request.scope, request.proto)
    except BaseException as error:  # noqa: BLE001 - granian answers 500 and logs it
        request.err(error)
    else:
        request.done()
