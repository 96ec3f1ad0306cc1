"""TensorFlow SavedModels, run by TensorFlow itself."""

from dataclasses import dataclass
from pathlib import Path

from unstuck.core.inspection import Inspection
from unstuck.core.servables import Loader
from unstuck.errors import SetupError

PLATFORM = "tensorflow"
MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True, slots=True)
class TensorFlowEngine:
    """The engine; importing it does not import TensorFlow.

    Attributes:
        tags: the meta graph's tags, ``serve`` unless ``--saved_model_tags`` says otherwise.
        op_libraries: modules or ``.so`` files that register custom ops, loaded before a model that needs them.
        pipeline_file: prepares the model's inputs; where None, the one in its version's folder if there is one.
    """

    tags: tuple[str, ...] = ("serve",)
    op_libraries: tuple[str, ...] = ()
    pipeline_file: Path | None = None

    @property
    def platform(self) -> str:
        return PLATFORM

    def recognises(self, version_path: Path) -> bool:
        return any((version_path / name).is_file() for name in MODEL_FILES)

    def inspect(self, version_path: Path) -> Inspection:
        from unstuck.engines.tensorflow.inspect import inspect

        return inspect(version_path, self.tags)

    def loader(self, version_path: Path) -> Loader:
        """Raises SetupError when TensorFlow is not installed, with the command that installs it."""
        try:
            from unstuck.engines.tensorflow.loader import SavedModelLoader
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != "tensorflow":
                raise
            raise SetupError(
                f"{version_path} is a TensorFlow SavedModel, and TensorFlow is not installed.",
                hint='Run: pip install "unstuck[tensorflow]"',
            ) from None
        return SavedModelLoader(version_path, self)


ENGINE = TensorFlowEngine()
