"""One model's request log: what is asked for now, its files, and what could not be logged."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from unstuck.core.models import RequestLogConfig
from unstuck.monitor.log_files import LogFiles

log = logging.getLogger(__name__)

SAY_S = 60.0  # between two messages about calls that were dropped


class ModelLog:
    """Its rate is read by all threads; ``configure`` and ``drop`` need the caller's lock, the rest one thread.

    Attributes:
        rate: the share of the model's calls that is logged; 0 logs none.
        logged: how many calls were written.
        dropped: how many were drawn and could not be.
    """

    def __init__(self, model: str, max_bytes: int, writers: int = 1) -> None:
        self.rate = 0.0
        self.logged = 0
        self.dropped = 0
        self._model = model
        self._max_bytes = max_bytes
        self._writers = writers
        self._prefix = ""
        self._files: tuple[str, LogFiles] | None = None
        self._lost = 0  # since the files could last be written
        self._unsaid = 0
        self._why = ""
        self._said_s = -SAY_S

    def configure(self, config: RequestLogConfig | None) -> None:
        """Takes over what is asked for now; None logs nothing."""
        self._prefix = config.filename_prefix if config else ""
        self.rate = config.sampling_rate if config and self._prefix else 0.0

    def drop(self, why: str) -> None:
        """Counts a call that cannot be logged; ``say`` says it."""
        self.dropped += 1
        self._unsaid += 1
        self._why = why

    def say(self) -> None:
        """Says what was dropped, now and then."""
        now = time.monotonic()
        if self._unsaid and now - self._said_s >= SAY_S:
            log.warning("%d calls of model %r were not logged: %s.", self._unsaid, self._model, self._why)
            self._unsaid, self._said_s = 0, now

    def write(self, records: Sequence[bytes]) -> None:
        """Adds ``records`` to the files; those that the disk does not take are dropped."""
        files = self._current()
        if files is None:
            return
        try:
            files.write(records)
        except OSError as error:
            if not self._lost:
                said = "Calls of model %r cannot be logged: %s. They are answered; writing is tried again."
                log.error(said, self._model, error)
            self._lost += len(records)
            self.dropped += len(records)
            return
        self.logged += len(records)
        if self._lost:
            log.warning("Calls of model %r are logged again; %d were not.", self._model, self._lost)
            self._lost = 0

    def close(self) -> None:
        if self._files is not None:
            self._files[1].close()
            self._files = None

    def _current(self) -> LogFiles | None:
        """The files that are asked for; None where they no longer are, since the calls were drawn."""
        prefix = self._prefix
        if self._files is not None and self._files[0] != prefix:
            self.close()
        if self._files is None and prefix:
            self._files = prefix, LogFiles(Path(prefix), self._model, self._max_bytes, self._writers)
        return self._files[1] if self._files else None
