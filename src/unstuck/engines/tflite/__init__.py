"""TensorFlow Lite models, run by LiteRT."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from unstuck.core.cpus import usable_cpus
from unstuck.core.inspection import Inspection
from unstuck.core.servables import Loader
from unstuck.engines.deferred import DeferredLoader
from unstuck.errors import SetupError

PLATFORM = "tflite"
SUFFIX = ".tflite"
MODEL_FILE = "model.tflite"


@dataclass(frozen=True, slots=True)
class TfLiteEngine:
    """The engine; importing it does not import LiteRT. A version is a folder with ``model.tflite``, or a file.

    Attributes:
        interpreters: how many calls of a model may run at once, as each needs an interpreter; one a CPU by default.
    """

    interpreters: int = field(default_factory=usable_cpus)

    @property
    def platform(self) -> str:
        return PLATFORM

    def recognises(self, version_path: Path) -> bool:
        return model_file(version_path).is_file()

    def inspect(self, version_path: Path) -> Inspection:
        with _needed(version_path):
            from unstuck.engines.tflite.inspect import inspect

            return inspect(version_path)

    def loader(self, version_path: Path) -> Loader:
        """Its ``load`` raises SetupError when LiteRT is not installed, with the command that installs it."""
        return DeferredLoader(partial(self._loader, version_path), partial(_estimate, version_path))

    def _loader(self, version_path: Path) -> Loader:
        with _needed(version_path):
            from unstuck.engines.tflite.loader import TfLiteLoader
        return TfLiteLoader(version_path, self.interpreters)


def _estimate(version_path: Path) -> int | None:
    from unstuck.engines.tflite.estimate import estimate

    return estimate(version_path)


def model_file(version_path: Path) -> Path:
    """The file of a version that is a file itself, or a folder."""
    return version_path if version_path.suffix == SUFFIX and not version_path.is_dir() else version_path / MODEL_FILE


@contextmanager
def _needed(version_path: Path) -> Generator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("ai_edge_litert", "flatbuffers"):
            raise
        raise SetupError(
            f"{version_path} is a TensorFlow Lite model, and LiteRT is not installed.",
            hint='Run: pip install "unstuck[tflite]"',
        ) from None


ENGINE = TfLiteEngine()
