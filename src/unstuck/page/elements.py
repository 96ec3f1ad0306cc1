"""The parts of a page. What others wrote goes through ``safe``; what is called HTML here is escaped already."""

from collections.abc import Iterable, Sequence
from html import escape

from unstuck.page.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, body: str) -> str:
    """The whole page around ``body`` (HTML)."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{safe(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><style>{STYLE}</style></head><body>{body}</body></html>\n'
    )


def footer(version: str, command: str, more: str = "") -> str:
    """Which version and command made the page; ``more`` (HTML) is said after it."""
    return f"<footer>Made by unstuck {escape(version)}, <code>{escape(command)}</code>. {more}</footer>"


def shown(text: str) -> str:
    """``text`` of others without what would command a terminal; its lines stay."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def safe(text: str) -> str:
    """``text`` of others as HTML."""
    return escape(shown(text))


def section(title: str, *content: str) -> str:
    """HTML under a heading; nothing where there is none."""
    inside = "".join(content)
    return f"<section><h2>{escape(title)}</h2>{inside}</section>" if inside else ""


def figure(picture: str, caption: str) -> str:
    """A picture and its caption, both HTML; nothing where there is no picture."""
    return f"<figure tabindex=0>{picture}<figcaption>{caption}</figcaption></figure>" if picture else ""


def paragraph(text: str) -> str:
    return f"<p>{safe(text)}</p>"


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names and values, the values HTML."""
    inside = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f"<dl>{inside}</dl>" if inside else ""


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, one below the other."""
    lines = "".join(f'<tr><th scope="row">{safe(name)}</th><td>{safe(value)}</td></tr>' for name, value in rows)
    return f"<table>{lines}</table>" if lines else ""


def columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of numbers, with a heading over each column."""
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in names)
    lines = "".join(f"<tr>{''.join(f'<td>{safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=wide><table class=columns><tr>{head}</tr>{lines}</table></div>" if lines else ""
