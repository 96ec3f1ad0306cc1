"""SavedModels by TensorFlow and by ONNX Runtime, through the servables that serve them.

    ./dev bench engines [--rounds 15] [--models mlp,mobilenet]

Each model is converted as ``--engine=auto`` does it. Both engines run in turn; printed are medians in milliseconds and
their ratio, the largest difference of the answers, and what the conversion took. Besides the MLP of the other
benchmarks there is MobileNetV2, whose weights are drawn such that its answers vary.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from unstuck.choosing import conversion
from unstuck.choosing.conversion import Limits
from unstuck.choosing.parity import drawn
from unstuck.choosing.switching import Other
from unstuck.core.process import resident_bytes
from unstuck.core.servables import Loader, Servable
from unstuck.core.signatures import DEFAULT_SIGNATURE, Tensors
from unstuck.engines.onnx import OnnxEngine
from unstuck.engines.tensorflow import TensorFlowEngine

MODELS = "mlp,mobilenet"
BATCHES = (1, 8)
LIMITS = Limits(memory_bytes=8 << 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", default=MODELS)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {arguments.rounds} runs in turn")
    with tempfile.TemporaryDirectory() as folder:
        # Keras and its graphs stay out of the process that measures.
        export = [sys.executable, "-m", "benchmarks.peers.exporting", folder]
        subprocess.run(export, check=True, stderr=subprocess.DEVNULL)
        for name in arguments.models.split(","):
            compare(name, Path(folder), arguments.rounds)


def compare(name: str, folder: Path, rounds: int) -> None:
    saved_model, file = folder / name / "1", folder / "converted" / name / "model.onnx"
    file.parent.mkdir(parents=True)
    began = time.perf_counter()
    conversion.run(conversion.command(saved_model, ["serve"], DEFAULT_SIGNATURE), file, LIMITS, threading.Event())
    converted_s = time.perf_counter() - began
    tensorflow, first_bytes = loaded(TensorFlowEngine().loader(saved_model))
    onnx, more_bytes = loaded(OnnxEngine().loader(file))
    signature = tensorflow.signatures[DEFAULT_SIGNATURE]
    other = Other(signature, onnx)
    print(f"{name}: converted in {converted_s:.1f} s; TensorFlow takes {first_bytes / 1e6:.0f} MB, ", end="")
    print(f"ONNX Runtime {more_bytes / 1e6:.0f} more (with the first model: their libraries)")
    for rows in BATCHES:
        inputs = drawn(signature, rows, 3)
        runs = (partial(tensorflow.run, signature), partial(other.run, signature))
        ours, theirs = in_turn(runs, inputs, rounds)
        apart = max(
            float(np.abs(np.asarray(array, float) - runs[1](inputs)[alias]).max())
            for alias, array in runs[0](inputs).items()
        )
        print(f"  batch {rows}: TensorFlow {ours:.3g} ms, ONNX Runtime {theirs:.3g} ms, ", end="")
        print(f"{ours / theirs:.2f} times as fast, answers differ by {apart:.1g}")


def loaded(loader: Loader) -> tuple[Servable, int]:
    """What it loads, and the bytes that the process grew by."""
    before = resident_bytes()
    servable = loader.load()
    return servable, resident_bytes() - before


def in_turn(runs: tuple[Callable[[Tensors], object], ...], inputs: Tensors, rounds: int) -> list[float]:
    """The median milliseconds of each."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds + 1):
        for run, times in zip(runs, taken, strict=True):
            began = time.perf_counter()
            run(inputs)
            times.append((time.perf_counter() - began) * 1e3)
    return [statistics.median(times[1:]) for times in taken]


if __name__ == "__main__":
    main()
