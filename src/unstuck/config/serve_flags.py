"""The flags of ``unstuck serve``: TensorFlow Serving's, and ours.

Source of the names and meanings: tensorflow_serving/model_servers/main.cc.
"""

from pathlib import Path

from unstuck.config.flag_values import (
    read_arguments,
    read_bool,
    read_front,
    read_int,
    read_named_file,
    read_not_negative,
    read_on_skew,
    read_op_library,
    read_path,
    read_policy,
    read_port,
    read_positive,
    read_tags,
)
from unstuck.config.flags import HELP, Flag
from unstuck.config.settings import (
    DEFAULT_GRPC_PORT,
    DEFAULT_REST_PORT,
    Front,
    OnSkew,
    VersionPolicy,
)

# fmt: off
NOT_BUILT = frozenset({
    "enable_batching", "batching_parameters_file", "enable_per_model_batching_parameters",
    "flush_filesystem_caches", "tensorflow_session_parallelism",
    "tensorflow_session_config_file", "tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism",
    "use_alts_credentials", "platform_config_file", "per_process_gpu_memory_fraction",
    "enable_model_warmup", "num_request_iterations_for_warmup",
    "monitoring_config_file", "remove_unused_fields_from_bundle_metagraph", "prefer_tflite_model",
    "num_tflite_pools", "num_tflite_interpreters_per_pool", "enable_signature_method_name_check",
    "xla_cpu_compilation_enabled", "xla_gpu_compilation_enabled", "enable_profiler",
    "thread_pool_factory_config_file", "mixed_precision", "skip_initialize_tpu",
})
# fmt: on


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
POLICY: Flag[VersionPolicy] = Flag(
    "aspired_version_policy",
    read_policy,
    "availability_preserving",
    "POLICY",
    "load the new before unloading the old, or (resource_preserving) after",
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
    "allow_remote_admin", read_bool, False, "", "HandleReloadConfigRequest from other machines, too", boolean=True
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
HOST = Flag("host", str, "0.0.0.0", "ADDRESS", "address to bind")
REST_TIMEOUT = Flag("rest_api_timeout_in_ms", read_int, 30_000, "MS", "a call that takes longer answers 504")
REST_THREADS = Flag("rest_api_num_threads", read_positive, 0, "N", "worker threads for longer calls (4 a CPU)")
CORS = Flag("rest_api_enable_cors_support", read_bool, False, "", "add CORS headers to answers", boolean=True)
MAX_BODY = Flag("rest_api_max_body_bytes", read_positive, 512 << 20, "BYTES", "largest request body, inflated")
STRICT = Flag("strict_inputs", read_bool, False, "", "refuse what is answered with a warning otherwise", boolean=True)
ON_SKEW: Flag[OnSkew] = Flag(
    "on_skew", read_on_skew, "count", "ignore|count|warn|reject", "a request far outside of the training profile"
)
TAGS = Flag("saved_model_tags", read_tags, ("serve",), "TAGS", "comma-separated tags of the graph to load")
OP_LIBRARY = Flag(
    "op_library", read_op_library, "", "MODULE|FILE", "module or .so that registers custom ops", repeatable=True
)
PIPELINE = Flag(
    "pipeline_file", read_named_file, ("", Path()), "[NAME=]FILE", "how raw inputs become the model's", repeatable=True
)
VERSION = Flag("version", read_bool, False, "", "print the versions and exit", boolean=True)

SERVE_FLAGS: tuple[Flag[object], ...] = (
    *(MODEL_NAME, MODEL_BASE_PATH, GRPC_PORT, REST_PORT, HOST, REST_TIMEOUT, REST_THREADS, CORS, MAX_BODY, STRICT),
    ON_SKEW,
    *(CONFIG_FILE, CONFIG_POLL, LABELS_EARLY, POLL, POLICY),
    *(LOAD_THREADS, UNLOAD_THREADS, LOAD_RETRIES, RETRY_INTERVAL, REMOTE_ADMIN),
    *(GRPC_SOCKET, GRPC_THREADS, GRPC_FRONT, GRPC_ARGUMENTS, GRPC_HEALTH, SSL_CONFIG, TENSOR_CONTENT),
    *(TAGS, OP_LIBRARY, PIPELINE, VERSION, HELP),
)  # type: ignore[assignment]
