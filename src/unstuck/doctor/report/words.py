"""What the reports share: causes, numbers and places in words that a newcomer understands."""

from collections.abc import Iterable, Mapping
from typing import cast

from unstuck.doctor.check import all_checks
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.evidence.subject import GIVEN, Subject
from unstuck.doctor.findings import STAGES, Finding, Location, Report, Status
from unstuck.doctor.report.json import plain
from unstuck.page.elements import shown

MAX_VALUE = 120
STAGE_NAMES = {
    "preprocessing": "Preparation",
    "mapping": "Mapping",
    "resources": "Server",
    "model": "Model",
}
STAGE_QUESTIONS = {
    "preprocessing": "Is what reaches the model what it was trained on?",
    "mapping": "Do the right values reach the right place?",
    "resources": "Does the server do its work under its limits and its load?",
    "model": "Does the model itself let its inputs move its answer?",
}


def meaning(cause: str) -> str:
    """What is true where ``cause`` is found: the first line of its check's page; empty for no check's cause."""
    found = next((check for check in all_checks() if check.cause == cause), None)
    return " ".join(found.page.split("\n\n")[0].split()) if found else ""


def short(cause: str) -> str:
    """A cause without its stage, as words."""
    return cause.rsplit("/", 1)[-1].replace("-", " ")


def confidence(value: float) -> str:
    """In words and as a number."""
    words = ((0.95, "almost certain"), (0.8, "very likely"), (0.6, "likely"), (0.0, "possible"))
    return f"{next(word for least, word in words if value >= least)} ({value:.2f})"


def places(location: Location) -> list[tuple[str, str]]:
    """The parts of a location that apply."""
    return [(name, shown(value)) for name, value in location.model_dump().items() if value]


def facts(evidence: Mapping[str, object]) -> list[tuple[str, str]]:
    """The numbers of a finding as names and values, one level deep; but for the pipeline, which is in the fix."""
    found: list[tuple[str, str]] = []
    for name, value in cast("dict[str, object]", plain(evidence)).items():
        if name == "pipeline":
            continue
        if isinstance(value, dict):
            for inner, each in cast("dict[str, object]", value).items():
                found.append((shown(f"{name} {inner}".replace("_", " ")), _value(each)))
        else:
            found.append((shown(name.replace("_", " ")), _value(value)))
    return found


def _value(value: object) -> str:
    text = shown(_plain_value(value))
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _plain_value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_plain_value(each) for each in cast("list[object]", value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain_value(each)}" for key, each in cast("dict[str, object]", value).items())
    return str(value) or "none"


def root(report: Report) -> Finding | None:
    """The finding that the verdict rests on."""
    verdict = report.verdict
    of_cause = [each for each in report.findings if verdict and each.cause == verdict.cause and each.status == "fault"]
    return next((each for each in of_cause if verdict and each.why == verdict.summary), next(iter(of_cause), None))


def others(report: Report, status: Status) -> list[Finding]:
    """The findings of ``status`` but for the verdict's."""
    of_verdict = root(report)
    return [each for each in report.findings if each.status == status and each is not of_verdict]


def ruled_out(report: Report) -> list[tuple[str, list[str]]]:
    """By stage, the causes that were ruled out."""
    causes = _only(report, "ruled-out")
    found = [(stage, [each for each in causes if each.startswith(f"{stage}/")]) for stage in STAGES]
    return [(stage, each) for stage, each in found if each]


def untested(report: Report) -> list[tuple[str, list[str]]]:
    """By reason, the causes that could not be tested."""
    causes = _only(report, "not-tested")
    reasons: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.cause in causes:
            known = reasons.setdefault(shown(finding.why).rstrip("."), [])
            known.extend([finding.cause] if finding.cause not in known else [])
    return list(reasons.items())


def _only(report: Report, status: Status) -> list[str]:
    """The causes of which nothing is said but ``status``."""
    said: dict[str, set[Status]] = {}
    for finding in report.findings:
        said.setdefault(finding.cause, set()).add(finding.status)
    return [cause for cause, statuses in said.items() if statuses == {status}]


def not_given(found: Found) -> list[str]:
    """What else could be handed over, as the command line calls it."""
    subject = found.get(Subject)
    given: Iterable[str] = subject.given if isinstance(subject, Subject) else GIVEN
    return [flag for name, flag in GIVEN.items() if name not in given]
