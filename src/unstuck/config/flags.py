"""The command line, with TensorFlow Serving's flags: ``--flag=value``, ``--flag value``, ``--flag`` for true.

Source of the names and meanings: tensorflow_serving/model_servers/main.cc.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

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
from unstuck.config.settings import (
    DEFAULT_GRPC_PORT,
    DEFAULT_REST_PORT,
    Front,
    ModelConfig,
    OnSkew,
    ServerConfig,
    VersionPolicy,
)
from unstuck.errors import SetupError, did_you_mean

Value = TypeVar("Value")
DEFAULT_MODEL_NAME = "default"
MODEL_FILE_SUFFIX = ".onnx"  # a model that is a file, not a folder; its name is not part of the model's

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


class FlagError(SetupError):
    """A flag that is unknown, malformed or not built yet."""


@dataclass(frozen=True, slots=True)
class Flag(Generic[Value]):
    """One flag: how its text is read, and what ``--help`` says of it."""

    name: str
    read: Callable[[str], Value]
    default: Value
    metavar: str
    text: str
    repeatable: bool = False
    boolean: bool = False


@dataclass(slots=True)
class Flags:
    """The values that a command line gave; ``get`` falls back to the flag's default."""

    values: dict[str, list[object]] = field(default_factory=dict[str, list[object]])
    positional: list[str] = field(default_factory=list[str])

    def get(self, flag: Flag[Value]) -> Value:
        given = self.values.get(flag.name)
        return given[-1] if given else flag.default  # type: ignore[return-value]

    def all(self, flag: Flag[Value]) -> tuple[Value, ...]:
        return tuple(self.values.get(flag.name, ()))  # type: ignore[arg-type]

    def has(self, flag: Flag[Value]) -> bool:
        return flag.name in self.values


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
HELP = Flag("help", read_bool, False, "", "print this help and exit", boolean=True)

SERVE_FLAGS: tuple[Flag[object], ...] = (
    *(MODEL_NAME, MODEL_BASE_PATH, GRPC_PORT, REST_PORT, HOST, REST_TIMEOUT, REST_THREADS, CORS, MAX_BODY, STRICT),
    ON_SKEW,
    *(CONFIG_FILE, CONFIG_POLL, LABELS_EARLY, POLL, POLICY),
    *(LOAD_THREADS, UNLOAD_THREADS, LOAD_RETRIES, RETRY_INTERVAL, REMOTE_ADMIN),
    *(GRPC_SOCKET, GRPC_THREADS, GRPC_FRONT, GRPC_ARGUMENTS, GRPC_HEALTH, SSL_CONFIG, TENSOR_CONTENT),
    *(TAGS, OP_LIBRARY, PIPELINE, VERSION, HELP),
)  # type: ignore[assignment]


def parse(arguments: Sequence[str], flags: Sequence[Flag[object]] = SERVE_FLAGS) -> Flags:
    """The values of ``arguments``.

    Raises:
        FlagError: an unknown flag (with the nearest name), a malformed value, or a flag of TensorFlow Serving's that is
            not built yet.
    """
    known = {flag.name: flag for flag in flags}
    parsed = Flags()
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if not argument.startswith("-") or argument == "-":
            parsed.positional.append(argument)
            continue
        name, equals, text = argument.lstrip("-").partition("=")
        flag = known.get(name)
        if flag is None:
            raise _unknown(argument, name, known)
        if not equals:
            if flag.boolean:
                text = "true"
            elif queue and not queue[0].startswith("--"):
                text = queue.pop(0)
            else:
                raise FlagError(f"--{name} needs a value: --{name}={flag.metavar}.")
        try:
            value = flag.read(text)
        except ValueError as error:
            raise FlagError(f"--{name}={text} is malformed: {error}.") from None
        if name in parsed.values and not flag.repeatable:
            raise FlagError(f"--{name} is given twice.")
        parsed.values.setdefault(name, []).append(value)
    return parsed


def _unknown(argument: str, name: str, known: dict[str, Flag[object]]) -> FlagError:
    if name in NOT_BUILT:
        return FlagError(
            f"--{name} is a flag of TensorFlow Serving that is not built yet, and none is ignored in silence.",
            hint="Leave it out to serve without it.",
        )
    return FlagError(
        f"Unknown flag {argument.partition('=')[0]}.",
        hint=did_you_mean(name, [*known, *NOT_BUILT]).replace("'", "--", 1).replace("'", "")
        or "unstuck serve --help lists the flags.",
    )


def server_config(flags: Flags) -> ServerConfig:
    """The configuration that the flags of ``unstuck serve`` ask for.

    Raises:
        FlagError: no model, or models named twice.
    """
    config_file = flags.get(CONFIG_FILE)
    if config_file and flags.positional:
        raise FlagError(
            f"--model_config_file={config_file} says which models to serve, and {flags.positional[0]!r} is one more.",
            hint="Add it to the file, or leave one of the two out.",
        )
    models = () if config_file else tuple(_models(flags))
    if not models and not config_file:
        raise FlagError(
            "No model to serve.",
            hint="Name its folder: unstuck serve PATH, or --model_name=NAME --model_base_path=PATH.",
        )
    names = [model.name for model in models]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise FlagError(f"Two models are called {sorted(twice)[0]!r}.", hint="Name them: unstuck serve a=PATH b=PATH.")
    return ServerConfig(
        models=models,
        model_config_file=config_file,
        model_config_poll_s=flags.get(CONFIG_POLL),
        allow_unavailable_labels=flags.get(LABELS_EARLY),
        poll_wait_s=flags.get(POLL),
        version_policy=flags.get(POLICY),
        load_threads=flags.get(LOAD_THREADS),
        unload_threads=flags.get(UNLOAD_THREADS),
        load_retries=flags.get(LOAD_RETRIES),
        load_retry_interval_s=flags.get(RETRY_INTERVAL) / 1e6,
        allow_remote_admin=flags.get(REMOTE_ADMIN),
        host=flags.get(HOST),
        grpc_port=flags.get(GRPC_PORT),
        grpc_socket_path=flags.get(GRPC_SOCKET),
        grpc_threads=flags.get(GRPC_THREADS),
        grpc_front=flags.get(GRPC_FRONT),
        grpc_channel_arguments=flags.get(GRPC_ARGUMENTS),
        grpc_health=flags.get(GRPC_HEALTH),
        ssl_config_file=flags.get(SSL_CONFIG),
        tensor_content=flags.get(TENSOR_CONTENT),
        rest_port=flags.get(REST_PORT),
        rest_threads=flags.get(REST_THREADS),
        rest_timeout_ms=flags.get(REST_TIMEOUT),
        cors=flags.get(CORS),
        max_body_bytes=flags.get(MAX_BODY),
        strict_inputs=flags.get(STRICT),
        on_skew=flags.get(ON_SKEW),
        saved_model_tags=flags.get(TAGS),
        op_libraries=flags.all(OP_LIBRARY),
        pipeline_files=_pipeline_files(flags, names),
    )


def _pipeline_files(flags: Flags, names: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for given, path in flags.all(PIPELINE):
        if flags.has(CONFIG_FILE):
            if not given:
                raise FlagError(f"--pipeline_file={path} must name its model.", hint=f"--pipeline_file=NAME={path}")
            files[given] = path
            continue
        if not given and len(names) > 1:
            raise FlagError(
                f"--pipeline_file={path} does not say for which of the models {', '.join(map(repr, names))} it is.",
                hint=f"Name it: --pipeline_file={names[0]}={path}.",
            )
        name = given or names[0]
        if name not in names:
            raise FlagError(
                f"--pipeline_file names the model {name!r}; the models are {', '.join(map(repr, names))}.",
                hint=did_you_mean(name, names),
            )
        if name in files:
            raise FlagError(f"--pipeline_file is given twice for the model {name!r}.")
        files[name] = path
    return files


def _models(flags: Flags) -> list[ModelConfig]:
    name = flags.get(MODEL_NAME)
    models = [_named(argument) for argument in flags.positional]
    if base_path := flags.get(MODEL_BASE_PATH):
        models.append(ModelConfig(name or DEFAULT_MODEL_NAME, Path(base_path).absolute()))
    elif name and len(models) == 1:
        models = [ModelConfig(name, models[0].base_path)]
    elif name:
        raise FlagError(
            f"--model_name={name} names one model, but {len(models)} paths are given.",
            hint="Give one path, or name each: unstuck serve a=PATH b=PATH.",
        )
    return models


def _named(argument: str) -> ModelConfig:
    name, equals, path = argument.partition("=")
    if equals and "/" not in name:
        if not name or not path:
            raise FlagError(f"{argument!r} is not NAME=PATH: it lacks the {'path' if name else 'name'}.")
        return ModelConfig(name, Path(path).absolute())
    path = Path(argument).absolute()
    named_by = path
    if path.suffix == MODEL_FILE_SUFFIX:
        if path.stem != "model" or not path.parent.name.isdigit():
            return ModelConfig(path.stem, path)
        named_by = path.parent  # .../my_model/1/model.onnx is the version .../my_model/1
    if named_by.name.isdigit():
        named_by = named_by.parent  # .../my_model/1 is version 1 of my_model
    return ModelConfig(named_by.name or DEFAULT_MODEL_NAME, path)
