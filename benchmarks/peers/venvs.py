"""A virtual environment a peer, outside of the repository, with the versions pinned in ``requirements/``."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unstuck-bench"
# PyTriton brings an interpreter of its own, which a newer patch release's standard library may be too new for.
INTERPRETERS = ("/usr/bin/python3.11", "python3.11", sys.executable)


def python(peer: str) -> Path:
    """The interpreter of the peer's environment, which is made if it is not there or its requirements have changed."""
    folder = CACHE / "venvs" / peer
    stamp, wanted = folder / ".installed", _pinned(peer)
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"Installing {peer} into {folder} (once; about 2 GB) …", file=sys.stderr, flush=True)
        _install(peer, folder)
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def versions(peer: str) -> list[str]:
    """``name==version`` of what is pinned for the peer."""
    return [line for line in _pinned(peer).splitlines() if "==" in line]


def _pinned(peer: str) -> str:
    return (REQUIREMENTS / "tensorflow.txt").read_text() + (REQUIREMENTS / f"{peer}.txt").read_text()


def _install(peer: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    interpreter = next(found for each in INTERPRETERS if (found := shutil.which(each)))
    _run([interpreter, "-m", "venv", "--without-pip", str(folder)])
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    _run([*pip, "install", "--quiet", "--no-compile", "-r", str(REQUIREMENTS / f"{peer}.txt")])


def _run(command: Sequence[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(command, env=environment, check=False).returncode:
        raise SystemExit(f"Failed: {' '.join(command)}")
