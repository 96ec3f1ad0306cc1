"""The report as one page of HTML that needs nothing else: no script, no network."""

from collections.abc import Callable, Iterable, Mapping
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
from unstuck.doctor.report.style import STYLE

E = TypeVar("E", bound=Evidence)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(report: Report, found: Found) -> str:
    """The verdict first, then the pictures, what proves it, the fix, and everything else that was found."""
    title = f"{report.verdict.cause if report.verdict else 'no fault'}: {report.target or report.model or 'diagnosis'}"
    body = "".join(
        (
            _head(report),
            "<main>",
            _section("From request to answer", _figure(data_path(report, found), _where(report))),
            _proof(report),
            _pictures(report, found),
            _others("Also found", words.others(report, "fault"), "Look again once the first is fixed."),
            _others("Suspected, not proven", words.others(report, "suspect"), ""),
            _stages(report),
            _untested(report, found),
            f"</main><footer>Made by unstuck {escape(__version__)}, <code>unstuck diagnose</code>. "
            "<code>unstuck explain CAUSE</code> says more of each cause.</footer>",
        )
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><style>{STYLE}</style></head><body>{body}</body></html>\n'
    )


def _safe(text: str) -> str:
    return escape(words.shown(text))


def _section(title: str, *content: str) -> str:
    inside = "".join(content)
    return f"<section><h2>{escape(title)}</h2>{inside}</section>" if inside else ""


def _figure(picture: str, caption: str) -> str:
    return f"<figure tabindex=0>{picture}<figcaption>{caption}</figcaption></figure>" if picture else ""


def _head(report: Report) -> str:
    verdict = report.verdict
    kind = "healthy" if verdict is None else "faulty"
    if verdict is None:
        said = "<p class=verdict>✓ No fault was found</p>" + _p(_coverage(report))
    elif verdict.cause == UNKNOWN:
        said = "<p class=verdict>✗ A fault; no known cause of it is proven</p>" + _p(verdict.summary)
    else:
        said = (
            f"<p class=verdict>✗ {_safe(words.short(verdict.cause).capitalize())}</p>"
            f"<p class=meaning>{_safe(words.meaning(verdict.cause))} <code>{_safe(verdict.cause)}</code></p>"
            f"{_p(verdict.summary)}"
        )
    about = {"Target": report.target, "Model": report.model, "Signature": report.signature}
    shown = {name: f"<code>{_safe(value)}</code>" for name, value in about.items() if value}
    if verdict is not None:
        shown["Confidence"] = escape(words.confidence(verdict.confidence))
    return f'<header class="{kind}"><h1>Diagnosis</h1>{said}{_pairs(shown.items())}</header>'


def _coverage(report: Report) -> str:
    tested = {each.cause for each in report.findings if each.status != "not-tested"}
    causes = {each.cause for each in report.findings}
    return f"{len(tested)} of {len(causes)} known causes were tested."


def _p(text: str) -> str:
    return f"<p>{_safe(text)}</p>"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values, the values already escaped."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f"<dl>{rows}</dl>" if rows else ""


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><th scope="row">{_safe(name)}</th><td>{_safe(value)}</td></tr>' for name, value in rows)
    return f"<table>{lines}</table>" if lines else ""


def _where(report: Report) -> str:
    places = words.places(report.verdict.location) if report.verdict else []
    named = ", ".join(f"{escape(name)} <code>{escape(value)}</code>" for name, value in places)
    return f"The fault is at {named}." if named else "Each box is a stage that was looked at."


def _proof(report: Report) -> str:
    root = words.root(report)
    evidence = _section("Evidence", _table(words.facts(root.evidence))) if root is not None else ""
    fix = _section("How to fix it", _fix(report.verdict.fix)) if report.verdict is not None else ""
    return evidence + fix


def _fix(text: str) -> str:
    """Prose as a paragraph; a fix of several lines has code or a pipeline in it and keeps them."""
    first, _, rest = text.replace("```yaml", "").replace("```", "").partition("\n")
    code = rest.strip("\n")
    return _p(first) + (f"<pre tabindex=0><code>{_safe(code)}</code></pre>" if code else "")


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
    return "".join(_section(title, _figure(picture, escape(caption))) for title, picture, caption in drawn)


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
    return _section(title, _p(note) if note else "", *(_other(each) for each in findings))


def _other(finding: Finding) -> str:
    places = {name: f"<code>{escape(value)}</code>" for name, value in words.places(finding.location)}
    return (
        f"<article><h3>{_safe(words.short(finding.cause).capitalize())} <code>{_safe(finding.cause)}</code></h3>"
        f"{_p(finding.why)}{_pairs([('Confidence', words.confidence(finding.confidence)), *places.items()])}"
        f"<details><summary>Evidence and fix</summary>{_table(words.facts(finding.evidence))}{_fix(finding.fix)}"
        "</details></article>"
    )


def _stages(report: Report) -> str:
    ruled_out = dict(words.ruled_out(report))
    whys: Mapping[str, str] = {each.cause: each.why for each in report.findings if each.status == "ruled-out"}
    return _section("Ruled out", *(_stage(stage, ruled_out[stage], whys) for stage in STAGES if stage in ruled_out))


def _stage(stage: str, causes: list[str], whys: Mapping[str, str]) -> str:
    names = ", ".join(map(words.short, causes))
    return (
        f"<details><summary><strong>{words.STAGE_NAMES[stage]}</strong>: {_safe(names)}</summary>"
        f"{_table((words.short(cause), whys[cause]) for cause in causes)}</details>"
    )


def _untested(report: Report, found: Found) -> str:
    rows = [(", ".join(map(words.short, causes)), reason) for reason, causes in words.untested(report)]
    missing = ", ".join(words.not_given(found))
    more = _p(f"More can be tested with {missing}.") if rows and missing else ""
    return _section("Not tested", _table(rows), more)
