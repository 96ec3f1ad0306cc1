"""Reports that no diagnosis made, for the tests of how reports are shown."""

from typing import Any

from unstuck.doctor.evidence.answers import EndpointAnswers, OutputAnswers, RequestAnswer
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.evidence.samples import DEAD
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.findings import UNKNOWN, Finding, Location, Report, Verdict

TARGET = "http://localhost:8501/v1/models/risk"
PIPELINE = "schema: 1\ninputs:\n  text:\n    - lowercase: {}\n    - split: {separator: '" + "-" * 120 + "'}\n"


def fault(cause: str = "model/dead-activation", **changes: Any) -> Finding:
    told: dict[str, Any] = {
        "check": cause.split("/")[1],
        "cause": cause,
        "status": "fault",
        "evidence": {"zeros": 1.0, "spread_of_what_it_takes": 1.7751, "rows": 1200, "shares": {"a": 0.5}},
        "why": "Variation dies at layer 'relu'.",
        "fix": "Retrain from relu on.",
        "confidence": 0.95,
        "location": Location(layer="relu", node="relu"),
    }
    return Finding.model_validate(told | changes)


def other(cause: str, status: str, why: str) -> Finding:
    return Finding.model_validate({"check": cause, "cause": cause, "status": status, "why": why})


REST = [
    other("model/non-finite", "ruled-out", "Every tensor is finite."),
    other("model/collapsed", "ruled-out", "Every output varies."),
    other("mapping/wrong-layout", "ruled-out", "The answers fit."),
    other("resources/crosstalk", "not-tested", "no TARGET was given"),
    other("resources/stale-response", "not-tested", "no TARGET was given"),
    other("resources/memory-limit", "not-tested", "no --cgroup was given"),
]


def report(*findings: Finding, verdict: Verdict | None = None, **changes: Any) -> Report:
    """Of ``findings``, the first of which is the verdict if it is a fault."""
    first = findings[0] if findings else None
    if verdict is None and first is not None and first.status == "fault":
        verdict = Verdict(
            cause=first.cause,
            stage=first.cause.split("/")[0],
            confidence=first.confidence,
            summary=first.why,
            location=first.location,
            fix=first.fix,
        )
    told: dict[str, Any] = {
        "schema": 1,
        "target": TARGET,
        "model": None,
        "signature": "serving_default",
        "healthy": verdict is None,
        "verdict": verdict,
        "findings": list(findings),
    }
    return Report.model_validate(told | changes)


UNPROVEN = Verdict(
    cause=UNKNOWN, stage=None, confidence=0.5, summary="All answers are 0.5.", location=Location(), fix="Give --model."
)
HEALTHY = report(*REST)
FAULTY = report(fault(), *REST)
ANSWERS = EndpointAnswers(
    source="requests",
    asked=4,
    failed={"UNAVAILABLE": 1},
    outputs=[OutputAnswers(output="y", rows=3, distinct_inputs=3, distinct=1)],
    requests=[
        *(RequestAnswer(line=line, code="OK", seconds=0.1, digest="same") for line in (1, 2, 3)),
        RequestAnswer(line=4, code="UNAVAILABLE", seconds=0.1),
    ],
)
FOUND: Found = {
    Subject: Subject(target=TARGET, signature="serving_default", given=["target", "requests"]),
    EndpointAnswers: ANSWERS,
    VariationTrace: DEAD,
}
