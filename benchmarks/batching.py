"""What continuous batching gains under load, and costs a lone caller: ``--batching=auto`` beside ``--batching=off``.

    ./dev bench batching [--seconds 3] [--pairs 10] [--starts 5]

The model is of dense layers whose weights do not fit into the processor's cache: a run takes some milliseconds, nearly
all of it to read them, so that many rows take little longer than one. ``unstuck bench`` makes the load, from a process
of its own on the same cores. The two servers run side by side and are measured in turn: only the ratios mean something.
They are started several times, now one first and now the other: of two equal servers one may take 7% longer, for where
in memory its weights came to be.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import servers

ADDRESSES = {"REST": r"REST\s+(http://\S+)", "gRPC": r"gRPC\s+(\S+:\d+)"}
PATHS = {"REST": "{}/v1/models/dense", "gRPC": "grpc://{}/dense"}
CONCURRENCY = 64
LEAST_GAIN = 3.0  # of requests/s
MOST_COST = 1.10  # of the median latency of a lone caller
WARMING_SECONDS = 2

Pair = tuple[tuple[float, float], tuple[float, float]]  # batched and not: requests/s, and the median latency in ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="length of one measurement")
    parser.add_argument("--pairs", type=int, default=10, help="measurements of each server for one figure")
    parser.add_argument("--starts", type=int, default=5, help="of both servers; the pairs are divided among them")
    parser.add_argument("--model", type=Path, help="another model than the dense layers, named dense")
    options = parser.parse_args()
    reached = True
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        servers.export(work)
        model = options.model or work / "dense"
        for api in ADDRESSES:
            reached &= _compare(api, model, options.seconds, options.pairs, options.starts)
    sys.exit(not reached)


def _compare(api: str, model: Path, seconds: float, pairs: int, starts: int) -> bool:
    under_load: list[Pair] = []
    alone: list[Pair] = []
    for number in range(starts):
        order = ("auto", "off") if number % 2 == 0 else ("off", "auto")
        with ExitStack() as stack:
            targets = {batching: _started(stack, api, model, batching) for batching in order}
            for target in targets.values():
                _measure(target, CONCURRENCY, WARMING_SECONDS)
            for _ in range(len(range(number, pairs, starts))):
                under_load.append(_pair(targets, CONCURRENCY, seconds))
                alone.append(_pair(targets, 1, seconds))
    gain = statistics.median(auto[0] / off[0] for auto, off in under_load)
    cost = statistics.median(auto[1] / off[1] for auto, off in alone)
    _show(f"{api}, {CONCURRENCY} callers", under_load)
    _show(f"{api}, 1 caller", alone)
    print(f"{api}: {gain:.2f} times the requests/s at {CONCURRENCY} callers (at least {LEAST_GAIN:g}); "
          f"{cost:.2f} times the median latency of a lone one (at most {MOST_COST:.2f}).", flush=True)  # fmt: skip
    return gain >= LEAST_GAIN and cost <= MOST_COST


def _started(stack: ExitStack, api: str, model: Path, batching: str) -> str:
    """A server's address, as ``unstuck bench`` takes it."""
    ports = ("--rest_api_port=auto", "--port=0") if api == "REST" else ("--rest_api_port=0", "--port=auto")
    server = servers.unstuck(model, *ports, f"--batching={batching}", "--model_name=dense", address=ADDRESSES[api])
    return PATHS[api].format(stack.enter_context(server))


def _pair(targets: Mapping[str, str], concurrency: int, seconds: float) -> Pair:
    measured = {batching: _measure(target, concurrency, seconds) for batching, target in targets.items()}
    return measured["auto"], measured["off"]


def _show(what: str, measured: Sequence[Pair]) -> None:
    for number, batching in enumerate(("auto", "off")):
        rates, medians = zip(*(pair[number] for pair in measured), strict=True)
        rate, p50 = statistics.median(rates), statistics.median(medians)
        print(f"{what:16} --batching={batching:4} {rate:8,.0f} requests/s ({min(rates):,.0f}-{max(rates):,.0f}), "
              f"p50 {p50:7.2f} ms", flush=True)  # fmt: skip


def _measure(target: str, concurrency: int, seconds: float) -> tuple[float, float]:
    """Requests/s, and the median latency in ms.

    Raises:
        SystemExit: calls failed.
    """
    flags = (f"--concurrency={concurrency}", f"--duration={seconds}", "--warmup=0.5", "--format=json")
    command = [sys.executable, "-m", "unstuck", "bench", target, *flags]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"unstuck bench {target} failed:\n{done.stdout}\n{done.stderr}")
    (level,) = json.loads(done.stdout)["levels"]
    return level["requests_per_second"], level["latency_ms"]["p50"]


if __name__ == "__main__":
    main()
