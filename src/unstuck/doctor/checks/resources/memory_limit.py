"""The memory limit is too small for the model.

What it finds
    OOM kills and restarts, loads that fail or never end for want of memory, allocations that fail in calls, and the
    fallback answers that clients get meanwhile.

Why it happens
    A container's limit was set by the size of the model's file: weights are held about twice while they are restored,
    and the runtime and each call's activations come on top.

How it decides
    The cgroup's counter of OOM kills, the log's lines (OOM when allocating, std::bad_alloc, Killed in a load or again
    and again, the kernel's own), and the same words in the endpoint's errors. A limit below the size of the model's
    files is a fault where the endpoint does not serve it. A process that holds 97 % of its limit, by the server's own
    metrics, is a suspect.

How to fix it
    Raise the limit above the peak (a rule: twice the model's files and 256 MiB), or send smaller batches.

When it is wrong
    Hitting the limit alone (``max`` in memory.events, ``memory.failcnt``) is no fault: the page cache does so, and is
    given back. A warning that an allocation exceeds 10% of free memory alone is harmless. A kill with a peak far below
    the limit, which was raised since, is a suspect. std::bad_alloc can also be a bug of old servers (2.10).
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.answers import EndpointAnswers, EndpointState
from unstuck.doctor.evidence.memory import MIB, in_answers, in_cgroup, in_log, in_metrics, limits, mib
from unstuck.doctor.evidence.probes import ConcurrencyProbe
from unstuck.doctor.evidence.server_state import Cgroup, LogFacts, ServerMetrics, ServerState

RUNTIME = 256 * MIB  # TensorFlow's own


@check(
    explains=(
        "resources/not-serving", "resources/overload", "resources/stale-response", "resources/crosstalk",
        "mapping/batch-broadcast", "mapping/dropped-feature", "mapping/duplicated-feature", "mapping/wrong-version",
        "mapping/wrong-signature",
    )
)  # fmt: skip
def memory_limit(
    server: ServerState | None,
    endpoint: EndpointState | None,
    answers: EndpointAnswers | None,
    load: ConcurrencyProbe | None,
) -> Iterator[Outcome]:
    serves = endpoint is not None and any(call.code == "OK" for call in endpoint.outcomes("predict"))
    signs = [*in_answers(endpoint, answers, load)]
    if server is not None:
        signs += [*in_cgroup(server, serves=serves), *in_log(server.log), *in_metrics(server)]
    if signs:
        best = max(signs, key=lambda sign: sign.confidence)
        said = Fault if best.confidence >= 0.7 else Suspect
        evidence = {name: value for sign in signs for name, value in sign.evidence.items()}
        yield said(best.text, evidence, _fix(server), best.confidence)
    elif server is None or (server.cgroup is None and server.log is None and None in server.memory):
        yield NotTested("no --cgroup and no --server-log were given, and no answer tells of missing memory")
    else:
        yield RuledOut("Nothing was killed, and no allocation failed.", limits(server))


def _fix(server: ServerState | None) -> str:
    cgroup = server.cgroup if server else None
    need = 2 * server.model_bytes + RUNTIME if server else RUNTIME
    wanted = max(need, int(1.5 * (cgroup.memory_peak or cgroup.memory_limit or 0)) if cgroup else need)
    size = f"at least {mib(wanted)}" if server and (cgroup or server.model_bytes) else "above the server's peak"
    return (
        f"Raise the container's memory limit to {size} (docker run --memory, or resources.limits.memory), or "
        "send smaller batches; then restart the server."
    )


def _server(**cgroup: int) -> ServerState:
    return ServerState(cgroup=Cgroup(version=2, **cgroup), model_bytes=80 * MIB)


CASES = (
    Case("killed under its limit", (_server(memory_limit=128 * MIB, memory_peak=128 * MIB, oom_kills=9),), "fault"),
    Case("far from the limit", (_server(memory_limit=2048 * MIB, memory_peak=300 * MIB),), "ruled-out"),
    Case(
        "the page cache fills the limit",
        (_server(memory_limit=512 * MIB, memory_peak=512 * MIB, limit_hits=412),),
        "ruled-out",
    ),
    Case(
        "next to its limit by its own metrics",
        (ServerState(metrics=ServerMetrics(resident_bytes=510 * MIB, limit_bytes=512 * MIB)),),
        "suspect",
    ),
    Case("metrics without a limit", (ServerState(metrics=ServerMetrics(resident_bytes=900 * MIB)),), "not-tested"),
    Case(
        "loads that fail",
        (ServerState(log=LogFacts(lines=30, counts={"oom_tensor": 4}, examples={"oom_tensor": "OOM when …"})),),
        "fault",
    ),
)
