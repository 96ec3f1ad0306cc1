"""Reads a server's log for the lines that say how loads ended, and what ran out.

Wording: tensorflow_model_server's and TensorFlow's own sources, ``unstuck serve``'s, the kernel's and the container
runtimes'.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from unstuck.doctor.evidence.server_state import LogFacts
from unstuck.errors import SetupError

MAX_LINES = 500_000
MAX_EXAMPLE = 240

# The first that fits a line is its event.
_EVENTS = {
    "oom_kill": r"out of memory: kill|memory cgroup out of memory|oomkilled|oom-kill|oom_reaper",
    "insufficient": r"insufficient resources to load",
    "bad_alloc": r"std::bad_alloc|\bmemoryerror\b|cannot allocate memory|\benomem\b",
    "oom_tensor": r"oom when allocating|resource.?exhausted.*(memory|\boom\b|allocat)|ran out of memory|out of memory",
    "large_allocation": r"exceeds 10% of (free )?system memory",
    "killed": r"\bkilled\b(?!.*\bby (user|operator)\b)|exit(ed)?\b.{0,24}\b137\b|\bsigkill\b|\bsignal:? 9\b",
    "queue_full": r"scheduling queue.* full|batch threads are busy|waiting in batching queue|queue is full"
    r"|too many (concurrent |pending )?requests|thread quota|server (is )?overloaded",
    "deadline": r"deadline.?exceeded|\btimed out\b|request timeout",
    "missing_op": r"op type not registered",
    "no_versions": r"no versions of servable .* found|could not find base path|did not become available",
    "crashed": r"segmentation fault|core dumped|aborted\b|check failed:",
    "loaded": r"successfully loaded servable version|^ready\. ctrl-c stops it",
    "load_failed": r"cannot be loaded|loading servable: .* failed|encountered an error for servable"
    r"|^unstuck: .*(cannot be (loaded|served)|has no saved_model)",
    "unloaded": r"unloading servable version|done unloading",
    "loading": r"loading servable version|^unstuck \S+ pid \d+: loading",
    "started": r"building single tensorflow model file config",
    "adding": r"adding/updating models",
}
_PATTERNS = {event: re.compile(pattern, re.IGNORECASE) for event, pattern in _EVENTS.items()}
_WHY = re.compile(r"(?:cannot be loaded|failed|servable version \{[^}]*\}): (.+)$")
_NO_MEMORY = ("oom_kill", "insufficient", "bad_alloc", "oom_tensor", "killed")


def read_log(path: Path) -> LogFacts:
    """What the log says. Raises SetupError where it cannot be read."""
    try:
        with path.open(errors="replace") as file:
            return facts(line for line, _ in zip(file, range(MAX_LINES), strict=False))
    except OSError as error:
        raise SetupError(f"The log {path} cannot be read: {error.strerror or error}.") from None


def facts(lines: Iterable[str]) -> LogFacts:
    """What the lines say."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    errors: dict[str, None] = {}
    read, is_loading, unfinished, last_load, recovered = 0, False, 0, "", False
    for line in lines:
        read += 1
        event = event_of(line)
        if event is None:
            continue
        counts[event] += 1
        examples.setdefault(event, " ".join(line.split())[:MAX_EXAMPLE])
        if event in _NO_MEMORY:
            recovered = False
        if _PATTERNS["load_failed"].search(line.strip()):
            is_loading, last_load = False, "failed"
            if why := _WHY.search(line.strip()):
                errors.setdefault(why.group(1)[:MAX_EXAMPLE])
        elif event in ("started", "oom_kill", "killed", "bad_alloc", "crashed") and is_loading:
            unfinished, is_loading, last_load = unfinished + 1, False, "unfinished"
        elif event == "loading":
            is_loading = True
        elif event == "loaded":
            is_loading, last_load, recovered = False, "loaded", True
    return LogFacts(
        lines=read,
        counts=dict(counts),
        examples=examples,
        starts=counts["started"] or counts["adding"] or counts["loading"],
        unfinished_loads=unfinished + is_loading,
        last_load="unfinished" if is_loading else last_load,
        load_errors=list(errors)[:5],
        served_after_kill=recovered and any(counts[event] for event in _NO_MEMORY),
    )


def event_of(line: str) -> str | None:
    """The name of what ``line`` tells; None for a line of no interest."""
    text = line.strip()
    return next((event for event, pattern in _PATTERNS.items() if pattern.search(text)), None)
