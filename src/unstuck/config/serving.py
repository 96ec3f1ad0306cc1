"""From the flags of ``unstuck serve`` to the configuration that they ask for."""

from dataclasses import replace
from pathlib import Path

from unstuck.config import serve_flags as flags
from unstuck.config.batching_parameters import read_batching_parameters
from unstuck.config.flags import Accepted, FlagError, Flags
from unstuck.config.monitoring_file import read_metrics_path
from unstuck.config.settings import METRICS_PATH, ModelConfig, ServerConfig
from unstuck.core.batching import BatchingParameters
from unstuck.core.cpus import usable_cpus
from unstuck.core.locations import location, named_parts
from unstuck.core.models import RequestLogConfig
from unstuck.errors import did_you_mean

DEFAULT_MODEL_NAME = "default"
MODEL_FILE_SUFFIXES = (".onnx", ".tflite")  # models that are files, not folders; not part of their names


def server_config(given: Flags) -> ServerConfig:
    """The configuration that the flags of ``unstuck serve`` ask for.

    Raises:
        FlagError: no model, or models named twice.
    """
    config_file = given.get(flags.CONFIG_FILE)
    if config_file and given.positional:
        raise FlagError(
            f"--model_config_file={config_file} says which models to serve, and {given.positional[0]!r} is one more.",
            hint="Add it to the file, or leave one of the two out.",
        )
    request_log = _request_log(given)
    models = () if config_file else tuple(replace(each, request_log=request_log) for each in _models(given))
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
        model_config_poll_s=given.get(flags.CONFIG_POLL),
        allow_unavailable_labels=given.get(flags.LABELS_EARLY),
        poll_wait_s=given.get(flags.POLL),
        remote_poll_wait_s=_remote_poll_wait_s(given),
        model_cache_dir=given.get(flags.CACHE_DIR),
        version_policy=given.get(flags.POLICY),
        load_threads=given.get(flags.LOAD_THREADS),
        unload_threads=given.get(flags.UNLOAD_THREADS),
        memory_check=given.get(flags.MEMORY_CHECK),
        load_retries=given.get(flags.LOAD_RETRIES),
        load_retry_interval_s=given.get(flags.RETRY_INTERVAL) / 1e6,
        allow_remote_admin=given.get(flags.REMOTE_ADMIN),
        api_keys_file=given.get(flags.API_KEYS),
        jwt_config_file=given.get(flags.JWT_CONFIG),
        allow_unsafe_ops=given.get(flags.UNSAFE_OPS),
        host=given.get(flags.HOST),
        grpc_port=given.get(flags.GRPC_PORT),
        grpc_socket_path=given.get(flags.GRPC_SOCKET),
        grpc_threads=given.get(flags.GRPC_THREADS),
        grpc_front=given.get(flags.GRPC_FRONT),
        grpc_channel_arguments=given.get(flags.GRPC_ARGUMENTS),
        grpc_health=given.get(flags.GRPC_HEALTH),
        ssl_config_file=given.get(flags.SSL_CONFIG),
        tensor_content=given.get(flags.TENSOR_CONTENT),
        rest_tls_config_file=_rest_tls(given),
        rest_port=given.get(flags.REST_PORT),
        rest_threads=given.get(flags.REST_THREADS),
        rest_timeout_ms=given.get(flags.REST_TIMEOUT),
        cors=given.get(flags.CORS),
        max_body_bytes=given.get(flags.MAX_BODY),
        max_inflation=given.get(flags.MAX_INFLATION),
        body_timeout_s=given.get(flags.BODY_TIMEOUT),
        idle_timeout_s=given.get(flags.IDLE_TIMEOUT),
        max_header_bytes=given.get(flags.MAX_HEADER),
        rest_connections=given.get(flags.REST_CONNECTIONS),
        grpc_max_message_bytes=given.get(flags.GRPC_MAX_MESSAGE),
        strict_inputs=given.get(flags.STRICT),
        answer_diversity=given.get(flags.ANSWER_DIVERSITY),
        on_skew=given.get(flags.ON_SKEW),
        warmup_iterations=max(given.get(flags.WARMUP_ITERATIONS), 1) if given.get(flags.WARMUP) else 0,
        golden_rows=given.get(flags.GOLDEN_ROWS),
        canary_interval_s=given.get(flags.CANARY_INTERVAL),
        request_log_bytes=given.get(flags.LOG_BYTES),
        request_log_redact=given.get(flags.LOG_REDACT),
        metrics_paths=_metrics_paths(given),
        log_requests=given.get(flags.LOG_REQUESTS),
        log_slow_ms=given.get(flags.LOG_SLOW),
        tracing=given.get(flags.TRACING) or given.has(flags.OTEL_ENDPOINT),
        otel_endpoint=given.get(flags.OTEL_ENDPOINT),
        log_format=given.get(flags.LOG_FORMAT),
        merging=given.get(flags.MERGING),
        batching=_batching(given),
        batching_per_model=given.get(flags.BATCHING_PER_MODEL),
        **_op_threads(given),
        session_config_file=_session_config(given),
        gpu_memory_fraction=given.get(flags.GPU_MEMORY),
        bfloat16=bool(given.get(flags.MIXED_PRECISION)),
        prefer_tflite=given.get(flags.PREFER_TFLITE),
        tflite_interpreters=_tflite_interpreters(given),
        engine=given.get(flags.ENGINE),
        saved_model_tags=given.get(flags.TAGS),
        op_libraries=given.all(flags.OP_LIBRARY),
        pipeline_files=_pipeline_files(given, names),
        max_in_flight_requests=given.get(flags.MAX_REQUESTS),
        max_in_flight_bytes=given.get(flags.MAX_BYTES),
        max_queue_wait_ms=given.get(flags.MAX_WAIT),
        memory_shedding=given.get(flags.MEMORY_SHEDDING),
        workers=_workers(given),
    )


def _remote_poll_wait_s(given: Flags) -> int:
    """TensorFlow Serving has one flag for all: who looks seldom, or never, means stores too."""
    local_s = given.get(flags.POLL)
    if given.has(flags.REMOTE_POLL) or 0 < local_s < flags.REMOTE_POLL.default:
        return given.get(flags.REMOTE_POLL)
    return local_s


def _metrics_paths(given: Flags) -> tuple[str, ...]:
    file = given.get(flags.MONITORING)
    of_file = read_metrics_path(file) if file else ""
    ours = METRICS_PATH if given.get(flags.METRICS) else ""
    return tuple(dict.fromkeys(filter(None, (ours, of_file))))


def _request_log(given: Flags) -> RequestLogConfig | None:
    """What the flags ask for, which are for the models of the command line."""
    prefix = given.get(flags.LOG_PREFIX)
    if prefix and given.get(flags.CONFIG_FILE):
        raise FlagError(
            f"--request_log_file_prefix={prefix} is for models of the command line, not for those of a file.",
            hint=f'Write for each: logging_config {{ log_collector_config {{ filename_prefix: "{prefix}" }} '
            "sampling_config { sampling_rate: 1 } }",
        )
    if given.has(flags.LOG_RATE) and not prefix:
        raise FlagError(
            "--request_log_sampling_rate is given without a place for the log.",
            hint="Add --request_log_file_prefix=PATH.",
        )
    return RequestLogConfig(given.get(flags.LOG_RATE), filename_prefix=str(prefix)) if prefix else None


def _batching(given: Flags) -> BatchingParameters | None:
    file = given.get(flags.BATCHING_FILE)
    if not given.get(flags.BATCHING):
        if file:
            raise FlagError(
                f"--{flags.BATCHING_FILE.name}={file} is given without --enable_batching.",
                hint="Add --enable_batching.",
            )
        if given.get(flags.BATCHING_PER_MODEL):
            given.without_effect.append(Accepted(flags.BATCHING_PER_MODEL.name, "--enable_batching is not given"))
        return None
    return read_batching_parameters(file, f"--{flags.BATCHING_FILE.name}={file}") if file else BatchingParameters()


def _op_threads(given: Flags) -> dict[str, int]:
    """TensorFlow's two kinds of threads, from three flags, as TensorFlow Serving combines them."""
    both, intra, inter = (
        max(given.get(flag), 0) for flag in (flags.SESSION_THREADS, flags.INTRA_OP_THREADS, flags.INTER_OP_THREADS)
    )
    if both and intra and inter:
        raise FlagError(
            "--tensorflow_session_parallelism stands for --tensorflow_intra_op_parallelism and "
            "--tensorflow_inter_op_parallelism, and all three are given.",
            hint="Give it alone, or the two.",
        )
    if intra or inter:
        return {"intra_op_threads": intra, "inter_op_threads": inter}
    return {"intra_op_threads": both, "inter_op_threads": both}


def _tflite_interpreters(given: Flags) -> int:
    """As many as TensorFlow Serving has; 0 where no flag says how many."""
    if not given.has(flags.TFLITE_POOLS) and not given.has(flags.TFLITE_INTERPRETERS):
        return 0
    return (given.get(flags.TFLITE_POOLS) or usable_cpus()) * given.get(flags.TFLITE_INTERPRETERS)


def _rest_tls(given: Flags) -> Path | None:
    file = given.get(flags.REST_SSL_CONFIG)
    if file and not given.get(flags.REST_PORT):
        raise FlagError(f"--{flags.REST_SSL_CONFIG.name} is given, and REST is off.", hint="Give --rest_api_port=PORT.")
    return file


def _workers(given: Flags) -> int:
    workers, path = given.get(flags.WORKERS), given.get(flags.GRPC_SOCKET)
    if workers > 1 and path:
        raise FlagError(
            f"--workers={workers} and --grpc_socket_path={path} do not go together: a unix socket is one process's.",
            hint="Leave one of the two out; --port is shared by all workers.",
        )
    return workers


def _session_config(given: Flags) -> Path | None:
    """The file that only TensorFlow can read, once it is loaded; that there is none is said at once."""
    file = given.get(flags.SESSION_CONFIG)
    if file and not file.is_file():
        raise FlagError(f"--{flags.SESSION_CONFIG.name}={file} does not exist.")
    return file


def _pipeline_files(given: Flags, names: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for named, path in given.all(flags.PIPELINE):
        if given.has(flags.CONFIG_FILE):
            if not named:
                raise FlagError(f"--pipeline_file={path} must name its model.", hint=f"--pipeline_file=NAME={path}")
            files[named] = path
            continue
        if not named and len(names) > 1:
            raise FlagError(
                f"--pipeline_file={path} does not say for which of the models {', '.join(map(repr, names))} it is.",
                hint=f"Name it: --pipeline_file={names[0]}={path}.",
            )
        name = named or names[0]
        if name not in names:
            raise FlagError(
                f"--pipeline_file names the model {name!r}; the models are {', '.join(map(repr, names))}.",
                hint=did_you_mean(name, names),
            )
        if name in files:
            raise FlagError(f"--pipeline_file is given twice for the model {name!r}.")
        files[name] = path
    return files


def _models(given: Flags) -> list[ModelConfig]:
    name = given.get(flags.MODEL_NAME)
    models = [_named(argument) for argument in given.positional]
    if base_path := given.get(flags.MODEL_BASE_PATH):
        models.append(ModelConfig(name or DEFAULT_MODEL_NAME, location(base_path)))
    elif name and len(models) == 1:
        models = [ModelConfig(name, models[0].base_path)]
    elif name and not models:
        raise FlagError(f"--model_name={name} is given without a path.", hint="Add --model_base_path=PATH.")
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
        return ModelConfig(name, location(path))
    place = location(argument)
    path = named_by = named_parts(place)
    if path.suffix in MODEL_FILE_SUFFIXES:
        if path.stem != "model" or not path.parent.name.isdigit():
            return ModelConfig(path.stem, place)
        named_by = path.parent  # .../my_model/1/model.onnx is the version .../my_model/1
    if named_by.name.isdigit():
        named_by = named_by.parent  # .../my_model/1 is version 1 of my_model
    return ModelConfig(named_by.name or DEFAULT_MODEL_NAME, place)
