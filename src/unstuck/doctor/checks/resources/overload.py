"""Right alone, wrong, default or failing under concurrent load.

What it finds
    A server that answers one call after another, and fails calls (queue full, timeouts, 429, 503, 500), or answers a
    default, as soon as a few come at the same time.

Why it happens
    A batching queue that is too short, a CPU quota far below the work, too few threads, a timeout that waiting calls
    exceed; and a client or a wrapper that hides the failure behind a constant.

How it decides
    The same calls are made alone, and 4, 8 and 16 at a time. It is a fault when at least 5% of the simultaneous calls
    fail and calls alone do not, or when wrong answers are mostly one and the same value that is nobody's answer. What
    the server's own metrics count since it started is a suspicion.

How to fix it
    Give the server more CPU (the quota), longer queues (max_enqueued_batches), more replicas; and let clients see
    errors instead of a default.

When it is wrong
    Longer waiting under load alone is no fault. Wrong answers that are other requests' answers are
    ``resources/crosstalk``; answers that depend on the batch are ``model/batch-statistics``.
"""

from collections.abc import Iterator
from typing import Any

from unstuck.doctor.check import Case, Fault, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.probes import FEW, MOSTLY, ConcurrencyProbe, EndpointBatchProbe, LoadRamp, Mixed
from unstuck.doctor.evidence.server_state import Cgroup, LogFacts, ServerMetrics, ServerState

THROTTLED = 0.25  # of the scheduling periods
STARVED = 0.75


@check()
def overload(
    probe: ConcurrencyProbe | None, ramp: LoadRamp | None, batch: EndpointBatchProbe | None, server: ServerState | None
) -> Iterator[Outcome]:
    cgroup, log = (server.cgroup, server.log) if server else (None, None)
    if (probe is not None and (found := _under_load(probe, batch, cgroup))) or (
        found := _by_server(cgroup, log, tried=probe is not None) or _by_metrics(server)
    ):
        yield found
    elif ramp is not None and (level := next((each for each in ramp.levels if each.fails), None)):
        told = {"threads": level.threads, "calls": level.calls, "failed": dict(level.failed)}
        why = f"With {level.threads} simultaneous calls, {level.failures} of {level.calls} fail."
        yield Suspect(why, told, _fix(cgroup), 0.5)
    elif probe is not None:
        most = max(probe.rounds, key=lambda each: each.threads)
        yield RuledOut(
            f"{probe.calls} calls, up to {most.threads} at a time, were all answered.",
            {"alone_ms": _ms(probe.alone_median_s), "busy_ms": _ms(most.median_s), "calls": probe.calls},
        )
    else:
        yield NotTested("no simultaneous calls could be made")


def _under_load(probe: ConcurrencyProbe, batch: EndpointBatchProbe | None, cgroup: Cgroup | None) -> Outcome | None:
    usual = probe.alone_failed / max(1, probe.alone_calls)
    for each in sorted(probe.rounds, key=lambda each: each.threads):
        if each.fails and each.failures > 3 * usual * each.calls:
            message = next(iter(probe.messages), "no message")
            why = f"Alone, every call is answered; {each.threads} at a time, {each.failures} of {each.calls} fail"
            return Fault(f"{why}: {message}", _evidence(probe, each, cgroup), _fix(cgroup), 0.95)
    for each in probe.rounds:
        if each.is_default:
            why = f"Alone, every call gets its own answer; {each.threads} at a time, {each.one_default} of {each.calls}"
            return Fault(f"{why} get {each.default}.", _evidence(probe, each, cgroup), _fix(cgroup), 0.95)
    mixed = max(probe.rounds, key=lambda each: each.wrong, default=None)
    if mixed is None or mixed.wrong < FEW or mixed.others >= MOSTLY * mixed.wrong or mixed.wrong_alone_again:
        return None
    said = Suspect if probe.unstable or (batch is not None and batch.depends_on_mates) else Fault
    why = f"{mixed.threads} at a time, {mixed.wrong} of {mixed.calls} calls get another answer than alone."
    return said(why, _evidence(probe, mixed, cgroup), _fix(cgroup), 0.5 if said is Suspect else 0.75)


def _by_server(cgroup: Cgroup | None, log: LogFacts | None, *, tried: bool) -> Outcome | None:
    """What the container and the log say; where calls were tried and worked, it is only a suspicion."""
    waited = cgroup.throttled if cgroup is not None and cgroup.periods >= 50 else 0.0
    refused = log.count("queue_full", "deadline") if log else 0
    if refused < FEW and waited < STARVED:
        return None
    line = log.example("queue_full", "deadline") if log else ""
    parts = [f"the log tells {refused} times of it ({line})"] if refused >= FEW else []
    parts += [f"the CPU quota made the server wait in {waited:.0%} of all periods"] if waited >= THROTTLED else []
    proven = refused >= FEW and not tried
    return (Fault if proven else Suspect)(
        f"The server cannot keep up: {' and '.join(parts)}.",
        {"refused": refused, "throttled": round(waited, 2), **(cgroup.quota if cgroup is not None else {})},
        _fix(cgroup),
        0.85 if proven else 0.5,
    )


def _by_metrics(server: ServerState | None) -> Outcome | None:
    """What the server counted since it started, whoever asked."""
    if server is None or (metrics := server.metrics) is None or not metrics.is_behind:
        return None
    count = f"{metrics.refused} of {metrics.total}"
    why = f"By the server's own count, {count} requests found it too busy or came too late."
    told = {"requests": dict(metrics.requests), "latency_ms": _ms(metrics.latency_s or 0.0)}
    return Suspect(why, told, _fix(server.cgroup), 0.5)


def _evidence(probe: ConcurrencyProbe, each: Mixed, cgroup: Cgroup | None) -> dict[str, Any]:
    rounds = {str(one.threads): f"{one.failures} failed, {one.wrong} wrong of {one.calls}" for one in probe.rounds}
    times = {"alone_ms": _ms(probe.alone_median_s), "busy_ms": _ms(each.median_s)}
    default = {"default": each.default} if each.wrong else {}
    quota = cgroup.quota if cgroup is not None else {}
    return {"simultaneous": rounds, "alone_failed": probe.alone_failed, **times, **default, **quota}


def _fix(cgroup: Cgroup | None) -> str:
    if cgroup is not None and cgroup.cpus is not None and cgroup.throttled >= THROTTLED:
        return (
            f"Raise the CPU quota of {cgroup.cpus:g} CPUs (docker run --cpus, resources.limits.cpu in Kubernetes): "
            "nr_throttled in cpu.stat must stand still. Clients must show errors, not defaults."
        )
    return (
        "Give the server more CPU or replicas, and its queue more room (max_enqueued_batches, num_batch_threads in "
        "--batching_parameters_file); clients must retry with a delay and show errors, not defaults."
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _probe(**more: Any) -> ConcurrencyProbe:
    rounds = [Mixed(threads=8, calls=32, **more)]
    return ConcurrencyProbe(requests=6, alone_calls=32, alone_failed=0, alone_median_s=0.01, rounds=rounds)


def _counted(**requests: int) -> ServerState:
    return ServerState(metrics=ServerMetrics(requests=requests))


CASES = (
    Case("calls fail together", (_probe(failed={"UNAVAILABLE": 20}),), "fault"),
    Case("a default when busy", (_probe(wrong=28, one_default=28, default="[0.5]"),), "fault"),
    Case("all answered", (_probe(),), "ruled-out"),
    Case("refused before, by the server's metrics", (_probe(), _counted(OK=900, UNAVAILABLE=80)), "suspect"),
    Case("refused once in a long time", (_probe(), _counted(OK=90000, UNAVAILABLE=12)), "ruled-out"),
    Case("one call failed", (_probe(failed={"UNAVAILABLE": 1}),), "ruled-out"),
    Case("others' answers", (_probe(wrong=26, others=26, one_default=6, swapped_with=8),), "ruled-out"),
)
