"""What loading a version really took, kept in a folder for the next time.

    FOLDER/KEY.json    {"path": the version's, "peaks": [bytes, …], the latest last}

The key is a hash of the version's path, of its files' names, sizes and times, and of what was estimated from them: that
is more where the framework is yet to be imported.
"""

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST = 500  # records; of more, the older half goes
LATEST = 3  # of these the largest counts: a load may find memory that an earlier one has left
MARGIN = 1.1

log = logging.getLogger(__name__)


class MemoryRecords:
    """Thread-safe, and safe beside other processes; where the folder cannot be used, nothing is remembered."""

    def __init__(self, folder: Path | None) -> None:
        """``folder``: None to remember nothing."""
        self._folder = folder

    def needed(self, key: str) -> int | None:
        """What loading it is expected to take, in bytes; None where it was not loaded yet."""
        peaks = self._peaks(key)
        return round(max(peaks) * MARGIN) if peaks else None

    def keep(self, key: str, path: Path, peak: int) -> None:
        """It took ``peak`` bytes this time."""
        if self._folder is None:
            return
        file = self._folder / f"{key}.json"
        partial = file.with_suffix(f".{os.getpid()}.partial")
        record = {"path": str(path), "peaks": [*self._peaks(key), peak][-LATEST:]}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tidy(self._folder)
            partial.write_text(json.dumps(record))
            partial.replace(file)
        except OSError as error:
            log.debug("what %s took is not remembered: %s", path, error)

    def _peaks(self, key: str) -> list[int]:
        if self._folder is None:
            return []
        try:
            record: Any = json.loads((self._folder / f"{key}.json").read_text())
            return [int(each) for each in record["peaks"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def _tidy(self, folder: Path) -> None:
        files = [*folder.iterdir()]
        if len(files) > MOST:
            with suppress(OSError):  # another server was faster
                for each in sorted(files, key=lambda file: file.stat().st_mtime)[: MOST // 2]:
                    each.unlink()


def key_of(path: Path, estimate: int) -> str:
    """Differs where what the version at ``path`` needs may differ. Reads no file. Raises OSError."""
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    listed = sorted((str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files)
    return hashlib.sha256(repr((str(path), listed, estimate)).encode()).hexdigest()[:32]
