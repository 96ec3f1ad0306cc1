"""``unstuck serve --workers=N`` as its users run it, and clients of ours that call it all the time."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from traffic import until

from unstuck import Client
from unstuck.testing.background import Background

TIMEOUT_S = 90
NOTICED_S = 2.0


def get(url: str) -> httpx.Response:
    """Over a connection of its own; without reading the system's certificates, which takes longer than the answer."""
    return httpx.get(url, timeout=TIMEOUT_S, verify=False)


class Workers:
    """``unstuck serve --workers=N`` as its users run it."""

    def __init__(
        self,
        folder: Path,
        *arguments: Any,
        workers: int = 2,
        within: Callable[[Sequence[str]], Sequence[str]] = lambda command: command,
    ) -> None:
        """Starts them, and waits until all serve.

        Args:
            folder: for what they write to stdout and stderr.
            arguments: of ``unstuck serve``.
            workers: how many.
            within: makes of a command one that runs it with limits.
        """
        self.out, self.err = folder / "stdout", folder / "stderr"
        flags = ["--rest_api_port=auto", "--port=auto", "--host=127.0.0.1"]
        command = [sys.executable, "-m", "unstuck", "serve", *map(str, arguments), f"--workers={workers}", *flags]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(within(command), stdout=out, stderr=err, start_new_session=True)
        self._workers = workers
        self.until(lambda: "Ready." in self.out.read_text())
        self.url = re.findall(r"REST +(http://\S+)", self.out.read_text())[0]
        self.address = re.findall(r"gRPC +(\S+:\d+)", self.out.read_text())[0]
        self.until(self.all_serve)

    def until(self, wanted: Callable[[], Any]) -> float:
        """Waits until ``wanted``; returns how long that took."""
        began = time.monotonic()
        while not wanted():
            assert self.process.poll() is None, f"it ended early:\n{self.said}"
            assert time.monotonic() < began + TIMEOUT_S, f"it did not come about in time:\n{self.said}"
            time.sleep(0.02)
        return time.monotonic() - began

    @property
    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def status(self) -> Any:
        while True:
            try:
                answer = get(f"{self.url}/statusz")
            except httpx.TransportError:  # of the worker that was just killed
                continue
            if answer.status_code == 200:  # else no worker answered in time, on a busy machine
                return answer.json()

    def workers(self) -> list[Any]:
        return self.status()["server"]["workers"]

    def all_serve(self) -> bool:
        return [each["state"] for each in self.workers()] == ["serving"] * self._workers

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)


class Traffic(Background):
    """Clients of ours that call all the time, in a block; ``outcomes`` counts right answers, wrong ones and errors."""

    def __init__(self, workers: Workers) -> None:
        addresses = [workers.url, workers.url, workers.url, f"grpc://{workers.address}", f"grpc://{workers.address}"]
        self.outcomes: Counter[str] = Counter()
        self.longest_s = 0.0
        super().__init__(*(partial(self._call, address) for address in addresses))

    def _call(self, address: str) -> None:
        with Client(address, model="m", timeout_s=20) as client:
            x = 0.0
            while not self.done.is_set():
                x, began = x + 1, time.monotonic()
                try:
                    y = float(client.predict([[x]])["y"][0, 0])
                    self.outcomes["right" if y == x / 2 + 2 else f"{y} for {x}"] += 1
                except Exception as error:  # noqa: BLE001 - it is what must not happen
                    self.outcomes[f"{type(error).__name__}: {error}"] += 1
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                time.sleep(0.002)


def until_ended(pid: int) -> float:
    """Waits until a process has ended, whoever is to bury it; returns how long that took."""
    stat = Path(f"/proc/{pid}/stat")
    return until(lambda: not stat.exists() or ") Z " in stat.read_text(), 20)
