"""How many connections this process may hold: each is an open file, of which the system grants a number."""

import logging
import resource

RESERVED = 256  # for models, logs, libraries, and connections of other kinds
SHARE = 0.75  # of the rest, for REST; gRPC's come out of what is left
FEW = 4096  # as many are enough for whoever has not thought about it

log = logging.getLogger(__name__)


def raise_limit() -> int:
    """Asks for as many open files as this process may ask for; returns how many it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS says that it is without limit, and means 10,240
            return soft
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def connections(wanted: int, open_files: int) -> int:
    """How many of the ``wanted`` connections there is room for; says so if it is not for all."""
    room = max(16, int((open_files - RESERVED) * SHARE))
    if room < min(wanted, FEW):
        log.warning(
            "At most %d connections to REST instead of %d: the process may open %d files (ulimit -n).",
            *(room, wanted, open_files),
        )
    return min(wanted, room)
