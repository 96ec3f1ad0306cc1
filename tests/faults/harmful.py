"""A model that does harm to its process when a row of its input says so; else y = x / 2 + 2, float [-1,1] both."""

from pathlib import Path

from unstuck.testing import onnx_models

CRASHES, EATS_MEMORY, HANGS, COMPUTES = -1.0, -2.0, -3.0, -4.0
COMPUTES_S = 1.0  # of CPU time, while no other thread of the process runs

_FUNCTION = f"""
import ctypes
import time


def look(x):
    if {CRASHES} in x:
        ctypes.string_at(0)
    if {EATS_MEMORY} in x:
        eaten = [b"x" * (16 << 20) for _ in range(1 << 20)]
    if {HANGS} in x:
        ctypes.PyDLL(None).pause()  # which, unlike CDLL, keeps all other threads from Python
    if {COMPUTES} in x:
        began = time.thread_time()
        while time.thread_time() - began < {COMPUTES_S}:
            sum(range(10_000_000))
    return x
"""
_PIPELINE = """
signatures:
  serving_default:
    raw:
      x: {dtype: float, shape: [1]}
    python:
      seen: {function: "look.py:look", from: x, dtype: float, shape: [1]}
    inputs:
      x: seen
"""


def export(base_path: Path) -> Path:
    """Of an engine that is imported fast. Returns ``base_path``."""
    extra = onnx_models.half_plus_two(base_path) / "assets.extra" / "unstuck"
    extra.mkdir(parents=True)
    (extra / "look.py").write_text(_FUNCTION)
    (extra / "pipeline.yaml").write_text(_PIPELINE)
    return base_path
