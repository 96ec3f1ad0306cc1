"""How many CPUs this process may use, which is what threads are counted by."""

import math
import os

from unstuck.core import cgroups


def cpu_limit() -> float | None:
    """The CPUs that it is bound to, or its container's quota where that is less; None where the system says nothing."""
    bound = bound_cpus()
    return min([*([] if bound is None else [float(bound)]), *cgroups.cpu_quotas()], default=None)


def usable_cpus() -> int:
    """Whole CPUs, at least one: a thread for each can run at once. With a quota of 1.5 these are two."""
    return max(math.ceil(cpu_limit() or os.cpu_count() or 1), 1)


def bound_cpus() -> int | None:
    """The CPUs that this process is bound to, which are all of the machine's by default."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
