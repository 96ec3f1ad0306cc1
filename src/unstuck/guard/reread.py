"""Something that is read again and again: a file or a page whose mistakes must not take what was right out of force."""

import logging
import threading
from collections.abc import Callable

from unstuck.errors import SetupError

log = logging.getLogger("unstuck.access")


class Reread:
    """``start`` once; its thread ends with the process, or with ``stop``."""

    def __init__(
        self, what: str, read: Callable[[], bytes], use: Callable[[bytes], None], every_s: float, retry_s: float
    ) -> None:
        """Reads nothing yet.

        Args:
            what: how messages call it.
            read: its content. Raises SetupError.
            use: puts a content into force, or raises SetupError and changes nothing.
            every_s: how often it is read.
            retry_s: how soon again after it could not be read, or, at the soonest, after ``hurry``.
        """
        self._what = what
        self._read = read
        self._use = use
        self._every_s = every_s
        self._retry_s = min(retry_s, every_s)
        self._used: bytes | None = None
        self._refused: object = None
        self._hurry = threading.Event()
        self._stopped = threading.Event()

    def first(self) -> None:
        """Puts it into force. Raises SetupError."""
        content = self._read()
        self._use(content)
        self._used = content

    def look(self) -> bool:
        """Puts it into force if it has changed; False, and a line in the log once, where it cannot be."""
        content: bytes | None = None
        try:
            content = self._read()
            if content != self._used:
                self._use(content)
        except SetupError as error:
            if self._refused != (content or str(error)):
                self._refused = content or str(error)
                said = (
                    "what it said before stays in force" if self._used is not None else "nothing of it is in force yet"
                )
                log.error("%s cannot be used: %s. %s", self._what, said, error)
            return False
        if content != self._used or self._refused:
            log.info("%s is in force as it is now.", self._what)
        self._used, self._refused = content, None
        return True

    def hurry(self) -> None:
        """Something is asked for that may be in it by now."""
        self._hurry.set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="unstuck-reread", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._hurry.set()

    def _run(self) -> None:
        wait_s = 0.0 if self._used is None else self._every_s
        while not self._stopped.is_set():
            self._hurry.wait(wait_s)
            self._hurry.clear()
            if not self._stopped.is_set():
                wait_s = self._every_s - self._retry_s if self.look() else 0.0
                self._stopped.wait(self._retry_s)
