"""What training may have taken out of texts: markup, entities, accents, marks that nobody sees."""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import combinations
from urllib.parse import unquote_to_bytes

from unstuck.doctor.evidence.preparation import Kind

SOME = 0.05  # the share of texts that a cleaning must change, to be worth a trial
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z!][^<>]*>", re.DOTALL)
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")


def _of_text(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda text: change(text.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _without_markup(text: str) -> str:
    return " ".join(_TAG.sub(" ", text).split()) if _TAG.search(text) else text


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace") if _ESCAPE.search(text) else text


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(each for each in parts if unicodedata.category(each) != "Mn"))


def _without_invisible(text: str) -> str:
    """Without a byte order mark, characters of no width and control characters, other than blanks."""
    return "".join(each for each in text if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf"))


CLEANINGS: Mapping[Kind, Callable[[bytes], bytes]] = {
    "unquote_url": _of_text(_unescaped),
    "remove_markup": _of_text(_without_markup),
    "unescape_html": _of_text(html.unescape),
    "remove_invisible": _of_text(_without_invisible),
    "compose_unicode": _of_text(lambda text: unicodedata.normalize("NFKC", text)),
    "strip_accents": _of_text(_without_accents),
    "collapse_blanks": _of_text(lambda text: " ".join(text.split())),
}  # in the order in which they are done


def cleanings(texts: list[bytes]) -> list[tuple[Kind, ...]]:
    """Those that change more than a few of ``texts``, as they are or once cleaned so far: alone, two, and all."""
    found: list[Kind] = []
    so_far = texts
    for kind, clean in CLEANINGS.items():
        cleaned = [clean(text) for text in so_far]
        changes = sum(one != other for one, other in zip(so_far, cleaned, strict=True))
        if changes > SOME * len(texts):
            found.append(kind)
            so_far = cleaned
    several: list[tuple[Kind, ...]] = [*((each,) for each in found), *combinations(found, 2), tuple(found)]
    return list(dict.fromkeys(each for each in several if each))
