"""The gates as metrics."""

from unstuck.monitor.admission import AdmissionMetrics

GATE = {
    "in_flight": 3,
    "bytes_in_flight": 70,
    "limit": 18,
    "limited_by": "wait",
    "expected_wait_s": 0.25,
    "refused": {"wait": 5, "memory": 0},
}


def test_each_model_has_its_figures_and_each_reason_its_count():
    families = {each.name: each for each in AdmissionMetrics(lambda: {"m": GATE}).families()}
    refused = families.pop("unstuck_refused_requests_total")
    assert (refused.kind, [(dict(each.labels), each.value) for each in refused.samples]) == (
        "counter",
        [({"model": "m", "reason": "wait"}, 5), ({"model": "m", "reason": "memory"}, 0)],
    )
    values = {name: [(dict(each.labels), each.value) for each in found.samples] for name, found in families.items()}
    assert values == {
        "unstuck_admitted_requests": [({"model": "m"}, 3)],
        "unstuck_admitted_bytes": [({"model": "m"}, 70)],
        "unstuck_admission_limit": [({"model": "m"}, 18)],
        "unstuck_expected_wait_seconds": [({"model": "m"}, 0.25)],
    }
