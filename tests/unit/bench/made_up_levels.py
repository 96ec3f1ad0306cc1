"""Small made-up measurements."""

from collections import Counter
from collections.abc import Sequence

from unstuck.bench.histogram import Histogram
from unstuck.bench.load import Load
from unstuck.bench.results import Level
from unstuck.bench.tally import Tally, Window
from unstuck.bench.usage import Usage


def tally(latencies: Sequence[float], errors: dict[str, int] | None = None, **more: object) -> Tally:
    """Two seconds, with the latencies in equal parts; every error says why."""
    half = len(latencies) // 2
    windows = [Window(0.0, 1.0, Histogram(latencies[:half])), Window(1.0, 1.0, Histogram(latencies[half:]))]
    found = Tally(
        seconds=2.0,
        in_time=len(latencies),
        latencies=Histogram(latencies),
        errors=Counter(errors or {}),
        said={error: f"why {error}" for error in errors or {}},
        windows=windows,
        usage=Usage(cpu_s=1.0, memory_bytes=64 << 20, peak_bytes=128 << 20),
    )
    for name, value in more.items():
        setattr(found, name, value)
    return found


def level(load: Load, latencies: Sequence[float], target_ms: float = 0, **more: object) -> Level:
    return Level(load, tally(latencies, **more), target_ms / 1000 if target_ms else None)  # type: ignore[arg-type]
