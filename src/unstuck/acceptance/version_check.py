"""All that a loaded version must pass; whatever does not pass is not made available."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from unstuck.acceptance.golden import check_golden
from unstuck.acceptance.warmup import warm_up
from unstuck.core.servables import AvailableModel
from unstuck.errors import SetupError
from unstuck.monitor import official
from unstuck.monitor.families import Family, FamilySource

log = logging.getLogger(__name__)


class VersionCheck(FamilySource):
    """Warms versions up, and asks them for golden rows: with what is in their folders. Thread-safe."""

    def __init__(self, *, warmup_iterations: int, golden_rows: Literal["check", "warn", "off"]) -> None:
        """How strict it is.

        Args:
            warmup_iterations: how often each warm-up request is made; 0 makes none.
            golden_rows: whether a wrong answer keeps a version from serving (check), or is only said (warn).
        """
        self._iterations = warmup_iterations
        self._golden_rows = golden_rows
        self._latency = official.model_warmup_latency()
        self._records = official.model_warmup_records_read()

    def families(self) -> Iterator[Family]:
        yield from self._latency.families()
        yield from self._records.families()

    def check(self, model: AvailableModel, path: Path) -> dict[str, object]:
        """How many records and rows there were, where there were any, for people and their tools.

        Args:
            model: loaded, and not serving yet.
            path: its folder, or its file.

        Raises:
            SetupError: it must not serve; the message says which record, or which row, and why.
        """
        folder = path if path.is_dir() else path.parent
        return self._warm_up(model, folder) | self._ask_golden(model, folder)

    def _warm_up(self, model: AvailableModel, folder: Path) -> dict[str, object]:
        if not self._iterations:
            return {}
        start_ns = time.perf_counter_ns()
        records = warm_up(model, folder, self._iterations)
        if not records:
            return {}
        took_ns = time.perf_counter_ns() - start_ns
        self._latency.observe((str(folder), "OK"), took_ns)
        self._records.add((str(folder), "OK"), records)
        log.info("%r version %d: %d warm-up records in %.1f s", model.name, model.version, records, took_ns / 1e9)
        return {"warmup_records": records}

    def _ask_golden(self, model: AvailableModel, folder: Path) -> dict[str, object]:
        if self._golden_rows == "off":
            return {}
        try:
            rows = check_golden(model, folder)
        except SetupError as error:
            if self._golden_rows == "check":
                raise
            log.warning("Model %r version %d serves all the same: %s", model.name, model.version, str(error))
            return {"golden_rows": error.message}
        return {"golden_rows": rows} if rows else {}
