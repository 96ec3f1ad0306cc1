"""How texts are written: encoded, escaped, damaged, or no text at all but a file."""

import binascii
import re
from collections.abc import Sequence

from unstuck.doctor.evidence.request_facts import Writing
from unstuck.doctor.experiments.byte_order import turned_width
from unstuck.doctor.experiments.preparing import DECODE

_MAGIC = {
    b"\x89PNG\r\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp", b"RIFF": "riff", b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip", b"%PDF": "pdf", b"II*\x00": "tiff", b"MM\x00*": "tiff", b"\x93NUMPY": "npy",
}  # fmt: skip
IMAGES = frozenset({"png", "jpeg", "gif", "bmp", "riff"})
LEAST_LENGTH = 16  # a shorter word may look like base64 or hex by chance
USUAL = 0.05  # a share from which it is told
_BASE64 = re.compile(rb"(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/_-]+={0,2}")
_HEX = re.compile(rb"(?:0x)?(?:[0-9a-fA-F]{2})+")
_HTML = re.compile(rb"&(?:amp|lt|gt|quot|nbsp|#\d{2,4}|#x[0-9a-fA-F]{2,4});")
_ESCAPED = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[nrt\"])")
_URL = re.compile(rb"%[0-9a-fA-F]{2}")
_MOJIBAKE = re.compile("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac\u2122\u0153\u201a-\u201e]")


def writings_of(texts: Sequence[bytes], reference: Sequence[bytes] | None) -> list[Writing]:
    """The ways in which more than a few of ``texts`` are written, each with its share in the reference too."""
    found: list[Writing] = []
    seen = [writing_of(text) for text in texts]
    known = None if reference is None else [writing_of(text) for text in reference]
    for name in sorted({each[0] for each in seen if each}):
        share = sum(each is not None and each[0] == name for each in seen) / len(seen)
        if share >= USUAL:
            trained = None if not known else sum(each is not None and each[0] == name for each in known) / len(known)
            contents = [each[1] for each in seen if each and each[0] == name]
            content = max(set(contents), key=contents.count)
            found.append(Writing(name=name, share=share, trained_share=trained, content=content))
    width = turned_width(texts, reference) if reference else 0
    if width:
        found.append(Writing(name=f"swapped-{8 * width}", share=1.0, trained_share=0.0, content="numbers"))
    return found


def writing_of(text: bytes) -> tuple[str, str] | None:
    """Its name, and what is in it; None for plain text."""
    kind = file_kind(text)
    if kind:
        return kind, kind
    if _is_two_bytes_each(text) and _decodes("utf-16", text):
        return "utf-16", "text"
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return None
    return _damaged(text, decoded) or _encoded(text) or _escaped(text)


def _is_two_bytes_each(text: bytes) -> bool:
    """Whether every other byte is mostly zero, as in UTF-16 of Latin letters."""
    start = text[:64]
    return len(start) > 1 and any(start[at::2].count(0) >= 0.8 * len(start[at::2]) for at in (0, 1))


def _damaged(text: bytes, decoded: str) -> tuple[str, str] | None:
    if "\ufffd" in decoded:
        kind = next((kind for magic, kind in _MAGIC.items() if magic.strip(b"\x89\xff\x8b")[:3] in text[:12]), "")
        return "damaged", kind if "\ufffd" in decoded[:4] else ""
    if any("\x80" <= each <= "\xff" for each in decoded[:4]):
        inner = _decodes("mojibake", text)
        if inner and file_kind(inner):
            return "mojibake", file_kind(inner)
    if _MOJIBAKE.search(decoded) and _decodes("mojibake", text):
        return "mojibake", "text"
    return None


def _encoded(text: bytes) -> tuple[str, str] | None:
    if text[:2] in (b"b'", b'b"') and text[-1:] == text[1:2] and len(text) > 3:
        inner = _decodes("bytes-repr", text)
        return ("bytes-repr", file_kind(inner) or "text") if inner is not None else None
    if len(text) < LEAST_LENGTH:
        return None
    for name, pattern in (("hex", _HEX), ("base64", _BASE64)):
        if pattern.fullmatch(text.strip()):
            inner = _decodes(name, text)
            if inner and (content := file_kind(inner) or _readable(inner)):
                return name, content
    return None


def _escaped(text: bytes) -> tuple[str, str] | None:
    if text[:1] in (b"{", b"[", b'"') and _decodes("json", text):
        return "json", "text"
    if _ESCAPED.search(text) and _decodes("escaped", text) not in (None, text):
        return "escaped", "text"
    if _HTML.search(text):
        return "html", "text"
    if b" " not in text and len(_URL.findall(text)) >= 1 and _decodes("url", text):
        return "url", "text"
    return None


def file_kind(text: bytes) -> str:
    """The kind of file that begins so; empty for none."""
    kind = next((kind for magic, kind in _MAGIC.items() if text.startswith(magic)), "")
    return "" if kind == "bmp" and not (len(text) > 26 and b"\x00" in text[:26]) else kind


def _readable(text: bytes) -> str:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return ""
    printable = sum(each.isprintable() or each.isspace() for each in decoded)
    return "text" if decoded and printable == len(decoded) and (" " in decoded or len(decoded) >= LEAST_LENGTH) else ""


def _decodes(name: str, text: bytes) -> bytes | None:
    try:
        return DECODE[name](text)
    except (ValueError, binascii.Error):
        return None
