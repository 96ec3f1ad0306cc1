"""What speaks for missing memory: the words of servers, TensorFlow and the kernel, and a container's counters."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unstuck.doctor.evidence.answers import EndpointAnswers, EndpointState
from unstuck.doctor.evidence.probes import ConcurrencyProbe
from unstuck.doctor.evidence.server_state import LogFacts, ServerState

MIB = 1 << 20
FULL = 0.97  # of the limit, by the process itself; the page cache is not counted there
RAISED = 0.7  # of the limit: a peak below it cannot have met that limit

_NO_MEMORY = re.compile(
    r"\boom\b|out of memory|std::bad_alloc|\bmemoryerror\b|cannot allocate memory|\benomem\b"
    r"|insufficient resources to load|resource.?exhausted.*(memory|allocat)",
    re.IGNORECASE,
)


def no_memory(message: str) -> bool:
    """Whether ``message`` tells of missing memory."""
    return _NO_MEMORY.search(message) is not None


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that speaks for missing memory: in words, in numbers, and how surely."""

    text: str
    evidence: Mapping[str, Any]
    confidence: float


def in_answers(
    endpoint: EndpointState | None, answers: EndpointAnswers | None, load: ConcurrencyProbe | None
) -> Iterator[Sign]:
    """What the endpoint's errors say."""
    messages = {**(answers.messages if answers else {}), **(load.messages if load else {})}
    if endpoint is not None:
        messages |= {call.message: 1 for call in endpoint.calls if call.message and call.message not in messages}
        messages |= {each.error: 1 for each in endpoint.versions if each.error}
    for message, count in messages.items():
        if no_memory(message):
            text = f"The server ran out of memory, {count} of the calls made failed with: {message}"
            yield Sign(text, {"calls_out_of_memory": count, "message": message}, 0.93)
            return


def in_cgroup(server: ServerState, *, serves: bool) -> Iterator[Sign]:
    """What the container's counters say; ``serves``: the endpoint answers."""
    cgroup = server.cgroup
    if cgroup is None:
        return
    limit, peak = cgroup.memory_limit, cgroup.memory_peak
    if cgroup.oom_kills or cgroup.ooms:
        raised = limit is not None and peak is not None and peak < RAISED * limit
        what = f"killed {cgroup.oom_kills} processes" if cgroup.oom_kills else f"found no memory {cgroup.ooms} times"
        text = f"The kernel {what} of the server's container under its memory limit of {mib(limit)}."
        if raised:
            text = f"The kernel {what}, but the peak since is {mib(peak)}, far below the limit of {mib(limit)}."
        yield Sign(text, limits(server), 0.5 if raised else 0.97 if cgroup.oom_kills else 0.85)
    elif limit is not None and limit < server.model_bytes and not serves:
        text = f"The limit of {mib(limit)} is below the {mib(server.model_bytes)} of the model's files."
        yield Sign(text, limits(server), 0.9)


def in_metrics(server: ServerState) -> Iterator[Sign]:
    """What the server's own numbers say: next to its limit it may run out at the next large call."""
    held, limit = server.memory
    if held is not None and limit is not None and held >= FULL * limit:
        text = f"The server holds {mib(held)} of memory, {held / limit:.0%} of its limit of {mib(limit)}."
        yield Sign(text, {"resident_mib": round(held / MIB, 1), "limit_mib": round(limit / MIB, 1)}, 0.5)


def in_log(log: LogFacts | None) -> Iterator[Sign]:
    """What the log says."""
    if log is None:
        return
    certain = log.count("oom_kill", "insufficient")
    failed = log.count("bad_alloc", "oom_tensor")
    killed = log.count("killed")
    line = log.example("oom_kill", "insufficient", "bad_alloc", "oom_tensor", "killed")
    evidence = {"log_line": line, "out_of_memory": certain + failed, "killed": killed, "starts": log.starts}
    if certain or failed > 1 or (failed and log.last_load != "loaded"):
        yield Sign(f"The log tells {certain + failed} times of missing memory: {line}", evidence, 0.95)
    elif failed:
        yield Sign(f"The log tells once of missing memory: {line}", evidence, 0.8 if log.count("bad_alloc") else 0.5)
    elif killed and (killed > 1 or log.unfinished_loads or log.count("large_allocation")):
        text = f"The log tells of a server killed {killed} times, and of {log.starts} starts: {line}"
        yield Sign(text, {**evidence, "unfinished_loads": log.unfinished_loads}, 0.85)
    elif killed:
        yield Sign(f"The server was killed once, for a reason that the log does not tell: {line}", evidence, 0.4)


def limits(server: ServerState) -> dict[str, Any]:
    """The container's sizes and counters, as evidence."""
    cgroup = server.cgroup
    if cgroup is None:
        held, limit = server.memory
        own = {"resident_mib": held, "limit_mib": limit}
        sizes = {name: round(size / MIB, 1) for name, size in own.items() if size is not None}
        return {"log_lines": server.log.lines if server.log else 0, **sizes}
    known = {"limit": cgroup.memory_limit, "peak": cgroup.memory_peak, "model": server.model_bytes or None}
    sizes = {f"{name}_mib": round(size / MIB, 1) for name, size in known.items() if size is not None}
    return {**sizes, "oom_kills": cgroup.oom_kills, "limit_hits": cgroup.limit_hits}


def mib(size: int | None) -> str:
    """A size in words."""
    return "the machine" if size is None else f"{size / MIB:.0f} MiB"
