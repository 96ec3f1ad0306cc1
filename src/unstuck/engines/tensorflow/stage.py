"""A pipeline's expressions as a graph of their own, around a model that another engine runs."""

from collections.abc import Mapping
from pathlib import Path

from unstuck.core.signatures import Signature, Tensors
from unstuck.engines.tensorflow.files import ASSETS, Files
from unstuck.engines.tensorflow.pipeline import placeholder, specs, values
from unstuck.engines.tensorflow.runtime import close, tf
from unstuck.engines.tensorflow.servable import SavedModelServable
from unstuck.pipeline.schema import Expression
from unstuck.pipeline.stages import Specs, Stage


class GraphStage(Stage):
    """See ``unstuck.pipeline.stages.Compile``, which says what its arguments are."""

    def __init__(
        self,
        where: str,
        expressions: Mapping[str, Expression],
        sources: Specs,
        wanted: Specs | None,
        folder: Path,
    ) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                known = {name: placeholder(spec) for name, spec in sources.items()}
                made = values(where, expressions, known, Files(folder, folder / ASSETS), wanted)
                outputs = {alias: tf.identity(tensor) for alias, tensor in made.items()}
                self._session.run(tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS))
                self._signature = Signature(where, specs(known), specs(outputs))
                self._servable = SavedModelServable(self._session, {where: self._signature}, frozenset())
        except BaseException:
            self.close()
            raise

    @property
    def outputs(self) -> Specs:
        return self._signature.outputs

    def run(self, known: Tensors) -> Tensors:
        return self._servable.run(self._signature, known)

    def close(self) -> None:
        close(self._session)
