"""What the benchmarks of servers share: the models, a server as a child, medians of servers measured in turn."""

import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 60

Measurement = tuple[float, float]  # requests/s, p99 in ms


def export(work: Path) -> None:
    """In a child: its TensorFlow must not share this process's two cores afterwards."""
    subprocess.run([sys.executable, "-m", "benchmarks.models", str(work)], check=True)


@contextmanager
def unstuck(model: Path, *flags: str, address: str) -> Iterator[str]:
    """``unstuck serve`` of ``model`` on this machine; yields what ``child`` does."""
    with child("unstuck", "serve", str(model), *flags, "--host=127.0.0.1", address=address) as found:
        yield found


@contextmanager
def child(module: str, *arguments: str, address: str) -> Iterator[str]:
    """Runs ``python -m module`` until the block ends; yields the first group of the regex ``address`` in its output."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(address, line):
                yield found[1]
                return
        raise SystemExit(f"{module} ended before it served")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_TIMEOUT_S)


def compare(
    load: str, loads: Iterable[int], servers: Mapping[str, str], rounds: int, measure: Callable[[str, int], Measurement]
) -> None:
    """Prints requests/s and p99 of each server at each of ``loads``, medians of the rounds.

    Args:
        load: what the numbers in ``loads`` count.
        loads: how hard to press.
        servers: their addresses by name; the ratio is the first's requests/s to the second's, round by round.
        rounds: how often each server is measured at each load.
        measure: measures one address at one load.
    """
    print(f"{load:>11}  {'server':8} {'requests/s':>12} {'least-most':>17} {'p99 ms':>8}  ratio")
    for pressed in loads:
        runs: dict[str, list[Measurement]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                runs[name].append(measure(server, pressed))
        first, second = runs
        ratios = [ours[0] / theirs[0] for ours, theirs in zip(runs[first], runs[second], strict=True)]
        for name, measured in runs.items():
            rates = sorted(each for each, _ in measured)
            p99 = statistics.median(p99 for _, p99 in measured)
            ratio = f"{statistics.median(ratios):.2f}" if name == first else ""
            spread = f"{rates[0]:,.0f}-{rates[-1]:,.0f}"
            rate = statistics.median(rates)
            print(f"{pressed:>11}  {name:8} {rate:>12,.0f} {spread:>17} {p99:>8.2f}  {ratio}")
