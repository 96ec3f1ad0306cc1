"""What a server is told to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unstuck.core.allowance import MemoryCheck
from unstuck.core.batching import BatchingParameters, Merging
from unstuck.core.models import ModelConfig

__all__ = ["ModelConfig", "ServerConfig"]

AUTO_PORT = -1
DEFAULT_REST_PORT = 8501
DEFAULT_GRPC_PORT = 8500
METRICS_PATH = "/metrics"
MEBIBYTE = 1 << 20
DEFAULT_REQUEST_LOG_BYTES = 1024 * MEBIBYTE
DEFAULT_IN_FLIGHT_REQUESTS = 16_384

Front = Literal["auto", "native", "grpcio"]
Engine = Literal["tensorflow", "auto", "onnx"]
GoldenRows = Literal["check", "warn", "off"]
OnSkew = Literal["ignore", "count", "warn", "reject"]
LogRequests = Literal["off", "errors", "slow", "all"]
LogFormat = Literal["text", "json"]
VersionPolicy = Literal["availability_preserving", "resource_preserving"]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's settings.

    Attributes:
        models: what to serve; without ``model_config_file``.
        model_config_file: a text proto of tensorflow.serving.ModelServerConfig, which says what to serve.
        model_config_poll_s: how often that file is read again; 0 for never.
        allow_unavailable_labels: a label may be given to a version that is not available yet, unless it is moved.
        poll_wait_s: how often the base paths are looked at for versions; 0 for once, less for never.
        remote_poll_wait_s: the same for remote base paths.
        model_cache_dir: where copies of remote models are kept; None for the user's cache folder.
        version_policy: whether a new version is loaded before the old one is unloaded (availability), or after.
        memory_check: what is done with a version that needs more memory than is left.
        load_threads: that load versions at the same time; 0 is one.
        unload_threads: that unload versions at the same time; 0 is one.
        load_retries: how often a load is tried again after an error that may pass.
        load_retry_interval_s: the time between two tries.
        host: the address to bind.
        grpc_port: TCP port of gRPC; 0 disables it, ``AUTO_PORT`` picks a free one.
        grpc_socket_path: a unix socket that gRPC listens on as well; empty for none.
        grpc_threads: worker threads for gRPC calls that are not short.
        grpc_front: the gRPC front end: native, grpcio, or the one that fits (auto).
        grpc_channel_arguments: of grpcio's server.
        grpc_health: whether the health service answers.
        ssl_config_file: a text proto of tensorflow.serving.SSLConfig: gRPC's TCP port then speaks TLS.
        tensor_content: answer tensors over gRPC as ``tensor_content`` instead of in typed fields.
        rest_tls_config_file: the same for the REST API.
        rest_port: TCP port of the REST API; 0 disables it, ``AUTO_PORT`` picks a free one.
        rest_threads: worker threads for calls that are not short.
        rest_timeout_ms: a call that takes longer answers 504; 0 or less waits for ever.
        cors: answer preflight requests and add the CORS headers.
        max_body_bytes: largest request body, before and after inflating.
        max_inflation: how many times its own size a compressed body may hold, beyond what is always allowed.
        body_timeout_s: how long a body may take to come, a second more for each 64 KiB of it; 0 for ever.
        idle_timeout_s: how long a REST connection may be without a whole request's headers.
        max_header_bytes: of a REST request's line and headers.
        rest_connections: at the same time; more wait until one is closed.
        grpc_max_message_bytes: largest gRPC message, inflated; 0 for what protobuf can hold.
        strict_inputs: refuse requests that would be answered with a warning.
        answer_diversity: whether answers are watched for not depending on their inputs any more.
        on_skew: what is done with a request far outside of the model's training profile, where it has one.
        warmup_iterations: how often the warm-up requests in a version's folder are made; 0 makes none.
        golden_rows: what is done with a version that does not give its golden rows' answers.
        canary_interval_s: how often a version that is called is asked an input known to work; 0 for never.
        request_log_bytes: what a model's request log may take of the disk.
        request_log_redact: inputs and features whose values are not logged.
        merging: whether calls that come together run together: where that is proven safe (auto), also where that cannot
            be proven (on), or never (off).
        batching: how calls wait for others to run with; None where they do not.
        batching_per_model: whether each version says that itself; ``batching`` then says how many threads there are.
        intra_op_threads: that share the work of one op of TensorFlow's; 0 is one a CPU.
        inter_op_threads: that run a call's ops at the same time; 0 and 1 run them in the thread that calls.
        session_config_file: a text proto of TensorFlow's ConfigProto.
        gpu_memory_fraction: of each GPU's memory, for TensorFlow; 0 lets it choose.
        bfloat16: whether TensorFlow may compute in bfloat16 where it thinks that it is safe.
        prefer_tflite: a folder with a SavedModel and a TensorFlow Lite model is served by the latter.
        tflite_interpreters: of a TensorFlow Lite model: how many calls run at once; 0 is one a CPU.
        engine: what runs SavedModels; ``auto`` is whichever is measured to be faster.
        metrics_paths: where the REST port shows the metrics; empty for nowhere.
        log_requests: which calls have a line in the server's log.
        log_slow_ms: from when on a call is slow.
        tracing: whether calls are traced.
        otel_endpoint: the collector of the traces; empty for what the environment says.
        log_format: lines for people, or JSON.
        saved_model_tags: the meta graph to load.
        op_libraries: modules or ``.so`` files with custom ops.
        pipeline_files: by model, the file that says how raw inputs become the model's.
        allow_remote_admin: whether a reload is taken from other machines, too, where there are no keys.
        api_keys_file: who may call with an API key; None where nobody needs one.
        jwt_config_file: whose tokens are taken instead of one; None for nobody's.
        allow_unsafe_ops: whether models may do more than compute: read and write files, run Python.
        max_in_flight_requests: calls to all models that wait or run at a time.
        max_in_flight_bytes: of their bodies; 0 for a quarter of the memory.
        max_queue_wait_ms: from which on a model's calls are refused, unless it takes longer itself; 0 for never.
        memory_shedding: whether few calls are taken at a time while memory is short.
        workers: how many processes serve; 0 is this one alone, which nobody watches.
        drain_timeout_s: how long a stopping server waits for calls in flight.
    """

    models: tuple[ModelConfig, ...] = ()
    model_config_file: Path | None = None
    model_config_poll_s: float = 0
    allow_unavailable_labels: bool = False
    poll_wait_s: float = 1
    remote_poll_wait_s: float = 60
    model_cache_dir: Path | None = None
    version_policy: VersionPolicy = "availability_preserving"
    memory_check: MemoryCheck = "refuse"
    load_threads: int = 0
    unload_threads: int = 0
    load_retries: int = 5
    load_retry_interval_s: float = 60
    host: str = "0.0.0.0"
    grpc_port: int = DEFAULT_GRPC_PORT
    grpc_socket_path: str = ""
    grpc_threads: int = 0
    grpc_front: Front = "auto"
    grpc_channel_arguments: Mapping[str, int | str] = field(default_factory=dict[str, int | str])
    grpc_health: bool = True
    ssl_config_file: Path | None = None
    tensor_content: bool = False
    rest_tls_config_file: Path | None = None
    rest_port: int = DEFAULT_REST_PORT
    rest_threads: int = 0
    rest_timeout_ms: int = 30_000
    cors: bool = False
    max_body_bytes: int = 512 * MEBIBYTE
    max_inflation: int = 200
    body_timeout_s: float = 30
    idle_timeout_s: float = 30
    max_header_bytes: int = 64 * 1024
    rest_connections: int = 16_384
    grpc_max_message_bytes: int = 0
    strict_inputs: bool = False
    answer_diversity: bool = True
    on_skew: OnSkew = "count"
    warmup_iterations: int = 1
    golden_rows: GoldenRows = "check"
    canary_interval_s: float = 10
    request_log_bytes: int = DEFAULT_REQUEST_LOG_BYTES
    request_log_redact: frozenset[str] = frozenset()
    merging: Merging = "auto"
    batching: BatchingParameters | None = None
    batching_per_model: bool = False
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    session_config_file: Path | None = None
    gpu_memory_fraction: float = 0
    bfloat16: bool = False
    prefer_tflite: bool = False
    tflite_interpreters: int = 0
    engine: Engine = "tensorflow"
    metrics_paths: tuple[str, ...] = (METRICS_PATH,)
    log_requests: LogRequests = "off"
    log_slow_ms: float = 1000
    tracing: bool = False
    otel_endpoint: str = ""
    log_format: LogFormat = "text"
    saved_model_tags: tuple[str, ...] = ("serve",)
    op_libraries: tuple[str, ...] = ()
    pipeline_files: Mapping[str, Path] = field(default_factory=dict[str, Path])
    allow_remote_admin: bool = False
    api_keys_file: Path | None = None
    jwt_config_file: Path | None = None
    allow_unsafe_ops: bool = False
    max_in_flight_requests: int = DEFAULT_IN_FLIGHT_REQUESTS
    max_in_flight_bytes: int = 0
    max_queue_wait_ms: int = 1000
    memory_shedding: bool = True
    workers: int = 0
    drain_timeout_s: float = 30.0
