"""ONNX models, run by ONNX Runtime."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unstuck.core.inspection import Inspection
from unstuck.core.servables import Loader
from unstuck.engines.deferred import DeferredLoader
from unstuck.errors import SetupError

PLATFORM = "onnx"
SUFFIX = ".onnx"
MODEL_FILE = "model.onnx"


@dataclass(frozen=True, slots=True)
class OnnxEngine:
    """The engine; importing it does not import ONNX Runtime. A version is a folder with ``model.onnx``, or a file."""

    @property
    def platform(self) -> str:
        return PLATFORM

    def recognises(self, version_path: Path) -> bool:
        return model_file(version_path).is_file()

    def inspect(self, version_path: Path) -> Inspection:
        from unstuck.engines.onnx.inspect import inspect

        return inspect(version_path)

    def loader(self, version_path: Path) -> Loader:
        """Its ``load`` raises SetupError when ONNX Runtime is not installed, with the command that installs it."""
        return DeferredLoader(partial(_loader, version_path), partial(_estimate, version_path))


def _loader(version_path: Path) -> Loader:
    try:
        from unstuck.engines.onnx.loader import OnnxLoader
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "onnxruntime":
            raise
        raise SetupError(
            f"{version_path} is an ONNX model, and ONNX Runtime is not installed.",
            hint='Run: pip install "unstuck[onnx]"',
        ) from None
    return OnnxLoader(version_path)


def _estimate(version_path: Path) -> int | None:
    from unstuck.engines.onnx.estimate import estimate

    return estimate(version_path)


def model_file(version_path: Path) -> Path:
    """The file of a version that is a file itself, or a folder."""
    return version_path if version_path.suffix == SUFFIX and not version_path.is_dir() else version_path / MODEL_FILE


ENGINE = OnnxEngine()
