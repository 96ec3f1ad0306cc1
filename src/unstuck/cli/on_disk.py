"""A model's path, as every command takes it: its name, its newest version, and the engine that reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unstuck import engines
from unstuck.config.flags import parse
from unstuck.config.serve_flags import SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.core.locations import RemotePath
from unstuck.core.servables import Engine
from unstuck.engines.tensorflow import TensorFlowEngine
from unstuck.errors import LoadFailed, SetupError
from unstuck.lifecycle.remote import RemoteModels
from unstuck.lifecycle.source import VersionPath, version_folder, versions_in

_copies: list[VersionPath] = []  # that no server may remove before this command ends


@dataclass(frozen=True, slots=True)
class Found:
    """A model on disk."""

    name: str
    version: VersionPath
    engine: Engine

    def check_writable(self, instead: str) -> None:
        """Raises SetupError where the folder is a copy of a remote one; ``instead`` names another place to write to."""
        if self.version.lease is not None:
            raise SetupError(f"Model {self.name!r} is remote: nothing is written there.", hint=f"Give {instead}.")


def find(where: str, tags: tuple[str, ...], *, allow_unsafe_ops: bool = False) -> Found:
    """The newest version of the model at ``where``, or ``where`` itself if it is a version.

    Raises:
        SetupError: no such folder, or no versions in it.
        LoadFailed: no engine knows what is there.
    """
    (model,) = server_config(parse([where], SERVE_FLAGS)).models
    installed = [_configured(engine, tags, allow_unsafe_ops) for engine in engines.installed()]
    version = newest(model.base_path, installed)
    engine = next((each for each in installed if each.recognises(version.path)), None)
    if engine is None:
        known = ", ".join(each.platform for each in installed)
        raise LoadFailed(f"{version.path} holds no model of a format that is known: {known}.")
    return Found(model.name, version, engine)


def newest(base_path: Path | RemotePath, installed: Sequence[Engine]) -> VersionPath:
    """The newest version in ``base_path``, or the one that it is; a copy where it is remote.

    Raises:
        SetupError: no such folder, or no versions in it.
    """

    def is_version(path: Path) -> bool:
        return any(engine.recognises(path) for engine in installed)

    if isinstance(base_path, RemotePath):
        version, _ = RemoteModels(is_version).versions(base_path)[-1].local()
        _copies.append(version)
        return version
    return version_folder(base_path) if is_version(base_path) else versions_in(base_path)[-1]


def _configured(engine: Engine, tags: tuple[str, ...], allow_unsafe_ops: bool) -> Engine:
    if isinstance(engine, TensorFlowEngine):
        return replace(engine, tags=tags, allow_unsafe_ops=allow_unsafe_ops)
    return engine
