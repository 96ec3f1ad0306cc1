"""``unstuck check-config``: what a server would make of a model config file, without starting one."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from unstuck import engines
from unstuck.config.batching_parameters import IN_VERSION, read_batching_parameters
from unstuck.config.model_config_file import CheckedConfig, check, read_text
from unstuck.config.text_proto import Mistake
from unstuck.core.locations import RemotePath
from unstuck.core.models import ModelConfig, Specific
from unstuck.core.servables import Engine
from unstuck.errors import SetupError
from unstuck.lifecycle.remote import RemoteModels, RemoteVersion
from unstuck.lifecycle.source import VersionPath, chosen, version_folder, versions_in

HELP = """\
Usage: unstuck check-config FILE

Says what unstuck serve --model_config_file=FILE would serve, or everything that is wrong with the file and with the
folders it names, each with its line. Loads nothing. The exit status is 1 if anything is wrong."""


AnyVersion = VersionPath | RemoteVersion


def run(arguments: Sequence[str]) -> int:
    """Checks a file; returns the exit status. Raises SetupError where it cannot be read."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise SetupError(f"Expected one FILE, got {' '.join(arguments) or 'nothing'}.", hint="See check-config --help.")
    file = Path(arguments[0])
    installed = engines.installed()
    checked = check(read_text(file), [engine.platform for engine in installed])
    mistakes = list(checked.mistakes or on_disk(checked, installed))
    for mistake in mistakes:
        print(f"{file}:{mistake.line}: {mistake.message}", file=sys.stderr)
    if mistakes:
        return 1
    for model in checked.models:
        print(served(model, installed))
    if any(model.labels for model in checked.models):
        print("Labels at start-up need --allow_version_labels_for_unavailable_models.")
    return 0


def on_disk(checked: CheckedConfig, installed: Sequence[Engine]) -> Iterator[Mistake]:
    """What the folders lack for the models to be served."""
    for model, line in zip(checked.models, checked.lines, strict=True):
        try:
            yield from (Mistake(line, f"Model {model.name!r}: {problem}") for problem in _problems(model, installed))
        except SetupError as error:
            yield Mistake(line, f"Model {model.name!r}: {error}")


def served(model: ModelConfig, installed: Sequence[Engine]) -> str:
    """One line about a model without problems: which versions, labels and platform."""
    versions = _chosen(model, installed)
    found = {engine.platform for each in versions if (engine := _engine(each, installed))}
    listed = ", ".join(str(each.version) for each in versions)
    labels = "".join(f", {label!r} is {version}" for label, version in sorted(model.labels.items()))
    return f"{model.name}: version {listed} of {model.base_path} ({', '.join(sorted(found))}){labels}"


def _problems(model: ModelConfig, installed: Sequence[Engine]) -> Iterator[str]:
    versions = _chosen(model, installed)
    numbers = {each.version for each in versions}
    if isinstance(model.versions, Specific):
        for missing in sorted(model.versions.versions - numbers):
            yield f"model_version_policy names version {missing}, which is not in {model.base_path}."
    for label, version in sorted(model.labels.items()):
        if version not in numbers:
            listed = ", ".join(map(str, sorted(numbers)))
            others = f"only {listed}" if numbers else "none"
            yield f"{label!r} is a label of version {version}, but {others} would be served."
    for each in versions:
        engine = _engine(each, installed)
        if engine is None:
            yield f"{_place(each)} has no saved_model.pb, model.onnx or model.tflite."
        elif not engines.is_called(engine, model.platform):
            yield f"model_platform is {model.platform!r}, but {_place(each)} is of the platform {engine.platform!r}."
        if isinstance(each, VersionPath) and (file := each.path / IN_VERSION).is_file():
            yield from _batching_problem(file)


def _batching_problem(file: Path) -> Iterator[str]:
    """What --enable_per_model_batching_parameters=true would refuse the version for."""
    try:
        read_batching_parameters(file)
    except SetupError as error:
        yield str(error)


def _chosen(model: ModelConfig, installed: Sequence[Engine]) -> Sequence[AnyVersion]:
    base_path = model.base_path
    if isinstance(base_path, RemotePath):
        return chosen(
            RemoteModels(lambda path: _recognising(path, installed) is not None).versions(base_path), model.versions
        )
    if _recognising(base_path, installed):
        return [version_folder(base_path)]
    return chosen(versions_in(base_path), model.versions)


def _place(version: AnyVersion) -> str:
    return str(version if isinstance(version, RemoteVersion) else version.path)


def _engine(version: AnyVersion, installed: Sequence[Engine]) -> Engine | None:
    if isinstance(version, RemoteVersion):
        with version.skeleton() as path:
            return _recognising(path, installed)
    return _recognising(version.path, installed)


def _recognising(path: Path, installed: Sequence[Engine]) -> Engine | None:
    return next((engine for engine in installed if engine.recognises(path)), None)
