"""Which version is loaded or unloaded next: pure functions, a model's versions in, at most one action out.

Source: availability_preserving_policy.cc and resource_preserving_policy.cc in tensorflow_serving/core.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Phase(Enum):
    """Where a version is on its way through the manager."""

    NEW = auto()
    CHECKING = auto()
    CHECKED = auto()
    LOADING = auto()
    READY = auto()
    UNLOADING = auto()
    ENDED = auto()
    FAILED = auto()
    QUARANTINED = auto()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version at one moment; ``is_aspired``: whether it is to be served."""

    version: int
    phase: Phase
    is_aspired: bool


@dataclass(frozen=True, slots=True)
class Check:
    """Find out whether this version would fit in the place of those that are no longer aspired."""

    target: Snapshot


@dataclass(frozen=True, slots=True)
class Load:
    """Load this version."""

    target: Snapshot


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop serving this version, and unload it once its last call is done."""

    target: Snapshot


Action = Check | Load | Unload
Policy = Callable[[Sequence[Snapshot]], Action | None]


def availability_preserving(versions: Sequence[Snapshot]) -> Action | None:
    """Unloads what is no longer aspired once something aspired serves; until then one version stays."""
    leftover = [each for each in versions if each.phase is Phase.READY and not each.is_aspired]
    aspired = [each for each in versions if each.is_aspired]
    serving = any(each.phase is Phase.READY for each in aspired)
    if leftover and (not aspired or serving or len(leftover) > 1):
        return Unload(min(leftover, key=_version))
    return _load_newest(versions)


def resource_preserving(versions: Sequence[Snapshot]) -> Action | None:
    """Unloads what is no longer aspired before anything is loaded: there is a gap, and never two at once.

    It serves on, though, while nothing that is aspired is known to fit in its place.
    """
    finished = (Phase.ENDED, Phase.FAILED, Phase.QUARANTINED)
    leaving = [each for each in versions if not each.is_aspired and each.phase not in finished]
    serving = [each for each in leaving if each.phase is Phase.READY]
    if not serving:
        return None if leaving else _load_newest(versions)
    aspired = [each for each in versions if each.is_aspired]
    phases = {each.phase for each in aspired}
    if not aspired or phases & {Phase.CHECKED, Phase.LOADING, Phase.READY}:
        return Unload(serving[0])
    new = [each for each in aspired if each.phase is Phase.NEW]
    return Check(max(new, key=_version)) if new and Phase.CHECKING not in phases else None


def _load_newest(versions: Sequence[Snapshot]) -> Action | None:
    new = [each for each in versions if each.phase in (Phase.NEW, Phase.CHECKED) and each.is_aspired]
    return Load(max(new, key=_version)) if new else None


def _version(snapshot: Snapshot) -> int:
    return snapshot.version
