"""Copies of remote versions in a local folder, which several servers may share.

    FOLDER/NAME-HASH/VERSION-HASH/VERSION    a copy; the hashes say of which base path, and of which files
                                 /partial    what is being copied, or what a killed server left

A server holds a shared lock on VERSION-HASH for as long as it uses the copy, and an exclusive one while it makes or
removes it. The system releases the locks of a process that was killed.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from unstuck.core.locations import cache_folder
from unstuck.errors import SetupError
from unstuck.lifecycle.source import Files, VersionPath

PARTIAL = "partial"
KEPT_UNUSED_S = 7 * 24 * 3600  # copies for base paths that are served no more, or by a server that is not running
LOCK_WAIT_S = 0.1

_BASE = re.compile(r".*-[0-9a-f]{16}")
_SLOT = re.compile(r"([0-9]+)-[0-9a-f]{16}")


class _Lock:
    """Held until it is released, or nothing refers to it any more."""

    def __init__(self, descriptor: int) -> None:
        self.release = weakref.finalize(self, os.close, descriptor)


class ModelCache:
    """Thread-safe, and safe beside other processes with the same folder."""

    def __init__(self, folder: Path | None) -> None:
        """``folder``: None for ``unstuck`` in $XDG_CACHE_HOME, which is ``~/.cache`` by default."""
        self._given = folder

    def copy(
        self, base: str, version: int, files: Files, make: Callable[[Path], None], wait: Callable[[], None]
    ) -> VersionPath:
        """The copy of ``files``, made if there is none; it stays for as long as the result is referred to.

        Args:
            base: the base path that has the version.
            version: its number.
            files: tells a copy of what is there now from an older one.
            make: writes the files into the folder that it is given.
            wait: called again and again while another server makes the copy; may raise.

        Raises:
            SetupError: the cache cannot be written.
        """
        slot = self._folder() / _key(base) / f"{version}-{_hash(repr(files))}"
        model = slot / str(version)
        while True:
            self._create(slot)
            lock = _lock(slot, fcntl.LOCK_SH if model.is_dir() else fcntl.LOCK_EX)
            if lock is None:
                wait()
                time.sleep(LOCK_WAIT_S)
            elif not model.is_dir():
                try:
                    _make(model, make)
                finally:
                    lock.release()
            else:
                os.utime(slot)
                for other in _matching(slot.parent, _SLOT):
                    if other != slot and _version(other) == version:
                        _remove(other)
                return VersionPath(version, model, lock)

    def tidy(self, wanted: Mapping[str, Collection[int]]) -> None:
        """Removes unused copies: of these base paths' other versions, and of any that nobody wanted for a week.

        Args:
            wanted: by base path, the versions that are to be served.
        """
        versions = {_key(base): numbers for base, numbers in wanted.items()}
        folder = self._folder()
        for slot in (slot for base in _matching(folder, _BASE) for slot in _matching(base, _SLOT)):
            try:
                if _version(slot) in versions.get(slot.parent.name, ()):
                    os.utime(slot)
                elif slot.parent.name in versions or time.time() - slot.stat().st_mtime > KEPT_UNUSED_S:
                    _remove(slot)
            except FileNotFoundError:  # another server was faster
                continue

    def _folder(self) -> Path:
        return cache_folder(self._given)

    def _create(self, slot: Path) -> None:
        try:
            slot.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, FileExistsError) and (slot.is_dir() or not os.path.lexists(slot)):
                return  # other servers remove and make it meanwhile
            raise SetupError(f"The copy {slot} cannot be written: {error.strerror}.", hint=_NAME_ONE) from None


_NAME_ONE = "Name a folder for them: --model_cache_dir=FOLDER."


def _make(model: Path, make: Callable[[Path], None]) -> None:
    """With the slot locked. A copy that is there is whole: a crash of the machine leaves no empty files, either."""
    partial = model.with_name(PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        make(partial)
        _write_through(partial)
        partial.rename(model)
        _sync(model.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_through(folder: Path) -> None:
    for top, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(top) / name)
        _sync(Path(top))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(slot: Path, kind: int) -> _Lock | None:
    """None if another has it, or has just removed the slot."""
    try:
        lock = _Lock(descriptor := os.open(slot, os.O_RDONLY | os.O_DIRECTORY))
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), slot.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        raise SetupError(f"The copy {slot} cannot be locked: {error.strerror}.", hint=_NAME_ONE) from None
    lock.release()
    return None


def _remove(slot: Path) -> None:
    """Unless it is used."""
    lock = _lock(slot, fcntl.LOCK_EX)
    if lock is not None:
        shutil.rmtree(slot, ignore_errors=True)
        lock.release()


def _matching(folder: Path, names: re.Pattern[str]) -> list[Path]:
    return [each for each in folder.iterdir() if names.fullmatch(each.name)] if folder.is_dir() else []


def _version(slot: Path) -> int:
    return int(slot.name.partition("-")[0])


def _key(base: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", base.rpartition("/")[2])[:40]
    return f"{name}-{_hash(base)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
