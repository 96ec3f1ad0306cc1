"""Requests over HTTP, by httpx, which is imported when the first client for such an address is made."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from unstuck.client.address import Address
from unstuck.client.failures import UnreadableAnswer, cut_off, not_connected, too_late
from unstuck.client.messages import Reply, Request
from unstuck.client.tls import TlsFiles
from unstuck.errors import InvalidRequest, UnstuckError

GRACE_S = 0.1
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def _options(address: Address, headers: Mapping[str, str], tls: TlsFiles) -> dict[str, Any]:
    # Compressing costs a server more time than a local network saves; who is far away asks for it by a header.
    sent = {"accept-encoding": "identity", "content-type": "application/json"}
    return {
        "headers": sent | {name.lower(): value for name, value in headers.items()},
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=100),
        "verify": tls.context() if address.is_secure else False,
    }


class HttpTransport:
    """See ``messages.Transport``."""

    def __init__(self, address: Address, headers: Mapping[str, str], tls: TlsFiles) -> None:
        self._address = address.text
        self._client = httpx.Client(**_options(address, headers, tls))

    def send(self, request: Request, timeout_s: float | None) -> Reply:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        built = _build(self._client, self._address, request, timeout_s)
        try:
            response = self._client.send(built, stream=True)
            try:
                body = bytearray()
                for chunk in response.iter_bytes():  # httpx limits each wait, not all of them together
                    body += chunk
                    if deadline is not None and time.monotonic() > deadline:
                        raise too_late(self._address)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise _failure(self._address, error) from error
        return _reply(response, bytes(body))

    def close(self) -> None:
        self._client.close()


class AsyncHttpTransport:
    """See ``messages.AsyncTransport``."""

    def __init__(self, address: Address, headers: Mapping[str, str], tls: TlsFiles) -> None:
        self._address = address.text
        self._client = httpx.AsyncClient(**_options(address, headers, tls))

    async def send(self, request: Request, timeout_s: float | None) -> Reply:
        import asyncio  # which a client that blocks does without

        built = _build(self._client, self._address, request, timeout_s)
        try:
            # httpx limits each wait, not all of them together; where it can, it says better what was waited for.
            async with asyncio.timeout(None if timeout_s is None else timeout_s + GRACE_S):
                response = await self._client.send(built)
        except TimeoutError:
            raise too_late(self._address) from None
        except httpx.HTTPError as error:
            raise _failure(self._address, error) from error
        return _reply(response, response.content)

    async def close(self) -> None:
        await self._client.aclose()


def _build(
    client: httpx.Client | httpx.AsyncClient, address: str, request: Request, timeout_s: float | None
) -> httpx.Request:
    method = "GET" if request.body is None else "POST"
    try:
        return client.build_request(method, address + request.path, content=request.body, timeout=timeout_s)
    except httpx.InvalidURL as error:
        raise InvalidRequest(f"The address {address!r} cannot be used: {error}.") from None


def _reply(response: httpx.Response, body: bytes) -> Reply:
    return Reply(response.status_code, body, dict(response.headers))


def _failure(address: str, error: httpx.HTTPError) -> UnstuckError:
    why = str(error) or type(error).__name__
    if isinstance(error, _NOT_CONNECTED):
        return not_connected(address, why)
    if isinstance(error, httpx.LocalProtocolError):
        return InvalidRequest(f"The request to {address} cannot be sent: {why}.", hint="Look at the headers.")
    if isinstance(error, httpx.TimeoutException):
        return too_late(address)
    return UnreadableAnswer(f"{why}.") if isinstance(error, httpx.DecodingError) else cut_off(address, why)
