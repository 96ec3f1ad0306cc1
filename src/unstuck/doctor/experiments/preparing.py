"""Prepares values: does to arrays what a ``Preparation`` says."""

import base64
import binascii
import html
import re
import string
from collections.abc import Callable, Mapping, Set
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import numpy as np
import orjson

from unstuck.core.signatures import Tensor
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.cleaning import CLEANINGS
from unstuck.doctor.experiments.segmenting import segmented

Numbers = "np.ndarray[Any, np.dtype[np.float64]]"
WIDTHS = (2, 4, 8)  # bytes of a number
SPLITS = frozenset({"split", "characters", "word_pieces"})  # they change the shape
BY_VOCABULARY = frozenset({"segment", "word_pieces"})  # they take the vocabulary's own entries
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}|\\[nrt\"'\\])+")
_PUNCTUATION = string.punctuation.encode()
_AROUND_WORDS = re.compile(r"(?<!\S)[^\w\s]+|[^\w\s]+(?!\S)")
_BETWEEN_WORDS = re.compile(r"[^\w\s]+|_+")


def prepared(preparation: Preparation, values: Tensor, vocabulary: Set[bytes] = frozenset()) -> Tensor:
    """``values`` so prepared, in their own dtype; ``SPLITS`` are not done here, as they change the shape.

    Args:
        vocabulary: of which ``segment`` takes the words.

    Raises:
        ValueError: a text cannot be decoded.
    """
    for kind in preparation.kinds:
        if kind in _TEXT:
            values = _each(_TEXT[kind], values)
        elif kind == "segment":
            values = _each(lambda text: segmented(text, vocabulary), values)
        elif kind == "decode":
            values = _each(DECODE[preparation.decode], values)
        elif kind not in SPLITS:
            values = _number(preparation, kind, values)
    return values


def _number(preparation: Preparation, kind: str, values: Tensor) -> Tensor:
    numbers = values.astype(np.float64)
    factor, offset = np.asarray(preparation.factor), np.asarray(preparation.offset)
    with np.errstate(all="ignore"):
        if kind == "affine":
            found = numbers * factor + offset
        elif kind == "log":
            found = np.log(np.maximum(numbers + offset, 1e-12))
        elif kind == "exp":
            found = np.exp(np.minimum(numbers, 80.0)) - offset
        elif kind == "quantise":
            found = np.clip(np.round(numbers * factor + offset), -128, 255)
        elif kind == "swap bytes":
            return swapped(values, preparation.number)
        elif kind in ("bits", "half bits"):
            return _reread(values, kind)
        else:
            found = {"truncate": np.trunc, "round": np.round, "floor": np.floor}[kind](numbers)
        return found.astype(values.dtype)


def _reread(values: Tensor, kind: str) -> Tensor:
    """Floats of which the bytes were taken for integers."""
    if kind == "half bits":
        return values.astype(np.float16).view(np.uint16).astype(values.dtype)
    return values.astype(np.float32).view(np.int32).astype(values.dtype)


def swapped(values: Tensor, number: str) -> Tensor:
    """Numbers with their bytes in the other order, as ``number`` holds them: ``int16``, ``float64``."""
    turned = values.astype(number).byteswap()
    return np.nan_to_num(turned, nan=0.0, posinf=0.0, neginf=0.0).astype(values.dtype)


def _turned(width: int) -> Callable[[bytes], bytes]:
    def done(text: bytes) -> bytes:
        if not text or len(text) % width:
            raise ValueError(f"its length is no multiple of {width}")
        return np.frombuffer(text, f"u{width}").byteswap().tobytes()

    return done


def _each(change: Callable[[bytes], bytes], values: Tensor) -> Tensor:
    found = np.empty(values.shape, object)
    flat = cast("list[bytes]", values.ravel().tolist())
    found.ravel()[:] = [change(text) for text in flat] if flat else []
    return found


def _lower(text: bytes) -> bytes:
    return text.decode(errors="replace").lower().encode()


def _upper(text: bytes) -> bytes:
    return text.decode(errors="replace").upper().encode()


def _without_punctuation(text: bytes) -> bytes:
    return text.translate(None, _PUNCTUATION)


def _trimmed(text: bytes) -> bytes:
    return _AROUND_WORDS.sub("", text.decode(errors="replace")).encode()


def _without_joints(text: bytes) -> bytes:
    return _BETWEEN_WORDS.sub(" ", text.decode(errors="replace")).strip().encode()


_TEXT: Mapping[str, Callable[[bytes], bytes]] = {
    "lowercase": _lower,
    "uppercase": _upper,
    "strip": bytes.strip,
    "remove_punctuation": _without_punctuation,
    "trim_punctuation": _trimmed,
    "punctuation_to_blanks": _without_joints,
    **CLEANINGS,
}


def _base64(text: bytes) -> bytes:
    text = text.strip()
    if text.startswith(b"data:") and b"," in text:
        text = text.split(b",", 1)[1]
    plain = text.translate(bytes.maketrans(b"-_", b"+/"))
    return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)


def _unhex(text: bytes) -> bytes:
    return binascii.unhexlify(text.strip().removeprefix(b"0x"))


def _latin1(text: bytes) -> bytes:
    decoded = text.decode()
    try:
        return decoded.encode("latin-1")
    except UnicodeEncodeError:
        return decoded.encode("cp1252")


def _utf16(text: bytes) -> bytes:
    codec = "utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-le" if text[1:2] == b"\0" else "utf-16-be"
    return text.decode(codec).encode()


def _json(text: bytes) -> bytes:
    document = orjson.loads(text)
    values = list(cast("dict[str, Any]", document).values()) if isinstance(document, dict) else [document]
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        raise ValueError("no text in it")
    return max(texts, key=len).encode()


def _bytes_repr(text: bytes) -> bytes:
    return text[2:-1].decode("unicode_escape").encode("latin-1")


def _unescaped(text: bytes) -> bytes:
    """Text whose letters are written out, as in the source of a program: ``\\u00e9``, ``\\xc3\\xa9``, ``\\n``."""
    found = _ESCAPES.sub(lambda several: _letters(several[0]), text.decode())
    return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()  # joins pairs of surrogates


def _letters(escapes: str) -> str:
    found = escapes.encode().decode("unicode_escape")
    try:
        return found.encode("latin-1").decode()  # bytes of UTF-8
    except UnicodeError:
        return found


def _html(text: bytes) -> bytes:
    return html.unescape(text.decode()).encode()


DECODE: Mapping[str, Callable[[bytes], bytes]] = {
    "base64": _base64,
    "hex": _unhex,
    "escaped": _unescaped,
    "html": _html,
    "url": lambda text: unquote_to_bytes(text.replace(b"+", b" ")),
    "json": _json,
    "mojibake": _latin1,
    "utf-16": _utf16,
    "bytes-repr": _bytes_repr,
    **{f"swapped-{8 * width}": _turned(width) for width in WIDTHS},
}
