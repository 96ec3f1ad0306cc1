"""Who may come in while more calls come than can be answered, as the flags say."""

from collections.abc import Callable, Collection

from unstuck.config.settings import ServerConfig
from unstuck.core import cgroups
from unstuck.core.process import free_bytes, limits
from unstuck.guard.admission import Admission, Bounds
from unstuck.guard.memory import MemoryWatch

SHARE_OF_MEMORY = 4  # a quarter; bodies become tensors, and answers have their own bytes
UNKNOWN_MEMORY_BYTES = 4 << 30


def admission_of(
    config: ServerConfig, threads: int, processes: int, models: Callable[[], Collection[str]]
) -> Admission:
    """The gates of this process.

    Args:
        config: the settings, which are the whole server's.
        threads: on which calls to one model run.
        processes: that share what the server may have in flight.
        models: that are served.
    """
    bounds = Bounds(
        requests=max(config.max_in_flight_requests // processes, 1),
        bytes=max((config.max_in_flight_bytes or _default_bytes()) // processes, 1),
        together=threads,
        tolerated_wait_s=config.max_queue_wait_ms / 1000 if config.max_queue_wait_ms else None,
    )
    memory = MemoryWatch(cgroups.memories, _stalled) if config.memory_shedding else None
    return Admission(bounds, memory, models)


def _default_bytes() -> int:
    return (limits().memory_bytes or free_bytes() or UNKNOWN_MEMORY_BYTES) // SHARE_OF_MEMORY


def _stalled() -> float | None:
    pressure = cgroups.memory_pressure()
    return None if pressure is None else pressure.some
