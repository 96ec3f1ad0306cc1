"""What is asked of the servers: models, their rows with TensorFlow's own answers, and loads."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.peers import venvs
from benchmarks.peers.protocols import Row

TOLERANCE = 1e-4  # answers to two rows differ by ten times as much (``exporting``)


@dataclass(frozen=True, slots=True)
class Workload:
    """One model under several loads.

    Attributes:
        title: for people.
        model: its folder's name.
        input_name: of its signature.
        loads: connections of wrk; with ``is_grpc`` the streams on each of h2load's connections.
        warm_load: what servers are warmed up with.
    """

    title: str
    model: str
    input_name: str
    loads: tuple[int, ...]
    warm_load: int
    is_grpc: bool = False

    @property
    def load_name(self) -> str:
        return "streams" if self.is_grpc else "connections"


WORKLOADS = {
    "mlp": Workload("Small MLP (64 → 128 → 128 → 10), one row, REST", "mlp", "x", (1, 8, 32, 128), 32),
    "grpc": Workload("The same MLP, one row, gRPC over 4 connections", "mlp", "x", (1, 8, 32), 32, is_grpc=True),
    "mobilenet": Workload("MobileNetV2, one 224×224×3 image as JSON, REST", "mobilenet", "image", (1, 8), 8),
    "text": Workload("Text classifier, tokens made in the graph, one text, REST", "text", "text", (1, 32), 32),
}


@dataclass(frozen=True)
class Questions:
    """A model's base path, rows to ask it for, and the right answers."""

    base_path: Path

    @cached_property
    def _recorded(self) -> Any:
        return json.loads(self.base_path.with_suffix(".json").read_text())

    @property
    def rows(self) -> list[Row]:
        return self._recorded["rows"]

    @property
    def is_text(self) -> bool:
        return isinstance(self.rows[0], str)

    def check(self, number: int, scores: list[float]) -> None:
        """Raises ValueError unless these are the scores of that row."""
        wanted = self._recorded["answers"][number]
        if len(scores) != len(wanted):
            raise ValueError(f"{len(scores)} scores for row {number}, expected {len(wanted)}")
        wrong = [(one, other) for one, other in zip(scores, wanted, strict=True) if not abs(one - other) <= TOLERANCE]
        if wrong:  # NaN, too
            raise ValueError("wrong answer to row {}: {} instead of {}".format(number, *wrong[0]))


def questions(model: str) -> Questions:
    """Exports all models if they are not there, or were exported by other code."""
    source = Path(__file__).with_name("exporting.py")
    folder = venvs.CACHE / f"models-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        print("Exporting the models (once) …", file=sys.stderr, flush=True)
        unfinished = folder.with_suffix(f".{os.getpid()}")
        # In a child: its TensorFlow must not share the processors afterwards.
        subprocess.run([sys.executable, "-m", "benchmarks.peers.exporting", str(unfinished)], check=True)
        unfinished.rename(folder)
    return Questions(folder / model)
