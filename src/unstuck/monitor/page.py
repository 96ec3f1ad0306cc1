"""The page that Prometheus reads."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from unstuck.monitor.families import Family, FamilySource, Kind, Sample

TOTAL = "_total"
PROCESS = (ProcessCollector, PlatformCollector, GCCollector)


class MetricsPage(Collector):
    """Renders what ``sources`` count, and what the process uses. Thread-safe."""

    def __init__(self, sources: Sequence[FamilySource], *, has_process: bool = True) -> None:
        """``has_process`` adds what this process uses."""
        self._sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in PROCESS if has_process else ():
            collector(registry=self._registry)
        self._registry.register(self)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, in the format that the header ``Accept`` asks for.

        The library gives every counter's name a ``_total``, which TensorFlow Serving's names do not have: those are of
        unknown type to it. The text format allows such counters, so there they are called what they are.
        """
        encode, content_type = choose_encoder(accept)
        page = encode(self._registry)
        if content_type.startswith("text/plain"):
            page = page.replace(b" untyped\n", b" counter\n")  # no family is of unknown type otherwise
        return page, content_type

    def collect(self) -> Iterator[Metric]:
        """For the library."""
        return (_metric(family) for source in self._sources for family in source.families())


def _metric(family: Family) -> Metric:
    name, kind = family.name, family.kind
    if kind == "counter":
        name, kind = (name.removesuffix(TOTAL), kind) if name.endswith(TOTAL) else (name, "unknown")
    metric = Metric(name, family.help, kind)
    for sample in family.samples:
        metric.add_sample(family.name + sample.suffix, dict(sample.labels), sample.value)
    return metric


def process_families(labels: Mapping[str, str]) -> Iterator[Family]:
    """What this process uses, with further ``labels``."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in PROCESS:
        collector(registry=registry)
    for metric in registry.collect():
        kind: Kind = "counter" if metric.type == "counter" else "gauge"
        name = metric.name + TOTAL if kind == "counter" else metric.name
        samples = [Sample("", {**each.labels, **labels}, each.value) for each in metric.samples if each.name == name]
        yield Family(name, kind, metric.documentation, samples)
