"""Versions in stores elsewhere, in S3 and whatever else fsspec reads: listed there, copied here to be loaded."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from unstuck.core.locations import RemotePath
from unstuck.errors import SetupError
from unstuck.lifecycle.remote_cache import ModelCache
from unstuck.lifecycle.remote_store import UNKNOWN, RemoteFiles, Store, Unreachable
from unstuck.lifecycle.source import VersionPath, is_number, no_numbers, number_of

events = logging.getLogger("unstuck.versions")

STOP_CHECK_S = 0.2


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """One version in a store.

    Attributes:
        version: its number.
        base: the base path that has it.
        folder: its folder's name in there; empty if ``base`` itself is the version.
        is_file: whether it is a file instead of a folder.
        models: copies it.
    """

    version: int
    base: RemotePath
    folder: str
    is_file: bool
    models: "RemoteModels" = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.base}/{self.folder}" if self.folder else str(self.base)

    def files(self) -> RemoteFiles:
        """By one listing. Raises SetupError; Unreachable where it may be told later."""
        return Store(self.base).files(self.folder)

    def has_model(self, files: RemoteFiles) -> bool:
        """Whether ``files`` can be a version; one that is still uploaded may have none yet."""
        return self.is_file or self.models.is_version(name for name, *_ in files)

    @contextmanager
    def skeleton(self) -> Generator[Path, None, None]:
        """As it would be here, but of empty files, for engines to recognise."""
        files = self.files()
        with _skeleton(name for name, *_ in files) as folder:
            yield folder / files[0][0] if self.is_file and files else folder

    def local(self) -> tuple[VersionPath, RemoteFiles]:
        """A copy, made unless there is one. Raises SetupError; Unreachable where it may be had later."""
        return self.models.local(self)


class RemoteModels:
    """Thread-safe."""

    def __init__(self, recognises: Callable[[Path], bool], cache_folder: Path | None = None) -> None:
        """Reads nothing yet.

        Args:
            recognises: whether a local folder is a version, by the names of its files.
            cache_folder: where copies are kept; see ModelCache.
        """
        self._recognises = recognises
        self.cache = ModelCache(cache_folder)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Copies nothing more: what is being copied fails."""
        self._stopping.set()

    def versions(self, base: RemotePath) -> list[RemoteVersion]:
        """The versions in ``base``, oldest first, or the one that it is itself; by one listing.

        Raises:
            SetupError: there is none; Unreachable where it may be told later.
        """
        listed = Store(base).names()
        names = str(base).split("/")
        if not listed:
            raise SetupError(f"{base} does not exist, or has nothing in it.")
        if listed == {"": "file"}:
            return [RemoteVersion(number_of(names[-2]), base, "", True, self)]
        if self.is_version(name for name, kind in listed.items() if kind == "file"):
            return [RemoteVersion(number_of(names[-1]), base, "", False, self)]
        folders = [name for name, kind in sorted(listed.items()) if is_number(name) and kind == "directory"]
        if not folders:
            raise no_numbers(base, listed)
        by_number = {int(name): name for name in folders}  # of 007 and 7 it is 7, as in local folders
        return [RemoteVersion(number, base, by_number[number], False, self) for number in sorted(by_number)]

    def is_version(self, names: Iterable[str]) -> bool:
        """Whether a folder with files of these names is a version."""
        with _skeleton(names) as folder:
            return any(folder.iterdir()) and self._recognises(folder)

    def local(self, found: RemoteVersion) -> tuple[VersionPath, RemoteFiles]:
        """See RemoteVersion. A store may be silent for minutes; a server that stops leaves it to its thread."""
        made: Future[tuple[VersionPath, RemoteFiles]] = Future()

        def work() -> None:
            try:
                made.set_result(self._local(found))
            except BaseException as error:  # noqa: BLE001 - raised below
                made.set_exception(error)

        threading.Thread(target=work, name="unstuck-copy", daemon=True).start()
        while not made.done():
            wait([made], STOP_CHECK_S)
            self._check_stopping()
        return made.result()

    def _local(self, found: RemoteVersion) -> tuple[VersionPath, RemoteFiles]:
        files = found.files()
        if not files:
            raise SetupError(f"{found} is gone.")
        _check_names(found, files)

        def make(folder: Path) -> None:
            self._copy(found, files, folder)
            if found.files() != files:
                raise Unreachable(f"{found} has changed while it was copied.")

        copy = self.cache.copy(str(found.base), found.version, files, make, self._check_stopping)
        if found.is_file:
            copy = VersionPath(copy.version, copy.path / files[0][0], copy.lease)
        return copy, files

    def _copy(self, found: RemoteVersion, files: RemoteFiles, folder: Path) -> None:
        from unstuck.lifecycle.remote_progress import Progress, megabytes  # here, as it imports fsspec

        start, size = time.monotonic(), sum(max(size, 0) for _, size, _ in files)
        names = [name for name, *_ in files]
        sources = [""] if found.is_file else [f"{found.folder}/{name}".lstrip("/") for name in names]
        progress = Progress(str(found), size, self._check_stopping)
        Store(found.base).get(sources, [folder / name for name in names], progress)
        for name, expected, _ in files:
            copied = (folder / name).stat().st_size
            if expected not in (copied, UNKNOWN):
                raise Unreachable(f"{found}/{name} was copied as {copied:,} bytes; it has {expected:,}.")
        took_s = time.monotonic() - start
        events.info("%s: copied %d files, %s, in %.1f s", found, len(files), megabytes(size), took_s)

    def _check_stopping(self) -> None:
        if self._stopping.is_set():
            raise SetupError("The server is stopping.")


@contextmanager
def _skeleton(names: Iterable[str]) -> Generator[Path, None, None]:
    with TemporaryDirectory(prefix="unstuck-") as folder:
        for name in names:
            if _is_safe(name) and "/" not in name:
                (Path(folder) / name).touch()
        yield Path(folder)


def _check_names(found: RemoteVersion, files: RemoteFiles) -> None:
    """Keys of an object store are any text: one may lead out of the folder that it is copied to."""
    for name, *_ in files:
        if not _is_safe(name):
            raise SetupError(f"{found} has a file named {name!r}, which cannot be copied into a folder.")


def _is_safe(name: str) -> bool:
    return "\0" not in name and not any(part in ("", ".", "..") for part in name.split("/"))
