"""A server's status for people."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from unstuck.cli.troubles import Trouble, answers_of, table

WORKER_COLOURS = {"serving": "green", "loading": "yellow"}
GAP = 2
HEADINGS = ("MODEL", "VERSION", "STATE", "SINCE", "ENGINE", "LOADED IN", "MERGED", "ANSWERS")
LEFT_OUT = ("MERGED", "LOADED IN", "ENGINE", "SINCE")  # in this order, as many as it takes
COLOURS = {"AVAILABLE": "green", "LOADING": "yellow", "START": "yellow", "UNLOADING": "yellow"}


def as_text(
    status: Mapping[str, Any], troubles: Sequence[Trouble], notes: Sequence[Trouble], width: int, *, colour: bool
) -> str:
    """Lines of ``width`` columns, but for commands to type, which stay whole."""
    page = io.StringIO()
    console = Console(
        file=page, width=width, force_terminal=colour, no_color=not colour, highlight=False, soft_wrap=False
    )
    console.print(_server_line(status["server"]), soft_wrap=True)
    if workers := table(status["server"]).get("workers"):
        console.print(_workers(workers))
    console.print(_table(status["models"], width))
    _list(console, "Wrong", "red", troubles)
    _list(console, "Worth knowing", "yellow", notes)
    if not troubles:
        console.print("[green]All is well.[/]")
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _server_line(server: Mapping[str, Any] | None) -> str:
    if server is None:
        return (
            "Not Unstuck: only versions and states are known, not whether the answers depend on the requests. "
            "unstuck diagnose finds that out."
        )
    ready = "ready" if server["ready"] else "not ready"
    watched = "" if server["answer_diversity"] else "; answers are not watched (--answer_diversity=off)"
    memory = f"{server['memory_bytes'] / 2**20:,.0f} MiB"
    if server["memory_limit_bytes"]:
        memory += f" of {server['memory_limit_bytes'] / 2**20:,.0f}"
    if left := table(server.get("limits")).get("memory_left_bytes"):
        memory += f" ({left / 2**20:,.0f} left)"
    return (
        f"Unstuck {_shown(server['version'])}, {ready}, up {_duration(server['uptime_s'])}, pid {server['pid']}, "
        f"{memory}, {_cpus(server['cpus'])}{watched}"
    )


def _cpus(number: float | None) -> str:
    return "? CPUs" if not number else f"{number:g} CPU{'s' * (number != 1)}"


def _workers(workers: Sequence[Mapping[str, Any]]) -> Table:
    rows = Table(box=None, pad_edge=False)
    for heading in ("WORKER", "PID", "STATE", "SINCE", "RESTARTS", "MEMORY", "SHARED"):
        rows.add_column(heading, overflow="fold")
    for each in workers:
        rows.add_row(
            str(each["number"]),
            str(each["pid"] or ""),
            f"[{WORKER_COLOURS.get(each['state'], 'red')}]{_shown(each['state'])}[/]",
            _moment(each["since"]),
            str(each["restarts"]),
            f"{each['memory_bytes'] / 2**20:,.0f} MiB",
            f"{each['shared_bytes'] / 2**20:,.0f} MiB",
        )
    return rows


def _table(models: Mapping[str, Any], width: int) -> Table:
    """With the columns for which there is room."""
    rows: list[dict[str, str]] = [
        dict(zip(HEADINGS, row, strict=True)) for name, model in models.items() for row in _rows(name, model)
    ]
    longest: dict[str, int] = {
        heading: max([len(heading), *(Text.from_markup(row[heading]).cell_len for row in rows)]) for heading in HEADINGS
    }
    for heading in LEFT_OUT:
        if sum(longest.values()) + GAP * (len(longest) - 1) > width:
            del longest[heading]
    found = Table(box=None, pad_edge=False)
    for heading in longest:
        found.add_column(heading, overflow="fold", no_wrap=heading == "STATE")
    for row in rows:
        found.add_row(*(row[heading] for heading in longest))
    return found


def _rows(name: str, model: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    labels = {str(number): label for label, number in table(model.get("labels")).items()}
    for number, version in model["versions"].items():
        label = f" ({_shown(labels[number])})" if number in labels else ""
        state = "QUARANTINED" if version.get("quarantined") else version["state"]
        yield (
            _shown(name),
            f"{_shown(number)}{label}",
            f"[{COLOURS.get(state, 'red' if version['error'] else 'default')}]{_shown(state)}[/]",
            _moment(version.get("since")),
            _shown(version.get("engine") or ""),
            f"{version['load_s']:.2f} s" if "load_s" in version else "",
            _merged(version),
            _answers(version),
        )
    if not model["versions"]:
        yield (_shown(name), "", "[red]none[/]", "", "", "", "", "")


def _merged(version: Mapping[str, Any]) -> str:
    signatures = table(version.get("signatures"))
    if not signatures:
        return ""
    merged = sum(each["merged"] for each in signatures.values())
    return "yes" if merged == len(signatures) else "no" if not merged else f"{merged} of {len(signatures)}"


def _answers(version: Mapping[str, Any]) -> str:
    known = [each for _, each in answers_of(version)]
    if any(each["flagged"] for each in known):
        return "[red]CONSTANT[/]"
    inputs, outputs = (sum(each[which] for each in known) for which in ("distinct_inputs", "distinct_outputs"))
    return f"{outputs:,} for {inputs:,} input{'s' * (inputs != 1)}" if inputs else ""


def _list(console: Console, title: str, colour: str, troubles: Sequence[Trouble]) -> None:
    if not troubles:
        return
    console.print(f"\n[{colour}]{title}[/]")
    for each in troubles:
        whose = f"{each.model} version {each.version}" if each.version else each.model
        console.print(f"  {_shown(f'{whose}: {each.what}' if whose else each.what)}", soft_wrap=True)
        if each.advice:
            console.print(f"    {_shown(each.advice)}", soft_wrap=True)
    console.print()


def _shown(text: object) -> str:
    """``text`` of others without what would command the terminal, or rich."""
    plain = str(text)
    return escape(plain if plain.isprintable() else ascii(plain)[1:-1])


def _moment(since: str | None) -> str:
    return _shown(since[:19].replace("T", " ")) if since else ""


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
