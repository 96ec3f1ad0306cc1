"""RequestMetrics: what calls are counted by, under TensorFlow Serving's names and ours."""

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from unstuck.core.models import State, VersionStatus
from unstuck.core.observers import AnsweredCalls, OtherCall, Ran
from unstuck.errors import Code, InvalidRequest, NotFound
from unstuck.monitor.page import MetricsPage
from unstuck.monitor.requests import MAX_KINDS, MAX_NAME_CHARACTERS, MAX_RECORDS, MAX_STRANGERS, RequestMetrics
from unstuck.monitor.versions import VersionMetrics

US = 1000
OURS = {"model": "m", "version": "1", "signature": "s", "api": "rest", "method": "Predict"}


@pytest.fixture
def versions():
    made = VersionMetrics()
    made.version_changed("m", VersionStatus(1, State.AVAILABLE))
    return made


@pytest.fixture
def metrics(versions):
    return RequestMetrics(versions)


def answered(*took_us, api="rest", method="Predict", parse_us=10, run_us=100, encode_us=5, version=1, **more):
    """Calls that arrived so long before they were answered together."""
    done_ns = 10**9
    ran = Ran("m", version, "s", 0, run_us * US, encode_us * US, more.pop("examples", 0))
    arrived_ns = [done_ns - each * US for each in took_us]
    return AnsweredCalls(api, method, ran, arrived_ns, [parse_us * US] * len(took_us), done_ns, 30, 20, **more)


def failed(error, api="rest", method="Predict", model="m"):
    return OtherCall(api, method, model, error, 0, 1000, 7, 9, code=error.code if error else Code.OK)


def value_of(metrics, name, **labels):
    """The value of the one sample that has at least these labels; the parser gives every counter a ``_total``."""
    page, _ = MetricsPage([metrics]).render("")
    found = [
        sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name in (name, f"{name}_total") and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_calls_of_one_run_each_have_their_own_latency_and_wait(metrics):
    metrics.answered(answered(200, 4000), ())
    assert value_of(metrics, "unstuck_request_duration_seconds_count", **OURS) == 2
    assert value_of(metrics, "unstuck_request_duration_seconds_sum", **OURS) == pytest.approx(4200e-6)
    assert value_of(metrics, "unstuck_request_duration_seconds_bucket", **OURS, le="0.00025") == 1
    assert value_of(metrics, "unstuck_request_duration_seconds_bucket", **OURS, le="0.005") == 2
    sums = {"parse": 20e-6, "run": 200e-6, "encode": 10e-6, "queue": (4200 - 230) * 1e-6}
    for stage, seconds in sums.items():
        assert value_of(metrics, "unstuck_stage_duration_seconds_count", **OURS, stage=stage) == 2
        assert value_of(metrics, "unstuck_stage_duration_seconds_sum", **OURS, stage=stage) == pytest.approx(seconds)
    assert value_of(metrics, "unstuck_requests_total", **OURS, code="OK") == 2
    assert value_of(metrics, "unstuck_runs_total", **OURS) == 1
    assert value_of(metrics, "unstuck_run_calls_count", **OURS) == 1
    assert value_of(metrics, "unstuck_run_calls_sum", **OURS) == 2
    assert value_of(metrics, "unstuck_request_bytes_total", **OURS) == 30
    assert value_of(metrics, "unstuck_response_bytes_total", **OURS) == 20


def test_a_value_on_a_bound_is_in_its_bucket(metrics):
    metrics.answered(answered(100), ())
    assert value_of(metrics, "unstuck_request_duration_seconds_bucket", **OURS, le="0.0001") == 1


@pytest.mark.parametrize(
    ("api", "method", "label", "entrypoint"),
    [
        ("rest", "Predict", "predict", "REST"),
        ("rest", "Classify", "classify", "REST"),
        ("rest", "Regress", "regress", "REST"),
        ("grpc", "Predict", "Predict", "GRPC"),
        ("grpc", "Classify", "Classify", "GRPC"),
        ("grpc", "Regress", "Regress", "GRPC"),
    ],
)
def test_official_latencies_are_in_microseconds_under_the_label_of_the_api(metrics, api, method, label, entrypoint):
    metrics.answered(answered(200, 300, api=api, method=method), ())
    latency = {"model_name": "m", "API": label, "entrypoint": entrypoint}
    assert value_of(metrics, ":tensorflow:serving:request_latency_count", **latency) == 2
    assert value_of(metrics, ":tensorflow:serving:request_latency_sum", **latency) == 500
    runtime = {"model_name": "m", "API": method, "runtime": "TF1"}
    assert value_of(metrics, ":tensorflow:serving:runtime_latency_sum", **runtime) == 200
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="OK") == 2


def test_the_official_buckets_are_those_of_tensorflow_serving(metrics):
    metrics.answered(answered(20), ())
    metrics.answered(answered(1, api="grpc", method="MultiInference", examples=3), ())
    page = MetricsPage([metrics]).render("")[0].decode()

    def bounds(name):
        return [line.split('le="')[1].split('"')[0] for line in page.splitlines() if line.startswith(f"{name}_bucket")]

    latency = bounds(":tensorflow:serving:request_latency")
    assert latency[:7] == ["10", "18", "32.4", "58.32", "104.976", "188.957", "340.122"]
    assert (len(latency), latency[-1]) == (34, "+Inf")
    examples = bounds(":tensorflow:serving:request_example_counts")
    assert examples == [*(str(2**power) for power in range(15)), "+Inf"]


def test_only_multi_inference_counts_examples_and_is_no_official_request(metrics):
    metrics.answered(answered(1, api="grpc", method="Classify", examples=5), ())
    assert value_of(metrics, ":tensorflow:serving:request_example_count_total", model="m") is None
    metrics.answered(answered(1, api="grpc", method="MultiInference", examples=3), ())
    assert value_of(metrics, ":tensorflow:serving:request_example_count_total", model="m") == 3
    assert value_of(metrics, ":tensorflow:serving:request_example_counts_bucket", model="m", le="2") == 0
    assert value_of(metrics, ":tensorflow:serving:request_example_counts_bucket", model="m", le="4") == 1
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="OK") == 1


def test_official_counters_have_their_names_and_type(metrics):
    metrics.answered(answered(1), ())
    page = MetricsPage([metrics]).render("")[0].decode()
    assert "# TYPE :tensorflow:serving:request_count counter\n" in page
    assert '\n:tensorflow:serving:request_count{model_name="m",status="OK"} 1.0\n' in page
    assert "# TYPE :tensorflow:serving:request_example_count_total counter\n" in page
    assert "untyped" not in page


def test_errors_are_counted_by_code_and_by_what_they_are_about(metrics):
    about = InvalidRequest("wrong")
    about.about = 1, "s"
    metrics.ended(failed(about))
    metrics.ended(failed(NotFound("no version"), api="grpc"))
    assert value_of(metrics, "unstuck_requests_total", **OURS, code="INVALID_ARGUMENT") == 1
    unknown = {"model": "m", "version": "", "signature": "", "api": "grpc", "method": "Predict"}
    assert value_of(metrics, "unstuck_requests_total", **unknown, code="NOT_FOUND") == 1
    assert value_of(metrics, "unstuck_request_bytes_total", **unknown) == 7
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="INVALID_ARGUMENT") == 1
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="NOT_FOUND") == 1
    assert value_of(metrics, ":tensorflow:serving:request_latency_count", model_name="m") is None


def test_status_and_metadata_are_official_requests_over_rest_alone(metrics):
    metrics.ended(failed(None, method="GetModelStatus"))
    metrics.ended(failed(None, api="grpc", method="GetModelStatus"))
    latency = {"model_name": "m", "API": "", "entrypoint": "REST"}
    assert value_of(metrics, ":tensorflow:serving:request_latency_count", **latency) == 1
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="OK") == 1
    assert value_of(metrics, "unstuck_requests_total", method="GetModelStatus", api="grpc", code="OK") == 1


def test_names_that_clients_make_up_do_not_fill_the_page(metrics):
    for number in range(10 * MAX_STRANGERS):
        metrics.ended(failed(NotFound("no such model"), model=f"made up {number}"))
    metrics.ended(failed(NotFound("no such model"), model="x" * (MAX_NAME_CHARACTERS + 1)))
    metrics.ended(failed(NotFound("not now"), model="m"))
    page = MetricsPage([metrics]).render("")[0].decode()
    names = {line.split('model_name="')[1].split('"')[0] for line in page.splitlines() if "model_name=" in line}
    assert len(names) == MAX_STRANGERS + 2
    assert {"m", "_other", "made up 0"} < names
    others = value_of(metrics, "unstuck_requests_total", model="_other", code="NOT_FOUND")
    assert others == 9 * MAX_STRANGERS + 1


def test_versions_that_have_ended_are_forgotten_once_there_are_many_and_the_official_sums_stay(metrics, versions):
    for number in range(1, MAX_KINDS + 1):
        metrics.answered(answered(1, version=number), ())
    assert value_of(metrics, "unstuck_requests_total", **{**OURS, "version": "2"}, code="OK") == 1
    metrics.answered(answered(1, version=MAX_KINDS + 1), ())
    assert value_of(metrics, "unstuck_requests_total", **{**OURS, "version": "2"}, code="OK") is None
    assert value_of(metrics, "unstuck_requests_total", **OURS, code="OK") == 1, "version 1 serves"
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="OK") == MAX_KINDS + 1


def test_a_version_that_ended_a_while_ago_is_forgotten(metrics, versions, monkeypatch):
    def counted(version):
        return value_of(metrics, "unstuck_requests_total", **{**OURS, "version": str(version)}, code="OK")

    for number in (2, 3):
        versions.version_changed("m", VersionStatus(number, State.AVAILABLE))
        metrics.answered(answered(1, version=number), ())
        versions.version_changed("m", VersionStatus(number, State.END))
    metrics.answered(answered(1), ())
    assert (counted(1), counted(2), counted(3)) == (1, 1, 1), "whoever scrapes sees its last calls"
    versions.version_changed("m", VersionStatus(3, State.AVAILABLE))
    monkeypatch.setattr("unstuck.monitor.requests.KEPT_S", 0)
    assert (counted(1), counted(2), counted(3)) == (1, None, 1), "version 3 is back"
    assert value_of(metrics, ":tensorflow:serving:request_count", model_name="m", status="OK") == 3


def test_warnings_are_counted(metrics):
    metrics.answered(answered(1, warnings=2), ())
    assert value_of(metrics, "unstuck_request_warnings_total", **OURS) == 2


def test_no_call_is_lost_among_threads_and_none_waits_for_ever(metrics):
    """Records are added up while others are left behind."""
    each, threads = 3 * MAX_RECORDS + 7, 4

    def call():
        for _ in range(each):
            metrics.answered(answered(1, 2), ())

    running = [threading.Thread(target=call) for _ in range(threads)]
    for thread in running:
        thread.start()
    while any(thread.is_alive() for thread in running):
        value_of(metrics, "unstuck_requests_total", **OURS, code="OK")
    assert value_of(metrics, "unstuck_requests_total", **OURS, code="OK") == 2 * threads * each
    assert all(len(waiting) == 0 for waiting in metrics._waiting.values())
