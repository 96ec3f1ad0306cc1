"""How the manager loads and unloads."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from unstuck.lifecycle.policies import Policy, availability_preserving
from unstuck.lifecycle.room import AnyRoom, Room


@dataclass(frozen=True, slots=True)
class ManagerOptions:
    """See ServerConfig for the meaning of each; ``load_turn`` is held while a version is loaded, in ``room``."""

    policy: Policy = availability_preserving
    load_threads: int = 0
    unload_threads: int = 0
    load_retries: int = 0
    load_retry_interval_s: float = 60
    load_turn: Callable[[], AbstractContextManager[None]] = nullcontext
    room: Room = field(default_factory=AnyRoom)


DEFAULTS = ManagerOptions()
