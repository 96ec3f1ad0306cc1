"""The results as text, for a person at a terminal or in a log."""

import re
from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unstuck.bench.report import words
from unstuck.bench.results import Level, Results
from unstuck.page.elements import shown

WIDTH = 116
_BINS, _BAR = 14, 50
_LEFT_OUT_FIRST = ("memory", "p90", "CPU/answer", "p99.9", "max")
_UNLIMITED = 1000


def as_text(results: Results, *, width: int = WIDTH, colour: bool = False) -> str:
    """What was measured, a line a load, where the time went, what failed, and what to know of it."""
    console = Console(
        file=StringIO(), width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False
    )
    console.print(_pairs(list(results.about.items())))
    console.print()
    console.print(_loads(results, console))
    if len(results.levels) == 1 and results.levels[0].tally.latencies.count:
        console.print()
        console.print(_histogram(results.levels[0]))
    if failed := words.failures(results):
        console.print(Text("\nFailed", "bold"))
        console.print(_pairs(failed))
    for remark in words.remarks(results):
        console.print(Text(f"\n{shown(remark)}", "yellow"))
    if said := words.outcome(results):
        console.print(Text(f"\n{said}", "bold green" if results.is_fine else "bold red"))
    file = console.file
    assert isinstance(file, StringIO)
    return re.sub(r"[ \t]+$", "", file.getvalue(), flags=re.MULTILINE)


def _pairs(pairs: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(Text(shown(name), "dim"), Text(shown(value)))
    return table


def _loads(results: Results, console: Console) -> Table:
    """A line a load; where they do not fit, without the columns that are missed least."""
    unlimited = console.options.update(max_width=_UNLIMITED)
    left_out = list(_LEFT_OUT_FIRST)
    tables = [_table(results, left_out[:count]) for count in range(len(left_out) + 1)]
    fitting = (table for table in tables if console.measure(table, options=unlimited).maximum <= console.width)
    return next(fitting, tables[-1])


def _table(results: Results, left_out: Sequence[str]) -> Table:
    kept = [at for at, name in enumerate(words.COLUMNS) if name not in left_out]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for at in kept:
        table.add_column(words.COLUMNS[at], justify="right" if at else "left", no_wrap=True)
    for level in results.levels:
        missed = level.meets_target is False or bool(level.tally.failed)
        row = words.row(level)
        table.add_row(*(row[at] for at in kept), style="red" if missed else "")
    return table


def _histogram(level: Level) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("up to", justify="right", no_wrap=True)
    table.add_column("answers", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    steps = words.bins(level, _BINS)
    most = max(count for _, count in steps)
    for upper, count in steps:
        bar = "█" * round(_BAR * count / most) or ("▏" if count else "")
        table.add_row(words.duration(upper), f"{count:,}", bar)
    return table
