"""The page that Prometheus reads."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from unstuck.monitor.families import Family, FamilySource

TOTAL = "_total"


class MetricsPage(Collector):
    """Renders what ``sources`` count, and what the process uses. Thread-safe."""

    def __init__(self, sources: Sequence[FamilySource]) -> None:
        self._sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
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
