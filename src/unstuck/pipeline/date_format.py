"""The formats of dates: strptime's directives as one regular expression (RE2), and what can be told from them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

UNIX = {"unix": 1, "unix_ms": 1000}  # integers, by how many make a second

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = frozenset({"year", "month", "day"})
# What a part is computed from.
PARTS: dict[str, frozenset[str]] = {
    **{name: frozenset({name}) for name in ("year", "month", "day", "hour", "minute", "second", "microsecond")},
    **dict.fromkeys(("weekday", "day_of_year", "days", "seconds"), _DATE),
}


@dataclass(frozen=True)
class Directive:
    """What ``%`` and a letter stand for.

    Attributes:
        pattern: RE2 of its text, as Python's strptime reads it.
        sets: the fields of a date that it gives; none if its text is only skipped.
        example: any text that it can be.
    """

    pattern: str
    sets: tuple[str, ...]
    example: str = "1"


DIRECTIVES = {
    "Y": Directive(r"\d{4}", ("year",), "2000"),
    "y": Directive(r"\d\d", ("year",), "00"),
    "m": Directive("1[0-2]|0[1-9]|[1-9]", ("month",)),
    "b": Directive("|".join(MONTHS), ("month",), "jan"),
    "B": Directive(
        "january|february|march|april|may|june|july|august|september|october|november|december", ("month",), "january"
    ),
    "d": Directive(r"3[01]|[12]\d|0[1-9]|[1-9]| [1-9]", ("day",)),
    "j": Directive(r"36[0-6]|3[0-5]\d|[12]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]", ("month", "day")),
    "H": Directive(r"2[0-3]|[01]\d|\d", ("hour",)),
    "I": Directive("1[0-2]|0[1-9]|[1-9]", ("hour",)),
    "p": Directive("am|pm", ("half",), "am"),
    "M": Directive(r"[0-5]\d|\d", ("minute",)),
    "S": Directive(r"[0-5]\d|\d", ("second",)),
    "f": Directive(r"\d{1,6}", ("microsecond",)),
    "z": Directive(r"[+-](?:[01]\d|2[0-3]):?[0-5]\d|(?-i:Z)", ("offset",), "Z"),
    "a": Directive("mon|tue|wed|thu|fri|sat|sun", ()),
    "A": Directive("monday|tuesday|wednesday|thursday|friday|saturday|sunday", ()),
}


@dataclass(frozen=True)
class DateFormat:
    """A format, read.

    Attributes:
        pattern: RE2 that a whole text matches; its groups are the directives'.
        directives: their letters, in order; those whose text is skipped left out.
    """

    pattern: str
    directives: tuple[str, ...]


def read_format(text: str) -> DateFormat:
    """The format ``text`` of strptime.

    Raises:
        ValueError: a directive that is not supported, or directives that do not fit together.
    """
    pattern, letters = "(?i)", list[str]()
    for percent, space, plain in re.findall(r"%(.?)|(\s+)|([^%\s]+)", text, re.DOTALL):
        if space or plain:
            pattern += r"[\s\v]+" if space else re.escape(plain)
        elif percent == "%":
            pattern += "%"
        elif percent not in DIRECTIVES:
            known = " ".join(f"%{letter}" for letter in DIRECTIVES)
            raise ValueError(f"%{percent} of {text!r} is not supported; expected {known} or %%")
        else:
            skipped = not DIRECTIVES[percent].sets
            pattern += f"({'?:' if skipped else ''}{DIRECTIVES[percent].pattern})"
            letters += [] if skipped else [percent]
    _check_together(text, letters)
    return DateFormat(pattern, tuple(letters))


def fields_of(text: str) -> frozenset[str]:
    """The fields of a date that the format ``text`` gives."""
    if text in UNIX:
        return frozenset(field for fields in PARTS.values() for field in fields)
    return frozenset(field for letter in read_format(text).directives for field in DIRECTIVES[letter].sets)


def check_parts(text: str, parts: Iterable[str]) -> None:
    """Raises ValueError for a part that the format ``text`` does not give."""
    fields = fields_of(text)
    for part in parts:
        left_out = sorted(PARTS[part] - fields)
        if left_out:
            raise ValueError(f"the format {text!r} has no {' and no '.join(left_out)}, which {part} needs")


def _check_together(text: str, letters: list[str]) -> None:
    fields = [field for letter in letters for field in DIRECTIVES[letter].sets]
    twice = sorted({field for field in fields if fields.count(field) > 1})
    if twice:
        raise ValueError(f"{text!r} gives the {twice[0]} twice")
    if ("I" in letters) != ("p" in letters):
        raise ValueError(f"{text!r} needs %I and %p together, or %H")
    if "day" in fields and not _DATE.issubset(fields):
        raise ValueError(f"{text!r} has a day without a month and a year, which tell how many days there are")
