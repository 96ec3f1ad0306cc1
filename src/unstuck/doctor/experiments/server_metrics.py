"""Reads what a server counts itself: its page for Prometheus, and Unstuck's ``/statusz``.

Names: TensorFlow Serving's, which Unstuck has too, and those of Prometheus' client libraries for the process.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import orjson

from unstuck.core.models import ModelSpec
from unstuck.doctor.endpoint import Endpoint
from unstuck.doctor.evidence.answers import EndpointState
from unstuck.doctor.evidence.server_state import SameAnswer, ServerMetrics
from unstuck.doctor.lab import Lab
from unstuck.errors import UnstuckError

PAGES = ("/monitoring/prometheus/metrics", "/metrics")
STATUS = "/statusz"
TIMEOUT_S = 2.0
MAX_BYTES = 4_000_000
RESIDENT = "process_resident_memory_bytes"
COUNT, LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
MICROSECOND = 1e-6

Sample = tuple[str, dict[str, str], float]  # name, labels, value


def read_metrics(lab: Lab) -> ServerMetrics | None:
    """What the server at TARGET counts; None where it shows nothing, cannot be reached, or speaks gRPC alone."""
    if not lab.question.target or lab.endpoint.address.is_grpc or not lab.find(EndpointState).is_reachable:
        return None
    endpoint = lab.endpoint
    page, samples = _page(endpoint)
    found = _told(page, samples, endpoint.spec.name) if samples else ServerMetrics()
    status = _status(endpoint)
    server = _part(status, "server")
    same = list(_same_answers(status, endpoint.spec, lab.find(EndpointState).available))
    found = found.model_copy(
        update={
            "resident_bytes": found.resident_bytes or _number(server.get("memory_bytes")),
            "limit_bytes": _number(server.get("memory_limit_bytes")),
            "same_answers": same,
        }
    )
    return None if found == ServerMetrics() else found


def _page(endpoint: Endpoint) -> tuple[str, list[Sample]]:
    """The first page that holds something known, and its samples."""
    for path in PAGES:
        body = _get(endpoint, path)
        try:
            samples = list(parsed(body.decode())) if body else []
        except ValueError:  # another page, or none of Prometheus' format
            continue
        if any(name in (RESIDENT, COUNT) for name, _, _ in samples):
            return path, samples
    return "", []


def parsed(text: str) -> Iterator[Sample]:
    """The samples of a page in Prometheus' text format. Raises ValueError where it is none."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The library gives a counter's samples a _total, which TensorFlow Serving's do not have.
            yield sample.name.removesuffix("_total"), dict(sample.labels), float(sample.value)


def _told(page: str, samples: Iterable[Sample], model: str) -> ServerMetrics:
    own = [each for each in samples if each[1].get("model_name", model) == model]
    requests: dict[str, int] = {}
    for name, labels, value in own:
        if name == COUNT and labels.get("status"):
            requests[labels["status"]] = requests.get(labels["status"], 0) + int(value)
    calls = sum(value for name, _, value in own if name == f"{LATENCY}_count")
    waited = sum(value for name, _, value in own if name == f"{LATENCY}_sum")
    return ServerMetrics(
        page=page,
        resident_bytes=next((int(value) for name, _, value in own if name == RESIDENT), None),
        requests=requests,
        latency_s=waited / calls * MICROSECOND if calls else None,
    )


def _same_answers(status: dict[str, Any], spec: ModelSpec, available: list[int]) -> Iterator[SameAnswer]:
    """The signatures of the version asked for, or of the newest, whose answers the server has flagged."""
    signatures = _part(_version(status, spec, available), "signatures")
    for name in signatures:
        answers = _part(_part(signatures, name), "answers")
        if answers.get("flagged") is True:
            inputs = _number(answers.get("inputs_since_change")) or 0
            yield SameAnswer(signature=name, inputs=inputs, same=str(answers.get("same", "")))


def pipeline_of(lab: Lab) -> str:
    """The pipeline with which the version that answers is served, as the server's ``/statusz`` says; empty for none."""
    if lab.endpoint.address.is_grpc or not lab.find(EndpointState).is_reachable:
        return ""
    version = _version(_status(lab.endpoint), lab.endpoint.spec, lab.find(EndpointState).available)
    return str(version.get("pipeline") or "")


def _version(status: dict[str, Any], spec: ModelSpec, available: list[int]) -> dict[str, Any]:
    """What is said of the version asked for, or of the newest."""
    version = spec.version if spec.version is not None else next(iter(available), None)
    return _part(_part(_part(_part(status, "models"), spec.name), "versions"), str(version))


def _status(endpoint: Endpoint) -> dict[str, Any]:
    try:
        document: Any = orjson.loads(_get(endpoint, STATUS) or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _get(endpoint: Endpoint, path: str) -> bytes:
    """The page; empty where there is none."""
    try:
        reply = endpoint.get(path, TIMEOUT_S)
    except UnstuckError:
        return b""
    return reply.body if reply.status == 200 and len(reply.body) <= MAX_BYTES else b""
