"""What processes take of the memory, and how much of that they share."""

from dataclasses import dataclass
from pathlib import Path

KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in bytes; 0 where the system does not say.

    Attributes:
        resident: all that it occupies, whoever else does.
        proportional: the same, with each page divided by how many processes share it: these add up.
    """

    resident: int = 0
    proportional: int = 0


def memory_of(pid: int) -> Memory:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return Memory()
    found = {line.partition(":")[0]: line.split() for line in lines[1:]}
    return Memory(*(int(found[name][1]) * KIBIBYTE if name in found else 0 for name in ("Rss", "Pss")))
