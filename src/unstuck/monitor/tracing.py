"""Traces of calls for OpenTelemetry, which is imported only where they are asked for.

A call's span is made once it is answered, from times that are taken anyway: nothing is in its way while it runs.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from unstuck.core import request_ids
from unstuck.core.observers import AnsweredCalls, Headers, OtherCall

TRACE_HEADERS = ("traceparent", "tracestate")
TRACES_PATH = "/v1/traces"
STOP_S = 3


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans by OTLP over HTTP, to ``endpoint``, or where the environment's OTEL_EXPORTER_OTLP_ENDPOINT says."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if not endpoint:
        return OTLPSpanExporter()
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + ("" if urlsplit(endpoint).path.strip("/") else TRACES_PATH))


class CallTraces:
    """A ``CallObserver``. Thread-safe; ``stop`` once."""

    wants_headers = True

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        """Hands spans to ``exporter``, from a thread of its own. ``version`` is the server's."""
        named = Resource.create({SERVICE_NAME: "unstuck", "service.version": version})  # OTEL_SERVICE_NAME goes first
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("unstuck", version)
        self._propagator = TraceContextTextMapPropagator()

    def stop(self) -> None:
        """Sends what is left, but waits for no collector that does not answer."""
        thread = threading.Thread(target=self._provider.shutdown, name="unstuck-traces", daemon=True)
        thread.start()
        thread.join(STOP_S)

    def answered(self, calls: AnsweredCalls, headers: Sequence[Headers]) -> None:
        ran, offset_ns = calls.ran, _offset_ns()
        run_began_ns = ran.began_ns + offset_ns
        for (arrived_ns, stages), each in zip(calls.stages(), headers, strict=True):
            span = self._tracer.start_span(
                f"{calls.method} {ran.model}",
                self._parent(each),
                SpanKind.SERVER,
                {
                    **_attributes(calls.api, calls.method, ran.model, each),
                    "unstuck.version": ran.version,
                    "unstuck.signature": ran.signature,
                    "unstuck.calls_in_run": len(calls.arrived_ns),
                    **{f"unstuck.{stage}_ms": stage_ns / 1e6 for stage, stage_ns in stages.items()},
                },
                start_time=arrived_ns + offset_ns,
            )
            run = self._tracer.start_span("run", set_span_in_context(span), start_time=run_began_ns)
            run.end(run_began_ns + ran.run_ns)
            span.end(calls.done_ns + offset_ns)

    def ended(self, call: OtherCall) -> None:
        offset_ns = _offset_ns()
        attributes = _attributes(call.api, call.method, call.model, call.headers)
        if call.request_id:
            attributes["unstuck.request_id"] = call.request_id
        attributes["unstuck.code"] = call.code.name
        span = self._tracer.start_span(
            call.method or "Unknown",  # not the model's name: clients make names up
            self._parent(call.headers),
            SpanKind.SERVER,
            attributes,
            start_time=call.arrived_ns + offset_ns,
        )
        if call.error is not None:
            attributes = {"exception.type": type(call.error).__name__, "exception.message": str(call.error)}
            span.add_event("exception", attributes, call.done_ns + offset_ns)
            if call.code.http_status >= 500:  # as OpenTelemetry has it, a client's mistake is no error of the server
                span.set_status(Status(StatusCode.ERROR, str(call.error)))
        span.end(call.done_ns + offset_ns)

    def _parent(self, headers: Headers | None) -> Any:
        if headers is None:
            return None
        carried = {name: value for name in TRACE_HEADERS if (value := headers.get(name))}
        return self._propagator.extract(carried) if carried else None


def _attributes(api: str, method: str, model: str, headers: Headers | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {"unstuck.api": api, "unstuck.method": method, "unstuck.model": model}
    if headers is not None and (name := request_ids.sane(headers.get(request_ids.HEADER))):
        attributes["unstuck.request_id"] = name
    return attributes


def _offset_ns() -> int:
    """From the clock of durations to that of dates; asked for each time, as the latter may be set."""
    return time.time_ns() - time.perf_counter_ns()
