"""The served model that is measured: what it takes, and one call made in the ordinary way before many are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from unstuck.bench.slots import Destination, destination
from unstuck.client import served_model
from unstuck.client.messages import Call, ModelMetadata, Reply, Transport, Wire
from unstuck.client.prediction import Prediction
from unstuck.client.rest_wire import RestWire
from unstuck.client.tls import TlsFiles
from unstuck.core.key_headers import key_headers
from unstuck.core.signatures import Signature, Tensors
from unstuck.errors import Code, SetupError, UnknownSignature, UnstuckError

T = TypeVar("T")
METADATA_TIMEOUT_S = 10.0


class Target:
    """Close it, or use ``with``."""

    def __init__(self, url: str, tls: TlsFiles, api_key: str = "") -> None:
        """Raises SetupError or InvalidRequest where ``url`` is no served model's."""
        served = served_model.parse(url)
        self.url = url
        self.address = served.address
        self.spec = served.spec
        self._tls = tls
        self._headers = key_headers(api_key)
        self._wire: Wire = RestWire(self.address.text)
        if self.address.is_grpc:
            from unstuck.client.grpc_wire import GrpcWire

            self._wire = GrpcWire(self.address.text)
        self._transport = self._connect()

    def _connect(self) -> Transport:
        if self.address.is_grpc:
            from unstuck.client.grpc_transport import GrpcTransport

            return GrpcTransport(self.address, self._headers, self._tls)
        from unstuck.client.http_transport import HttpTransport

        return HttpTransport(self.address, self._headers, self._tls)

    def metadata(self) -> ModelMetadata:
        """What its server says of the model. Raises UnstuckError."""
        return self._sent(self._wire.metadata(self.spec), METADATA_TIMEOUT_S)

    def signature(self, name: str) -> Signature:
        """Raises UnstuckError: no answer, or no such signature."""
        signatures = self.metadata().signatures
        if name not in signatures:
            raise UnknownSignature(self.spec.name, name, signatures)
        return signatures[name]

    def bodies(self, signature: Signature, inputs: Sequence[Tensors], timeout_s: float) -> list[bytes]:
        """A body for each of ``inputs``, in the form that the server takes: the first is tried.

        Raises:
            UnstuckError: inputs that cannot be sent, or the server's answer to the first.
        """
        try:
            self._sent(self._wire.predict(self.spec, signature, inputs[0]), timeout_s)
        except UnstuckError as error:
            raise SetupError(f"The server refuses a request: {error}") from None
        return [self.body(signature, each) for each in inputs]

    def body(self, signature: Signature, inputs: Tensors) -> bytes:
        """Raises UnstuckError where they cannot be sent."""
        return self._wire.predict(self.spec, signature, inputs).request.body or b""

    def destination(self, signature: Signature) -> Destination:
        path = self._wire.predict(self.spec, signature, {}).request.path
        return replace(destination(self.address, self._tls, path), headers=tuple(self._headers.items()))

    def read(self, signature: Signature, answer: bytes) -> Prediction:
        """The outputs in an answer's body. Raises UnreadableAnswer."""
        status = Code.OK.number if self.address.is_grpc else Code.OK.http_status
        return self._wire.predict(self.spec, signature, {}).read(Reply(status, answer))

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> "Target":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sent(self, call: Call[T], timeout_s: float) -> T:
        reply = self._transport.send(call.request, timeout_s)
        error = self._wire.failure(reply)
        if error is None:
            return call.read(reply)
        other = call.instead(error)
        if other is None:
            raise error
        return self._sent(other, timeout_s)
