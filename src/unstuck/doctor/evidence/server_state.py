"""The server's container and its log."""

from collections.abc import Mapping

from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.evidence.probes import FAILING, FEW


class Cgroup(Evidence):
    """The limits of a container and how often they were met; None for what its files do not say.

    Attributes:
        version: of cgroups, 1 or 2.
        memory_limit: in bytes; None where there is none.
        memory_now, memory_peak: in bytes.
        limit_hits: how often an allocation met the limit; the page cache alone does that, too.
        ooms: how often memory could not be found within the limit.
        oom_kills: processes that the kernel killed for it.
        cpus: how many CPUs the quota allows; None where there is no quota.
        periods, throttled_periods: scheduling periods, and those in which the container had to wait.
        throttled_s: how long its threads waited, in all.
    """

    version: int
    memory_limit: int | None = None
    memory_now: int | None = None
    memory_peak: int | None = None
    limit_hits: int = 0
    ooms: int = 0
    oom_kills: int = 0
    cpus: float | None = None
    periods: int = 0
    throttled_periods: int = 0
    throttled_s: float = 0.0

    @property
    def throttled(self) -> float:
        """The share of periods in which the container had to wait."""
        return self.throttled_periods / self.periods if self.periods else 0.0

    @property
    def quota(self) -> dict[str, float]:
        """What there is to tell of the CPU quota."""
        return {} if self.cpus is None else {"cpus": self.cpus, "throttled_share": round(self.throttled, 2)}


class LogFacts(Evidence):
    """What a server's log says.

    Attributes:
        lines: how many were read.
        counts: by event (see ``experiments.server_log``), how often.
        examples: by event, its first line, cut.
        starts: how often the server started.
        unfinished_loads: loads after which the server started again, or was killed, before they had ended.
        last_load: how the last load ended: ``loaded``, ``failed``, ``unfinished``, or empty where there was none.
        load_errors: why loads failed, each once.
        served_after_kill: a load ended well after the last sign of missing memory.
    """

    lines: int
    counts: Mapping[str, int] = {}
    examples: Mapping[str, str] = {}
    starts: int = 0
    unfinished_loads: int = 0
    last_load: str = ""
    load_errors: list[str] = []
    served_after_kill: bool = False

    def count(self, *events: str) -> int:
        return sum(self.counts.get(event, 0) for event in events)

    def example(self, *events: str) -> str:
        return next((self.examples[event] for event in events if event in self.examples), "")


class SameAnswer(Evidence):
    """A signature of which the server itself has seen ``inputs`` different inputs get one answer, or one class."""

    signature: str
    inputs: int
    same: str


class ServerMetrics(Evidence):
    """What the server counts itself, since it started.

    Attributes:
        page: where it was read; empty where there is no page of metrics.
        resident_bytes, limit_bytes: the process's memory, and its limit; None where nothing says it.
        requests: by status code, how many requests to the model were answered so.
        latency_s: of a request, on average; None where it is not told.
        same_answers: of the version in question, as its ``/statusz`` says.
    """

    page: str = ""
    resident_bytes: int | None = None
    limit_bytes: int | None = None
    requests: Mapping[str, int] = {}
    latency_s: float | None = None
    same_answers: list[SameAnswer] = []

    @property
    def refused(self) -> int:
        """Requests that the server could not keep up with."""
        return sum(self.requests.get(code, 0) for code in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"))

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    @property
    def is_behind(self) -> bool:
        """It could not keep up with more than a few."""
        return self.refused >= max(FEW, FAILING * self.total)


class ServerState(Evidence):
    """The container, the log, the metrics and the model's size, each None or 0 where it was not given.

    Attributes:
        cgroup: limits and events.
        log: what it says.
        metrics: what the server counts.
        model_bytes: of the files that a load brings into memory.
    """

    cgroup: Cgroup | None = None
    log: LogFacts | None = None
    metrics: ServerMetrics | None = None
    model_bytes: int = 0

    @property
    def memory(self) -> tuple[int | None, int | None]:
        """What the process holds, and its limit, in bytes; None for what nothing says."""
        cgroup, metrics = self.cgroup, self.metrics
        limit = cgroup.memory_limit if cgroup is not None else None
        return (metrics.resident_bytes, limit or metrics.limit_bytes) if metrics is not None else (None, limit)
