"""Loads a TensorFlow Lite model into a pool of interpreters of its own."""

import logging
from pathlib import Path

from unstuck.core.servables import Loader
from unstuck.engines.stderr import without
from unstuck.engines.tflite import graph, model_file
from unstuck.engines.tflite.parsing import without_parser
from unstuck.engines.tflite.runtime import ERRORS, INFORMS, VERSION, Interpreter
from unstuck.engines.tflite.servable import Pool, TfLiteServable, reason
from unstuck.errors import LoadFailed

log = logging.getLogger(__name__)


class TfLiteLoader(Loader):
    """Reads the signatures from the file itself, then lets LiteRT load it."""

    def __init__(self, version_path: Path, interpreters: int) -> None:
        """``interpreters`` is how many calls may run at once."""
        self._path = model_file(version_path)
        self._interpreters = interpreters
        self._pool: Pool | None = None

    def load(self) -> TfLiteServable:
        model = graph.read_model(self._path)
        self._check_ops(model)
        if not model.has_own_signatures:
            log.warning("%s has no signature; one is made of its tensors' names.", self._path)
        source, parser = without_parser(self._path, model)
        has_variables = model.has_variables
        # What a run keeps must be there for the next one: one interpreter for all.
        size = 1 if model.keeps_state else self._interpreters
        try:
            with without(lambda line: line.startswith(INFORMS)):
                pool = Pool(lambda: Interpreter(source, has_variables=has_variables), size)
        except ERRORS as error:
            raise LoadFailed(f"{self._path} cannot be loaded by LiteRT {VERSION}: {reason(error)}") from error
        self._pool = pool
        return TfLiteServable(model.entries, pool, parser, stateless=model.is_stateless)

    def unload(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _check_ops(self, model: graph.Model) -> None:
        flex = sorted({each.op for each in model.operators if each.op.startswith(graph.FLEX)})
        if flex:
            raise LoadFailed(
                f"{self._path} needs ops of TensorFlow, which LiteRT does not have: {', '.join(flex)}.",
                hint="Serve the SavedModel, or convert it without SELECT_TF_OPS.",
            )
