"""A served model, ours or anybody's, called without retries: what it answers is the evidence."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from unstuck.client import served_model
from unstuck.client.address import Address
from unstuck.client.messages import Call, ModelMetadata, Reply, Transport
from unstuck.client.messages import Request as WireRequest
from unstuck.client.prediction import Prediction
from unstuck.client.rest_wire import RestWire
from unstuck.client.tls import TlsFiles
from unstuck.core.key_headers import key_headers
from unstuck.core.models import VersionStatus
from unstuck.core.signatures import Signature, Tensors
from unstuck.doctor.given import Request
from unstuck.errors import UnstuckError

T = TypeVar("T")

CALL_TIMEOUT_S = 10.0
METADATA_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call came to.

    Attributes:
        outputs: by alias; None where it failed.
        error: why it failed; None where it did not.
        seconds: from sending to the whole answer.
        status: the HTTP status or gRPC's code; -1 where no answer came.
        headers: of the reply.
        version: that the answer says it is of, as gRPC's do; None where it says nothing.
    """

    outputs: Tensors | None
    error: UnstuckError | None
    seconds: float
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    version: int | None = None


class Endpoint:
    """Thread-safe."""

    def __init__(self, url: str, api_key: str = "") -> None:
        """Raises SetupError where ``url`` is not a served model's."""
        served = served_model.parse(url)
        self.url = url
        self.address: Address = served.address
        self.spec = served.spec
        self._wire = RestWire(self.address.text)
        if self.address.is_grpc:
            from unstuck.client.grpc_wire import GrpcWire

            self._wire = GrpcWire(self.address.text)
        self._transport = _transport(self.address, key_headers(api_key))
        self._metadata: ModelMetadata | UnstuckError | None = None

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the address is a loopback one."""
        return self.address.is_loopback

    def metadata(self, timeout_s: float = METADATA_TIMEOUT_S) -> ModelMetadata:
        """What its server says of the model; asked once, as a server may hang. Raises UnstuckError."""
        if self._metadata is None:
            try:
                self._metadata = self._sent(self._wire.metadata(self.spec), timeout_s)
            except UnstuckError as error:
                self._metadata = error
        if isinstance(self._metadata, UnstuckError):
            raise self._metadata
        return self._metadata

    def signatures(self) -> Mapping[str, Signature]:
        """The model's signatures, as its server gives them. Raises UnstuckError."""
        return self.metadata().signatures

    def status(self, timeout_s: float = METADATA_TIMEOUT_S) -> list[VersionStatus]:
        """The versions' states. Raises UnstuckError."""
        return self._sent(self._wire.status(self.spec), timeout_s)

    def predict(self, signature: Signature, inputs: Tensors, timeout_s: float = CALL_TIMEOUT_S) -> Answer:
        """The answer to ``inputs``, arrays by alias as ``signature`` declares them; it never raises what a call met."""
        return self._answer(lambda: self._wire.predict(self.spec, signature, inputs), timeout_s)

    def replay(self, request: Request, signature: Signature, timeout_s: float = CALL_TIMEOUT_S) -> Answer:
        """The answer to a client's request: over REST its very bytes, over gRPC the tensors that it holds."""
        if self.address.is_grpc or not request.body:
            return self.predict(signature, request.inputs, timeout_s)
        return self.post(request.body, signature, timeout_s)

    def post(self, body: bytes, signature: Signature, timeout_s: float = CALL_TIMEOUT_S, *, query: str = "") -> Answer:
        """The answer to a REST predict body, sent to the model's path with ``query`` (``?a=1``) after it."""

        def call() -> Call[Prediction]:
            own = self._wire.predict(self.spec, signature, {})
            return Call(WireRequest(own.request.path + query, body), own.read)

        return self._answer(call, timeout_s)

    def body(self, signature: Signature, inputs: Tensors) -> bytes:
        """The body with which ``predict`` sends ``inputs``. Raises UnstuckError where they cannot be sent."""
        return self._wire.predict(self.spec, signature, inputs).request.body or b""

    def get(self, path: str, timeout_s: float = CALL_TIMEOUT_S) -> Reply:
        """The reply to a GET of ``path`` on a REST server. Raises UnstuckError where none came."""
        return self._transport.send(WireRequest(path), timeout_s)

    def close(self) -> None:
        self._transport.close()

    def _answer(self, make: Callable[[], Call[Prediction]], timeout_s: float) -> Answer:
        began = time.monotonic()
        reply = Reply(-1)
        try:
            call = make()
            reply = self._transport.send(call.request, timeout_s)
            error = self._wire.failure(reply)
            if error is not None and (other := call.instead(error)) is not None:
                return self._answer(lambda: other, timeout_s)
            outputs = None if error else dict(call.read(reply))
        except UnstuckError as failed:
            outputs, error = None, failed
        version = self._version(reply) if outputs is not None and self.address.is_grpc else None
        return Answer(outputs, error, time.monotonic() - began, reply.status, dict(reply.headers), version)

    def _version(self, reply: Reply) -> int | None:
        from unstuck.proto.wire.predict_pb2 import PredictResponse

        spec = PredictResponse.FromString(reply.body).model_spec
        return spec.version.value if spec.HasField("version") else None

    def _sent(self, call: Call[T], timeout_s: float) -> T:
        reply = self._transport.send(call.request, timeout_s)
        error = self._wire.failure(reply)
        if error is not None:
            raise error
        return call.read(reply)


def _transport(address: Address, headers: Mapping[str, str]) -> Transport:
    if address.is_grpc:
        from unstuck.client.grpc_transport import GrpcTransport

        return GrpcTransport(address, headers, TlsFiles())
    from unstuck.client.http_transport import HttpTransport

    return HttpTransport(address, headers, TlsFiles())
