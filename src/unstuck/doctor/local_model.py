"""The model on this disk, run by its own framework: what the endpoint should answer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from unstuck import engines
from unstuck.core.inspection import Inspection
from unstuck.core.servables import Engine
from unstuck.core.signatures import Signature, Tensors
from unstuck.core.tracing import Traceable
from unstuck.doctor.evidence.base import NotRun
from unstuck.engines.onnx import OnnxEngine
from unstuck.engines.tensorflow import TensorFlowEngine
from unstuck.errors import LoadFailed

HIDDEN = "__saved_model_init_op"


class LocalModel:
    """One version's folder, or an ONNX file. What needs the framework is done when first asked for; ``close`` it."""

    def __init__(
        self,
        path: Path,
        tags: tuple[str, ...] = ("serve",),
        pipeline_file: Path | None = None,
        *,
        allow_unsafe_ops: bool = False,
    ) -> None:
        """Raises LoadFailed where the folder holds no model."""
        engine = next((each for each in engines.installed() if each.recognises(path)), None)
        if engine is None:
            raise LoadFailed(f"{path} holds no model: no saved_model.pb, and no .onnx file.")
        if isinstance(engine, TensorFlowEngine):
            engine = replace(engine, tags=tags, pipeline_file=pipeline_file, allow_unsafe_ops=allow_unsafe_ops)
        self.path = path
        self.engine: Engine = engine
        self._tags = tags
        self._pipeline_file = pipeline_file
        self._allow_unsafe_ops = allow_unsafe_ops

    @cached_property
    def inspection(self) -> Inspection:
        """What the files say, without the framework. Raises LoadFailed."""
        return self.engine.inspect(self.path)

    @cached_property
    def _loaded(self):
        loader = self.engine.loader(self.path)
        return loader, loader.load()

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Raises LoadFailed where neither the framework can load the model nor its files can be read."""
        try:
            found = self._loaded[1].signatures
        except LoadFailed:
            found = self.inspection.signatures
        return {name: each for name, each in found.items() if name != HIDDEN}

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, "object"]:
        """The outputs by alias. Raises EngineError, LoadFailed."""
        return dict(self._loaded[1].run(signature, inputs))

    @cached_property
    def traced(self) -> Traceable:
        """The model's inside. Raises NotRun for an engine that shows none, LoadFailed."""
        if isinstance(self.engine, OnnxEngine):
            from unstuck.engines.onnx.tracing import TracedOnnx

            return TracedOnnx(self.path)
        if not isinstance(self.engine, TensorFlowEngine):
            raise NotRun(f"the inside of {self.engine.platform} models cannot be watched")
        from unstuck.engines.tensorflow.tracing import TracedSavedModel

        return TracedSavedModel(self.path, self._tags, self._pipeline_file, allow_unsafe_ops=self._allow_unsafe_ops)

    def close(self) -> None:
        if "_loaded" in self.__dict__:
            self._loaded[0].unload()
        if "traced" in self.__dict__:
            self.__dict__["traced"].close()
