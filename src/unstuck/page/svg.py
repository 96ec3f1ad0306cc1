"""Static SVG of plain shapes; colours are classes, so that the page's style fits them to light, dark and paper."""

import math
from collections.abc import Iterable
from html import escape

WIDTH = 760
_IDS = "picture-{}-{}"


def picture(name: str, height: float, title: str, description: str, parts: Iterable[str]) -> str:
    """A drawing ``WIDTH`` wide, with what a screen reader says of it."""
    of_title, of_description = (_IDS.format(name, part) for part in ("title", "description"))
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height:.0f}" aria-labelledby="{of_title} {of_description}">'
        f'<title id="{of_title}">{escape(title)}</title><desc id="{of_description}">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def rect(x: float, y: float, width: float, height: float, kind: str, *, hint: str = "") -> str:
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" rx="3" class="{kind}">'
        f"{inside}</rect>"
    )


def text(x: float, y: float, content: str, kind: str = "", *, anchor: str = "start", limit: int = 0) -> str:
    """One line, cut in its middle to ``limit`` characters where that is not 0; all of it is in its hint."""
    cut = shortened(content, limit)
    hint = f"<title>{escape(content)}</title>" if cut != content else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{hint}{escape(cut)}</text>'


def path(points: str, kind: str) -> str:
    return f'<path d="{points}" class="{kind}"/>'


def dot(x: float, y: float, kind: str, *, hint: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="dot {kind}"><title>{escape(hint)}</title></circle>'


def cross(x: float, y: float, size: float = 5) -> str:
    """Where something ends."""
    a, b, c, d = x - size, y - size, x + size, y + size
    return path(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}M{a:.1f} {d:.1f}L{c:.1f} {b:.1f}", "cross")


def bars(rows: Iterable[tuple[str, float, str, str]], *, left: int = 220, right: int = 170) -> tuple[float, list[str]]:
    """Horizontal bars, one below the other; the drawing's height, and its parts.

    Args:
        rows: of each, what it is called, its length from 0 to 1, its kind, and what stands behind it.
        left, right: the room for names, and for what stands behind.
    """
    room = WIDTH - left - right
    parts: list[str] = []
    at = 4
    for name, length, kind, behind in rows:
        long = room * min(max(length, 0.0), 1.0) if math.isfinite(length) else 0.0
        parts.append(text(left - 10, at + 13, name, anchor="end", limit=left // 8))
        parts.append(rect(left, at + 3, room, 12, "track"))
        parts.append(rect(left, at + 3, max(long, 2.0 if long else 0.0), 12, kind))
        parts.append(
            text(left + room + 10, at + 13, behind, "small bad-text" if kind == "bad" else "small", limit=right // 6)
        )
        at += 22
    return at + 4, parts


def shortened(content: str, limit: int) -> str:
    """``content`` with its middle left out where it has more than ``limit`` characters; 0 leaves it whole."""
    if not limit or len(content) <= limit:
        return content
    half = (limit - 1) // 2
    return f"{content[: limit - 1 - half]}…{content[-half:]}"
