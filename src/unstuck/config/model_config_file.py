"""``--model_config_file``: a text proto of tensorflow.serving.ModelServerConfig."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from unstuck.config.text_proto import Mistake, TextProto
from unstuck.core.models import ModelConfig
from unstuck.errors import SetupError
from unstuck.proto.model_config import models_of, problems_of
from unstuck.proto.wire.config_pb2 import ModelServerConfig


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """What a file says.

    Attributes:
        models: those it asks for; none where it has mistakes.
        mistakes: everything that is wrong, in the order of the lines.
        lines: of each model.
    """

    models: tuple[ModelConfig, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    lines: tuple[int, ...] = ()


def read_text(path: Path) -> str:
    """The file's text. Raises SetupError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--model_config_file={path} cannot be read: {error}.") from None


def models_in(text: str, path: Path, platforms: Collection[str]) -> tuple[ModelConfig, ...]:
    """The models that the file ``path`` with ``text`` asks for; ``platforms`` are the engines' names.

    Raises:
        SetupError: the first mistake, and how many there are.
    """
    checked = check(text, platforms)
    if checked.mistakes:
        first, *others = checked.mistakes
        raise SetupError(
            f"--model_config_file={path}, line {first.line}: {first.message}",
            hint=f"There are {len(others)} more: unstuck check-config {path} lists them." if others else "",
        )
    return checked.models


def check(text: str, platforms: Collection[str]) -> CheckedConfig:
    """What ``text`` asks for, or everything that is wrong with it."""
    located = TextProto(text, ModelServerConfig.DESCRIPTOR)
    config = ModelServerConfig()
    mistakes = list(located.mistakes)
    try:
        text_format.Parse(text, config, allow_unknown_field=bool(mistakes))
    except text_format.ParseError as error:
        mistakes.append(located.mistake_of(error))
    else:
        mistakes += [Mistake(located.line(each.place), str(each)) for each in problems_of(config, platforms)]
    if mistakes:
        return CheckedConfig(mistakes=tuple(sorted(mistakes, key=lambda each: each.line)))
    models = models_of(config)
    lines = tuple(located.line(("model_config_list", "config", index)) for index in range(len(models)))
    return CheckedConfig(models, lines=lines)
