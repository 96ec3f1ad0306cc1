"""``Client`` and ``AsyncClient``: the same methods, done by blocking and by awaiting."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self, TypeVar

from unstuck.client import address as addresses
from unstuck.client.address import Address
from unstuck.client.calls import Calls, Patience
from unstuck.client.inputs import NOTHING
from unstuck.client.messages import AsyncTransport, Classes, Flow, ModelMetadata, Send, Transport, Wire
from unstuck.client.prediction import Prediction
from unstuck.client.rest_wire import RestWire
from unstuck.client.tls import TlsFiles
from unstuck.core.key_headers import key_headers
from unstuck.core.models import ModelSpec, VersionStatus
from unstuck.core.signatures import Signature, Tensor
from unstuck.errors import InvalidRequest, UnstuckError

TIMEOUT_S = 30.0
RETRIES = 3

T = TypeVar("T")
Example = Mapping[str, object]
_Options = tuple[Address, Mapping[str, str], TlsFiles]


class SignatureClient:
    """The calls of one signature of a model; made by ``Client.signature``. Thread-safe."""

    def __init__(self, client: "Client", calls: Calls, name: str) -> None:
        self._client = client
        self._calls = calls
        self._name = name

    def predict(self, inputs: object = NOTHING, /, **named: object) -> Prediction:
        """The outputs for ``inputs``, or for inputs by name: ``predict(a=…, b=…)``.

        Args:
            inputs: a mapping from alias to value, a pandas DataFrame or Arrow table with a column for each input, or
                the value of the only input.
            named: values by alias. A value is an array, nested lists, a Series, an Arrow array or an image; it becomes
                the dtype that the signature declares, where that loses nothing.

        Raises:
            InputNames, WrongType, WrongShape, UnknownSignature: the call does not fit the signature.
            InvalidRequest, NotFound, NotReady, DeadlineExceeded, ServerError and others: what the server said.
            Unreachable, UnreadableAnswer: no answer, or one that is of no such server.
        """
        return self._client.run(self._calls.predict(self._name, inputs, named))

    def classify(self, examples: Sequence[Example], context: Example | None = None) -> Classes:
        """For each example its classes, (label, score) each.

        Args:
            examples: a value by feature each: a number, text, bytes, or a flat list of one kind of these.
            context: features that all examples share.

        Raises:
            MalformedBody, WrongType: examples that no tf.Example can hold; besides as ``predict``.
        """
        return self._client.run(self._calls.classify(self._name, examples, context))

    def regress(self, examples: Sequence[Example], context: Example | None = None) -> Tensor:
        """The value of each example, float32 [examples]. Arguments and errors as ``classify``."""
        return self._client.run(self._calls.regress(self._name, examples, context))


class Client(SignatureClient):
    """A model on a server: ours, or any that speaks TensorFlow Serving's API. Thread-safe; close it, or use ``with``.

    Example:
        >>> with Client("http://localhost:8501", model="my_model") as client:
        ...     client.predict(x=[[1.0, 2.0]])["y"]
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = TIMEOUT_S,
        retries: int = RETRIES,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        api_key: str | None = None,
    ) -> None:
        """Connects at the first call.

        Args:
            address: ``http://``, ``https://``, ``grpc://`` or ``grpcs://``, host and port (gRPC: 8500 unless given).
            model: its name.
            version: which; the newest that serves, unless given.
            label: the version by its label instead.
            timeout_s: for a method with all its tries; None waits forever.
            retries: how often a call is tried again that was turned away: no connection, HTTP 503, gRPC's UNAVAILABLE;
                once where the connection ended before the answer, as of a server process that died.
            headers: sent with each request; over gRPC as metadata.
            ca_file: certificates (PEM) to trust instead of the system's, for ``https`` and ``grpcs``.
            cert_file: this client's own certificate (PEM), for a server that asks for one.
            key_file: its private key (PEM); needed with ``cert_file``.
            api_key: an API key, or a token, for a server that wants one.

        Raises:
            InvalidRequest: an address that cannot be read, both version and label, one of certificate and key alone,
                or an ``api_key`` that no header can carry.
        """
        parsed, calls = _prepare(address, model, version, label, timeout_s, retries)
        super().__init__(self, calls, "")
        sent = {**(headers or {}), **key_headers(api_key)}
        self._options: _Options = (parsed, sent, TlsFiles(ca_file, cert_file, key_file))
        self._transport: Transport | None = None
        self._lock = threading.Lock()

    def signature(self, name: str) -> SignatureClient:
        """The calls of the signature ``name``; those of the client itself are of ``serving_default``."""
        return SignatureClient(self, self._calls, name)

    def signatures(self) -> Mapping[str, Signature]:
        """The model's signatures by name, read once."""
        return self.run(self._calls.known_metadata()).signatures

    def metadata(self) -> ModelMetadata:
        """The version that serves, and its signatures, read anew."""
        return self.run(self._calls.metadata())

    def status(self) -> list[VersionStatus]:
        """The state of each version, or of the one that this client names."""
        return self.run(self._calls.status())

    def close(self) -> None:
        """Ends its connections; a later call opens new ones."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def run(self, flow: Flow[T]) -> T:
        """The result of ``flow``, done step by step; for this package only."""
        transport = self._transport or self._connect()
        try:
            step = next(flow)
            while True:
                if not isinstance(step, Send):
                    time.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    reply = transport.send(step.request, step.timeout_s)
                except UnstuckError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as done:
            return done.value

    def _connect(self) -> Transport:
        with self._lock:
            if self._transport is None:
                self._transport = _transport(*self._options)
            return self._transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncSignatureClient:
    """``SignatureClient``, awaited; belongs to one event loop."""

    def __init__(self, client: "AsyncClient", calls: Calls, name: str) -> None:
        self._client = client
        self._calls = calls
        self._name = name

    async def predict(self, inputs: object = NOTHING, /, **named: object) -> Prediction:
        """As ``SignatureClient.predict``."""
        return await self._client.run(self._calls.predict(self._name, inputs, named))

    async def classify(self, examples: Sequence[Example], context: Example | None = None) -> Classes:
        """As ``SignatureClient.classify``."""
        return await self._client.run(self._calls.classify(self._name, examples, context))

    async def regress(self, examples: Sequence[Example], context: Example | None = None) -> Tensor:
        """As ``SignatureClient.regress``."""
        return await self._client.run(self._calls.regress(self._name, examples, context))


class AsyncClient(AsyncSignatureClient):
    """``Client``, awaited. Belongs to one event loop; close it, or use ``async with``."""

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = TIMEOUT_S,
        retries: int = RETRIES,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        api_key: str | None = None,
    ) -> None:
        """As ``Client``."""
        parsed, calls = _prepare(address, model, version, label, timeout_s, retries)
        super().__init__(self, calls, "")
        sent = {**(headers or {}), **key_headers(api_key)}
        self._options: _Options = (parsed, sent, TlsFiles(ca_file, cert_file, key_file))
        self._transport: AsyncTransport | None = None

    def signature(self, name: str) -> AsyncSignatureClient:
        """The calls of the signature ``name``; those of the client itself are of ``serving_default``."""
        return AsyncSignatureClient(self, self._calls, name)

    async def signatures(self) -> Mapping[str, Signature]:
        """The model's signatures by name, read once."""
        return (await self.run(self._calls.known_metadata())).signatures

    async def metadata(self) -> ModelMetadata:
        """The version that serves, and its signatures, read anew."""
        return await self.run(self._calls.metadata())

    async def status(self) -> list[VersionStatus]:
        """The state of each version, or of the one that this client names."""
        return await self.run(self._calls.status())

    async def close(self) -> None:
        """Ends its connections; a later call opens new ones."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def run(self, flow: Flow[T]) -> T:
        """The result of ``flow``, done step by step; for this package only."""
        import asyncio

        if self._transport is None:
            self._transport = _async_transport(*self._options)
        transport = self._transport
        try:
            step = next(flow)
            while True:
                if not isinstance(step, Send):
                    await asyncio.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    reply = await transport.send(step.request, step.timeout_s)
                except UnstuckError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as done:
            return done.value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _prepare(
    address: str, model: str, version: int | None, label: str | None, timeout_s: float | None, retries: int
) -> tuple[Address, Calls]:
    if version is not None and label is not None:
        raise InvalidRequest(
            f"Both a version ({version}) and a label ({label!r}) were given.", hint="Name one of them."
        )
    if not model:
        raise InvalidRequest("The model's name is empty.")
    parsed = addresses.parse(address)
    return parsed, Calls(_wire(parsed), ModelSpec(model, version, label), Patience(timeout_s, retries))


def _wire(address: Address) -> Wire:
    if not address.is_grpc:
        return RestWire(address.text)
    from unstuck.client.grpc_wire import GrpcWire

    return GrpcWire(address.text)


def _transport(address: Address, headers: Mapping[str, str], tls: TlsFiles) -> Transport:
    if address.is_grpc:
        from unstuck.client.grpc_transport import GrpcTransport

        return GrpcTransport(address, headers, tls)
    from unstuck.client.http_transport import HttpTransport

    return HttpTransport(address, headers, tls)


def _async_transport(address: Address, headers: Mapping[str, str], tls: TlsFiles) -> AsyncTransport:
    if address.is_grpc:
        from unstuck.client.grpc_transport import AsyncGrpcTransport

        return AsyncGrpcTransport(address, headers, tls)
    from unstuck.client.http_transport import AsyncHttpTransport

    return AsyncHttpTransport(address, headers, tls)
