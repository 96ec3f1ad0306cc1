"""What a call is named by in logs, traces and answers: the client's own id where it is sane, else one of ours."""

import secrets
import string

HEADER = "x-request-id"
MAX_CHARACTERS = 128
_ALLOWED = frozenset(string.ascii_letters + string.digits + "-_.:/+=@")


def sane(text: str | None) -> str:
    """``text`` if it may be written into a log and a header as it is, else empty."""
    if not text or len(text) > MAX_CHARACTERS or not _ALLOWED.issuperset(text):
        return ""
    return text


def made() -> str:
    """A new id."""
    return secrets.token_hex(8)
