"""How long two servables take for the same inputs, on this machine, and which is to serve."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from unstuck.choosing.conversion import Cancelled

FASTER = 0.9  # of the first one's time for one row: what a switch must be worth
NOT_SLOWER = 1.05  # of its time for the largest batch: what medians of equals may differ by
LARGEST_BATCH = 64  # calls of one turn that run together at most
LONG_S = 0.25  # a larger batch is not tried after one that took as long
BUDGET_S = 2.0  # for each batch
FEWEST_ROUNDS, MOST_ROUNDS = 5, 101

RunBatch = Callable[[int], object]  # runs a batch of that many rows


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians in milliseconds for a batch, by engine."""

    batch: int
    tensorflow_ms: float
    onnx_ms: float

    @property
    def ratio(self) -> float:
        return self.onnx_ms / self.tensorflow_ms


def measure(tensorflow: RunBatch, onnx: RunBatch, *, batches: bool, cancelled: threading.Event) -> list[Timing]:
    """For one row and, with ``batches``, for the largest batch that calls come to together.

    Raises:
        Cancelled: ``cancelled`` was set meanwhile.
    """
    sizes = [1]
    if batches and (largest := largest_batch(tensorflow, cancelled)) > 1:
        sizes.append(largest)
    return [_measure(size, tensorflow, onnx, cancelled) for size in sizes]


def is_faster(timings: Sequence[Timing]) -> bool:
    """Whether ONNX Runtime is to serve: clearly faster for one row, and no slower for the largest batch."""
    first, *others = timings
    return first.ratio <= FASTER and all(each.ratio <= NOT_SLOWER for each in others)


def largest_batch(run: RunBatch, cancelled: threading.Event) -> int:
    """Doubled up to ``LARGEST_BATCH``, or to the first that takes ``LONG_S``."""
    size = 1
    while size < LARGEST_BATCH and _seconds(run, size, cancelled) < LONG_S:
        size *= 2
    return size


def _measure(size: int, tensorflow: RunBatch, onnx: RunBatch, cancelled: threading.Event) -> Timing:
    """In turns, so that whatever else the machine does hits both."""
    taken: list[tuple[float, float]] = []
    end = perf_counter() + BUDGET_S
    while len(taken) < FEWEST_ROUNDS or (perf_counter() < end and len(taken) < MOST_ROUNDS):
        taken.append((_seconds(tensorflow, size, cancelled), _seconds(onnx, size, cancelled)))
    first, second = (median(column) * 1e3 for column in zip(*taken[1:], strict=True))
    return Timing(size, round(first, 4), round(second, 4))


def _seconds(run: RunBatch, size: int, cancelled: threading.Event) -> float:
    if cancelled.is_set():
        raise Cancelled
    began = perf_counter()
    run(size)
    return perf_counter() - began
