"""The picture of the way from request to answer, with the place where variation dies."""

from collections.abc import Iterator

from unstuck.doctor.evidence.answers import EndpointAnswers
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.findings import STAGES, Report
from unstuck.doctor.report import words
from unstuck.page import svg

_STATIONS = ("client", *STAGES, "answer")
_BOX, _GAP, _HIGH = 99, 31, 58
_TOP = 44  # room for what is said above and below the boxes


def data_path(report: Report, found: Found) -> str:
    """Client, the four stages and the answer, each stage with what was found of it."""
    stage = report.verdict.stage if report.verdict else None
    at = _STATIONS.index(stage) if stage else -1
    parts = [part for number, name in enumerate(_STATIONS) for part in _station(report, number, name, at)]
    flat = _is_constant(found)
    gaps = len(_STATIONS) - 1
    first_broken = at if stage else gaps - 1 if report.verdict else gaps  # of an unknown cause, only its end is known
    parts += [_strands(number, broken=number >= first_broken, flat=flat) for number in range(gaps)]
    if stage:
        dies = "Variation dies here" if flat else "It goes wrong here"
        middle = _left(at) + _BOX / 2
        parts += [svg.text(middle, 18, dies, "fault-text", anchor="middle"), svg.path(f"M{middle} 24v14", "arrow")]
    height = _TOP + _HIGH + (32 if stage else 16)
    where = f"The fault is in the stage {words.STAGE_NAMES[stage]}." if stage else "No stage has a proven fault."
    return svg.picture("path", height, "The way of the data from the request to the answer", where, parts)


def _station(report: Report, number: int, name: str, at: int) -> Iterator[str]:
    kind, said = _said(report, name)
    left, middle = _left(number), _left(number) + _BOX / 2
    yield svg.rect(left, _TOP, _BOX, _HIGH, f"box {'root' if number == at else kind}")
    yield svg.text(middle, _TOP + 25, words.STAGE_NAMES.get(name, name.capitalize()), "strong", anchor="middle")
    yield svg.text(middle, _TOP + 44, said, "small", anchor="middle")
    if number == at and report.verdict:
        cause = words.short(report.verdict.cause)
        end = middle if 0 < number < len(_STATIONS) - 1 else left
        yield svg.text(end, _TOP + _HIGH + 22, cause, "fault-text", anchor="middle")


def _said(report: Report, stage: str) -> tuple[str, str]:
    """The kind of a station's box, and what it says."""
    if stage == "client":
        return "end", "sends requests"
    if stage == "answer":
        return "end", "comes back"
    statuses: dict[str, set[str]] = {}
    for finding in report.findings:
        if finding.cause.startswith(f"{stage}/"):
            statuses.setdefault(finding.cause, set()).add(finding.status)
    tested = [each for each in statuses.values() if each != {"not-tested"}]
    for status in ("fault", "suspect"):
        if many := sum(status in each for each in tested):
            return status, f"{many} {status}{'s' if many > 1 else ''}"
    if not tested:
        return "untested", "not tested"
    if len(tested) == len(statuses):
        return "fine", "✓ no fault"
    return "partly", f"{len(tested)} of {len(statuses)} tested"


def _strands(number: int, *, broken: bool, flat: bool) -> str:
    """Between two stations: values that vary, or one that stays the same."""
    start, middle = _left(number) + _BOX + 3, _TOP + _HIGH / 2
    reach = _GAP - 6
    if broken and flat:
        return svg.path(f"M{start} {middle}h{reach}", "strand dead")
    strands = [(-14, 12), (0, -12), (14, 10)]
    kind = "strand wrong" if broken else "strand"
    return "".join(
        svg.path(f"M{start} {middle + offset}q{reach / 4} {bend} {reach / 2} 0t{reach / 2} 0", kind)
        for offset, bend in strands
    )


def _left(number: int) -> float:
    return 2 + number * (_BOX + _GAP)


def _is_constant(found: Found) -> bool:
    """Whether the answers, of the endpoint or else of the model, stay the same."""
    answers = found.get(EndpointAnswers)
    if isinstance(answers, EndpointAnswers):
        return bool(answers.outputs) and all(each.is_constant for each in answers.outputs)
    trace = found.get(VariationTrace)
    pools = trace.plausible() if isinstance(trace, VariationTrace) else []
    outputs = [each for pool in pools[:1] for each in pool.answers.values()]
    return bool(outputs) and not any(each.moves for each in outputs)
