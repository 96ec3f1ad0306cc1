"""The report as one page of HTML that needs nothing else: no script, no network."""

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import TypeVar

from unstuck import __version__
from unstuck.doctor.evidence.answers import EndpointAnswers
from unstuck.doctor.evidence.base import Evidence, Found
from unstuck.doctor.evidence.feature_profile import FeatureProfile
from unstuck.doctor.evidence.probes import ConcurrencyProbe
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.server_state import ServerState
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.evidence.vocabulary import VocabularyProbe
from unstuck.doctor.findings import STAGES, UNKNOWN, Finding, Report
from unstuck.doctor.report import distributions, pictures, words
from unstuck.doctor.report.data_path import data_path
from unstuck.doctor.report.layers import layers
from unstuck.page.elements import document, figure, footer, pairs, paragraph, safe, section, table

E = TypeVar("E", bound=Evidence)


def as_html(report: Report, found: Found) -> str:
    """The verdict first, then the pictures, what proves it, the fix, and everything else that was found."""
    title = f"{report.verdict.cause if report.verdict else 'no fault'}: {report.target or report.model or 'diagnosis'}"
    body = "".join(
        (
            _head(report),
            "<main>",
            section("From request to answer", figure(data_path(report, found), _where(report))),
            _proof(report),
            _pictures(report, found),
            _others("Also found", words.others(report, "fault"), "Look again once the first is fixed."),
            _others("Suspected, not proven", words.others(report, "suspect"), ""),
            _stages(report),
            _untested(report, found),
            "</main>",
            footer(__version__, "unstuck diagnose", "<code>unstuck explain CAUSE</code> says more of each cause."),
        )
    )
    return document(title, body)


def _head(report: Report) -> str:
    verdict = report.verdict
    kind = "healthy" if verdict is None else "faulty"
    if verdict is None:
        said = "<p class=verdict>✓ No fault was found</p>" + paragraph(_coverage(report))
    elif verdict.cause == UNKNOWN:
        said = "<p class=verdict>✗ A fault; no known cause of it is proven</p>" + paragraph(verdict.summary)
    else:
        said = (
            f"<p class=verdict>✗ {safe(words.short(verdict.cause).capitalize())}</p>"
            f"<p class=meaning>{safe(words.meaning(verdict.cause))} <code>{safe(verdict.cause)}</code></p>"
            f"{paragraph(verdict.summary)}"
        )
    about = {"Target": report.target, "Model": report.model, "Signature": report.signature}
    shown = {name: f"<code>{safe(value)}</code>" for name, value in about.items() if value}
    if verdict is not None:
        shown["Confidence"] = escape(words.confidence(verdict.confidence))
    return f'<header class="{kind}"><h1>Diagnosis</h1>{said}{pairs(shown.items())}</header>'


def _coverage(report: Report) -> str:
    tested = {each.cause for each in report.findings if each.status != "not-tested"}
    causes = {each.cause for each in report.findings}
    return f"{len(tested)} of {len(causes)} known causes were tested."


def _where(report: Report) -> str:
    places = words.places(report.verdict.location) if report.verdict else []
    named = ", ".join(f"{escape(name)} <code>{escape(value)}</code>" for name, value in places)
    return f"The fault is at {named}." if named else "Each box is a stage that was looked at."


def _proof(report: Report) -> str:
    root = words.root(report)
    evidence = section("Evidence", table(words.facts(root.evidence))) if root is not None else ""
    fix = section("How to fix it", _fix(report.verdict.fix)) if report.verdict is not None else ""
    return evidence + fix


def _fix(text: str) -> str:
    """Prose as a paragraph; a fix of several lines has code or a pipeline in it and keeps them."""
    first, _, rest = text.replace("```yaml", "").replace("```", "").partition("\n")
    code = rest.strip("\n")
    return paragraph(first) + (f"<pre tabindex=0><code>{safe(code)}</code></pre>" if code else "")


def _pictures(report: Report, found: Found) -> str:
    of = _Known(found)
    compared = of(ProfileComparison, distributions.numbers)
    drawn = (
        ("The answers", of(EndpointAnswers, pictures.answers), _ANSWERS),
        ("Right or wrong", pictures.comparisons(found), "How many answers are those known right."),
        ("Answer by answer", pictures.scatters(found), _SCATTERS),
        ("Inside the model", of(VariationTrace, partial(layers, report)), _LAYERS),
        ("Numbers: requests against training", compared, _NUMBERS),
        ("Tokens the model does not know", of(VocabularyProbe, distributions.tokens), "Of all tokens in the requests."),
        ("Features: requests against training", "" if compared else of(FeatureProfile, pictures.apart), _APART),
        ("Features that matter", pictures.effects(found), _EFFECTS),
        ("Many calls at the same time", of(ConcurrencyProbe, pictures.concurrency), _CONCURRENCY),
        ("Memory", of(ServerState, pictures.memory), "What is needed, used and allowed."),
    )
    return "".join(section(title, figure(picture, escape(caption))) for title, picture, caption in drawn)


_ANSWERS = "A square a request, in their order: equal colours are equal answers, a cross is a failed call."
_SCATTERS = (
    "A dot a request: across what is right, up what came. On the dashed line they are the same; a level row of dots is "
    "one answer to all."
)
_LAYERS = "How far each layer moves between rows, of its magnitude: from the inputs to the answer; a logarithmic scale."
_NUMBERS = "From the least to the most value; thick where most of them are. Each feature has a scale of its own."
_APART = "0 where the values of requests and of training lie alike, 1 where they do not overlap."
_EFFECTS = "How often the answer moves when one feature is moved and the others stay."
_CONCURRENCY = "Calls that were answered otherwise than alone, or failed."


class _Known:
    """Draws a kind of evidence where there is some."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def __call__(self, kind: type[E], draw: Callable[[E], str]) -> str:
        evidence = self._found.get(kind)
        return draw(evidence) if isinstance(evidence, kind) else ""


def _others(title: str, findings: list[Finding], note: str) -> str:
    if not findings:
        return ""
    return section(title, paragraph(note) if note else "", *(_other(each) for each in findings))


def _other(finding: Finding) -> str:
    places = {name: f"<code>{escape(value)}</code>" for name, value in words.places(finding.location)}
    return (
        f"<article><h3>{safe(words.short(finding.cause).capitalize())} <code>{safe(finding.cause)}</code></h3>"
        f"{paragraph(finding.why)}{pairs([('Confidence', words.confidence(finding.confidence)), *places.items()])}"
        f"<details><summary>Evidence and fix</summary>{table(words.facts(finding.evidence))}{_fix(finding.fix)}"
        "</details></article>"
    )


def _stages(report: Report) -> str:
    ruled_out = dict(words.ruled_out(report))
    whys: Mapping[str, str] = {each.cause: each.why for each in report.findings if each.status == "ruled-out"}
    return section("Ruled out", *(_stage(stage, ruled_out[stage], whys) for stage in STAGES if stage in ruled_out))


def _stage(stage: str, causes: list[str], whys: Mapping[str, str]) -> str:
    names = ", ".join(map(words.short, causes))
    return (
        f"<details><summary><strong>{words.STAGE_NAMES[stage]}</strong>: {safe(names)}</summary>"
        f"{table((words.short(cause), whys[cause]) for cause in causes)}</details>"
    )


def _untested(report: Report, found: Found) -> str:
    rows = [(", ".join(map(words.short, causes)), reason) for reason, causes in words.untested(report)]
    missing = ", ".join(words.not_given(found))
    more = paragraph(f"More can be tested with {missing}.") if rows and missing else ""
    return section("Not tested", table(rows), more)
