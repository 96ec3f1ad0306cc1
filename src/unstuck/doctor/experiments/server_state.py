"""The container's limits, the log, what the server counts itself, and how large the model is."""

from pathlib import Path

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.server_state import ServerState
from unstuck.doctor.experiments.cgroup_files import read_cgroup
from unstuck.doctor.experiments.server_log import read_log
from unstuck.doctor.experiments.server_metrics import read_metrics
from unstuck.doctor.lab import Lab

_NOT_LOADED = ("assets.extra", "debug", "fingerprint.pb", "keras_metadata.pb")


def run(lab: Lab) -> ServerState:
    """What can be read of the server.

    Raises:
        NotRun: there is neither a cgroup folder nor a log nor metrics.
        SetupError: the folder or the log cannot be read.
    """
    asked = lab.question
    metrics = read_metrics(lab)
    if asked.cgroup is None and asked.server_log is None and metrics is None:
        raise NotRun("no --cgroup and no --server-log were given, and the server shows no metrics")
    return ServerState(
        cgroup=read_cgroup(asked.cgroup) if asked.cgroup else None,
        log=read_log(asked.server_log) if asked.server_log else None,
        metrics=metrics,
        model_bytes=_bytes(asked.model) if asked.model else 0,
    )


def _bytes(model: Path) -> int:
    """Of the files that a load brings into memory."""
    if model.is_file():
        return model.stat().st_size
    files = (file for file in model.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files if file.relative_to(model).parts[0] not in _NOT_LOADED)
