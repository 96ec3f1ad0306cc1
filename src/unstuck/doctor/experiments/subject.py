"""Notes what the diagnosis is about."""

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.subject import GIVEN, Subject
from unstuck.doctor.lab import Lab
from unstuck.errors import UnstuckError


def run(lab: Lab) -> Subject:
    """Always there, whatever cannot be opened."""
    asked = lab.question
    return Subject(
        target=asked.target,
        model=str(asked.model or ""),
        signature=_signature(lab),
        given=[name for name in GIVEN if getattr(asked, name)],
    )


def _signature(lab: Lab) -> str:
    try:
        return lab.signature.name
    except (NotRun, UnstuckError):
        return lab.question.signature
