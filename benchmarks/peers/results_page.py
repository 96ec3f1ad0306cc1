"""RESULTS.md and its plots, from the measurements of every workload: pure functions, but ``write``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import summary
from benchmarks.peers.summary import Failure, Measurement, Row
from benchmarks.peers.workloads import WORKLOADS, Workload
from unstuck.page.charts import Axis, Series, lines
from unstuck.page.style import STYLE

PAGE = Path(__file__).parents[1] / "RESULTS.md"
FOLDER = PAGE.with_name("results")
_HEAD = """# Beside other servers

<!-- Written by ./dev bench peers. -->

The same models served by Unstuck and by other Python model servers, each one process or worker, on one machine with the
load generator. `./dev bench peers` measures it again: `benchmarks/peers` has each peer's server, written as its
documentation recommends, and the versions.

- All servers of a section are started and warmed, then measured in turn, round by round, the others paused; shown are
  medians of the rounds, of requests/s also the least and the most. Compare within a section only. Where a server gave
  fewer than ten answers, it was measured once more, for five times as long.
- Every server was asked different rows at once, before and after its warm-up, and gave TensorFlow's own answer to each.
  Weights are drawn such that answers to different rows differ.
- Peers batch at most 32 requests and wait at most 5 ms for them (BentoML decides by itself how long), or do not batch.
  Unstuck runs with its defaults, its metrics and checks included.
- *CPU* is user and system time of all of a server's processes for each right answer: the steadiest figure on a shared
  machine. *Other load*: cores that neither the server nor the load generator used. RSS counts shared pages in each
  process, PSS once.
"""
_ROW_HEAD = """| server | batching | {load} | requests/s | least–most | p50 ms | p99 ms | errors | CPU µs | \
RSS (PSS) MiB | processes | other load |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
_RATIO_HEAD = """| {load} | beside | requests/s | CPU a request | p99 ms |
| ---: | --- | ---: | ---: | ---: |
"""

Run = tuple[dict[str, Any], Sequence[Measurement], Sequence[Failure]]


def write() -> None:
    """Writes the page and its plots anew from the ``*.jsonl`` beside them."""
    runs = {
        name: summary.of_lines(path.read_text().splitlines())
        for name in WORKLOADS
        if (path := FOLDER / f"{name}.jsonl").exists()
    }
    for name, (_, measurements, _) in runs.items():
        for plot, picture in plots(WORKLOADS[name], measurements).items():
            (FOLDER / f"{name}-{plot}.svg").write_text(picture)
    PAGE.write_text(page(runs))


def page(runs: Mapping[str, Run]) -> str:
    return "\n".join([_HEAD, *(_section(name, *run) for name, run in runs.items())])


def _section(name: str, about: dict[str, Any], measurements: Sequence[Measurement], failures: Sequence[Failure]) -> str:
    workload = WORKLOADS[name]
    parts = [f"## {workload.title}\n", _about(about), ratios(workload, measurements)]
    parts += [f"![{plot}](results/{name}-{plot}.svg)\n" for plot in plots(workload, measurements)]
    parts.append(table(workload, measurements))
    parts += [
        f"Not measured: {summary.label(each.server, each.batching)}: {each.reason.splitlines()[0]}\n"
        for each in failures
    ]
    return "\n".join(parts)


def table(workload: Workload, measurements: Sequence[Measurement]) -> str:
    """The medians, one line a server, batching and load."""
    return _ROW_HEAD.format(load=workload.load_name) + "".join(map(_line, summary.rows(measurements)))


def _about(about: dict[str, Any]) -> str:
    versions = ", ".join(about["versions"])
    reference = f" *reference*: {about['reference']}." if about["reference"] else ""
    return (
        f"{about['date']}; {about['machine']}; load average before: {about['load_average']}. "
        f"{about['rounds']} rounds of {about['seconds']} s. {versions}.{reference}\n"
    )


def ratios(workload: Workload, measurements: Sequence[Measurement]) -> str:
    """Ours beside the best peer and the reference, for each load: medians of the rounds' ratios."""
    all_rows = summary.rows(measurements)
    told = "".join(_comparison(measurements, ours, other) for ours, other in _pairs(all_rows))
    return _RATIO_HEAD.format(load=workload.load_name) + told if told else ""


def _pairs(all_rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    for ours in all_rows:
        if summary.is_ours(ours.server):
            best = summary.best_peer(all_rows, ours.load)
            reference = [row for row in all_rows if row.server == summary.REFERENCE and row.load == ours.load]
            for other in ([best] if best else []) + reference:
                yield ours, other


def _comparison(measurements: Sequence[Measurement], ours: Row, other: Row) -> str:
    compared = summary.compare(measurements, ours, other)
    times = f"{_round(compared.rate)} times: {_round(ours.rate)} to {_round(other.rate)}"
    cpu = f"{compared.cpu:.2f} of it: {_round(ours.cpu_us)} to {_round(other.cpu_us)} µs"
    name = ours.label if ours.server != summary.OURS else ""
    beside = f"{name} beside {other.label}" if name else other.label
    return f"| {ours.load} | {beside} | {times} | {cpu} | {_round(ours.p99_ms)} to {_round(other.p99_ms)} |\n"


def _line(row: Row) -> str:
    name = f"**{row.server}**" if summary.is_ours(row.server) else row.server
    spread = f"{_round(row.least_rate)}–{_round(row.most_rate)}"
    times = f"{_round(row.p50_ms)} | {_round(row.p99_ms)}"
    memory = f"{row.rss_mib:,.0f} ({row.pss_mib:,.0f})"
    counts = f"{row.errors} | {_round(row.cpu_us)} | {memory} | {row.processes} | {row.other_cores:.2f}"
    return f"| {name} | {row.batching} | {row.load} | {_round(row.rate)} | {spread} | {times} | {counts} |\n"


def _round(value: float) -> str:
    """Three digits at most, unless they are before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plots(workload: Workload, measurements: Sequence[Measurement]) -> dict[str, str]:
    """SVG files by name: requests/s and the CPU time of one, against the load; of each peer the faster batching."""
    rate = Axis("requests/s", is_logarithmic=True)
    cpu = Axis("server CPU, µs a request", is_logarithmic=True)
    shown = _shown(summary.rows(measurements))
    loads = sorted({row.load for each in shown.values() for row in each})
    across = Axis(workload.load_name, is_logarithmic=True, ticks=[(load, str(load)) for load in loads])
    drawn = {
        "rate": _chart(
            "rate", rate, across, {name: [(row.load, row.rate) for row in each] for name, each in shown.items()}
        ),
        "cpu": _chart(
            "cpu", cpu, across, {name: [(row.load, row.cpu_us) for row in each] for name, each in shown.items()}
        ),
    }
    return {name: _as_file(picture) for name, picture in drawn.items() if picture}


def _shown(all_rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, dict[int, Row]] = {}
    for row in all_rows:
        of_server = found.setdefault(row.server, {})
        if row.load not in of_server or row.rate > of_server[row.load].rate:
            of_server[row.load] = row
    return {server: [of_server[load] for load in sorted(of_server)] for server, of_server in found.items()}


def _chart(name: str, up: Axis, across: Axis, points: dict[str, list[tuple[float, float]]]) -> str:
    series = [Series(server, each) for server, each in points.items()]
    return lines(name, f"{up.name} of each server", series, across, up, dots=True)


def _as_file(picture: str) -> str:
    """A picture of a page as a file of its own, which needs the page's style."""
    start = '<svg xmlns="http://www.w3.org/2000/svg" '
    styled = picture.replace("<svg ", start, 1)
    head, _, rest = styled.partition(">")
    return f'{head}><style>{STYLE}</style><rect width="100%" height="100%" fill="var(--back)"/>{rest}\n'
