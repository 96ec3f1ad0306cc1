"""The metrics of several workers as one page's."""

from collections.abc import Iterable, Sequence

from unstuck.monitor.families import Family, Sample

WORKER = "worker"  # the label of what is one process's own
ADDED_UP = {  # gauges that are; of others the largest tells most
    "unstuck_requests_in_flight",
    "unstuck_admitted_requests",
    "unstuck_admitted_bytes",
    "unstuck_admission_limit",
}

Cell = tuple[str, tuple[tuple[str, str], ...]]


def merged(families: Iterable[Family]) -> list[Family]:
    """Each name once: counts added up, and of a gauge the largest, such as 1 for what holds of any worker."""
    kinds: dict[str, Family] = {}
    cells: dict[str, dict[Cell, float]] = {}
    for family in families:
        kinds.setdefault(family.name, family)
        values = cells.setdefault(family.name, {})
        is_added = family.kind != "gauge" or family.name in ADDED_UP
        for sample in family.samples:
            cell = sample.suffix, tuple(sample.labels.items())
            before = values.get(cell)
            if before is None:
                values[cell] = sample.value
            else:
                values[cell] = before + sample.value if is_added else max(before, sample.value)
    return [
        Family(
            name,
            first.kind,
            first.help,
            [Sample(suffix, dict(labels), value) for (suffix, labels), value in cells[name].items()],
        )
        for name, first in kinds.items()
    ]


def counts_in(families: Iterable[Family]) -> list[Family]:
    """What must stay on the page once the process that counted it is gone: a sum that shrinks looks like a restart."""
    return [
        Family(each.name, each.kind, each.help, [sample for sample in each.samples if WORKER not in sample.labels])
        for each in families
        if each.kind != "gauge"
    ]


def of_workers(deaths: Sequence[tuple[int, int, bool]]) -> list[Family]:
    """The supervisor's own: of each worker its number, how often it was started again, and whether it serves."""
    labelled = [({WORKER: str(number)}, restarts, serves) for number, restarts, serves in deaths]
    return [
        Family(
            "unstuck_worker_up",
            "gauge",
            "1 for a worker that serves.",
            [Sample("", labels, float(serves)) for labels, _, serves in labelled],
        ),
        Family(
            "unstuck_worker_restarts_total",
            "counter",
            "How often a worker was started again.",
            [Sample("", labels, restarts) for labels, restarts, _ in labelled],
        ),
    ]
