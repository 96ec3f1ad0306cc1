"""A version's loader, with the pipeline that prepares its inputs."""

from dataclasses import replace
from pathlib import Path

from unstuck.core.servables import Engine, Loader
from unstuck.engines.tensorflow import TensorFlowEngine, compile_stage
from unstuck.pipeline import PLACE


def loader(engine: Engine, path: Path, pipeline_file: Path | None, *, may_call_python: bool = False) -> Loader:
    """The engine's loader of ``path``, with the pipeline, if there is one, inside the graph or around the model.

    Args:
        engine: of the model.
        path: the version's folder or file.
        pipeline_file: the pipeline; None for the one in the folder, if there is one.
        may_call_python: whether it may name functions: a TensorFlow engine knows that itself.
    """
    if isinstance(engine, TensorFlowEngine):
        return replace(engine, pipeline_file=pipeline_file).loader(path)
    beside = path / PLACE
    file = pipeline_file or (beside if beside.is_file() else None)
    if file is None:
        return engine.loader(path)
    from unstuck.pipeline.loader import PreparedLoader  # here, as it imports pydantic and PyYAML

    return PreparedLoader(engine.loader(path), file, compile_stage, may_call_python=may_call_python)
