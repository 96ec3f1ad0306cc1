"""Files that stand in another's place: pointers of version control, pages of errors, placeholders."""

import re
from pathlib import Path

_HEAD = 2048  # bytes that are read
_SHORT = 300  # bytes, up to which a file may be a placeholder and no more
_BEGINNINGS = (
    (re.compile(rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/"), "a Git LFS pointer"),
    (re.compile(rb"[./]*(?:\.git/)?annex/objects/"), "a git-annex pointer"),
    (re.compile(rb"(?:md5: [0-9a-f]{32}|outs:\s*\n\s*- (?:md5|etag|path|hash): )"), "a DVC pointer"),
    (re.compile(rb"<!doctype html|<html[\s>]", re.I), "an HTML page"),
    (re.compile(rb"(?:<\?xml[^>]*>\s*)?<(?:\w+:)?(?:Error|Code|Fault)\b[^>]*>"), "an error in XML, as storage answers"),
    (re.compile(rb'\{\s*"(?:error|errors|message|detail|code|status|statusCode)"\s*:'), "an error in JSON"),
)
_PLACEHOLDER = re.compile(
    rb"(?:(?:http/\d\S* )?(?:error:? ?)?(?:40[0-9]|5\d\d)[: ]+[\w ]+|not found|access denied|forbidden|unauthorized|"
    rb"placeholder|dummy|empty|todo|tbd|fixme|null|none|n/?a)[.!]?",
    re.I,
)


def stand_in(file: Path) -> str:
    """What ``file`` is instead of a list of tokens; empty where it may be one, or cannot be read."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD).removeprefix(b"\xef\xbb\xbf").strip()
        size = file.stat().st_size
    except OSError:
        return ""
    found = next((what for pattern, what in _BEGINNINGS if pattern.match(head)), "")
    if not found and size <= _SHORT and _PLACEHOLDER.fullmatch(head):
        return f"a placeholder or an error ({head.decode(errors='replace')[:60]!r})"
    return found
