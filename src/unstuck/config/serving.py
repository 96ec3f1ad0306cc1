"""From the flags of ``unstuck serve`` to the configuration that they ask for."""

from pathlib import Path

from unstuck.config import serve_flags as flags
from unstuck.config.flags import FlagError, Flags
from unstuck.config.settings import ModelConfig, ServerConfig
from unstuck.errors import did_you_mean

DEFAULT_MODEL_NAME = "default"
MODEL_FILE_SUFFIX = ".onnx"  # a model that is a file, not a folder; its name is not part of the model's


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
    models = () if config_file else tuple(_models(given))
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
        version_policy=given.get(flags.POLICY),
        load_threads=given.get(flags.LOAD_THREADS),
        unload_threads=given.get(flags.UNLOAD_THREADS),
        load_retries=given.get(flags.LOAD_RETRIES),
        load_retry_interval_s=given.get(flags.RETRY_INTERVAL) / 1e6,
        allow_remote_admin=given.get(flags.REMOTE_ADMIN),
        host=given.get(flags.HOST),
        grpc_port=given.get(flags.GRPC_PORT),
        grpc_socket_path=given.get(flags.GRPC_SOCKET),
        grpc_threads=given.get(flags.GRPC_THREADS),
        grpc_front=given.get(flags.GRPC_FRONT),
        grpc_channel_arguments=given.get(flags.GRPC_ARGUMENTS),
        grpc_health=given.get(flags.GRPC_HEALTH),
        ssl_config_file=given.get(flags.SSL_CONFIG),
        tensor_content=given.get(flags.TENSOR_CONTENT),
        rest_port=given.get(flags.REST_PORT),
        rest_threads=given.get(flags.REST_THREADS),
        rest_timeout_ms=given.get(flags.REST_TIMEOUT),
        cors=given.get(flags.CORS),
        max_body_bytes=given.get(flags.MAX_BODY),
        strict_inputs=given.get(flags.STRICT),
        on_skew=given.get(flags.ON_SKEW),
        saved_model_tags=given.get(flags.TAGS),
        op_libraries=given.all(flags.OP_LIBRARY),
        pipeline_files=_pipeline_files(given, names),
    )


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
