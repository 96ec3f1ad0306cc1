"""`unstuck serve` of a model on disk, for as long as it is measured."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unstuck.errors import SetupError

NAME = "model"
STOP_S = 15.0
MOST_SAID = 2000
_FLAGS = ("--rest_api_port=auto", "--port=auto", "--host=127.0.0.1")
_FLAG = re.compile(r"(?<![\w-])--[a-z]\w+")
_ADDRESS = {"rest": re.compile(r"REST +(http://\S+)"), "grpc": re.compile(r"gRPC +(\S+:\d+)")}


@dataclass(frozen=True, slots=True)
class Served:
    """A child that serves: the model's URL, its process, and where its REST API is."""

    url: str
    pid: int
    rest: str = ""


@contextmanager
def serving(path: str, api: str, flags: Sequence[str], within: Sequence[str] = ()) -> Generator[Served]:
    """Serves ``path`` on free ports of this machine until the block ends.

    Args:
        path: the model's folder or file, or where else ``unstuck serve`` finds models.
        api: ``rest`` or ``grpc``: which of its URLs is wanted.
        flags: more of ``unstuck serve``.
        within: how the child's command line begins: a program that becomes the rest of it, held to limits.

    Raises:
        SetupError: it does not start; with what it said.
    """
    if "://" not in path and not Path(path).exists():
        raise SetupError(f"{path} does not exist, and is no URL of a served model either.")
    command = [*within, sys.executable, "-m", "unstuck", "serve", f"{NAME}={path}", *_FLAGS, *flags]
    with tempfile.TemporaryFile() as errors:
        # A session of its own: Ctrl-C ends the measurement, which then still asks the server what it used.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        try:
            url, rest = _urls(process, errors, api)
            yield Served(url, process.pid, rest)
        finally:
            _stop(process)


def _urls(process: "subprocess.Popen[str]", errors: IO[bytes], api: str) -> tuple[str, str]:
    assert process.stdout is not None
    said, is_ready = "", False
    while not is_ready and (line := process.stdout.readline()):
        said += line
        is_ready = line.startswith("Ready.")
    found, rest = _ADDRESS[api].search(said), _ADDRESS["rest"].search(said)
    if found is None or not is_ready:
        _stop(process)
        errors.seek(0)
        told = errors.read().decode(errors="replace").strip()[-MOST_SAID:]
        flag = _FLAG.search(told)
        hint = f"Flags for unstuck serve are given as --serve-flag={flag[0]}." if flag else ""
        raise SetupError(f"unstuck serve did not start: {told or said.strip()[-MOST_SAID:]}", hint=hint)
    url = f"{found[1]}/v1/models/{NAME}" if api == "rest" else f"grpc://{found[1]}/{NAME}"
    return url, rest[1] if rest else ""


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
