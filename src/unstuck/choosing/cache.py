"""Keeps conversions, and why there is none, in a folder that servers share.

    FOLDER/KEY.onnx    the model
    FOLDER/KEY.json    why there is none
    FOLDER/KEY.lock    held by the server that converts
    FOLDER/KEY.partial what it converts in, or what a killed server left

The key is a hash of the SavedModel's files, the signature, and the versions of the tools.
"""

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from unstuck.choosing.conversion import Cancelled, Limits, NotConverted
from unstuck.errors import SetupError

PARTIAL = ".partial"
KEPT_UNUSED_S = 30 * 24 * 3600
MORE_MEMORY = 2.0  # times what was too little, before a conversion is tried again
_PARTS = ("saved_model.pb", "saved_model.pbtxt", "variables", "assets")  # what a signature's answers depend on
_CHUNK = 1 << 20
_LOOK_S = 0.2

Make = Callable[[Path], None]


class Conversions:
    """Thread-safe, and safe beside other processes with the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str, limits: Limits, make: Make, cancelled: threading.Event) -> Path:
        """The ONNX model of ``key``, made if there is none.

        Args:
            key: of ``key_of``.
            limits: what ``make`` may take.
            make: writes the model into the file that it is given, in a folder of its own.
            cancelled: ends the wait for another server that makes it.

        Raises:
            NotConverted: by ``make``, now or at an earlier time.
            Cancelled: ``cancelled`` was set meanwhile.
            SetupError: the folder cannot be written.
        """
        model, refusal = self._folder / f"{key}.onnx", self._folder / f"{key}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tidy()
            with _locked(self._folder / f"{key}.lock", cancelled):
                _check_refusal(refusal, limits)
                if not model.is_file():
                    _make(model, refusal, make)
                os.utime(model)
        except OSError as error:
            raise SetupError(f"Conversions cannot be kept in {self._folder}: {error.strerror or error}.") from error
        return model

    def _tidy(self) -> None:
        """Removes what nobody used for long."""
        for each in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another server was faster
                if time.time() - each.stat().st_mtime > KEPT_UNUSED_S:
                    shutil.rmtree(each) if each.is_dir() else each.unlink()


def key_of(saved_model: Path, tags: Sequence[str], signature: str, versions: Mapping[str, str]) -> str:
    """Differs where the conversion may differ. Reads all of the model's files."""
    digest = hashlib.sha256(repr((sorted(tags), signature, sorted(versions.items()))).encode())
    for path in _files(saved_model):
        digest.update(f"\0{path.relative_to(saved_model)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:32]


def _files(saved_model: Path) -> list[Path]:
    found = [each for part in _PARTS for each in (saved_model / part, *(saved_model / part).rglob("*"))]
    return sorted(each for each in found if each.is_file())


def _check_refusal(refusal: Path, limits: Limits) -> None:
    if refusal.is_file():
        said = json.loads(refusal.read_text())
        os.utime(refusal)
        if limits.memory_bytes < MORE_MEMORY * said["memory_bytes"] or not said["memory_bytes"]:
            raise NotConverted(f"{said['reason']} (as it was found before)", memory_bytes=said["memory_bytes"])
        refusal.unlink()


def _make(model: Path, refusal: Path, make: Make) -> None:
    folder = model.with_suffix(PARTIAL)
    shutil.rmtree(folder, ignore_errors=True)  # of a server that was killed
    folder.mkdir()
    partial = folder / model.name
    try:
        make(partial)
        partial.replace(model)
    except NotConverted as error:
        if error.is_lasting:
            partial.write_text(json.dumps({"reason": str(error), "memory_bytes": error.memory_bytes}))
            partial.replace(refusal)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path, cancelled: threading.Event) -> Generator[None]:
    """The system releases the lock of a process that was killed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled.wait(_LOOK_S):
                    raise Cancelled from None
        os.utime(path)
        yield
    finally:
        os.close(descriptor)
