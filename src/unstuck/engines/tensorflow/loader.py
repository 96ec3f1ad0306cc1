"""Loads a SavedModel into a Session of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.core.servables import Loader, Servable
from unstuck.core.signatures import Signature
from unstuck.engines.tensorflow import graph, meta_graph, ops, pipeline, sessions, stray_variables, unsafe
from unstuck.engines.tensorflow.files import ASSETS, Files
from unstuck.engines.tensorflow.runtime import close, first_lines, tf
from unstuck.engines.tensorflow.servable import SavedModelServable
from unstuck.errors import LoadFailed
from unstuck.pipeline import PLACE
from unstuck.pipeline.checks import UNPREPARED, check_without_functions
from unstuck.pipeline.document import PipelineError, read_pipeline
from unstuck.pipeline.prepared import with_python
from unstuck.pipeline.schema import Pipeline

if TYPE_CHECKING:
    from unstuck.engines.tensorflow import TensorFlowEngine

_PASSING = (
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
)


class SavedModelLoader(Loader):
    """Loads by TensorFlow 1's loader, which restores variables, tables and assets of TF1 and TF2 exports alike.

    The way through ``tf.saved_model.load(...).signatures`` costs about 450 µs a call; a Session's callable 20.
    """

    def __init__(self, version_path: Path, engine: "TensorFlowEngine") -> None:
        self._path = version_path
        self._engine = engine
        self._session: Any = None

    def load(self) -> Servable:
        exported = graph.read_meta_graph(self._path, self._engine.tags)
        if not self._engine.allow_unsafe_ops:
            unsafe.check(exported, self._path)
        signatures = meta_graph.signatures_of(exported)
        ops.ensure_registered(meta_graph.op_names(exported), self._engine.op_libraries)
        session, pool = sessions.new_session(self._engine.session)
        may_call_python = self._engine.allow_unsafe_ops or self._engine.pipeline_file is not None
        try:
            with session.graph.as_default():
                tf.compat.v1.saved_model.loader.load(session, list(self._engine.tags), str(self._path))
                stray_variables.restore(session, exported, self._path)
                stateless = graph.stateless_signatures(exported)
                file = self._pipeline_file()
                if file is None:
                    servable = SavedModelServable(session, signatures, stateless, pool)
                else:
                    declared = read_pipeline(file)
                    if not may_call_python:
                        check_without_functions(declared, file)
                    files = Files(file.parent, self._path / ASSETS)
                    servable = _with_pipeline(declared, files, session, signatures, stateless, pool)
        except (PipelineError, LoadFailed):
            close(session)
            raise
        except Exception as error:
            close(session)
            raise LoadFailed(
                f"{self._path} cannot be loaded by TensorFlow {tf.__version__}: {first_lines(error)}",
                may_pass=isinstance(error, (MemoryError, *_PASSING)),
            ) from error
        self._session = session
        return servable

    def _pipeline_file(self) -> Path | None:
        beside = self._path / PLACE
        return self._engine.pipeline_file or (beside if beside.is_file() else None)

    def unload(self) -> None:
        if self._session is not None:
            close(self._session)
            self._session = None


def _with_pipeline(
    declared: Pipeline,
    files: Files,
    session: Any,
    signatures: Mapping[str, Signature],
    stateless: frozenset[str],
    pool: int,
) -> Servable:
    signatures, initializers = pipeline.wrap(session, signatures, declared, files)
    session.run(initializers)
    stateless |= {name for name in signatures if name.removesuffix(UNPREPARED) in stateless}
    return with_python(SavedModelServable(session, signatures, stateless, pool), declared, files.folder)
