"""TensorFlow SavedModels, run by TensorFlow itself."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.core.cpus import usable_cpus
from unstuck.core.inspection import Inspection
from unstuck.core.servables import Loader
from unstuck.engines.deferred import DeferredLoader
from unstuck.engines.tensorflow import first_session
from unstuck.errors import SetupError

if TYPE_CHECKING:
    from unstuck.pipeline.schema import Expression
    from unstuck.pipeline.stages import Specs, Stage

PLATFORM = "tensorflow"
MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How TensorFlow runs models.

    Attributes:
        config_file: a text proto of TensorFlow's ConfigProto; the other attributes come before it.
        intra_op_threads: that share one op's work, in all models together; 0 is one a CPU.
        inter_op_threads: that run a call's ops at the same time; 0 and 1 run them in the thread that calls.
        gpu_memory_fraction: of each GPU's memory, for this process; 0 lets TensorFlow choose.
        bfloat16: compute in bfloat16 where TensorFlow thinks that it is safe.
    """

    config_file: Path | None = None
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    gpu_memory_fraction: float = 0
    bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class TensorFlowEngine:
    """The engine; importing it does not import TensorFlow.

    Attributes:
        tags: the meta graph's tags, ``serve`` unless ``--saved_model_tags`` says otherwise.
        op_libraries: modules or ``.so`` files that register custom ops, loaded before a model that needs them.
        pipeline_file: prepares the model's inputs; where None, the one in its version's folder if there is one.
        session: how TensorFlow runs it; the process's first model decides of what is for all together.
        allow_unsafe_ops: load models that do more than compute: see ``unsafe``.
    """

    tags: tuple[str, ...] = ("serve",)
    op_libraries: tuple[str, ...] = ()
    pipeline_file: Path | None = None
    session: SessionOptions = field(default_factory=SessionOptions)
    allow_unsafe_ops: bool = False

    @property
    def platform(self) -> str:
        return PLATFORM

    def recognises(self, version_path: Path) -> bool:
        return any((version_path / name).is_file() for name in MODEL_FILES)

    def inspect(self, version_path: Path) -> Inspection:
        from unstuck.engines.tensorflow.inspect import inspect

        return inspect(version_path, self.tags)

    def loader(self, version_path: Path) -> Loader:
        """Its ``load`` raises SetupError when TensorFlow is not installed, with the command that installs it."""
        first_session.intra_op_threads = self.session.intra_op_threads or usable_cpus()
        first_session.inter_op_threads = usable_cpus()  # calls that ask for more have a pool of their own
        first_session.gpu_memory_fraction = self.session.gpu_memory_fraction
        return DeferredLoader(partial(self._loader, version_path), partial(_estimate, version_path))

    def _loader(self, version_path: Path) -> Loader:
        with _needed(f"{version_path} is a TensorFlow SavedModel"):
            from unstuck.engines.tensorflow.loader import SavedModelLoader
        return SavedModelLoader(version_path, self)


def _estimate(version_path: Path) -> int | None:
    from unstuck.engines.tensorflow.estimate import estimate

    return estimate(version_path)


def compile_stage(
    where: str,
    expressions: "Mapping[str, Expression]",
    sources: "Specs",
    wanted: "Specs | None",
    folder: Path,
) -> "Stage":
    """A pipeline's expressions as a graph of their own; see ``unstuck.pipeline.stages.Compile``."""
    with _needed(f"{where} is prepared by TensorFlow"):
        from unstuck.engines.tensorflow.stage import GraphStage
    return GraphStage(where, expressions, sources, wanted, folder)


@contextmanager
def _needed(why: str) -> Generator[None]:
    """Where an import of TensorFlow fails, says ``why`` it is needed and how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "tensorflow":
            raise
        raise SetupError(
            f"{why}, and TensorFlow is not installed.", hint='Run: pip install "unstuck[tensorflow]"'
        ) from None


ENGINE = TensorFlowEngine()
