"""``unstuck explain``: what a cause is, how it is found, and how it is fixed."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import cast

from unstuck.cli import output
from unstuck.cli.exit_status import exit_status
from unstuck.config import flags
from unstuck.config.flag_values import read_bool
from unstuck.config.flags import Flag
from unstuck.doctor.check import Case, Check, all_checks
from unstuck.doctor.findings import CAUSES, STAGES, UNKNOWN
from unstuck.doctor.report.words import STAGE_NAMES, STAGE_QUESTIONS, meaning
from unstuck.errors import InputNames, SetupError, WrongShape, WrongType, did_you_mean

WIDTH = 100
USAGE = """\
Usage: unstuck explain [CAUSE] [--markdown]

Prints what a cause is that unstuck diagnose names, why it happens, how it is told from others, and how to fix it.
CAUSE may also be a stage (preprocessing, mapping, resources, model), or what x-unstuck-cause, a header of refused
requests, says. Without CAUSE, lists all of them. --markdown prints every page as one Markdown document."""
MARKDOWN = Flag("markdown", read_bool, False, "", "every page as one Markdown document", boolean=True)
FLAGS = cast("tuple[Flag[object], ...]", (MARKDOWN, flags.HELP))
_OF_UNKNOWN = (
    "the answers to varied inputs are the same, for no reason that is legitimate, and no cause is proven by what was "
    "given. The report lists what was not tested, and what would make it testable."
)
REFUSALS = {
    InputNames.cause: (
        "The request was refused, as it lacks inputs of the signature, or has others. The error names them; "
        "unstuck inspect shows, for a PATH or URL, requests that work."
    ),
    WrongType.cause: (
        "The request was refused, as an input has values of another type than the model takes, such as text for "
        "numbers. Send what the error expects; or declare how raw values are prepared, in a pipeline."
    ),
    WrongShape.cause: (
        "The request was refused, as an input has another shape than the model takes, or rows of different lengths. "
        "The error names the input, the shape that it expects and the one that came."
    ),
}
SAID = {
    "fault": "is a fault",
    "suspect": "is a suspect",
    "ruled-out": "is ruled out",
    "not-tested": "cannot be tested",
}


def run(arguments: Sequence[str]) -> int:
    """Prints one page, or the list; returns the exit status."""
    return exit_status("explain", lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
    elif given.get(MARKDOWN):
        output.write("\n".join(as_markdown()) + "\n")
    elif given.positional:
        output.write("\n\n".join("\n".join(_page(cause)) for cause in given.positional) + "\n")
    else:
        output.write("\n".join(listing()) + "\n")
    return 0


def _page(cause: str) -> Iterator[str]:
    sentences = {UNKNOWN: _OF_UNKNOWN, **REFUSALS}
    if cause in sentences:
        yield from textwrap.wrap(f"{cause}: {sentences[cause]}", WIDTH)
    elif cause in STAGES:
        yield from _of_stage(cause)
    else:
        yield from page(find(cause))


def find(cause: str) -> Check:
    """The check of ``cause``, which may lack its stage.

    Raises:
        SetupError: there is none; with the nearest names.
    """
    wanted = cause.strip().lower().replace("_", "-").replace(" ", "-")
    for check in all_checks():
        if wanted in (check.cause, check.cause.split("/")[1]):
            return check
    known = [check.cause for check in all_checks()]
    near = did_you_mean(wanted, known) or did_you_mean(wanted, [each.split("/")[1] for each in known])
    raise SetupError(f"There is no cause {cause!r}.", hint=near or "unstuck explain lists all of them.")


def listing() -> Iterator[str]:
    """Every cause with what is true of it, by stage."""
    for stage in STAGES:
        yield from (*_of_stage(stage), "")
    yield "unstuck explain CAUSE says more."


def _of_stage(stage: str) -> Iterator[str]:
    width = max(map(len, CAUSES)) + 4
    yield from (f"{STAGE_NAMES[stage]}: {STAGE_QUESTIONS[stage]}", "")
    for cause in (each for each in CAUSES if each.startswith(f"{stage}/")):
        yield from textwrap.wrap(
            meaning(cause) or "(no check yet)",
            WIDTH,
            initial_indent=f"  {cause}".ljust(width),
            subsequent_indent=" " * width,
        )


def page(check: Check) -> Iterator[str]:
    """The check's page, and what it says of its cases."""
    yield from (check.cause, "=" * len(check.cause), "", *check.page.splitlines(), "", "Examples")
    yield from (f"    {_case(case)}" for case in check.cases)


def as_markdown() -> Iterator[str]:
    """All pages, for the documentation."""
    yield from ("# What `unstuck diagnose` finds", "", "<!-- Made by `unstuck explain --markdown`. -->")
    for stage in STAGES:
        yield from ("", f"## {STAGE_NAMES[stage]}", "", STAGE_QUESTIONS[stage])
        for check in (each for each in all_checks() if each.cause.startswith(f"{stage}/")):
            yield from ("", f"### `{check.cause}`", "", *_markdown(check.page))
            yield from ("", "**Examples**", "", *(f"- {_case(case)}" for case in check.cases))


def _markdown(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line and not line.startswith(" ") and len(line) < 30 and not line.endswith("."):
            yield from (f"**{line}**", "")
        else:
            yield line.removeprefix("    ")


def _case(case: Case) -> str:
    return f"{case.name}: {SAID[case.status]}"
