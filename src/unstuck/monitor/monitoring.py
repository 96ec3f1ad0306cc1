"""What watches a server: its metrics, the log of its calls, its traces; and the page that shows the metrics."""

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from unstuck.core.observers import AnsweredCalls, CallObserver, Headers, OtherCall
from unstuck.errors import SetupError
from unstuck.monitor.call_log import CallLog, LoggedCalls
from unstuck.monitor.families import Family, FamilySource, Gathered
from unstuck.monitor.instruments import Reading
from unstuck.monitor.requests import RequestMetrics
from unstuck.monitor.versions import VersionMetrics

if TYPE_CHECKING:
    from unstuck.monitor.tracing import CallTraces


@dataclass(frozen=True, slots=True)
class MonitoringOptions:
    """See ServerConfig for the meaning of each."""

    logged_calls: LoggedCalls = "off"
    slow_ms: float = 0
    tracing: bool = False
    otel_endpoint: str = ""


class Monitoring:
    """Thread-safe; ``stop`` once.

    Attributes:
        versions: hears of the versions' states.
        calls: hears of calls.
        sources: whoever counts something; the page shows those that were added before it was made.
    """

    def __init__(self, options: MonitoringOptions, server_version: str) -> None:
        """Raises SetupError where traces are asked for and OpenTelemetry is not installed."""
        self.versions = VersionMetrics()
        requests = RequestMetrics(self.versions)
        self.sources: list[FamilySource] = [requests, self.versions]
        observers: list[CallObserver] = [requests]
        if options.logged_calls != "off":
            observers.append(CallLog(options.logged_calls, options.slow_ms))
        self._traces = _traces(options.otel_endpoint, server_version) if options.tracing else None
        if self._traces is not None:
            observers.append(self._traces)
        self.calls: CallObserver = requests if len(observers) == 1 else _Several(observers)

    def watch_in_flight(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """``counts`` says how many calls are being answered, by API."""

        def cells() -> dict[tuple[str, ...], float]:
            return {(api,): count for api, count in counts().items()}

        name, text = "unstuck_requests_in_flight", "Calls that are being answered."
        self.sources.append(Reading(name, "gauge", text, ["api"], cells))

    def page(self) -> Callable[[str], tuple[bytes, str]]:
        """Renders the metrics: from the header ``Accept`` to the page and its content type."""
        from unstuck.monitor.page import MetricsPage

        return MetricsPage(self.sources).render

    def page_of_all(self, families: Callable[[], Iterable[Family]]) -> Callable[[str], tuple[bytes, str]]:
        """The same of several processes, whose metrics ``families`` gives."""
        from unstuck.monitor.page import MetricsPage

        return MetricsPage([Gathered(families)], has_process=False).render

    def families(self, worker: str) -> list[Family]:
        """What this process counts and uses, for such a page; what is its own has the label ``worker``."""
        from unstuck.monitor.page import process_families

        counted = chain.from_iterable(source.families() for source in self.sources)
        return [*counted, *process_families({"worker": worker})]

    def stop(self) -> None:
        """Sends the traces that are left."""
        if self._traces is not None:
            self._traces.stop()


class _Several:
    """Several observers as one."""

    def __init__(self, observers: Sequence[CallObserver]) -> None:
        self._observers = observers
        self.wants_headers = any(observer.wants_headers for observer in observers)

    def answered(self, calls: AnsweredCalls, headers: Sequence[Headers]) -> None:
        for observer in self._observers:
            observer.answered(calls, headers)

    def ended(self, call: OtherCall) -> None:
        for observer in self._observers:
            observer.ended(call)


def _traces(endpoint: str, server_version: str) -> "CallTraces":
    try:
        missing = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is None
        missing |= importlib.util.find_spec("opentelemetry.sdk") is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise SetupError("Tracing needs OpenTelemetry.", hint='pip install "unstuck[otel]"')
    from unstuck.monitor.tracing import CallTraces, otlp_exporter

    return CallTraces(otlp_exporter(endpoint), server_version)
