"""CallTraces: a span a call, of the caller's trace, with its stages; read from the SDK's own exporter in memory."""

import sys
import time

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from unstuck.core.observers import AnsweredCalls, OtherCall, Ran
from unstuck.errors import Code, EngineError, NotFound, SetupError
from unstuck.monitor.monitoring import Monitoring, MonitoringOptions
from unstuck.monitor.tracing import CallTraces, otlp_exporter

MS = 10**6
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def traced():
    exporter = InMemorySpanExporter()
    traces = CallTraces(exporter, "1.2")

    def send(report):
        report(traces)
        traces.stop()
        return {span.name: span for span in exporter.get_finished_spans()}

    return send


def answered(done_ns):
    ran = Ran("m", 3, "s", done_ns - 4 * MS, 2 * MS, MS)
    return AnsweredCalls("rest", "Predict", ran, [done_ns - 10 * MS], [MS], done_ns, 1, 1)


def test_a_span_has_the_stages_and_the_run_inside(traced):
    now_ns = time.time_ns()
    spans = traced(lambda traces: traces.answered(answered(time.perf_counter_ns()), [{"x-request-id": "abc"}]))
    span, run = spans["Predict m"], spans["run"]
    assert span.kind is SpanKind.SERVER
    assert span.end_time - span.start_time == 10 * MS
    assert abs(span.end_time - now_ns) < 10**9
    assert dict(span.attributes) == {
        "unstuck.api": "rest",
        "unstuck.method": "Predict",
        "unstuck.model": "m",
        "unstuck.version": 3,
        "unstuck.signature": "s",
        "unstuck.request_id": "abc",
        "unstuck.calls_in_run": 1,
        "unstuck.parse_ms": 1.0,
        "unstuck.queue_ms": 6.0,
        "unstuck.run_ms": 2.0,
        "unstuck.encode_ms": 1.0,
    }
    assert span.resource.attributes["service.name"] == "unstuck"
    assert run.parent.span_id == span.context.span_id
    assert (run.start_time - span.start_time, run.end_time - run.start_time) == (6 * MS, 2 * MS)


def test_a_span_belongs_to_the_callers_trace(traced):
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"}
    span = traced(lambda traces: traces.answered(answered(time.perf_counter_ns()), [headers]))["Predict m"]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == SPAN
    assert span.context.trace_state["a"] == "b"


def test_what_the_caller_does_not_sample_is_not_sent(traced):
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    assert not traced(lambda traces: traces.answered(answered(time.perf_counter_ns()), [headers]))


@pytest.mark.parametrize("odd", ["", "00-0-0-01", "nonsense", f"00-{'0' * 32}-{SPAN}-01"])
def test_a_traceparent_that_is_none_begins_a_trace(traced, odd):
    headers = {"traceparent": odd}
    span = traced(lambda traces: traces.answered(answered(time.perf_counter_ns()), [headers]))["Predict m"]
    assert span.parent is None
    assert span.context.trace_id != 0


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFound("who?"), StatusCode.UNSET), (EngineError("broken", code=Code.INTERNAL), StatusCode.ERROR)],
)
def test_a_failed_call_says_why_and_only_the_servers_fault_is_an_error(traced, error, status):
    now_ns = time.perf_counter_ns()
    call = OtherCall("grpc", "Predict", "made up", error, now_ns - MS, now_ns, 1, 1, error.code, "abc", {})
    span = traced(lambda traces: traces.ended(call))["Predict"]
    assert span.status.status_code is status
    (event,) = span.events
    assert event.attributes["exception.message"] == str(error)
    assert span.attributes["unstuck.code"] == error.code.name
    assert span.attributes["unstuck.request_id"] == "abc"
    assert span.end_time - span.start_time == MS


@pytest.mark.parametrize(
    ("given", "sent_to"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
        ("", "http://of-the-environment:1/v1/traces"),
    ],
)
def test_where_traces_go(given, sent_to, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://of-the-environment:1")
    exporter = otlp_exporter(given)
    assert exporter._endpoint == sent_to
    exporter.shutdown()


def test_without_opentelemetry_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SetupError, match=r'pip install "unstuck\[otel\]"'):
        Monitoring(MonitoringOptions(tracing=True), "1.2")
    Monitoring(MonitoringOptions(), "1.2")
