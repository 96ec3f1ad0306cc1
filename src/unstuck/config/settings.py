"""What a server is told to do."""

from dataclasses import dataclass
from pathlib import Path

AUTO_PORT = -1
DEFAULT_REST_PORT = 8501
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model: its name, and the folder that holds its numbered versions, or is one version itself."""

    name: str
    base_path: Path


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's settings.

    Attributes:
        models: what to serve.
        host: the address to bind.
        rest_port: TCP port of the REST API; 0 disables it, ``AUTO_PORT`` picks a free one.
        rest_threads: worker threads for calls that are not short.
        rest_timeout_ms: a call that takes longer answers 504; 0 or less waits for ever.
        cors: answer preflight requests and add the CORS headers.
        max_body_bytes: largest request body, before and after inflating.
        strict_inputs: refuse requests that would be answered with a warning.
        saved_model_tags: the meta graph to load.
        op_libraries: modules or ``.so`` files with custom ops.
        drain_timeout_s: how long a stopping server waits for calls in flight.
    """

    models: tuple[ModelConfig, ...]
    host: str = "0.0.0.0"
    rest_port: int = DEFAULT_REST_PORT
    rest_threads: int = 0
    rest_timeout_ms: int = 30_000
    cors: bool = False
    max_body_bytes: int = 512 * MEBIBYTE
    strict_inputs: bool = False
    saved_model_tags: tuple[str, ...] = ("serve",)
    op_libraries: tuple[str, ...] = ()
    drain_timeout_s: float = 30.0
