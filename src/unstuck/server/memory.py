"""What the server knows of its memory: whether versions fit, and how much is left, as metrics."""

from collections.abc import Iterable, Mapping

from unstuck.config.settings import ServerConfig
from unstuck.core.allowance import allowance
from unstuck.core.locations import cache_folder
from unstuck.errors import SetupError
from unstuck.guard.memory_gate import MemoryGate
from unstuck.guard.memory_records import MemoryRecords
from unstuck.monitor.families import Family, FamilySource
from unstuck.monitor.instruments import Labels, Reading

FOLDER = "memory"  # in the cache


def memory_gate(config: ServerConfig) -> MemoryGate:
    try:
        folder = cache_folder(config.model_cache_dir) / FOLDER
    except SetupError:  # nobody asked for it
        folder = None
    unloads_first = config.version_policy == "resource_preserving"
    return MemoryGate(config.memory_check, MemoryRecords(folder), unloads_first=unloads_first)


class LimitMetrics(FamilySource):
    """The limit of memory, and what is left of it."""

    def families(self) -> Iterable[Family]:
        allowed = allowance()
        yield from _gauge(
            "unstuck_memory_limit_bytes", "The least limit of the process's memory.", allowed.memory_limit
        )
        yield from _gauge(
            "unstuck_memory_left_bytes",
            "How much memory can still be taken, of the limit with the least left.",
            allowed.memory_left,
        )


def _gauge(name: str, text: str, value: int | None) -> Iterable[Family]:
    cells: Mapping[Labels, float] = {} if value is None else {(): value}
    return Reading(name, "gauge", text, (), lambda: cells).families()
