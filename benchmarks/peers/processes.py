"""A server as a tree of processes: started, its CPU and memory told, stopped. Linux only: all of it is in ``/proc``."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

STOP_TIMEOUT_S = 15
_MARK = "UNSTUCK_BENCH_SERVER"  # in the environment, which children inherit: some servers' leave their parent
_LAST_WORDS = 1000
_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # of the machine's times: user, nice, system, irq, softirq, steal


class ServerProcess:
    """Runs ``command``, its output in the file ``log``."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._token = uuid.uuid4().hex
        self._log = log
        with log.open("wb") as output:
            self._root = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **environment, _MARK: self._token},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self._root.poll() is not None

    def last_words(self) -> str:
        """The end of what it has printed."""
        return self._log.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip()

    def pids(self) -> list[int]:
        """All of its processes."""
        needle = f"{_MARK}={self._token}".encode()
        found: list[int] = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has gone meanwhile
                if needle in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def pause(self) -> None:
        """Stops all of its processes where they are, until ``resume``: some servers compute for nobody."""
        self._send_to_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._send_to_all(signal.SIGCONT)

    def _send_to_all(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """SIGTERM for the first process, SIGKILL for whatever is left of it after a while."""
        self.resume()
        if not self.has_ended:
            self._root.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.pids():
            if time.monotonic() > deadline:
                self._send_to_all(signal.SIGKILL)  # again and again: some are started anew by others
            self._root.poll()
            time.sleep(0.2)
        self._root.wait()


def cpu_s(pids: Sequence[int]) -> float:
    """The CPU time that these processes have used so far."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def machine_cpu_s() -> float:
    """The CPU time that anything on this machine has used so far."""
    times = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(times[field]) for field in _BUSY_FIELDS) / _TICKS


def memory_mib(pids: Sequence[int]) -> tuple[float, float]:
    """RSS, where shared pages count in each process, and PSS, where they count once."""
    rss = pss = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            rss += _kib(text, "Rss")
            pss += _kib(text, "Pss")
    return rss / 1024, pss / 1024


def _kib(text: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+)", text, re.M)
    return int(found[1]) if found else 0


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
