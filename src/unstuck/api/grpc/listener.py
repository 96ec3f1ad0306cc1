"""Where gRPC is served: which front end, on which addresses."""

import asyncio
import importlib.util
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import grpc

from unstuck.api.grpc import classic
from unstuck.api.grpc.classic import CallerOf, Health, InFlight
from unstuck.api.grpc.predict import PredictBatches
from unstuck.api.grpc.service import GrpcService
from unstuck.config.settings import Front
from unstuck.config.tls import TlsConfig
from unstuck.errors import SetupError

MAX_SOCKET_PATH_BYTES = 107  # sun_path of <sys/un.h>, less its end


@dataclass(frozen=True, slots=True)
class GrpcAddresses:
    """Where to listen, and how.

    Attributes:
        host: the address to bind.
        port: 0 for any free one, None for no TCP port.
        socket_path: a unix socket; empty for none.
        tls: None for plaintext. A unix socket is always plaintext.
        channel_arguments: of grpcio's server.
        front: which front end; ``auto`` takes the native one where it can do what is asked.
        max_message_bytes: the largest message, inflated; 0 for any.
        shares_port: other processes of this server listen on ``port``, too; then it is a number, and bound by
            ``start``, as whoever has bound it is given calls.
    """

    host: str
    port: int | None
    socket_path: str = ""
    tls: TlsConfig | None = None
    channel_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    front: Front = "auto"
    max_message_bytes: int = 0
    shares_port: bool = False


class GrpcListener:
    """Belongs to the running loop; ``start`` and ``stop`` once each."""

    def __init__(
        self,
        addresses: GrpcAddresses,
        service: GrpcService,
        calls_of: Callable[[], PredictBatches],
        *,
        has_health: bool = True,
    ) -> None:
        """Binds at once, so that a taken port is an error before anything is loaded; but for a shared one.

        Args:
            addresses: where.
            service: the RPCs.
            calls_of: makes what answers the calls that come to one address.
            has_health: whether the health service answers.

        Raises:
            SetupError: an address that cannot be bound, or a front end that cannot do what is asked.
        """
        self._health = Health() if has_health else None
        self.front = _front(addresses)
        front = _Native if self.front == "native" else _Classic
        self._bind = partial(front, addresses, service, calls_of, self._health)
        self._listener: _Native | _Classic | None = None if addresses.shares_port else self._bind()
        self.port = self._listener.port if self._listener else addresses.port or 0

    @property
    def in_flight(self) -> int:
        """How many calls are being answered."""
        return self._listener.in_flight if self._listener else 0

    def batches(self) -> dict[int, int]:
        """Of each thread that answers batches of calls, how many it has begun and ended: odd while it is at one."""
        listeners = self._listener.listeners if isinstance(self._listener, _Native) else []
        return {each.thread_id: each.batches for each in listeners if each.thread_id}

    async def start(self) -> None:
        """Answers calls from now on."""
        if self._listener is None:
            self._listener = self._bind()
        await self.set_serving(False)
        await self._listener.start()

    async def set_serving(self, serving: bool) -> None:
        """What the health service says."""
        if self._health:
            await self._health.set_serving(serving)

    async def stop(self, timeout_s: float) -> None:
        """Refuses new calls, lets those in flight finish, and returns after ``timeout_s`` at the latest."""
        await self.set_serving(False)
        if self._listener:
            await self._listener.stop(timeout_s)


class _Native:
    """pygrpc-native on each address; a grpcio server on a private socket has health and reflection."""

    def __init__(
        self,
        addresses: GrpcAddresses,
        service: GrpcService,
        calls_of: Callable[[], PredictBatches],
        health: Health | None,
    ) -> None:
        from unstuck.api.grpc.native import NativeListener

        self._service = service
        self._calls_of = calls_of
        self._extra = classic.server(None, None, health, caller_of=_caller_of(service))
        self.listeners: list[NativeListener] = []
        self.port = 0
        with_metadata = service.observer.wants_headers or service.needs_keys
        bind = partial(NativeListener, with_metadata=with_metadata, shares_port=addresses.shares_port)
        if addresses.port is not None:
            self.listeners.append(_bound(bind, addresses.host, addresses.port))
            self.port = self.listeners[0].port
        if addresses.socket_path:
            self.listeners.append(_bound_socket(bind, addresses.socket_path))

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self.listeners)

    async def start(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="unstuck-")
        socket_path = str(Path(self._folder) / "extra.sock")
        self._extra.add_insecure_port(f"unix:{socket_path}")
        await self._extra.start()
        for listener in self.listeners:
            listener.start(self._service, self._calls_of(), socket_path)

    async def stop(self, timeout_s: float) -> None:
        await asyncio.gather(*(asyncio.to_thread(each.stop, timeout_s) for each in self.listeners))
        await self._extra.stop(None)
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


class _Classic:
    """One grpcio server on all addresses."""

    def __init__(
        self,
        addresses: GrpcAddresses,
        service: GrpcService,
        calls_of: Callable[[], PredictBatches],
        health: Health | None,
    ) -> None:
        self._in_flight = InFlight()
        options: dict[str, Any] = {"grpc.so_reuseport": int(addresses.shares_port)}
        if addresses.max_message_bytes:
            options["grpc.max_receive_message_length"] = addresses.max_message_bytes
        options |= addresses.channel_arguments
        self._server = classic.server(service, calls_of(), health, options, self._in_flight, _caller_of(service))
        self.port = 0
        if addresses.port is not None:
            self.port = self._bind(addresses)
        if addresses.socket_path:
            _bound_socket(self._server.add_insecure_port, addresses.socket_path)

    @property
    def in_flight(self) -> int:
        return self._in_flight.calls

    def _bind(self, addresses: GrpcAddresses) -> int:
        target = _target(addresses.host, addresses.port or 0)
        try:
            if addresses.tls:
                return self._server.add_secure_port(target, _credentials(addresses.tls))
            return self._server.add_insecure_port(target)
        except RuntimeError as error:
            if addresses.tls and not _why_taken(addresses.host, addresses.port or 0):
                raise SetupError(
                    "The key or a certificate of --ssl_config_file is not valid PEM, or they differ."
                ) from None
            raise _cannot_bind(addresses.host, addresses.port or 0, error) from None

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, timeout_s: float) -> None:
        await self._server.stop(timeout_s)


def _caller_of(service: GrpcService) -> CallerOf | None:
    return service.caller if service.needs_keys else None


def _front(addresses: GrpcAddresses) -> Literal["native", "grpcio"]:
    if addresses.front == "grpcio":
        return "grpcio"
    why_not = ""
    if addresses.tls:
        why_not = "it has no TLS"
    elif addresses.channel_arguments:
        why_not = "it takes no --grpc_channel_arguments"
    elif addresses.max_message_bytes:
        why_not = "it takes and inflates messages of any size, whatever --grpc_max_message_bytes says"
    elif importlib.util.find_spec("pygrpc_native") is None:
        why_not = "pygrpc-native is not installed"
    if why_not and addresses.front == "native":
        raise SetupError(f"The native gRPC front end cannot be used: {why_not}.", hint="Use --grpc_front=auto.")
    return "grpcio" if why_not else "native"


def _credentials(tls: TlsConfig) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.client_authority, require_client_auth=tls.client_verify
    )


def _bound(bind: Callable[[str], Any], host: str, port: int) -> Any:
    try:
        return bind(_target(host, port))
    except OSError as error:
        raise _cannot_bind(host, port, error) from None


def _bound_socket(bind: Callable[[str], Any], path: str) -> Any:
    _check_socket_path(path)
    try:
        return bind(f"unix:{path}")
    except (OSError, RuntimeError) as error:
        raise SetupError(f"--grpc_socket_path={path} cannot be bound: {error}.") from None


def _target(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_bind(host: str, port: int, error: Exception) -> SetupError:
    number = getattr(error, "errno", None)
    why = os.strerror(number) if number else _why_taken(host, port) or str(error)
    return SetupError(
        f"The gRPC port {host}:{port} cannot be used: {why}.",
        hint="Choose another with --port=PORT, or let the server pick one: --port=auto; --port=0 serves no gRPC.",
    )


def _why_taken(host: str, port: int) -> str:
    """grpcio does not say why it cannot bind; the system does."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return ""


def _check_socket_path(path: str) -> None:
    """Refuses what cannot be bound or is in use: binding replaces a socket file, whoever listens on it."""
    place = Path(path)
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SetupError(
            f"--grpc_socket_path={path} is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a socket has."
        )
    if not place.parent.is_dir():
        raise SetupError(f"--grpc_socket_path={path}: there is no folder {place.parent}.")
    if place.exists() and not place.is_socket():
        raise SetupError(f"--grpc_socket_path={path} exists and is not a socket.", hint="Name a path that is free.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return
    raise SetupError(f"--grpc_socket_path={path} is in use: another server listens on it.")
