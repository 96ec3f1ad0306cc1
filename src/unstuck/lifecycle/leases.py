"""A lease is a reference: a version is unloaded once nobody holds it any more.

Whoever answers a call holds the version that the lookup gave it, until the answer is encoded; CPython counts those
references anyway. So a lease costs a call nothing, and none can be forgotten. References in a cycle (an exception that
its own traceback leads back to) are counted until the collector has looked: where a version is not given back soon,
it is asked to.
"""

import gc
import logging
import weakref
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)

FIRST_LOOK_S = 1.0
LAST_LOOK_S = 60.0


class Lease:
    """Tells when the last reference to an object is gone. ``wait`` belongs to one thread."""

    def __init__(self, leased: object, name: str) -> None:
        """``leased`` must take weak references; ``name`` is what the log calls it."""
        self._name = name
        self._returned: SimpleQueue[None] = SimpleQueue()  # its put may interrupt anything, even itself
        weakref.finalize(leased, self._returned.put, None).atexit = False

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the last reference went within ``timeout_s``; None waits for as long as it takes."""
        waited_s, look_s, tries = 0.0, FIRST_LOOK_S, 0
        while True:
            pause_s = look_s if timeout_s is None else min(look_s, timeout_s - waited_s)
            try:
                self._returned.get(timeout=max(pause_s, 0))
                return True
            except Empty:
                waited_s += pause_s
            if timeout_s is not None and waited_s >= timeout_s:
                return False
            _collect(thoroughly=tries > 0)
            look_s, tries = min(look_s * 2, LAST_LOOK_S), tries + 1
            if look_s == LAST_LOOK_S:
                log.info(
                    "%s is still answering calls after %.0f s; it is unloaded after the last", self._name, waited_s
                )


def _collect(*, thoroughly: bool) -> None:
    if thoroughly:  # a cycle that was there when the collector was told to leave all objects alone
        gc.unfreeze()
    gc.collect()
    if thoroughly:
        gc.freeze()
