"""Numbers as people read them, and what every form of the report says alike."""

from collections.abc import Sequence

from unstuck.bench.results import MORE_GENERATOR, PERCENTILES, Level, Results

COLUMNS = ("load", "answers/s", *(f"p{percent:g}" for percent in PERCENTILES), "max", "failed", "CPU/answer", "memory")
_MS, _S = 1e-3, 1.0


def duration(seconds: float) -> str:
    if seconds <= 0:
        return "–"
    if seconds < _MS:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < _S else f"{seconds:.3g} s"


def rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def size(size_bytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:,.3g} {unit}" if unit != "bytes" else f"{size_bytes:,.0f} bytes"
        size_bytes /= 1024
    return f"{size_bytes:,.3g} GiB"


def row(level: Level) -> list[str]:
    """The values of ``COLUMNS``."""
    tally, usage = level.tally, level.tally.usage
    latencies = tally.latencies
    return [
        level.load.name,
        rate(level.rate),
        *(duration(latencies.percentile(percent)) for percent in PERCENTILES),
        duration(latencies.maximum),
        f"{tally.failed + tally.not_sent:,}",
        duration(usage.cpu_s / tally.in_time) if usage and tally.in_time else "–",
        size(usage.memory_bytes) if usage and usage.memory_bytes else "–",
    ]


def failures(results: Results) -> list[tuple[str, str]]:
    """What failed, how often, and what was said of it."""
    found: list[tuple[str, str]] = []
    for level in results.levels:
        tally = level.tally
        for what, count in tally.errors.most_common():
            said = tally.said.get(what, "").strip()
            found.append(
                (f"{level.load.name}: {what}", f"{count:,} of {tally.calls:,}" + (f": {said}" if said else ""))
            )
        if tally.not_sent:
            found.append(
                (f"{level.load.name}: never sent", f"{tally.not_sent:,} of {tally.calls:,}: no slot was free in time")
            )
    return found


def remarks(results: Results) -> list[str]:
    """What a reader must know of the figures."""
    said = list(results.notes)
    limited = [level for level in results.levels if level.generator_limits]
    if limited and not results.is_search:
        first = limited[0]
        others = f" (and at {len(limited) - 1} more)" if len(limited) > 1 else ""
        said.append(
            f"At {first.load.name}{others} {first.generator_limits}: the server may do better than this says. "
            f"{MORE_GENERATOR}"
        )
    few = [level.load.name for level in results.levels if 0 < level.tally.latencies.count < 1000]
    if few:
        said.append(f"Fewer than 1,000 answers at {', '.join(few)}: the rare percentiles rest on a few of them.")
    if results.is_interrupted:
        said.append("It was interrupted: this is what was measured so far.")
    return said


def outcome(results: Results) -> str:
    """Of a target: what a search found, or which loads missed it; empty where there was none."""
    if results.is_search or results.target_p99_s is None:
        return results.verdict
    target = duration(results.target_p99_s)
    missed = [level.load.name for level in results.levels if level.meets_target is False]
    if missed:
        return f"The 99th percentile is not within {target} at {', '.join(missed)}."
    return f"The 99th percentile is within {target} at every load."


def bins(level: Level, most: int) -> list[tuple[float, int]]:
    """The latencies in at most ``most`` steps of equal ratio: the upper end of each, and how many are in it."""
    buckets: Sequence[tuple[float, int]] = level.tally.latencies.buckets()
    if not buckets:
        return []
    low, high = buckets[0][0], buckets[-1][0]
    step = max((high / low) ** (1 / most), 1.0 + 1e-9)
    found = [(low * step ** (number + 1), 0) for number in range(most)]
    for upper, count in buckets:
        at = next((number for number, (end, _) in enumerate(found) if upper <= end * (1 + 1e-9)), most - 1)
        found[at] = (found[at][0], found[at][1] + count)
    return found
