"""Hypotheses of what happened to texts, tokens and ids on their way: tokenised otherwise, or by another vocabulary."""

import html
import json
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote_from_bytes

import numpy as np
import orjson

from unstuck.doctor.evidence.preparation import Kind as Change
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.preparing import DECODE, WIDTHS, prepared, swapped
from unstuck.doctor.experiments.transformations import Array, Arrays, Hypothesis, changed, each_text

UNKNOWN = b"\xef\xbf\xbdunknown"  # a word of no vocabulary
SHIFTS = (1, -1, 2, -2, 3, -3)  # ids kept for padding and unknown words, by one vocabulary and not by another
SIZES = (100, 128, 200, 256, 500, 512, 1000, 1024, 2000, 4000, 5000, 8000, 10_000, 16_000, 20_000, 30_000, 32_000)
_CLEANED: Mapping[str, Change] = {
    "in lower case": "lowercase",
    "in upper case": "uppercase",
    "without punctuation": "remove_punctuation",
    "without punctuation around words": "trim_punctuation",
    "with blanks for punctuation": "punctuation_to_blanks",
    "without accents": "strip_accents",
    "without markup": "remove_markup",
    "with HTML entities unescaped": "unescape_html",
    "unescaped as of a URL": "unquote_url",
    "without characters that are not seen": "remove_invisible",
}


def tokens_changed(batch: Arrays) -> Iterator[Hypothesis]:
    """All hypotheses on the inputs of text and of ids, the most frequent mistakes first."""
    for alias, values in batch.items():
        if values.dtype == object:
            yield from _texts(alias, values)
        elif values.dtype.kind in "iu":
            yield from _ids(alias, values)
        if values.ndim == 2 and values.dtype.kind in "iuO" and values.shape[1] > 1:
            yield changed("layout", "with its padding before the tokens", alias, _padded(before=True))
            yield changed("layout", "with its padding behind the tokens", alias, _padded(before=False))


def _texts(alias: str, values: Array) -> Iterator[Hypothesis]:
    for what, kind in _CLEANED.items():
        yield changed("untokenised", what, alias, _prepared(Preparation(name=what, kinds=[kind])))
        if kind not in ("lowercase", "uppercase"):
            both = f"in lower case, {what}"
            yield changed("untokenised", both, alias, _prepared(Preparation(name=both, kinds=["lowercase", kind])))
    if values.ndim == 2 and values.shape[1] > 1:
        yield changed("untokenised", "as one text, its tokens joined by blanks", alias, _joined)
    yield changed("untokenised", "letter by letter", alias, each_text(_letters))
    written: dict[str, Callable[[bytes], bytes]] = {
        "as Python writes bytes, b'…'": lambda text: repr(text).encode(),
        "escaped, as JSON in ASCII": lambda text: json.dumps(text.decode(errors="replace"))[1:-1].encode(),
        "as JSON, in quotes": lambda text: orjson.dumps(text.decode(errors="replace")),
        "escaped for a URL": lambda text: quote_from_bytes(text).encode(),
        "escaped for HTML": lambda text: html.escape(text.decode(errors="replace")).encode(),
        "as hexadecimal digits": lambda text: text.hex().encode(),
        "as UTF-16": lambda text: text.decode(errors="replace").encode("utf-16-le"),
    }
    for what, write in written.items():
        yield changed("cast", what, alias, each_text(write))
    for width in WIDTHS:
        if all(each and len(each) % width == 0 for each in values.ravel()):
            what = f"with the bytes of its numbers of {8 * width} bits turned"
            yield changed("cast", what, alias, each_text(DECODE[f"swapped-{8 * width}"]))
    yield changed("vocabulary", "with every word unknown", alias, each_text(_unknown))


def _ids(alias: str, values: Array) -> Iterator[Hypothesis]:
    most = int(values.max(initial=0))
    if values.dtype.itemsize > 1:
        yield changed("cast", "with the bytes of each number turned", alias, lambda x: swapped(x, x.dtype.name))
    for by in SHIFTS:
        yield changed("vocabulary", f"with {by:+} on each id", alias, _shifted(by, keep_zero=False))
        yield changed("vocabulary", f"with {by:+} on each id but 0", alias, _shifted(by, keep_zero=True))
    for unknown in (1, 0):
        yield changed("vocabulary", f"with {unknown} for each id but 0", alias, _bounded(1, unknown))
        for size in (each for each in SIZES if each <= most):
            what = f"with {unknown} for the ids from {size} on"
            yield changed("vocabulary", what, alias, _bounded(size, unknown))


def _prepared(preparation: Preparation) -> Callable[[Array], Array]:
    return lambda values: prepared(preparation, values)


def _joined(values: Array) -> Array:
    """The tokens of a row in its first place, the others empty."""
    found = np.full(values.shape, b"", object)
    found[:, 0] = [b" ".join(each for each in row if each) for row in values]
    return found


def _letters(text: bytes) -> bytes:
    return " ".join(text.decode(errors="replace").replace(" ", "")).encode()


def _unknown(text: bytes) -> bytes:
    return b" ".join(UNKNOWN for _ in text.split())


def _shifted(by: int, *, keep_zero: bool) -> Callable[[Array], Array]:
    def done(values: Array) -> Array:
        moved = np.maximum(values.astype(np.int64) + by, 0).astype(values.dtype)
        return np.where(values == 0, values, moved) if keep_zero else moved

    return done


def _bounded(size: int, unknown: int) -> Callable[[Array], Array]:
    """Ids from ``size`` on replaced by ``unknown``."""
    return lambda values: np.where(values >= size, unknown, values).astype(values.dtype)


def _padded(*, before: bool) -> Callable[[Array], Array]:
    """The padding (zeros, empty texts) of each row on one side, the tokens in their order on the other."""

    def done(values: Array) -> Array:
        is_token = values != (b"" if values.dtype == object else 0)
        order = np.argsort(is_token if before else ~is_token, axis=1, kind="stable")
        return np.take_along_axis(values, order, axis=1)

    return done
