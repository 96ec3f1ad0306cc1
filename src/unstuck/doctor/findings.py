"""What a diagnosis says: findings, the verdict, the report. The shape is the JSON report's."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Literal["fault", "suspect", "ruled-out", "not-tested"]

STAGES = ("preprocessing", "mapping", "resources", "model")
CAUSES = (
    "preprocessing/constant-input", "preprocessing/missing-tokenization", "preprocessing/wrong-vocabulary",
    "preprocessing/missing-normalization", "preprocessing/double-normalization", "preprocessing/wrong-encoding",
    "preprocessing/truncation",
    "mapping/swapped-features", "mapping/dropped-feature", "mapping/duplicated-feature", "mapping/wrong-signature",
    "mapping/wrong-layout", "mapping/batch-broadcast", "mapping/wrong-version",
    "resources/memory-limit", "resources/overload", "resources/crosstalk", "resources/stale-response",
    "resources/not-serving",
    "model/disconnected-input", "model/dead-activation", "model/saturated-activation", "model/non-finite",
    "model/degenerate-weights", "model/batch-statistics", "model/uninitialized-table", "model/output-hides-variation",
    "model/collapsed",
)  # fmt: skip
UNKNOWN = "unknown"  # the answers are constant, and no cause is proven


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Location(_Value):
    """Where the fault is, in the user's words; None for what does not apply."""

    input: str | None = None
    feature: str | None = None
    node: str | None = None
    layer: str | None = None
    signature: str | None = None
    output: str | None = None
    version: str | None = None


class Finding(_Value):
    """What one check says of its cause.

    Attributes:
        check: the check's name.
        cause: the cause's code.
        status: what the evidence says.
        evidence: the numbers that prove it.
        why: one or two sentences: expected, got, where.
        location: where; only of a fault or suspect.
        fix: what to change; only of a fault or suspect, which must have one.
        confidence: from 0 to 1; only of a fault or suspect.
    """

    check: str
    cause: str
    status: Status
    evidence: dict[str, Any] = {}
    why: str
    location: Location = Location()
    fix: str = ""
    confidence: float = Field(0.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _proven(self) -> Self:
        if self.status in ("fault", "suspect") and not (self.evidence and self.fix and self.confidence):
            raise ValueError(f"{self.cause}: a {self.status} without evidence, fix or confidence")
        return self


class Verdict(_Value):
    """The earliest root among the faults."""

    cause: str
    stage: str | None
    confidence: float
    summary: str
    location: Location
    fix: str


class Report(_Value):
    """A whole diagnosis."""

    schema_: int = Field(1, alias="schema")
    target: str | None
    model: str | None
    signature: str | None
    healthy: bool
    verdict: Verdict | None
    findings: list[Finding]
