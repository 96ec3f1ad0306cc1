"""One process, one worker and two of ``unstuck serve --workers``: requests a second, and memory.

    ./dev bench workers [--seconds 4] [--rounds 3]

The load generator shares the machine: on two cores, two workers can gain little but for a model that computes much. A
worker's memory is what it occupies (resident), and its share of that where each page counts once for all processes that
have it (proportional): the latter add up to what the server takes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import servers

MODELS = ("mlp", "dense")
SERVERS = {"alone": (), "1 worker": ("--workers=1",), "2 workers": ("--workers=2",)}
CALLERS = 32
START_TIMEOUT_S = 120
MEBIBYTE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers.export(Path(folder))
        for model in MODELS:
            measure(Path(folder) / model, options.seconds, options.rounds)


def measure(model: Path, seconds: float, rounds: int) -> None:
    """Prints requests/s of each server, measured in turn, and what its processes take."""
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(
                servers.unstuck(model, *flags, "--rest_api_port=auto", "--port=auto", address=r"REST\s+(http://\S+)")
            )
            for name, flags in SERVERS.items()
        }
        for url in urls.values():
            until_all_serve(url)
        rates: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                rates[name].append(rate(f"{url}/v1/models/{model.name}", seconds))
        print(f"\n{model.name}: {CALLERS} callers, {rounds} x {seconds:g} s, {os.cpu_count()} cores shared with them")
        for name, url in urls.items():
            ratios = [ours / alone for ours, alone in zip(rates[name], rates["alone"], strict=True)]
            median, ratio = statistics.median(rates[name]), statistics.median(ratios)
            spread = f"{min(rates[name]):,.0f}-{max(rates[name]):,.0f}"
            print(f"  {name:10} {median:>9,.0f} requests/s ({spread}), {ratio:.2f} times; {memory(url)}")
        print(f"  load average {os.getloadavg()[0]:.0f}")


def rate(url: str, seconds: float) -> float:
    """Requests that were answered in a second."""
    load = [f"--concurrency={CALLERS}", f"--duration={seconds}", "--warmup=1", "--format=json"]
    done = subprocess.run([sys.executable, "-m", "unstuck", "bench", url, *load], capture_output=True, check=True)
    (level,) = json.loads(done.stdout)["levels"]
    return float(level["requests_per_second"])


def memory(url: str) -> str:
    server = status(url)
    if "workers" not in server:
        return f"{server['memory_bytes'] / MEBIBYTE:,.0f} MiB"
    each = [server["supervisor"], *server["workers"]]
    sizes = [f"{one['memory_bytes'] / MEBIBYTE:,.0f} ({one['shared_bytes'] / MEBIBYTE:,.0f} shared)" for one in each]
    return (
        f"{server['memory_bytes'] / MEBIBYTE:,.0f} MiB together; supervisor {sizes[0]}, workers {', '.join(sizes[1:])}"
    )


def until_all_serve(url: str) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while any(worker["state"] != "serving" for worker in status(url).get("workers", [])):
        if time.monotonic() > end:
            raise SystemExit(f"{url} does not come to serve")
        time.sleep(0.1)


def status(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/statusz", timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())["server"]
    return found


if __name__ == "__main__":
    main()
