"""What passes between the calls, the two wires and the transports."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from unstuck.client.prediction import Prediction
from unstuck.core.models import ModelSpec, VersionStatus
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.errors import UnstuckError

T = TypeVar("T")

Classes = list[list[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    Attributes:
        path: the URL's path, percent-encoded; over gRPC the RPC's, ``/tensorflow.serving.PredictionService/Predict``.
        body: None for a GET.
    """

    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: the HTTP status, or gRPC's status code.
        body: JSON, or a serialised message.
        headers: in small letters; over gRPC the trailing metadata that is text.
        message: gRPC's message of a failure.
        details: gRPC's serialised google.rpc.Status of a failure; empty where there is none.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = ""
    details: bytes = b""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and how its answer is read.

    Attributes:
        request: what is sent.
        read: raises UnreadableAnswer.
        instead: the same call in another form, where the error says that this form is at fault; else None.
    """

    request: Request
    read: Callable[[Reply], T]
    instead: "Callable[[UnstuckError], Call[T] | None]" = lambda error: None


@dataclass(frozen=True, slots=True)
class Send:
    """To be done: send the request, and wait for the reply for at most ``timeout_s`` seconds; None waits forever."""

    request: Request
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Pause:
    """To be done: nothing, for ``seconds``."""

    seconds: float


Flow = Generator[Send | Pause, Reply | None, T]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A version that serves, and its signatures by name."""

    model: str
    version: int
    signatures: Mapping[str, Signature]


class Wire(Protocol):
    """A way to write calls and to read their answers: REST's or gRPC's. Does no I/O; thread-safe."""

    def metadata(self, spec: ModelSpec) -> Call[ModelMetadata]: ...

    def status(self, spec: ModelSpec) -> Call[list[VersionStatus]]: ...

    def predict(self, spec: ModelSpec, signature: Signature, tensors: Tensors) -> Call[Prediction]: ...

    def classify(self, spec: ModelSpec, signature_name: str, examples: bytes) -> Call[Classes]:
        """``examples``: the JSON members ``"examples":[…]`` and, where there is one, ``"context":{…}``."""
        ...

    def regress(self, spec: ModelSpec, signature_name: str, examples: bytes) -> Call[Tensor]: ...

    def failure(self, reply: Reply) -> UnstuckError | None:
        """The error that ``reply`` tells of; None for a success."""
        ...


class Transport(Protocol):
    """Sends requests to one address. Thread-safe."""

    def send(self, request: Request, timeout_s: float | None) -> Reply:
        """Raises Unreachable, DeadlineExceeded or UnreadableAnswer; an error status is a reply."""
        ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """Sends requests to one address, from one event loop."""

    async def send(self, request: Request, timeout_s: float | None) -> Reply:
        """Raises as ``Transport.send``."""
        ...

    async def close(self) -> None: ...
