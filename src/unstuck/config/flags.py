"""The command line, with TensorFlow Serving's flags: ``--flag=value``, ``--flag value``, ``--flag`` for true.

Source of the names and meanings: tensorflow_serving/model_servers/main.cc.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from unstuck.config.settings import (
    AUTO_PORT,
    DEFAULT_GRPC_PORT,
    DEFAULT_REST_PORT,
    Front,
    ModelConfig,
    OnSkew,
    ServerConfig,
)
from unstuck.errors import SetupError, did_you_mean

Value = TypeVar("Value")
PORTS = range(1 << 16)
DEFAULT_MODEL_NAME = "default"
MODEL_FILE_SUFFIX = ".onnx"  # a model that is a file, not a folder; its name is not part of the model's

# fmt: off
NOT_BUILT = frozenset({
    "enable_batching", "allow_version_labels_for_unavailable_models", "batching_parameters_file",
    "enable_per_model_batching_parameters", "model_config_file", "model_config_file_poll_wait_seconds",
    "num_load_threads", "num_unload_threads", "max_num_load_retries", "load_retry_interval_micros",
    "file_system_poll_wait_seconds", "flush_filesystem_caches", "tensorflow_session_parallelism",
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


def read_bool(text: str) -> bool:
    """Raises ValueError where ``text`` is not true, false, 1 or 0."""
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError("expected true or false")


def _read_port(text: str) -> int:
    if text.lower() == "auto":
        return AUTO_PORT
    if not text.isascii() or not text.isdigit() or int(text) not in PORTS:
        raise ValueError("expected a port from 0 to 65535 (0 disables it), or auto")
    return int(text)


def _read_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _read_positive(text: str) -> int:
    value = _read_int(text)
    if value <= 0:
        raise ValueError("expected a number above 0")
    return value


def _read_front(text: str) -> Front:
    if text not in ("auto", "native", "grpcio"):
        raise ValueError("expected native, grpcio or auto")
    return text


def _read_on_skew(text: str) -> OnSkew:
    if text not in ("ignore", "count", "warn", "reject"):
        raise ValueError("expected ignore, count, warn or reject")
    return text


def _read_path(text: str) -> Path | None:
    return Path(text).absolute() if text else None


def _read_named_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or "/" in name:
        name, path = "", text
    elif not name:
        path = ""
    if not path:
        raise ValueError("expected FILE or NAME=FILE")
    return name, Path(path).absolute()


def _read_arguments(text: str) -> dict[str, int | str]:
    arguments: dict[str, int | str] = {}
    for argument in filter(None, (each.strip() for each in text.split(","))):
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise ValueError(f"expected KEY=VALUE, got {argument!r}")
        arguments[key] = int(value) if value.lstrip("-").isdigit() else value
    return arguments


def _read_tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.split(",") if tag.strip()) or ("serve",)


def _read_op_library(text: str) -> str:
    if not text:
        raise ValueError("expected a module or a .so file")
    return text


MODEL_NAME = Flag("model_name", str, "", "NAME", "name of the model; by default the folder's name")
MODEL_BASE_PATH = Flag("model_base_path", str, "", "PATH", "folder with the model's numbered versions")
REST_PORT = Flag(
    "rest_api_port", _read_port, DEFAULT_REST_PORT, "PORT", "TCP port of the REST API; 0 disables it, auto picks one"
)
GRPC_PORT = Flag("port", _read_port, DEFAULT_GRPC_PORT, "PORT", "TCP port of gRPC; 0 disables it, auto picks one")
GRPC_SOCKET = Flag("grpc_socket_path", str, "", "PATH", "a unix socket that gRPC listens on as well")
GRPC_THREADS = Flag("grpc_max_threads", _read_positive, 0, "N", "worker threads for longer gRPC calls (4 a CPU)")
GRPC_FRONT: Flag[Front] = Flag(
    "grpc_front",
    _read_front,
    "auto",
    "native|grpcio|auto",
    "gRPC front end; auto: native where it can do what is asked",
)
GRPC_ARGUMENTS = Flag(
    "grpc_channel_arguments", _read_arguments, {}, "KEY=VALUE,…", "channel arguments of the grpcio front end"
)
GRPC_HEALTH = Flag(
    "enable_grpc_healthcheck_service",
    read_bool,
    True,
    "",
    "answer grpc.health.v1 (on; =false turns it off)",
    boolean=True,
)
SSL_CONFIG = Flag("ssl_config_file", _read_path, None, "FILE", "text proto SSLConfig: gRPC's TCP port speaks TLS")
TENSOR_CONTENT = Flag(
    "enable_serialization_as_tensor_content",
    read_bool,
    False,
    "",
    "gRPC answers tensors as tensor_content",
    boolean=True,
)
HOST = Flag("host", str, "0.0.0.0", "ADDRESS", "address to bind")
REST_TIMEOUT = Flag("rest_api_timeout_in_ms", _read_int, 30_000, "MS", "a call that takes longer answers 504")
REST_THREADS = Flag("rest_api_num_threads", _read_positive, 0, "N", "worker threads for longer calls (4 a CPU)")
CORS = Flag("rest_api_enable_cors_support", read_bool, False, "", "add CORS headers to answers", boolean=True)
MAX_BODY = Flag("rest_api_max_body_bytes", _read_positive, 512 << 20, "BYTES", "largest request body, inflated")
STRICT = Flag("strict_inputs", read_bool, False, "", "refuse what is answered with a warning otherwise", boolean=True)
ON_SKEW: Flag[OnSkew] = Flag(
    "on_skew", _read_on_skew, "count", "ignore|count|warn|reject", "a request far outside of the training profile"
)
TAGS = Flag("saved_model_tags", _read_tags, ("serve",), "TAGS", "comma-separated tags of the graph to load")
OP_LIBRARY = Flag(
    "op_library", _read_op_library, "", "MODULE|FILE", "module or .so that registers custom ops", repeatable=True
)
PIPELINE = Flag(
    "pipeline_file", _read_named_file, ("", Path()), "[NAME=]FILE", "how raw inputs become the model's", repeatable=True
)
VERSION = Flag("version", read_bool, False, "", "print the versions and exit", boolean=True)
HELP = Flag("help", read_bool, False, "", "print this help and exit", boolean=True)

SERVE_FLAGS: tuple[Flag[object], ...] = (
    *(MODEL_NAME, MODEL_BASE_PATH, GRPC_PORT, REST_PORT, HOST, REST_TIMEOUT, REST_THREADS, CORS, MAX_BODY, STRICT),
    ON_SKEW,
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
    models = tuple(_models(flags))
    if not models:
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
