"""The metrics of running servers, called by real clients over REST and gRPC."""

import gzip
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import httpx
import pytest
from grpc_wire import REGRESS, classify, example, example_list, infer, predict, regress, tensor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from unstuck.testing import models as exports

TIMEOUT_S = 30
VERSION = "123"
SERVING = ":tensorflow:serving:"
REQUEST_ID = "x-request-id"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "half_plus_two"
    exports.half_plus_two(path)
    return path


@pytest.fixture(params=["native", "grpcio"])
def front(request):
    return request.param


@pytest.fixture
def start(serve: Callable[..., Any], model, front):
    running = []

    def start(**settings):
        running.append(serve({"m": model}, **{"grpc_front": front, **settings}))
        return running[-1]

    yield start
    for each in running:
        each.stop()


class Metrics:
    """What the page at ``path`` says at the moment it was read."""

    def __init__(self, server, path="/metrics"):
        response = httpx.get(f"{server.url}{path}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        self.samples = [sample for family in text_string_to_metric_families(response.text) for sample in family.samples]

    def __call__(self, name, **labels):
        """The sum of the samples that have these labels; the parser gives every counter a ``_total``."""
        names = (name, f"{name}_total")
        return sum(each.value for each in self.samples if each.name in names and labels.items() <= each.labels.items())


def rest(server, rows=1, path="v1/models/m:predict", **headers):
    return httpx.post(f"{server.url}/{path}", json={"instances": [float(row) for row in range(rows)]}, headers=headers)


def predict_request(model="m", alias="x"):
    return predict(model, **{alias: tensor("float", [1], 1.0)})


def test_each_api_is_counted_under_its_own_labels(start):
    server = start()
    for _ in range(3):
        assert rest(server).status_code == 200
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        for _ in range(2):
            stub.Predict(predict_request(), timeout=TIMEOUT_S)
    metrics = Metrics(server)
    latency = f"{SERVING}request_latency_count"
    assert metrics(latency, model_name="m", API="predict", entrypoint="REST") == 3
    assert metrics(latency, model_name="m", API="Predict", entrypoint="GRPC") == 2
    assert metrics(f"{SERVING}runtime_latency_count", model_name="m", API="Predict", runtime="TF1") == 5
    assert metrics(f"{SERVING}request_count", model_name="m", status="OK") == 5
    for api, calls in (("rest", 3), ("grpc", 2)):
        labels = {"model": "m", "version": VERSION, "signature": "serving_default", "api": api, "method": "Predict"}
        assert metrics("unstuck_requests_total", **labels, code="OK") == calls
        assert metrics("unstuck_request_duration_seconds_count", **labels) == calls
        took = metrics("unstuck_request_duration_seconds_sum", **labels)
        assert 0 < took < TIMEOUT_S
        stages = [
            metrics("unstuck_stage_duration_seconds_sum", **labels, stage=stage)
            for stage in ("parse", "queue", "run", "encode")
        ]
        assert all(stage > 0 for stage in stages)
        assert sum(stages) == pytest.approx(took)
    assert metrics("unstuck_version_state", model="m", version=VERSION, state="AVAILABLE") == 1
    assert metrics("unstuck_load_duration_seconds", model="m", version=VERSION) > 0
    assert metrics(":tensorflow:cc:saved_model:load_attempt_count", status="success") == 1
    assert metrics("process_resident_memory_bytes") > 1 << 20


def test_examples_are_counted_by_multi_inference_alone(start):
    server = start()
    two = example_list(example(x=2.0), example(x=3.0))
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        stub.Classify(classify("m", "classify_x_to_y", two), timeout=TIMEOUT_S)
        stub.Regress(regress("m", "regress_x_to_y", two), timeout=TIMEOUT_S)
        before = Metrics(server)
        stub.MultiInference(infer(two, ("m", "regress_x_to_y", REGRESS)), timeout=TIMEOUT_S)
    url = f"{server.url}/v1/models/m"
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}
    assert httpx.post(f"{url}:classify", json=body).status_code == 200
    after = Metrics(server)
    assert before(f"{SERVING}request_example_count_total") == 0
    assert after(f"{SERVING}request_example_count_total", model="m") == 2
    assert after(f"{SERVING}request_count", model_name="m", status="OK") == 3, "MultiInference is not among them"
    for labels in ({"API": "Classify", "entrypoint": "GRPC"}, {"API": "Regress"}, {"API": "classify"}):
        assert after(f"{SERVING}request_latency_count", model_name="m", **labels) == 1
    assert after("unstuck_requests_total", method="MultiInference", code="OK", signature="regress_x_to_y") == 1


def test_errors_are_counted_with_their_codes(start):
    server = start()
    assert rest(server, path="v1/models/other:predict").status_code == 404
    assert httpx.post(f"{server.url}/v1/models/m:predict", content=b"{").status_code == 400
    assert httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [["a"]]}).status_code == 400
    assert httpx.get(f"{server.url}/nothing").status_code == 404
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        for request in (predict_request("other"), predict_request(alias="wrong")):
            with pytest.raises(grpc.RpcError):
                stub.Predict(request, timeout=TIMEOUT_S)
        unknown = predict_request()
        unknown.model_spec.signature_name = "none"
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(unknown, timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    metrics = Metrics(server)
    assert metrics(f"{SERVING}request_count", model_name="other", status="NOT_FOUND") == 2
    assert metrics(f"{SERVING}request_count", model_name="m", status="INVALID_ARGUMENT") == 3
    assert metrics(f"{SERVING}request_count", model_name="m", status="FAILED_PRECONDITION") == 1
    assert metrics(f"{SERVING}request_count", model_name="m", status="OK") == 0
    about = {"model": "m", "version": VERSION, "signature": "serving_default", "code": "INVALID_ARGUMENT"}
    assert metrics("unstuck_requests_total", **about, api="rest") == 1
    assert metrics("unstuck_requests_total", **about, api="grpc") == 1
    assert metrics("unstuck_requests_total", model="", code="NOT_FOUND") == 0, "no call of the API"


def test_status_pages_are_counted_as_tensorflow_serving_does(start):
    server = start()
    assert httpx.get(f"{server.url}/v1/models/m").status_code == 200
    assert httpx.get(f"{server.url}/v1/models/m/metadata").status_code == 200
    metrics = Metrics(server)
    assert metrics(f"{SERVING}request_latency_count", model_name="m", API="", entrypoint="REST") == 2
    assert metrics("unstuck_requests_total", method="GetModelMetadata", api="rest", code="OK") == 1


def test_calls_that_run_together_are_all_counted_and_each_with_its_own_wait(start):
    server, calls = start(), 400
    with grpc.insecure_channel(server.grpc_address) as channel, ThreadPoolExecutor(16) as pool:
        stub = PredictionServiceStub(channel)
        list(pool.map(lambda _: stub.Predict(predict_request(), timeout=TIMEOUT_S), range(calls)))
        with httpx.Client() as client:
            url, body = f"{server.url}/v1/models/m:predict", b'{"instances": [1.0]}'
            assert all(pool.map(lambda _: client.post(url, content=body).status_code == 200, range(calls)))
    metrics = Metrics(server)
    for api in ("rest", "grpc"):
        labels = {"model": "m", "api": api}
        assert metrics("unstuck_requests_total", **labels, code="OK") == calls
        assert metrics("unstuck_request_duration_seconds_count", **labels) == calls
        for stage in ("parse", "queue", "run", "encode"):
            assert metrics("unstuck_stage_duration_seconds_count", **labels, stage=stage) == calls
        assert metrics("unstuck_runs_total", **labels) <= calls
        assert metrics("unstuck_request_bytes_total", **labels) % calls == 0
        assert metrics("unstuck_requests_in_flight", api=api) == 0


def test_warnings_and_rows_unlike_training_are_counted(start):
    server = start()
    body = {"signature_name": "regress_x2_to_y3", "inputs": {"inputs": [[1.0]], "inputz": [2.0]}}
    response = httpx.post(f"{server.url}/v1/models/m:predict", json=body)
    assert "inputz" in response.headers["x-unstuck-warning"]
    assert Metrics(server)("unstuck_request_warnings_total", model="m", signature="regress_x2_to_y3") == 1


def test_the_page_at_the_path_of_the_configuration(start):
    server = start(metrics_paths=("/metrics", "/v1/odd/metrics"))
    rest(server)
    for path in ("/metrics", "/v1/odd/metrics"):
        assert Metrics(server, path)(f"{SERVING}request_count", model_name="m", status="OK") == 1
    response = httpx.post(f"{server.url}/metrics")
    assert response.status_code == 404
    assert "/v1/odd/metrics" in response.json()["error"]


def test_the_page_in_the_other_format_and_compressed(start):
    server = start()
    asked = {"accept": "application/openmetrics-text; version=1.0.0", "accept-encoding": "gzip"}
    with httpx.stream("GET", f"{server.url}/metrics", headers=asked) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    text = gzip.decompress(raw) if response.headers.get("content-encoding") == "gzip" else raw
    assert text.endswith(b"# EOF\n")


def test_without_metrics_there_is_no_page(start):
    assert httpx.get(f"{start(metrics_paths=()).url}/metrics").status_code == 404


def logged(caplog):
    return [record.fields for record in caplog.records if record.name == "unstuck.requests"]


def until(condition):
    end = time.monotonic() + TIMEOUT_S
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def trailers(call):
    return dict(call.trailing_metadata())


def test_calls_are_logged_under_the_clients_id_which_the_answer_has_too(start, caplog):
    server = start(log_requests="all")
    response = rest(server, **{REQUEST_ID: "rest-1"})
    assert response.headers[REQUEST_ID] == "rest-1"
    assert REQUEST_ID not in rest(server).headers
    assert REQUEST_ID not in rest(server, **{REQUEST_ID: "not sane"}).headers
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        _, call = stub.Predict.with_call(predict_request(), timeout=TIMEOUT_S, metadata=((REQUEST_ID, "grpc-1"),))
        assert trailers(call)[REQUEST_ID] == "grpc-1"
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(predict_request("other"), timeout=TIMEOUT_S)
        made_up = trailers(caught.value)[REQUEST_ID]
    failed = rest(server, path="v1/models/other:predict")
    lines = {each["request_id"]: each for each in until(lambda: len(logged(caplog)) >= 6 and logged(caplog))}
    assert lines["rest-1"]["code"] == lines["grpc-1"]["code"] == "OK"
    assert lines[failed.headers[REQUEST_ID]]["code"] == lines[made_up]["code"] == "NOT_FOUND"
    assert "not sane" not in lines
    assert lines["rest-1"]["ms"] > 0


def test_without_logs_nothing_is_logged_and_no_id_comes_back(start, caplog):
    caplog.set_level(logging.INFO)
    server = start()
    assert REQUEST_ID not in rest(server, **{REQUEST_ID: "a"}).headers
    assert rest(server, path="v1/models/other:predict", **{REQUEST_ID: "a"}).status_code == 404
    assert not logged(caplog)


@pytest.fixture
def collector():
    """An OTLP collector on this machine; yields its address and the spans that it got."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
        thread.join()


def test_calls_are_traced_in_their_callers_trace(start, collector):
    endpoint, spans = collector
    server = start(tracing=True, otel_endpoint=endpoint)
    parent = f"00-{TRACE}-{SPAN}-01"
    assert rest(server, traceparent=parent).status_code == 200
    with grpc.insecure_channel(server.grpc_address) as channel:
        PredictionServiceStub(channel).Predict(
            predict_request(), timeout=TIMEOUT_S, metadata=(("traceparent", parent),)
        )
    assert rest(server, path="v1/models/other:predict").status_code == 404
    server.stop()  # sends what is left
    calls = [span for span in spans if span.name == "Predict m"]
    apis = [{each.key: each.value.string_value for each in span.attributes}["unstuck.api"] for span in calls]
    assert sorted(apis) == ["grpc", "rest"]
    assert {span.trace_id.hex() for span in calls} == {TRACE}
    assert {span.parent_span_id.hex() for span in calls} == {SPAN}
    runs = [span for span in spans if span.name == "run"]
    assert {span.parent_span_id for span in runs} == {span.span_id for span in calls}
    for span in spans:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    (failed,) = [span for span in spans if span.name == "Predict"]
    assert failed.trace_id.hex() != TRACE
    assert json.dumps("other") in str(failed.attributes)
