"""Unloads versions, each on a thread of its own once its last call is done."""

import logging
import threading
import time
from collections.abc import Callable

from unstuck.lifecycle.harness import Harness
from unstuck.lifecycle.memory import give_back_freed_memory

log = logging.getLogger(__name__)


class Unloads:
    """Those that are under way. Thread-safe."""

    def __init__(self, at_once: int, unloaded: Callable[[Harness], None]) -> None:
        """What it does.

        Args:
            at_once: how many of the versions that wait for no call any more are unloaded at the same time.
            unloaded: is told, on the version's thread, once nothing of it is left.
        """
        self._may_unload = threading.Semaphore(at_once)
        self._unloaded = unloaded
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(self, harness: Harness) -> None:
        """Returns at once."""
        thread = threading.Thread(target=self._unload, args=[harness], name="unstuck-unload", daemon=True)
        with self._lock:
            self._threads.add(thread)
            thread.start()

    def join(self, end: float) -> None:
        """Waits for those under way, until ``end`` of ``time.monotonic``."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0))

    def _unload(self, harness: Harness) -> None:
        assert harness.lease is not None
        assert harness.loader is not None
        harness.lease.wait()
        with self._may_unload:
            try:
                harness.loader.unload()
            except Exception:  # what it held may be lost, but the version has ended, and the others serve
                log.exception("model %r version %d could not be unloaded", harness.name, harness.version)
            harness.loader = None
            give_back_freed_memory()
        self._unloaded(harness)
        with self._lock:
            self._threads.discard(threading.current_thread())
