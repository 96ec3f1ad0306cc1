"""What a model needs, as text for a terminal or a log."""

import re
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unstuck.page.elements import shown
from unstuck.sizing.measuring import Sizing
from unstuck.sizing.report import cpus, problem, rows, verdict


def as_text(sizing: Sizing, *, width: int, colour: bool) -> str:
    """What was measured, what is needed and why, and whether that was proven."""
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False)
    about = _table()
    for name, value in {**sizing.about, "limits": sizing.how}.items():
        about.add_row(Text(shown(name), "dim"), Text(shown(value)))
    needed = _table(columns=3)
    for name, value, reason in rows(sizing):
        needed.add_row(Text(name, "dim"), Text(value, "bold"), Text(reason))
    console.print(about)
    console.print()
    console.print(needed)
    for trial in sizing.trials[:-1]:
        given = f"{cpus(trial.needs.cpus)}, {trial.needs.memory_bytes >> 20:,} MiB, {trial.needs.rate:,.4g}/s"
        console.print(Text(f"\nNot enough: {given}: {shown(problem(trial))}.", "yellow"))
    for remark in sizing.remarks:
        console.print(Text(f"\n{shown(remark)}", "yellow"))
    console.print(Text(f"\n{shown(verdict(sizing))}", "bold green" if sizing.is_proven else "bold red"))
    return re.sub(r"[ \t]+$", "", file.getvalue(), flags=re.MULTILINE)


def _table(columns: int = 2) -> Table:
    table = Table.grid(padding=(0, 2))
    for number in range(columns):
        table.add_column(no_wrap=number < columns - 1, overflow="fold")
    return table
