"""A server at 70% of its capacity while versions are swapped and bad requests come: nothing fails, and nothing leaks.

UNSTUCK_SOAK_S=120 makes the long one take two minutes instead of ten.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import httpx
import pytest
from traffic import MODEL, PREDICT, TIMEOUT_S, Traffic, export, remove, rss_bytes, until

from unstuck.testing.background import Background

SOAK_S = float(os.environ.get("UNSTUCK_SOAK_S", "600"))
FIRST_S = 60.0
SHARE = 0.7  # of its capacity
GROWTH = 1.05
SWAP_EVERY_S = 10.0
WEIGHT_BYTES = 8 << 20
FLAGS = ["--warmup", "0.2", "--timeout", "60", "--connections", "64", "--format", "json"]
WINDOW = 15  # memory is the median of so many looks, a second apart: a swap holds two versions for a moment

BAD = [
    ("POST", f"/v1/models/{MODEL}:predict", b"{", 400),
    ("POST", f"/v1/models/{MODEL}:predict", b'{"instances": ["a"]}', 400),
    ("POST", f"/v1/models/{MODEL}:predict", b'{"instances": [{"z": 1}]}', 400),
    ("POST", f"/v1/models/{MODEL}/versions/99999:predict", b'{"instances": [1]}', 404),
    ("POST", "/v1/models/other:predict", b'{"instances": [1]}', 404),
    ("GET", "/v1/nothing", None, 400),
]
BAD_RPC = b"\x0a\x03\x0a\x01m\x12\xff\xff"  # a message that is cut off


class Server:
    """``unstuck serve`` as a process."""

    def __init__(self, base: Path, log: Path) -> None:
        command = [sys.executable, "-m", "unstuck", "serve", str(base), "--rest_api_port=auto", "--port=auto"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "--host=127.0.0.1", "--file_system_poll_wait_seconds=1"], stdout=out, stderr=out
            )
        until(lambda: "Ready." in log.read_text() or self.process.poll() is not None)
        said = {line.split()[0]: line.split()[1] for line in log.read_text().splitlines() if len(line.split()) > 1}
        self.url, self.address = said["REST"], said["gRPC"]

    def targets(self) -> tuple[str, str]:
        return f"{self.url}/v1/models/{MODEL}", f"grpc://{self.address}/{MODEL}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    export(tmp_path / MODEL, 1, WEIGHT_BYTES)
    started = Server(tmp_path / MODEL, tmp_path / "log")
    yield started
    started.process.terminate()
    assert started.process.wait(TIMEOUT_S) == 0


class Load:
    """``unstuck bench`` in pieces, each at 70% of what was measured just before it, over REST and gRPC; in a block.

    Other work on the machine changes its capacity: 70% of what it was a while ago may be more than it has now.
    """

    def __init__(self, server: Server, folder: Path, piece_s: float, measured_s: float) -> None:
        self.levels: list[Any] = []
        self.rates: list[int] = []
        self._targets = server.targets()
        self._folder = folder
        self._piece_s = piece_s
        self._measured_s = measured_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            measured = self._put(self._measured_s, "--concurrency", "16")
            self.rates.append(round(SHARE * sum(each["requests_per_second"] for each in measured) / 2))
            self.levels += measured + self._put(self._piece_s, "--rate", str(self.rates[-1]))

    def _put(self, seconds: float, *load: str) -> list[Any]:
        flags = [*load, *FLAGS, "--duration", f"{seconds:g}", "--output"]
        files = [self._folder / f"bench-{number}.json" for number, _ in enumerate(self._targets)]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "unstuck", "bench", target, *flags, str(file)], stdout=subprocess.DEVNULL
            )
            for target, file in zip(self._targets, files, strict=True)
        ]
        for each in processes:
            each.wait()
        return [json.loads(each.read_text())["levels"][0] for each in files]


class BadCalls(Background):
    """Calls that are refused, all the time, in a block; ``unlike`` are those that were answered otherwise."""

    def __init__(self, server: Server) -> None:
        self.sent = 0
        self.unlike: Counter[str] = Counter()
        self._server = server
        super().__init__(self._send_all)

    def _send_all(self) -> None:
        with (
            httpx.Client(timeout=TIMEOUT_S, verify=False) as client,
            grpc.insecure_channel(self._server.address) as channel,
        ):
            while not self.done.wait(0.05):
                for method, path, body, expected in BAD:
                    answer = client.request(method, self._server.url + path, content=body)
                    self._count(answer.status_code == expected and "error" in answer.json(), f"{path}: {answer.text}")
                try:
                    channel.unary_unary(PREDICT)(BAD_RPC, timeout=TIMEOUT_S)
                    self._count(False, "a torn message was answered")
                except grpc.RpcError as error:
                    code: Any = error.code()
                    self._count(code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL), str(error))

    def _count(self, is_right: bool, otherwise: str) -> None:
        self.sent += 1
        if not is_right:
            self.unlike[otherwise] += 1


def soak(server: Server, folder: Path, seconds: float, load: Load, swap_every_s: float) -> list[int]:
    """Returns the server's memory in bytes, second by second; all calls were answered right, or refused as is right."""
    base, held, version = folder / MODEL, [], 1
    with load, Traffic(server.url, server.address) as traffic, BadCalls(server) as bad:
        began = swapped = time.monotonic()
        while time.monotonic() < began + seconds:
            if time.monotonic() > swapped + swap_every_s:
                version, swapped = version + 1, time.monotonic()
                export(base, version, WEIGHT_BYTES)
                until(lambda: traffic.latest == version)  # noqa: B023
                remove(base / str(version - 1))
            httpx.get(f"{server.url}/metrics", timeout=TIMEOUT_S, verify=False).raise_for_status()
            httpx.get(f"{server.url}/statusz", timeout=TIMEOUT_S, verify=False).raise_for_status()
            held.append(rss_bytes(server.process.pid))
            time.sleep(1)
    said = {
        "rates": load.rates,
        "answered": sum(each["answered"] for each in load.levels),
        "worst_p99_ms": max(each["latency_ms"]["p99"] for each in load.levels),
        "checked": len(traffic.answers),
        "refused": bad.sent,
        "versions": version,
        "mib": [each >> 20 for each in held[:: max(len(held) // 40, 1)]],
        "machine_load": os.getloadavg(),
    }
    print(json.dumps(said))
    assert traffic.failures == []
    assert not bad.unlike
    assert [each["errors"] for each in load.levels] == [{}] * len(load.levels)
    assert min(each["answered"] for each in load.levels) > 0
    assert {each.version for each in traffic.answers} == set(range(1, version + 1))
    return held


@pytest.mark.slow
def test_a_short_while_at_70_percent(server, tmp_path):
    soak(server, tmp_path, 4, Load(server, tmp_path, piece_s=3, measured_s=1), swap_every_s=2)


@pytest.mark.slow
@pytest.mark.timeout(SOAK_S + 300)
def test_ten_minutes_at_70_percent_take_no_more_memory_than_the_first(server, tmp_path):
    assert SOAK_S >= 2 * FIRST_S, "too short to show anything"
    held = soak(server, tmp_path, SOAK_S, Load(server, tmp_path, piece_s=20, measured_s=2), SWAP_EVERY_S)
    # A look is taken every second, and later where a swap takes time.
    first = median(held[(at := round(len(held) * FIRST_S / SOAK_S)) : at + WINDOW])
    last = median(held[-WINDOW:])
    assert last <= GROWTH * first, f"{first / 2**20:.0f} MiB after a minute, {last / 2**20:.0f} MiB at the end"
