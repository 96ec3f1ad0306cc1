"""The report as text, for a person at a terminal or in a log."""

import re
from io import StringIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from unstuck.doctor.evidence.base import Found
from unstuck.doctor.findings import UNKNOWN, Finding, Report
from unstuck.doctor.report import words
from unstuck.page.elements import shown

WIDTH = 100
_CODE = re.compile(
    r"\s|\$ |unstuck |docker |curl |python |pip |import |from |- |#|[\w.]+:( \S+)?$|[\w.\[\]\"']+ = |[{}\]]"
)


def as_text(report: Report, found: Found, *, width: int = WIDTH, colour: bool = False) -> str:
    """The verdict first, then what proves it, the fix, and what else was found, ruled out and not tested."""
    console = Console(
        file=StringIO(), width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False
    )
    page = _Page(console)
    _verdict(page, report)
    if (root := words.root(report)) is not None:
        page.facts("Evidence", words.facts(root.evidence))
    if report.verdict is not None:
        page.title("How to fix it")
        page.block(report.verdict.fix)
    _others(page, "Also found (look again once the first is fixed)", words.others(report, "fault"))
    _others(page, "Suspected, not proven", words.others(report, "suspect"))
    _rest(page, report, found)
    file = console.file
    assert isinstance(file, StringIO)
    return re.sub(r"[ \t]+$", "", file.getvalue(), flags=re.MULTILINE)


class _Page:
    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, content: RenderableType, indent: int = 0) -> None:
        self._console.print(Padding(content, (0, 0, 0, indent)))

    def title(self, text: str) -> None:
        self._console.print()
        self.line(Text(text, "bold"))

    def pairs(self, pairs: list[tuple[str, str]], indent: int = 2) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in pairs:
            table.add_row(Text(name, "dim"), Text(value))
        self.line(table, indent)

    def facts(self, title: str, pairs: list[tuple[str, str]]) -> None:
        if pairs:
            self.title(title)
            self.pairs(pairs)

    def block(self, text: str, indent: int = 2) -> None:
        """Prose is wrapped; code is left as it is, to be copied."""
        fenced = False
        for line in shown(text).expandtabs(4).rstrip().split("\n"):
            if line.startswith("```"):
                fenced = not fenced
            elif fenced or ("\n" in text and _CODE.match(line)):
                self._console.print(Text(" " * indent + line), no_wrap=True, overflow="ignore", crop=False)
            else:
                self.line(Text(line), indent)


def _verdict(page: _Page, report: Report) -> None:
    verdict = report.verdict
    if verdict is None:
        page.line(Text("✓ No fault was found.", "bold green"))
        tested = len({each.cause for each in report.findings if each.status != "not-tested"})
        causes = len({each.cause for each in report.findings})
        page.line(Text(f"{tested} of {causes} known causes were tested."), 2)
    elif verdict.cause == UNKNOWN:
        page.line(Text("✗ A fault; no known cause of it is proven.", "bold red"))
        page.block(verdict.summary)
    else:
        page.line(Text(f"✗ {verdict.cause}", "bold red"))
        page.line(Text(words.meaning(verdict.cause), "italic"), 2)
        page.line(Text())
        page.block(verdict.summary)
    page.line(Text())
    about = [(name, shown(getattr(report, name) or "")) for name in ("target", "model", "signature")]
    about = [(name, value) for name, value in about if value]
    if verdict is not None:
        about = [("confidence", words.confidence(verdict.confidence)), *words.places(verdict.location), *about]
    page.pairs(list(dict(reversed(about)).items())[::-1])


def _others(page: _Page, title: str, findings: list[Finding]) -> None:
    if findings:
        page.title(title)
    for finding in findings:
        page.line(Text(f"{finding.cause}, {words.confidence(finding.confidence)}", "yellow"), 2)
        page.block(finding.why, 4)
        page.pairs(words.places(finding.location), 4)
        page.block(f"Fix: {finding.fix}", 4)


def _rest(page: _Page, report: Report, found: Found) -> None:
    ruled_out = words.ruled_out(report)
    page.facts(
        "Ruled out", [(words.STAGE_NAMES[stage], ", ".join(map(words.short, causes))) for stage, causes in ruled_out]
    )
    untested = words.untested(report)
    if not untested:
        return
    page.title("Not tested")
    for reason, causes in untested:
        page.line(Text(f"{', '.join(map(words.short, causes))}:"), 2)
        page.line(Text(reason, "dim"), 4)
    if missing := words.not_given(found):
        page.line(Text())
        page.line(Text(f"More can be tested with {', '.join(missing)}."), 2)
    page.line(Text("unstuck explain CAUSE says more of each."), 2)
