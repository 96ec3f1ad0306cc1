"""``python -m unstuck.sizing.held [LIMIT…] -- COMMAND…``: takes limits upon itself, then becomes the command.

LIMIT is ``--join=FOLDER`` (a control group), ``--cpus=0,1`` (those it may run on) or ``--data=BYTES`` (of memory that
it may reserve). In a process of its own, as a limit that is set on a child from outside comes after its first steps.
"""

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

SEPARATOR = "--"


def arguments(*, groups: Sequence[Path] = (), cpus: Sequence[int] = (), data_bytes: int | None = None) -> list[str]:
    """The beginning of a command line that is held to these limits."""
    limits = [f"--join={group}" for group in groups]
    if cpus:
        limits.append(f"--cpus={','.join(map(str, cpus))}")
    if data_bytes is not None:
        limits.append(f"--data={data_bytes}")
    return [sys.executable, "-m", "unstuck.sizing.held", *limits, SEPARATOR]


def become(given: Sequence[str]) -> None:
    """Does not return. Raises OSError or ValueError where a limit cannot be had."""
    at = given.index(SEPARATOR)
    for limit in given[:at]:
        _take(*limit.split("=", 1))
    command = given[at + 1 :]
    os.execvp(command[0], list(command))


def _take(name: str, value: str) -> None:
    if name == "--join":
        (Path(value) / "cgroup.procs").write_text(str(os.getpid()))
    elif name == "--cpus":
        os.sched_setaffinity(0, map(int, value.split(",")))
    elif name == "--data":
        resource.setrlimit(resource.RLIMIT_DATA, (int(value), int(value)))
    else:
        raise ValueError(f"{name} is no limit.")


if __name__ == "__main__":
    become(sys.argv[1:])
