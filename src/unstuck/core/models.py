"""Which models there are, which of them a request means, and the states a version goes through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from unstuck.core.locations import RemotePath
from unstuck.errors import UnstuckError


@dataclass(frozen=True, slots=True)
class Latest:
    """The ``count`` newest versions on disk are to be served."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class AllVersions:
    """Every version on disk is to be served."""


@dataclass(frozen=True, slots=True)
class Specific:
    """Those of ``versions`` that are on disk are to be served."""

    versions: frozenset[int]


VersionChoice = Latest | AllVersions | Specific


@dataclass(frozen=True, slots=True)
class RequestLogConfig:
    """Which share of a model's requests is logged, and where to.

    Attributes:
        sampling_rate: from 0 to 1.
        collector_type: the kind of log; empty for the default one.
        filename_prefix: what the log's files' names begin with.
    """

    sampling_rate: float
    collector_type: str = ""
    filename_prefix: str = ""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model that is to be served.

    Attributes:
        name: what requests call it.
        base_path: the folder that holds its numbered versions, or is one version itself.
        versions: which of them are served.
        labels: the version that each label means.
        platform: the engine that its versions must be for; empty for any.
        request_log: None logs nothing.
    """

    name: str
    base_path: Path | RemotePath
    versions: VersionChoice = Latest()
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    platform: str = ""
    request_log: RequestLogConfig | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by name, and at most one of version and label; with neither, the newest available version."""

    name: str
    version: int | None = None
    label: str | None = None


class State(IntEnum):
    """A version's state, with the numbers of tensorflow.serving.ModelVersionStatus.State."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version's state, and the error that ended it, if any."""

    version: int
    state: State
    error: UnstuckError | None = None
