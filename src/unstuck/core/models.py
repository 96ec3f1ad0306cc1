"""Which model a request means, and the states a version goes through."""

from dataclasses import dataclass
from enum import IntEnum

from unstuck.errors import UnstuckError


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
