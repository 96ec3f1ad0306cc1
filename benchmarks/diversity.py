"""What watching for constant answers costs a call, beside what REST and gRPC calls cost altogether.

    ./dev bench diversity [--seconds 1] [--rounds 5]

A loop spins for as long as calls of the API take on their CPU, over and over, and lets the watch hear of their run,
which is one where calls are merged. It looks at everything at first, and then takes breaks, so that its share hardly
depends on the model: shown are a small and a large one.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns

import numpy as np

from unstuck.core.dtypes import FLOAT
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.monitor.diversity import AnswerDiversity, DiversityMonitor

CALL_US = {"REST": 29, "gRPC": 22}  # of CPU, with the small model, as measured by the benchmarks of these APIs
MERGED = (1, 8, 32)
MODELS = {"64 -> 10 numbers": (64, 10), "224x224x3 -> 1000": (224 * 224 * 3, 1000)}
LIMIT = 0.03
DRAWN = 64  # different runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    worst = 0.0
    print(f"{'model':20} {'API':5} {'merged':>6}  {'cost of a call':>14}  share")
    for model, (inputs, outputs) in MODELS.items():
        for api, call_us in CALL_US.items():
            for merged in MERGED:
                runs = _runs(inputs, outputs, merged)
                calls = round(options.seconds * 1e6 / call_us)
                costs = [_cost_ns(runs, merged, calls, call_us) for _ in range(options.rounds)]
                cost_ns = statistics.median(costs)
                share = cost_ns / 1000 / call_us
                worst = max(worst, share)
                print(f"{model:20} {api:5} {merged:6}  {cost_ns:11.0f} ns  {share:.2%}", flush=True)
    print(f"At most {worst:.2%}; the limit is {LIMIT:.0%}.")
    sys.exit(worst > LIMIT)


def _runs(inputs: int, outputs: int, rows: int) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    draw = np.random.default_rng(0)
    count = DRAWN if inputs * rows < 1_000_000 else 4
    return [
        ({"x": draw.random((rows, inputs), np.float32)}, {"y": draw.random((rows, outputs), np.float32)})
        for _ in range(count)
    ]


def _cost_ns(runs: list, merged: int, calls: int, call_us: int) -> float:
    """The CPU time of the watch for a call."""
    spec_in, spec_out = TensorSpec("x", "x:0", FLOAT, (None, None)), TensorSpec("y", "y:0", FLOAT, (None, None))
    signature = Signature("serving_default", {"x": spec_in}, {"y": spec_out})
    monitor = DiversityMonitor(lambda *_: None)
    observer = monitor.watch("m", 1, {"serving_default": signature}, str)
    _use_up_first_looks(observer, signature, runs)
    sizes = [1] * merged if merged > 1 else ()
    groups = calls // merged
    watched = _cpu_ns(
        runs, groups, merged * call_us * 1000, lambda one, other: observer.ran(signature, one, other, sizes)
    )
    clock = _cpu_ns(runs, groups, merged * call_us * 1000, lambda one, other: None)
    return max(watched - clock, 0) / (groups * merged)


def _use_up_first_looks(observer: AnswerDiversity, signature: Signature, runs: list) -> None:
    """What a signature is given at the start, and what was saved up before, is no cost of a call."""
    state = observer.signatures[signature.name]
    while state.first_looks_ns > 0:
        observer.ran(signature, *runs[state.first_looks_ns % len(runs)], ())
    observer._gate.opens_ns = perf_counter_ns()


def _cpu_ns(runs: list, groups: int, spin_ns: int, ran: Callable[[dict, dict], None]) -> int:
    """The CPU time of ``ran`` alone, and of asking for it; others on the machine are not in it."""
    took = 0
    for number in range(groups):
        end = perf_counter_ns() + spin_ns
        while perf_counter_ns() < end:
            pass
        start = thread_time_ns()
        ran(*runs[number % len(runs)])
        took += thread_time_ns() - start
    return took


if __name__ == "__main__":
    main()
