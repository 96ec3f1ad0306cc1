"""Metrics of who was let in and who was refused."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from unstuck.monitor.families import Family, FamilySource, Sample

Overview = Callable[[], Mapping[str, Mapping[str, Any]]]


class AdmissionMetrics(FamilySource):
    """Reads at each scrape what the gates count."""

    def __init__(self, overview: Overview) -> None:
        """``overview``: of each model, what is in flight, what may be, and what was refused, by reason."""
        self._overview = overview

    def families(self) -> Iterable[Family]:
        gates = self._overview()
        refused = [
            Sample("", {"model": name, "reason": reason}, count)
            for name, gate in gates.items()
            for reason, count in gate["refused"].items()
        ]
        text = "Calls that were refused, by why: requests, bytes, wait, deadline, memory."
        yield Family("unstuck_refused_requests_total", "counter", text, refused)
        for name, key, text in (
            ("unstuck_admitted_requests", "in_flight", "Calls that wait or run."),
            ("unstuck_admitted_bytes", "bytes_in_flight", "Bytes of the bodies of calls that wait or run."),
            ("unstuck_admission_limit", "limit", "Calls to the model in flight from which on others are refused."),
            ("unstuck_expected_wait_seconds", "expected_wait_s", "What a call that came now would wait."),
        ):
            samples = [Sample("", {"model": model}, gate[key]) for model, gate in gates.items()]
            yield Family(name, "gauge", text, samples)
