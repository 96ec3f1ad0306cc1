"""Runs a conversion in a process of its own, within limits."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from unstuck.choosing import convert
from unstuck.core.process import free_bytes, resident_bytes
from unstuck.errors import SetupError

INSTALL = 'Run: pip install "unstuck[convert]"'
MODULES = ("tf2onnx", "tensorflow", "onnxruntime")
TIME_LIMIT_S = 900.0
SHARE = 0.75  # of the memory that is free when it begins
LEAST_MEMORY = 1 << 30  # TensorFlow and tf2onnx alone take most of it
LOOK_S = 0.05
_CLOSE = 0.8  # of the memory limit: who fails that near to it fails for it
_FULL = ("No space left on device", "Disk quota exceeded")
_MIB = 1 << 20
_DISTRIBUTIONS = {
    "tf2onnx": ("tf2onnx",),
    "onnx": ("onnx",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly"),
}


class NotConverted(Exception):
    """Why there is no ONNX model of a signature.

    Attributes:
        memory_bytes: the limit that it failed for, if it was that.
        is_lasting: whether it would be the same at the next start.
    """

    def __init__(self, reason: str, *, memory_bytes: int = 0, is_lasting: bool = True) -> None:
        super().__init__(reason)
        self.memory_bytes = memory_bytes
        self.is_lasting = is_lasting


class Cancelled(Exception):
    """Nobody needs the result any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a conversion may take."""

    seconds: float = TIME_LIMIT_S
    memory_bytes: int = 0

    @classmethod
    def of_now(cls) -> "Limits":
        """With most of the memory that is free. Raises NotConverted where that is too little to begin."""
        free = free_bytes()
        if free is None:
            return cls(memory_bytes=8 << 30)
        if free * SHARE < LEAST_MEMORY:
            wanted = f"a conversion takes {LEAST_MEMORY // _MIB} MiB and more"
            raise NotConverted(f"{wanted}, and only {free // _MIB} MiB are free", is_lasting=False)
        return cls(memory_bytes=int(free * SHARE))


def check_installed() -> None:
    """Raises SetupError, with the command that installs it, where something that conversions need is missing."""
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        raise SetupError(f"{missing[0]} is not installed, which SavedModels are converted with.", hint=INSTALL)


def tool_versions() -> dict[str, str]:
    """What a conversion's result depends on besides the model."""
    return {"opset": str(convert.OPSET), **{name: _version(*names) for name, names in _DISTRIBUTIONS.items()}}


def command(saved_model: Path, tags: Sequence[str], signature: str) -> list[str]:
    """Runs ``unstuck.choosing.convert``; the place and the memory limit are added by ``run``."""
    return [sys.executable, "-m", convert.__name__, str(saved_model), ",".join(tags), signature]


def run(converter: Sequence[str], out: Path, limits: Limits, cancelled: threading.Event) -> None:
    """Has ``converter`` write ``out``.

    Raises:
        NotConverted: it failed, or took more than ``limits``.
        Cancelled: ``cancelled`` was set meanwhile.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*converter, str(out), str(limits.memory_bytes)],
            stdin=subprocess.PIPE,  # it ends once this is closed, by us or by our death
            stdout=said,
            stderr=log,
            env=_environment(),
            start_new_session=True,
        )
        try:
            peak = _watch(child, limits, cancelled)
        finally:
            _kill(child)
        if child.returncode != 0:
            raise _failed(child.returncode, _text(said), _text(log), peak, limits)
    if not out.is_file():
        raise NotConverted("tf2onnx ended without a model")


def _watch(child: "subprocess.Popen[bytes]", limits: Limits, cancelled: threading.Event) -> int:
    """Waits for its end; the most memory it was seen to take. Raises NotConverted where it takes too much."""
    end, peak = time.monotonic() + limits.seconds, 0
    while child.poll() is None:
        if cancelled.wait(LOOK_S):
            raise Cancelled
        peak = max(peak, resident_bytes(child.pid))
        if peak > limits.memory_bytes:
            raise _too_large(limits)
        if time.monotonic() > end:
            raise NotConverted(f"the conversion takes longer than {limits.seconds:g} s")
    return peak


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """The child and what it started; nothing is left of a child that has ended by itself."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdin:
        child.stdin.close()


def _failed(code: int, said: str, log: str, peak: int, limits: Limits) -> NotConverted:
    if any(word in log for word in ("MemoryError", "bad_alloc")) or peak > _CLOSE * limits.memory_bytes:
        return _too_large(limits)
    if code == -signal.SIGKILL:
        return NotConverted("the conversion was killed, as systems do where memory runs out", is_lasting=False)
    if code < 0:
        return NotConverted(f"tf2onnx crashed ({signal.Signals(-code).name})")
    if full := next((why for why in _FULL if why in said or why in log), ""):
        return NotConverted(f"there is no room for the conversion: {full}", is_lasting=False)
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    return NotConverted(f"tf2onnx failed: {said or last or f'exit status {code}'}"[: convert.SAID])


def _too_large(limits: Limits) -> NotConverted:
    allowed = f"the {limits.memory_bytes // _MIB} MiB that it may take"
    return NotConverted(f"the conversion takes more memory than {allowed}", memory_bytes=limits.memory_bytes)


def _environment() -> dict[str, str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "MALLOC_ARENA_MAX": "2"}
    return {**os.environ, **quiet}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def _version(*distributions: str) -> str:
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return "unknown"
