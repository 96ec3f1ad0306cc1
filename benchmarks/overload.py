"""What a server still answers when ten times as much is asked of it as it can: goodput, latency, wrong answers.

    ./dev bench overload [--seconds 10] [--rounds 3] [--api REST]

The model takes about 20 ms of one core for each row. The server has one core, the generator (``unstuck bench``)
another. The peak is the most that callers in closed loops get answered; then ten times as many requests come a second,
whether or not earlier ones were answered. Both are measured in turn, so that a busy machine harms both alike. Meanwhile
somebody checks answers one by one, and asks for the server's health.
"""

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from unstuck.testing.background import Background

TIMES = 10
CALLERS = (8, 32, 64)
LEAST_GOODPUT = 0.9
START_TIMEOUT_S = 120
MOST_PEAK_S = 15
TIMEOUT_S = 30
REFUSED = 503


@dataclass(frozen=True)
class Load:
    """One measurement, as the generator counted it: a second, and milliseconds of the calls that were answered."""

    offered: float
    answered: float
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]


@dataclass
class Server:
    """``unstuck serve`` of the model, on one core."""

    process: subprocess.Popen[str]
    rest: str
    grpc: str
    log: list[str] = field(default_factory=list)

    def target(self, api: str) -> str:
        return f"{self.rest}/v1/models/m" if api == "REST" else f"grpc://{self.grpc}/m"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="length of one measurement under overload")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of the peak and under overload")
    parser.add_argument("--api", choices=("REST", "gRPC"), action="append", help="which to measure (both)")
    options = parser.parse_args()
    reached = True
    with tempfile.TemporaryDirectory() as folder:
        model = export(Path(folder))
        for api in options.api or ("REST", "gRPC"):
            with serving(model) as server, Checker(server.rest) as checker:
                kept = goodput(server, api, checker, options.seconds, options.rounds)
            print(checker, flush=True)
            reached &= kept >= LEAST_GOODPUT and not checker.wrong
    sys.exit(not reached)


def goodput(server: Server, api: str, checker: "Checker", seconds: float, rounds: int) -> float:
    """Prints what is measured; returns the share of the peak that is answered under overload, the median of rounds.

    What the checker gets counts as well, of the peak and of what is kept: it is one caller of some ten there, and one
    of hundreds here.
    """
    target, shares = server.target(api), []
    measure(target, "--concurrency=8", seconds=3)  # so that the server learns how long calls take
    for number in range(rounds):
        peaks = [
            checker.beside(measure, target, f"--concurrency={callers}", seconds=min(seconds / 2, MOST_PEAK_S))
            for callers in CALLERS
        ]
        peak = max(each.answered for each in peaks)
        load = checker.beside(measure, target, f"--rate={TIMES * peak:.0f}", "--connections=4096", seconds=seconds)
        shares.append(load.answered / peak)
        print(f"{api} round {number + 1}: peak {peak:.1f} answers/s ({_listed(peaks)} at {CALLERS} callers); "
              f"offered {load.offered:.0f}/s, answered {load.answered:.1f}/s, {shares[-1]:.0%} of it, "
              f"p50 {load.p50_ms:.0f} ms, p99 {load.p99_ms:.0f} ms; {load.errors}", flush=True)  # fmt: skip
    kept = statistics.median(shares)
    print(f"{api}: {kept:.0%} of the peak is kept at {TIMES} times the capacity (at least {LEAST_GOODPUT:.0%}).")
    return kept


def _listed(loads: Sequence[Load]) -> str:
    return ", ".join(f"{each.answered:.1f}" for each in loads)


def cores() -> tuple[int, int]:
    """The server's, and everybody else's; the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def export(folder: Path) -> Path:
    """The model, and beside it ``other``, half_plus_two; on the server's core, which says how much work 20 ms are."""
    m, other = (f"pathlib.Path({str(folder / name)!r})" for name in ("m", "other"))
    code = "import pathlib; from unstuck.testing import faulty_models, models; "
    code += f"faulty_models.laborious({m}); models.half_plus_two({other})"
    subprocess.run([*_pinned(cores()[0]), "-c", code], check=True, capture_output=True, timeout=START_TIMEOUT_S)
    return folder / "m"


@contextmanager
def serving(model: Path, *more: str) -> Iterator[Server]:
    """A server that is ready; ``more`` are flags and further models."""
    where = ("--host=127.0.0.1", "--rest_api_port=auto", "--port=auto")
    command = [*_pinned(cores()[0]), "-m", "unstuck", "serve", f"m={model}", *where, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield _ready(process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_TIMEOUT_S)


def _ready(process: subprocess.Popen[str]) -> Server:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ready"):
            break
    text = "".join(lines)
    rest, grpc = re.search(r"REST\s+(http://\S+)", text), re.search(r"gRPC\s+(\S+:\d+)", text)
    if rest is None or grpc is None:
        raise SystemExit(f"The server did not come into service:\n{text}")
    server = Server(process, rest[1], grpc[1], lines)
    threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True).start()
    return server


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core), sys.executable]


def measure(target: str, *flags: str, seconds: float) -> Load:
    """One run of ``unstuck bench``, on the generator's core."""
    command = [*_pinned(cores()[1]), "-m", "unstuck", "bench", target, *flags, f"--duration={seconds:g}"]
    done = subprocess.run([*command, "--warmup=1", "--format=json"], check=False, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"unstuck bench {target} failed:\n{done.stderr}")
    (level,) = json.loads(done.stdout)["levels"]
    latency = level["latency_ms"]
    return Load(
        (level["calls"] - level["not_sent"]) / level["seconds"],
        level["requests_per_second"],
        latency["p50"],
        latency["p99"],
        level["errors"],
    )


class Checker(Background):
    """Checks answers one by one while others make the load, and how fast the server tells of its health.

    Attributes:
        outcomes: of calls: ``right``, ``refused`` as it should be, or what was wrong.
        health_s: how long each look at ``/healthz`` and ``/readyz`` took.
    """

    def __init__(self, rest: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self._right_at: list[float] = []
        self.health_s: list[float] = []
        self._host = urlsplit(rest).netloc
        super().__init__(partial(self._predict, 0), partial(self._predict, 1), self._health)

    @property
    def wrong(self) -> dict[str, int]:
        return {what: count for what, count in self.outcomes.items() if what not in ("right", "refused")}

    def __str__(self) -> str:
        longest_ms = max(self.health_s, default=0) * 1000
        return (
            f"Checked: {dict(self.outcomes)}; health was told {len(self.health_s)} times, within {longest_ms:.0f} ms."
        )

    def beside(self, measure: Callable[..., Load], *what: str, seconds: float) -> Load:
        """What ``measure`` counts, and beside it what was answered here in the same time.

        That time is taken to end a second before ``measure`` does, as the last answers of its load come late, and its
        load begins a second before it counts.
        """
        load = measure(*what, seconds=seconds)
        end = time.perf_counter() - 1
        here = sum(end - seconds <= each < end for each in self._right_at) / seconds
        return replace(load, answered=load.answered + here)

    def _predict(self, number: int) -> None:
        x = float(number)
        with closing(http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)) as connection:
            while not self.done.is_set():
                x += 2
                try:
                    outcome = _checked(connection, x)
                    self.outcomes[outcome] += 1
                    if outcome == "right":
                        self._right_at.append(time.perf_counter())
                except (OSError, http.client.HTTPException) as error:
                    self.outcomes[f"broken: {error!r}"] += 1
                    connection.close()

    def _health(self) -> None:
        with closing(http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)) as connection:
            while not self.done.wait(0.2):
                for path in ("/healthz", "/readyz"):
                    began = time.perf_counter()
                    connection.request("GET", path)
                    response = connection.getresponse()
                    response.read()
                    self.health_s.append(time.perf_counter() - began)
                    if response.status != 200:
                        self.outcomes[f"{path} says {response.status}"] += 1


def _checked(connection: http.client.HTTPConnection, x: float) -> str:
    """One call, and what came of it."""
    connection.request("POST", "/v1/models/m:predict", json.dumps({"instances": [x]}))
    response = connection.getresponse()
    document = json.loads(response.read())
    if response.status == 200:
        return "right" if document == {"predictions": [x / 2 + 2]} else f"wrong: {document} for {x}"
    tells = response.status == REFUSED and document["error"] and response.getheader("x-unstuck-cause")
    if not tells or int(response.getheader("retry-after") or 0) < 1:
        return f"unclear: {response.status} {document}"
    time.sleep(0.02)
    return "refused"


if __name__ == "__main__":
    main()
