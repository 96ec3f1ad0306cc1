"""The flags of ``unstuck serve``: TensorFlow Serving's, and ours.

Source of the names and meanings: tensorflow_serving/model_servers/main.cc.
"""

from pathlib import Path

from unstuck.config.flag_values import (
    read_arguments,
    read_bool,
    read_engine,
    read_front,
    read_golden_rows,
    read_http_url,
    read_int,
    read_log_format,
    read_log_requests,
    read_memory_check,
    read_merging,
    read_mixed_precision,
    read_named_file,
    read_names,
    read_not_negative,
    read_on_skew,
    read_op_library,
    read_path,
    read_pause,
    read_policy,
    read_port,
    read_positive,
    read_rate,
    read_switch,
    read_tags,
)
from unstuck.config.flags import HELP, Flag
from unstuck.config.settings import (
    DEFAULT_GRPC_PORT,
    DEFAULT_IN_FLIGHT_REQUESTS,
    DEFAULT_REQUEST_LOG_BYTES,
    DEFAULT_REST_PORT,
    Engine,
    Front,
    GoldenRows,
    LogFormat,
    LogRequests,
    OnSkew,
    VersionPolicy,
)
from unstuck.core.allowance import MemoryCheck
from unstuck.core.batching import Merging

MODEL_NAME = Flag("model_name", str, "", "NAME", "name of the model; by default the folder's name")
MODEL_BASE_PATH = Flag("model_base_path", str, "", "PATH", "folder with the model's numbered versions")
CONFIG_FILE = Flag("model_config_file", read_path, None, "FILE", "text proto ModelServerConfig: which models to serve")
CONFIG_POLL = Flag(
    "model_config_file_poll_wait_seconds", read_int, 0, "S", "read that file again every S seconds (0: never)"
)
LABELS_EARLY = Flag(
    "allow_version_labels_for_unavailable_models",
    read_bool,
    False,
    "",
    "a new label may name a version that is not loaded",
    boolean=True,
)
POLL = Flag(
    "file_system_poll_wait_seconds", read_int, 1, "S", "look for new versions every S seconds (0: once, -1: never)"
)
REMOTE_POLL = Flag(
    "remote_poll_wait_seconds",
    read_int,
    60,
    "S",
    "the same for remote ones (60, or as above if that is more, 0 or -1)",
)
CACHE_DIR = Flag("model_cache_dir", read_path, None, "FOLDER", "copies of remote models (~/.cache/unstuck)")
POLICY: Flag[VersionPolicy] = Flag(
    "aspired_version_policy",
    read_policy,
    "availability_preserving",
    "POLICY",
    "load the new before unloading the old, or (resource_preserving) after, if it fits then",
)
MEMORY_CHECK: Flag[MemoryCheck] = Flag(
    "memory_check",
    read_memory_check,
    "refuse",
    "refuse|warn|off",
    "a version that needs more memory than is left is not loaded (refuse), or loaded with a warning",
)
LOAD_THREADS = Flag("num_load_threads", read_not_negative, 0, "N", "versions loaded at the same time (0: one)")
UNLOAD_THREADS = Flag("num_unload_threads", read_not_negative, 0, "N", "versions unloaded at the same time (0: one)")
LOAD_RETRIES = Flag(
    "max_num_load_retries", read_not_negative, 5, "N", "tries after a load fails for a reason that may pass"
)
RETRY_INTERVAL = Flag(
    "load_retry_interval_micros", read_int, 60_000_000, "MICROS", "time between two tries; negative: none"
)
REMOTE_ADMIN = Flag(
    "allow_remote_admin",
    read_bool,
    False,
    "",
    "changes from other machines too, as HandleReloadConfigRequest, where there are no keys",
    boolean=True,
)
API_KEYS = Flag("api_keys_file", read_path, None, "FILE", "calls need a key of this file; unstuck make-key makes them")
JWT_CONFIG = Flag("jwt_config_file", read_path, None, "FILE", "calls need a token of the issuer that this file names")
UNSAFE_OPS = Flag(
    "allow_unsafe_ops",
    read_bool,
    False,
    "",
    "serve models that do more than compute: read or write files, run Python",
    boolean=True,
)
REST_PORT = Flag(
    "rest_api_port", read_port, DEFAULT_REST_PORT, "PORT", "TCP port of the REST API; 0 disables it, auto picks one"
)
GRPC_PORT = Flag("port", read_port, DEFAULT_GRPC_PORT, "PORT", "TCP port of gRPC; 0 disables it, auto picks one")
GRPC_SOCKET = Flag("grpc_socket_path", str, "", "PATH", "a unix socket that gRPC listens on as well")
GRPC_THREADS = Flag("grpc_max_threads", read_positive, 0, "N", "worker threads for longer gRPC calls (4 a CPU)")
GRPC_FRONT: Flag[Front] = Flag(
    "grpc_front",
    read_front,
    "auto",
    "native|grpcio|auto",
    "gRPC front end; auto: native where it can do what is asked",
)
GRPC_ARGUMENTS = Flag(
    "grpc_channel_arguments", read_arguments, {}, "KEY=VALUE,…", "channel arguments of the grpcio front end"
)
GRPC_HEALTH = Flag(
    "enable_grpc_healthcheck_service",
    read_bool,
    True,
    "",
    "answer grpc.health.v1 (on; =false turns it off)",
    boolean=True,
)
SSL_CONFIG = Flag("ssl_config_file", read_path, None, "FILE", "text proto SSLConfig: gRPC's TCP port speaks TLS")
TENSOR_CONTENT = Flag(
    "enable_serialization_as_tensor_content",
    read_bool,
    False,
    "",
    "gRPC answers tensors as tensor_content",
    boolean=True,
)
WORKERS = Flag("workers", read_positive, 0, "N", "as many processes on the same ports, started again if they crash")
HOST = Flag("host", str, "0.0.0.0", "ADDRESS", "address to bind")
REST_TIMEOUT = Flag("rest_api_timeout_in_ms", read_int, 30_000, "MS", "a call that takes longer answers 504")
REST_THREADS = Flag("rest_api_num_threads", read_positive, 0, "N", "worker threads for longer calls (4 a CPU)")
CORS = Flag("rest_api_enable_cors_support", read_bool, False, "", "add CORS headers to answers", boolean=True)
MAX_BODY = Flag("rest_api_max_body_bytes", read_positive, 512 << 20, "BYTES", "largest request body, inflated")
MAX_INFLATION = Flag(
    "rest_api_max_inflation",
    read_positive,
    200,
    "TIMES",
    "a gzip body may hold so many times its own size, and 16 MiB anyway",
)
BODY_TIMEOUT = Flag(
    "rest_api_body_timeout_seconds",
    read_not_negative,
    30,
    "S",
    "a body comes within S seconds, and one more for each 64 KiB (0: never mind)",
)
IDLE_TIMEOUT = Flag(
    "rest_api_idle_timeout_seconds", read_positive, 30, "S", "a connection without a whole request's headers is closed"
)
MAX_HEADER = Flag("rest_api_max_header_bytes", read_positive, 64 << 10, "BYTES", "a request's line and headers")
REST_CONNECTIONS = Flag("rest_api_max_connections", read_positive, 16_384, "N", "at the same time; more have to wait")
GRPC_MAX_MESSAGE = Flag(
    "grpc_max_message_bytes",
    read_positive,
    0,
    "BYTES",
    "largest gRPC message, inflated (protobuf's 2 GiB); given, the grpcio front end serves",
)
STRICT = Flag("strict_inputs", read_bool, False, "", "refuse what is answered with a warning otherwise", boolean=True)
ON_SKEW: Flag[OnSkew] = Flag(
    "on_skew", read_on_skew, "count", "ignore|count|warn|reject", "a request far outside of the training profile"
)
ANSWER_DIVERSITY = Flag(
    "answer_diversity", read_switch, True, "on|off", "notice and say when varied inputs get the same answer (on)"
)
WARMUP = Flag(
    "enable_model_warmup",
    read_bool,
    True,
    "",
    "make the requests in assets.extra/tf_serving_warmup_requests before a version serves (on; =false turns it off)",
    boolean=True,
)
WARMUP_ITERATIONS = Flag("num_request_iterations_for_warmup", read_int, 1, "N", "make each of them N times")
GOLDEN_ROWS: Flag[GoldenRows] = Flag(
    "golden_rows",
    read_golden_rows,
    "check",
    "check|warn|off",
    "a version that does not give its golden rows' answers does not serve (check)",
)
CANARY_INTERVAL = Flag(
    "canary_interval_s",
    read_pause,
    10.0,
    "SECONDS",
    "how often a version that is called is asked a golden row; a wrong answer quarantines it (0: never)",
)
LOG_PREFIX = Flag(
    "request_log_file_prefix", read_path, None, "PATH", "log requests and answers to PATH.MODEL.TIME.tfrecord"
)
LOG_RATE = Flag("request_log_sampling_rate", read_rate, 1.0, "RATE", "the share of the calls that is logged, 0 to 1")
LOG_BYTES = Flag(
    "request_log_max_bytes",
    read_positive,
    DEFAULT_REQUEST_LOG_BYTES,
    "BYTES",
    "a model's log files together; the oldest are deleted",
)
LOG_REDACT = Flag(
    "request_log_redact",
    read_names,
    frozenset[str](),
    "NAME,…",
    "inputs and features whose values are not logged",
)
METRICS = Flag(
    "enable_metrics",
    read_bool,
    True,
    "",
    "show metrics at /metrics of the REST port (on; =false turns it off)",
    boolean=True,
)
MONITORING = Flag(
    "monitoring_config_file", read_path, None, "FILE", "text proto MonitoringConfig: metrics at its path, too"
)
LOG_FORMAT: Flag[LogFormat] = Flag(
    "log_format", read_log_format, "text", "text|json", "how the server's log is written"
)
LOG_REQUESTS: Flag[LogRequests] = Flag(
    "log_requests", read_log_requests, "off", "off|errors|slow|all", "calls that have a line in the server's log (off)"
)
LOG_SLOW = Flag("log_slow_ms", read_positive, 1000, "MS", "a call that takes as long is slow, for --log_requests")
TRACING = Flag(
    "enable_tracing", read_bool, False, "", "trace calls with OpenTelemetry, as its variables say", boolean=True
)
OTEL_ENDPOINT = Flag("otel_endpoint", read_http_url, "", "URL", "trace calls, to this OTLP/HTTP collector")
TAGS = Flag("saved_model_tags", read_tags, ("serve",), "TAGS", "comma-separated tags of the graph to load")
OP_LIBRARY = Flag(
    "op_library", read_op_library, "", "MODULE|FILE", "module or .so that registers custom ops", repeatable=True
)
ENGINE: Flag[Engine] = Flag(
    "engine",
    read_engine,
    "tensorflow",
    "tensorflow|auto|onnx",
    "what runs SavedModels; auto: ONNX Runtime once it has shown to answer alike and faster",
)
PIPELINE = Flag(
    "pipeline_file", read_named_file, ("", Path()), "[NAME=]FILE", "how raw inputs become the model's", repeatable=True
)
REST_SSL_CONFIG = Flag("rest_ssl_config_file", read_path, None, "FILE", "text proto SSLConfig: REST's port speaks TLS")
SESSION_THREADS = Flag("tensorflow_session_parallelism", read_int, 0, "N", "both of the next two")
INTRA_OP_THREADS = Flag(
    "tensorflow_intra_op_parallelism",
    read_int,
    0,
    "N",
    "threads that share one op's work (0: one a CPU)",
)
INTER_OP_THREADS = Flag(
    "tensorflow_inter_op_parallelism", read_int, 0, "N", "ops that run at the same time (0, 1: in the calling thread)"
)
SESSION_CONFIG = Flag("tensorflow_session_config_file", read_path, None, "FILE", "text proto ConfigProto, for sessions")
GPU_MEMORY = Flag(
    "per_process_gpu_memory_fraction", read_rate, 0.0, "SHARE", "of each GPU's memory, 0 to 1 (0: TensorFlow chooses)"
)
MIXED_PRECISION = Flag(
    "mixed_precision",
    read_mixed_precision,
    "",
    "bfloat16",
    "compute in bfloat16 where TensorFlow deems it safe",
)
PREFER_TFLITE = Flag(
    "prefer_tflite_model",
    read_bool,
    False,
    "",
    "model.tflite before saved_model.pb in a folder; alone, it is served anyway",
    boolean=True,
)
TFLITE_POOLS = Flag("num_tflite_pools", read_not_negative, 0, "N", "calls of a TFLite model at once (0: one a CPU)")
TFLITE_INTERPRETERS = Flag("num_tflite_interpreters_per_pool", read_positive, 1, "N", "times as many")
MERGING: Flag[Merging] = Flag(
    "batching",
    read_merging,
    "auto",
    "off|auto|on",
    "calls that come together run together: never, where proven safe, or wherever not proven wrong",
)
BATCHING = Flag(
    "enable_batching",
    read_bool,
    False,
    "",
    "calls wait for others to run with, as the batching parameters say",
    boolean=True,
)
BATCHING_FILE = Flag(
    "batching_parameters_file", read_path, None, "FILE", "text proto BatchingParameters, with --enable_batching"
)
BATCHING_PER_MODEL = Flag(
    "enable_per_model_batching_parameters",
    read_bool,
    False,
    "",
    "from batching_params.pbtxt in each version's folder; versions without are not batched",
    boolean=True,
)
MAX_REQUESTS = Flag(
    "max_in_flight_requests",
    read_positive,
    DEFAULT_IN_FLIGHT_REQUESTS,
    "N",
    "calls to all models that wait or run at a time; others are refused",
)
MAX_BYTES = Flag(
    "max_in_flight_bytes",
    read_not_negative,
    0,
    "BYTES",
    "bodies of these calls together (0: a quarter of the memory)",
)
MAX_WAIT = Flag(
    "max_queue_wait_ms",
    read_not_negative,
    1000,
    "MS",
    "calls that would wait longer than that, and than the model takes, are refused (0: never)",
)
MEMORY_SHEDDING = Flag(
    "memory_shedding", read_switch, True, "on|off", "take few calls at a time while memory is short (on)"
)
VERSION = Flag("version", read_bool, False, "", "print the versions and exit", boolean=True)

# In the order of --help and docs/flags.md.
GROUPS: dict[str, tuple[Flag[object], ...]] = {
    "What is served": (MODEL_NAME, MODEL_BASE_PATH, CONFIG_FILE, CONFIG_POLL, WORKERS),
    "Access": (API_KEYS, JWT_CONFIG, REMOTE_ADMIN, UNSAFE_OPS),
    "Versions": (
        *(POLL, REMOTE_POLL, CACHE_DIR, POLICY, LABELS_EARLY),
        *(MEMORY_CHECK, LOAD_THREADS, UNLOAD_THREADS, LOAD_RETRIES, RETRY_INTERVAL),
        *(WARMUP, WARMUP_ITERATIONS, GOLDEN_ROWS, CANARY_INTERVAL),
    ),
    "Models": (TAGS, ENGINE, OP_LIBRARY, PIPELINE, STRICT, ON_SKEW, ANSWER_DIVERSITY),
    "REST": (
        *(REST_PORT, HOST, REST_TIMEOUT, REST_THREADS, CORS, REST_SSL_CONFIG),
        *(MAX_BODY, MAX_INFLATION, MAX_HEADER, BODY_TIMEOUT, IDLE_TIMEOUT, REST_CONNECTIONS),
    ),
    "gRPC": (
        *(GRPC_PORT, GRPC_SOCKET, GRPC_THREADS, GRPC_FRONT, GRPC_ARGUMENTS, GRPC_HEALTH, SSL_CONFIG, TENSOR_CONTENT),
        GRPC_MAX_MESSAGE,
    ),
    "Overload": (MAX_REQUESTS, MAX_BYTES, MAX_WAIT, MEMORY_SHEDDING),
    "Watching it": (
        *(METRICS, MONITORING, LOG_FORMAT, LOG_REQUESTS, LOG_SLOW, TRACING, OTEL_ENDPOINT),
        *(LOG_PREFIX, LOG_RATE, LOG_BYTES, LOG_REDACT),
    ),
    "Batching": (MERGING, BATCHING, BATCHING_FILE, BATCHING_PER_MODEL),
    "TensorFlow": (SESSION_THREADS, INTRA_OP_THREADS, INTER_OP_THREADS, SESSION_CONFIG, GPU_MEMORY, MIXED_PRECISION),
    "TensorFlow Lite": (PREFER_TFLITE, TFLITE_POOLS, TFLITE_INTERPRETERS),
    "Else": (VERSION, HELP),
}  # type: ignore[assignment]

SERVE_FLAGS: tuple[Flag[object], ...] = tuple(flag for group in GROUPS.values() for flag in group)
