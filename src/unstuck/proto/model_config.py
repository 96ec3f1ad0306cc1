"""ModelServerConfig as the models that it asks for, and everything that is wrong with it.

Source: the checks of tensorflow_serving/model_servers/server_core.cc.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from unstuck.core.locations import location
from unstuck.core.models import AllVersions, Latest, ModelConfig, RequestLogConfig, Specific, VersionChoice
from unstuck.errors import did_you_mean
from unstuck.proto.wire import config_pb2
from unstuck.proto.wire.config_pb2 import FileSystemStoragePathSourceConfig, ModelServerConfig

ServableVersionPolicy = FileSystemStoragePathSourceConfig.ServableVersionPolicy
Place = tuple[str | int, ...]  # names of fields, and indexes of those that are repeated

TENSORFLOW = "tensorflow"
LOG_TYPES = ("", "file")
_LIST: Place = ("model_config_list", "config")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of a configuration, and what to do about it."""

    place: Place
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{show(self.place)}: {self.message}" + (f" {self.hint}" if self.hint else "")


def show(place: Place) -> str:
    """``model_config_list.config[1].base_path``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def problems_of(config: ModelServerConfig, platforms: Collection[str]) -> list[Problem]:
    """Everything that keeps ``config`` from being served; ``platforms`` are the engines' names."""
    if config.WhichOneof("config") == "custom_model_config":
        return [Problem(("custom_model_config",), "is not supported.", "List the models in model_config_list.")]
    problems: list[Problem] = []
    names: list[str] = []
    for index, model in enumerate(config.model_config_list.config):
        place: Place = (*_LIST, index)
        problems += _problems(place, model, platforms)
        if model.name and model.name in names:
            problems.append(Problem((*place, "name"), f"{model.name!r} is the name of a model above, too."))
        names.append(model.name)
    return problems


def models_of(config: ModelServerConfig) -> tuple[ModelConfig, ...]:
    """The models of a ``config`` that has no problems."""
    return tuple(_model(model) for model in config.model_config_list.config)


def _model(model: config_pb2.ModelConfig) -> ModelConfig:
    log = model.logging_config
    return ModelConfig(
        name=model.name,
        base_path=location(model.base_path),
        versions=_choice(model.model_version_policy),
        labels=dict(model.version_labels),
        platform=_platform(model),
        request_log=RequestLogConfig(
            log.sampling_config.sampling_rate, log.log_collector_config.type, log.log_collector_config.filename_prefix
        )
        if model.HasField("logging_config")
        else None,
    )


def _choice(policy: ServableVersionPolicy) -> VersionChoice:
    which = policy.WhichOneof("policy_choice")
    if which == "all":
        return AllVersions()
    if which == "specific":
        return Specific(frozenset(policy.specific.versions))
    return Latest(max(policy.latest.num_versions, 1))


def _platform(model: config_pb2.ModelConfig) -> str:
    return TENSORFLOW if model.model_type == config_pb2.TENSORFLOW else model.model_platform


def _problems(place: Place, model: config_pb2.ModelConfig, platforms: Collection[str]) -> Iterator[Problem]:
    if not model.name:
        yield Problem((*place, "name"), "is missing: requests call the model by it.")
    yield from _path_problems((*place, "base_path"), model.base_path)
    yield from _platform_problems(place, model, platforms)
    yield from _version_problems(place, model)
    yield from _log_problems((*place, "logging_config"), model.logging_config)


def _log_problems(place: Place, log: config_pb2.LoggingConfig) -> Iterable[Problem]:
    rate, collector = log.sampling_config.sampling_rate, log.log_collector_config
    where = (*place, "log_collector_config")
    if not 0 <= rate <= 1:
        yield Problem((*place, "sampling_config", "sampling_rate"), f"expected a rate from 0 to 1, got {rate:g}.")
    elif rate and not collector.filename_prefix:
        yield Problem(place, "has no log_collector_config.filename_prefix, so there is no place for the log.")
    if collector.type not in LOG_TYPES:
        hint = "Requests are logged to TFRecord files."
        yield Problem((*where, "type"), f"expected {LOG_TYPES[1]!r} or none, got {collector.type!r}.", hint)
    prefix = collector.filename_prefix
    if prefix and not prefix.startswith("/"):
        hint = f"Write it from the root: '/…/{prefix}'."
        yield Problem((*where, "filename_prefix"), f"expected an absolute path, got {prefix!r}.", hint)


def _path_problems(place: Place, path: str) -> Iterable[Problem]:
    if not path:
        yield Problem(place, "is missing: the folder with the model's numbered versions.")
    elif "://" not in path and not path.startswith("/"):
        yield Problem(place, f"expected an absolute path, got {path!r}.", f"Write it from the root: '/…/{path}'.")


def _platform_problems(place: Place, model: config_pb2.ModelConfig, platforms: Collection[str]) -> Iterable[Problem]:
    if model.model_type == config_pb2.OTHER:
        yield Problem((*place, "model_type"), "OTHER is not supported.", 'Write model_platform: "tensorflow".')
    elif model.model_type and model.model_platform:
        yield Problem((*place, "model_type"), "is set beside model_platform.", "Leave it out: it is deprecated.")
    elif model.model_platform and model.model_platform not in platforms:
        known = ", ".join(map(repr, sorted(platforms)))
        hint = did_you_mean(model.model_platform, platforms)
        yield Problem((*place, "model_platform"), f"expected one of {known}, got {model.model_platform!r}.", hint)


def _version_problems(place: Place, model: config_pb2.ModelConfig) -> Iterable[Problem]:
    policy = model.model_version_policy
    where = (*place, "model_version_policy", "specific")
    wanted = list(policy.specific.versions)
    if policy.WhichOneof("policy_choice") == "specific":
        if not wanted:
            yield Problem(where, "names no version, so none would be served.", "Write specific { versions: 1 }.")
        for number in sorted(each for each in wanted if each < 0):
            yield Problem((*where, "versions"), f"{number} is not a version: they count from 0.")
    for label, version in sorted(model.version_labels.items()):
        labels = (*place, "version_labels")
        if not label:
            yield Problem(labels, f"the label of version {version} is empty.")
        elif wanted and version not in wanted:
            listed = ", ".join(map(str, wanted))
            yield Problem(labels, f"{label!r} is a label of version {version}, but only {listed} would be served.")
