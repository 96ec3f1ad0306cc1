"""A target without a server: it knows its signatures, and takes the first request or refuses it."""

from typing import Any

from unstuck.bench.target import Target
from unstuck.client.messages import Call, ModelMetadata
from unstuck.client.tls import TlsFiles
from unstuck.core.signatures import Signature
from unstuck.errors import InvalidRequest

REST, GRPC = "http://host:1/v1/models/m", "grpc://host:1/m"


class FakeTarget(Target):
    def __init__(self, url: str, *signatures: Signature, refuses: bool = False) -> None:
        super().__init__(url, TlsFiles())
        self.tried: list[bytes] = []
        self._known = {each.name: each for each in signatures}
        self._refuses = refuses

    def metadata(self) -> ModelMetadata:
        return ModelMetadata("m", 3, self._known)

    def _sent(self, call: Call[Any], timeout_s: float) -> Any:
        self.tried.append(call.request.body or b"")
        if self._refuses:
            raise InvalidRequest("It does not fit.")
