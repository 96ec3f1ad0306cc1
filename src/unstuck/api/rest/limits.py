"""What ``/statusz`` says of the limits that the process has."""

from dataclasses import asdict
from typing import Any

from unstuck.core.allowance import allowance
from unstuck.core.cgroups import memory_pressure, oom_kills


def limits_document() -> dict[str, Any]:
    """What the process is allowed, and what is left of it, as values of JSON."""
    allowed, pressure = allowance(), memory_pressure()
    return {
        "memory_limit_bytes": allowed.memory_limit,
        "memory_left_bytes": allowed.memory_left,
        "memory": [
            {
                "source": f"{each.owner} ({each.kind})" if each.kind else each.owner,
                "limit_bytes": each.limit,
                "used_bytes": each.used,
                "left_bytes": each.left,
            }
            for each in allowed.memory
        ],
        "memory_pressure": asdict(pressure) if pressure else None,
        "oom_kills": oom_kills(),
        "cpus": allowed.cpus,
        "cpus_source": allowed.cpus_source,
        "open_files": allowed.open_files,
        "warnings": allowed.warnings(),
    }
