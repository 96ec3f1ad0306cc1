"""REST throughput of one process beside an echo of the same stack, and what a large JSON image costs.

    ./dev bench rest [--seconds 4] [--rounds 5]

Needs ``wrk``. The echo runs in the same front end, reads the same body and answers a constant of the same size: what is
left above it is JSON, checks, TensorFlow and our own code. Servers are measured in turn, the medians of all rounds
compared; on a busy machine only the ratios mean something.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks import servers

CONCURRENCIES = (1, 32, 128)
IMAGE = (1, 224, 224, 3)
IMAGE_REQUESTS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="length of one wrk run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each server and concurrency")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("The benchmark needs wrk (Debian: apt-get install wrk).")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        servers.export(work)
        throughput(work, options.seconds, options.rounds)
        image(work)


def throughput(work: Path, seconds: int, rounds: int) -> None:
    """Prints requests/s and p99 of the small MLP (64 -> 128 -> 128 -> 10), one row a request, and of the echo."""
    draw = random.Random(0).random
    body = json.dumps({"instances": [[round(draw(), 4) for _ in range(64)]]}).encode()
    with ExitStack() as stack:
        server = stack.enter_context(_unstuck(work / "mlp"))
        answer = _post(f"{server}/v1/models/mlp:predict", body)
        echo = stack.enter_context(_echo(len(answer)))
        urls = {"unstuck": f"{server}/v1/models/mlp:predict", "echo": f"{echo}/"}
        script = work / "post.lua"
        script.write_text(f"wrk.method = 'POST'\nwrk.body = '{body.decode()}'\n")
        for url in urls.values():
            _wrk(url, 32, 2, script)  # warm: the server learns that the calls are short
        print(f"MLP 64-128-128-10, one row, {os.cpu_count()} cores shared with wrk; {rounds} x {seconds} s, medians")
        servers.compare(
            "connections", CONCURRENCIES, urls, rounds, lambda url, connections: _wrk(url, connections, seconds, script)
        )


def image(work: Path) -> None:
    """Prints what a 224x224x3 JSON image costs beside the model's own time."""
    from unstuck.engines.tensorflow import ENGINE

    pixels = np.random.default_rng(0).random(IMAGE, np.float32)
    body = json.dumps({"instances": np.round(pixels, 4).tolist()}).encode()
    servable = ENGINE.loader(work / "image" / "1").load()
    signature = servable.signatures["serving_default"]
    alone = _median_ms(lambda: servable.run(signature, {"image": pixels}))
    with _unstuck(work / "image") as server, _echo(64) as echo:
        ours, theirs = _kept_connection(server), _kept_connection(echo)
        whole = _median_ms(lambda: _post_on(ours, "/v1/models/image:predict", body))
        transport = _median_ms(lambda: _post_on(theirs, "/", body))
    print(f"\nJSON image {IMAGE}, {len(body):,} bytes: request {whole:.1f} ms, model alone {alone:.1f} ms, "
          f"so {whole - alone:.1f} ms beside it; an echo of the same body by the same client takes {transport:.1f} ms, "
          f"so {whole - alone - transport:.1f} ms are ours")  # fmt: skip


def _unstuck(model: Path) -> AbstractContextManager[str]:
    return servers.unstuck(model, "--rest_api_port=auto", address=r"REST\s+(http://\S+)")


@contextmanager
def _echo(size: int) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.echo", str(port), str(size)])
    try:
        deadline = time.monotonic() + servers.START_TIMEOUT_S
        while True:
            try:
                _post(f"http://127.0.0.1:{port}/", b"x")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _post(url: str, body: bytes) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=30) as response:
        return response.read()


def _kept_connection(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)


def _post_on(connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
    connection.request("POST", path, body)
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"HTTP {response.status} from {path}: {response.read()!r}")
    response.read()


def _wrk(url: str, connections: int, seconds: int, script: Path) -> servers.Measurement:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"errors from {url}:\n{output}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    assert rate is not None
    assert p99 is not None
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]


def _median_ms(call) -> float:
    times = []
    for _ in range(IMAGE_REQUESTS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[5:])


if __name__ == "__main__":
    main()
