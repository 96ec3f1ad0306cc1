"""Requests over gRPC, by grpcio, which is imported when the first client for such an address is made."""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc

from unstuck.client.address import Address
from unstuck.client.failures import cut_off, not_connected, too_late
from unstuck.client.messages import Reply, Request
from unstuck.client.tls import TlsFiles
from unstuck.errors import Code

DETAILS_KEY = "grpc-status-details-bin"
_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))

# What grpcio itself says of a connection that did not come about, or that ended; any other failure is the server's.
_NOT_CONNECTED = ("failed to connect to", "dns resolution failed", "connections to all backends failing")
_CUT_OFF = ("socket closed", "recvmsg:", "sendmsg:", "goaway", "connection reset", "transport closed", "broken pipe")


class GrpcTransport:
    """See ``messages.Transport``."""

    def __init__(self, address: Address, headers: Mapping[str, str], tls: TlsFiles) -> None:
        self._address = address.text
        self._metadata = _metadata(headers)
        self._channel: Any = _channel(grpc, address, tls)

    def send(self, request: Request, timeout_s: float | None) -> Reply:
        method = self._channel.unary_unary(request.path)
        try:
            body, call = method.with_call(request.body, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return _failed(self._address, error)
        return Reply(Code.OK.number, body, _text(call.trailing_metadata()))

    def close(self) -> None:
        self._channel.close()


class AsyncGrpcTransport:
    """See ``messages.AsyncTransport``."""

    def __init__(self, address: Address, headers: Mapping[str, str], tls: TlsFiles) -> None:
        self._address = address.text
        self._metadata = _metadata(headers)
        self._channel: Any = _channel(grpc.aio, address, tls)

    async def send(self, request: Request, timeout_s: float | None) -> Reply:
        method = self._channel.unary_unary(request.path)
        call = method(request.body, timeout=timeout_s, metadata=self._metadata)
        try:
            body = await call
        except grpc.RpcError as error:
            return _failed(self._address, error)
        return Reply(Code.OK.number, body, _text(await call.trailing_metadata()))

    async def close(self) -> None:
        await self._channel.close()


def _channel(module: Any, address: Address, tls: TlsFiles) -> Any:
    if not address.is_secure:
        return module.insecure_channel(address.target, options=_OPTIONS)
    roots, key, certificate = tls.read()
    credentials = grpc.ssl_channel_credentials(roots, key, certificate)
    return module.secure_channel(address.target, credentials, options=_OPTIONS)


def _metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers.items())


def _text(trailing: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    return {key: value for key, value in trailing or () if isinstance(value, str)}


def _failed(address: str, error: Any) -> Reply:
    """The reply that ``error`` stands for. Raises where there is none: Unreachable, DeadlineExceeded."""
    number, message = int(error.code().value[0]), error.details() or ""
    said = message.lower()
    trailing: list[tuple[str, str | bytes]] = list(error.trailing_metadata() or ())
    details = next((value for key, value in trailing if key == DETAILS_KEY and isinstance(value, bytes)), b"")
    if number == Code.UNAVAILABLE.number and not details:
        if any(sign in said for sign in _NOT_CONNECTED):
            raise not_connected(address, message) from None
        if any(sign in said for sign in _CUT_OFF):
            raise cut_off(address, message) from None
    if number == Code.DEADLINE_EXCEEDED.number and said == "deadline exceeded":
        raise too_late(address) from None
    return Reply(number, b"", _text(trailing), message, details)
