"""A model's path, as every command takes it: its name, its newest version, and the engine that reads it."""

from dataclasses import dataclass, replace

from unstuck import engines
from unstuck.config.flags import parse
from unstuck.config.serve_flags import SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.core.servables import Engine
from unstuck.engines.tensorflow import TensorFlowEngine
from unstuck.errors import LoadFailed
from unstuck.lifecycle.source import VersionPath, version_folder, versions_in


@dataclass(frozen=True, slots=True)
class Found:
    """A model on disk."""

    name: str
    version: VersionPath
    engine: Engine


def find(where: str, tags: tuple[str, ...]) -> Found:
    """The newest version of the model at ``where``, or ``where`` itself if it is a version.

    Raises:
        SetupError: no such folder, or no versions in it.
        LoadFailed: no engine knows what is there.
    """
    (model,) = server_config(parse([where], SERVE_FLAGS)).models
    installed = [_configured(engine, tags) for engine in engines.installed()]
    path = model.base_path
    is_version = any(engine.recognises(path) for engine in installed)
    version = version_folder(path) if is_version else versions_in(path)[-1]
    engine = next((each for each in installed if each.recognises(version.path)), None)
    if engine is None:
        known = ", ".join(each.platform for each in installed)
        raise LoadFailed(f"{version.path} holds no model of a format that is known: {known}.")
    return Found(model.name, version, engine)


def _configured(engine: Engine, tags: tuple[str, ...]) -> Engine:
    return replace(engine, tags=tags) if isinstance(engine, TensorFlowEngine) else engine
