"""What a server counts itself is read from its pages, and from nothing that only looks like one."""

from types import SimpleNamespace

import pytest

from unstuck.client.messages import Reply
from unstuck.core.models import ModelSpec
from unstuck.doctor.evidence.answers import EndpointAnswers, EndpointState, OutputAnswers
from unstuck.doctor.evidence.server_state import SameAnswer, ServerMetrics, ServerState
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.experiments.server_metrics import pipeline_of, read_metrics
from unstuck.doctor.explain import unexplained

PAGE = """# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="m",status="OK"} 90
:tensorflow:serving:request_count{model_name="m",status="UNAVAILABLE"} 10
:tensorflow:serving:request_count{model_name="other",status="UNAVAILABLE"} 500
# TYPE :tensorflow:serving:request_latency histogram
:tensorflow:serving:request_latency_bucket{model_name="m",API="predict",entrypoint="REST",le="+Inf"} 100
:tensorflow:serving:request_latency_sum{model_name="m",API="predict",entrypoint="REST"} 2e+06
:tensorflow:serving:request_latency_count{model_name="m",API="predict",entrypoint="REST"} 100
"""
PROCESS = "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 5.0e+08\n"
FLAGGED = (
    b'{"server": {"memory_bytes": 400, "memory_limit_bytes": 1000}, "models": {"m": {"versions": {"3": {"signatures":'
    b' {"serving_default": {"answers": {"flagged": true, "inputs_since_change": 300, "same": "the same answer"}},'
    b' "other": {"answers": null}}}}}}}'
)


def lab(pages, *, is_reachable=True, is_grpc=False):
    def get(path, timeout_s):
        found = pages.get(path)
        body = found if isinstance(found, bytes) else (found or "").encode()
        return Reply(404 if found is None else 200, body)

    state = EndpointState(
        url="u", model="m", is_reachable=is_reachable, versions=[{"version": 3, "state": "AVAILABLE"}]
    )
    endpoint = SimpleNamespace(address=SimpleNamespace(is_grpc=is_grpc), spec=ModelSpec("m"), get=get)
    question = SimpleNamespace(target="u", cgroup=None, server_log=None, model=None)
    return SimpleNamespace(question=question, endpoint=endpoint, find=lambda kind: state)


def test_tensorflow_servings_page_is_read_for_the_model_in_question():
    found = read_metrics(lab({"/monitoring/prometheus/metrics": PAGE}))
    assert found is not None
    assert (found.page, found.requests) == ("/monitoring/prometheus/metrics", {"OK": 90, "UNAVAILABLE": 10})
    assert found.latency_s == pytest.approx(0.02)
    assert found.refused == 10


def test_the_process_is_told_by_the_usual_page():
    found = read_metrics(lab({"/metrics": PROCESS}))
    assert found is not None
    assert (found.resident_bytes, found.limit_bytes) == (500_000_000, None)


def test_statusz_tells_the_pipeline_of_the_version_that_answers():
    told = b'{"models": {"m": {"versions": {"3": {"pipeline": "p.yaml"}, "2": {"pipeline": "old.yaml"}}}}}'
    assert pipeline_of(lab({"/statusz": told})) == "p.yaml"
    assert pipeline_of(lab({"/statusz": told.replace(b'"p.yaml"', b"null")})) == ""
    assert pipeline_of(lab({})) == pipeline_of(lab({"/statusz": told}, is_grpc=True)) == ""


def test_statusz_tells_the_limit_and_what_the_server_has_seen():
    found = read_metrics(lab({"/statusz": FLAGGED}))
    assert found is not None
    assert (found.resident_bytes, found.limit_bytes) == (400, 1000)
    assert found.same_answers == [SameAnswer(signature="serving_default", inputs=300, same="the same answer")]


@pytest.mark.parametrize("page", ["<html>hello</html>", "{}", "x 1\n", b"\xff\xfe", '["no", "object"]'])
def test_other_pages_tell_nothing(page):
    assert read_metrics(lab(dict.fromkeys(("/metrics", "/monitoring/prometheus/metrics", "/statusz"), page))) is None


def test_a_server_that_is_down_or_speaks_grpc_is_not_asked():
    assert read_metrics(lab({"/metrics": PROCESS}, is_reachable=False)) is None
    assert read_metrics(lab({"/metrics": PROCESS}, is_grpc=True)) is None


def evidence(same, source="training", lowest=0.25):
    metrics = ServerMetrics(same_answers=[SameAnswer(signature="serving_default", inputs=300, same=same)])
    outputs = [OutputAnswers(output="y", rows=20, distinct_inputs=20, distinct=20, lowest=lowest)]
    return {
        ServerState: ServerState(metrics=metrics),
        Subject: Subject(signature="serving_default"),
        EndpointAnswers: EndpointAnswers(source=source, asked=20, outputs=outputs),
    }


def test_one_answer_to_all_that_the_server_has_seen_is_no_health():
    assert "300 different inputs" in unexplained(evidence("the same answer"))


@pytest.mark.parametrize("more", [{"source": "requests"}, {"lowest": 1.0}, {"same": "the same class"}])
def test_requests_that_vary_and_labels_stay_healthy(more):
    assert unexplained(evidence(**({"same": "the same answer"} | more))) == ""
