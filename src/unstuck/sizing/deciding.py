"""What a model needs, from what was measured of it. Pure."""

import math
from dataclasses import dataclass, replace

USED = 0.7  # of its CPUs, at the rate that a replica is for: the rest is for peaks
BUSY = 0.8  # of its CPUs: with more used at its rate, a replica is given more
FILLED = 0.8  # of the highest rate within the target: a replica is given no more
HEADROOM = 1.2  # of memory, over the most that was occupied
LEAST_CPUS = 0.25
CPU_STEP = 0.05
MEMORY_STEP = 16 << 20
MORE_CPU, MORE_MEMORY = 1.5, 1.25
IDLE = 0.7  # of its CPUs: where it uses less and still does no more, several processes may
PAYS = 1.1


@dataclass(frozen=True, slots=True)
class Batch:
    """What a server learned of batches: how many rows, and how many times cheaper a row is then."""

    rows: int
    gain: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Of a server on given CPUs, with as much memory as it liked.

    Attributes:
        cpus: that it was given.
        workers: processes; 0 is one without a supervisor.
        highest_rate: requests a second within the target.
        p99_s: at that rate.
        cpu_s: of CPU time for a request, at that rate.
        used_cpus: while callers waited for it all the time.
        peak_bytes: the most that it occupied.
        second_bytes: of that, what a second copy of the model took; 0 where none was loaded.
        reserved_bytes: the most that one of its processes reserved, occupied or not.
        start_s: until it was ready.
        batch: what it learned; None where its calls do not wait for each other.
    """

    cpus: float
    workers: int
    highest_rate: float
    p99_s: float
    cpu_s: float
    used_cpus: float
    peak_bytes: int
    second_bytes: int
    reserved_bytes: int
    start_s: float
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What a replica is to be given, and how many of them.

    Attributes:
        rate: requests a second, of each.
    """

    replicas: int
    rate: float
    cpus: float
    memory_bytes: int
    workers: int


@dataclass(frozen=True, slots=True)
class Trial:
    """How a server did with what it was to be given.

    Attributes:
        needs: what it was given.
        meets_target: whether 99 of 100 requests were answered in time.
        used_cpus: at that rate.
        failed: requests without an answer.
        oom_kills: processes that were killed because memory ran out.
        problem: why it did not start, or could not be measured; else empty.
    """

    needs: Needs
    meets_target: bool = False
    p99_s: float = 0.0
    used_cpus: float = 0.0
    failed: int = 0
    peak_bytes: int = 0
    start_s: float = 0.0
    oom_kills: int = 0
    problem: str = ""

    @property
    def passed(self) -> bool:
        return self.meets_target and not self.failed and not self.lacks_memory

    @property
    def lacks_memory(self) -> bool:
        """Also where it did not start, or not with all versions: while it was measured, it did."""
        return self.oom_kills > 0 or bool(self.problem)


def needs(measured: Measured, rate: float | None) -> Needs:
    """What to give for ``rate`` requests a second; None is what one replica is good for."""
    each = measured.highest_rate * FILLED
    replicas = max(math.ceil(rate / each - 1e-9), 1) if rate else 1
    rate = rate / replicas if rate else each
    cpus = max(rate * measured.cpu_s / USED, LEAST_CPUS, float(measured.workers))
    return Needs(
        replicas,
        rate,
        min(_up(cpus, CPU_STEP), measured.cpus),
        memory(measured.peak_bytes),
        measured.workers,
    )


def memory(peak_bytes: int) -> int:
    """The limit for a server that occupies ``peak_bytes`` at most."""
    return int(_up(peak_bytes * HEADROOM, MEMORY_STEP))


def is_settled(trial: Trial, most_cpus: float) -> bool:
    """Whether it passed, and has CPU time left for peaks where more can be had."""
    return trial.passed and (trial.used_cpus <= BUSY * trial.needs.cpus or trial.needs.cpus >= most_cpus)


def more(trial: Trial, most_cpus: float) -> Needs:
    """What to try next, after one that is not settled: of what it lacked, more."""
    given = trial.needs
    if trial.passed:
        # A request may take more CPU time at this rate than at the highest, where many are answered together.
        return replace(given, cpus=min(_up(trial.used_cpus / USED, CPU_STEP), most_cpus))
    if trial.lacks_memory:
        return replace(given, memory_bytes=int(_up(given.memory_bytes * MORE_MEMORY, MEMORY_STEP)))
    if given.cpus < most_cpus:
        return replace(given, cpus=min(_up(given.cpus * MORE_CPU, CPU_STEP), most_cpus))
    replicas = given.replicas + 1
    return replace(given, replicas=replicas, rate=given.rate * given.replicas / replicas)


def is_worth_workers(measured: Measured) -> bool:
    """Whether several processes may do more: one left CPUs idle although callers waited."""
    return not measured.workers and measured.cpus >= 2 and measured.used_cpus < IDLE * measured.cpus


def better(one: Measured, several: Measured) -> Measured:
    """One process, unless several answer clearly more."""
    return several if several.highest_rate >= PAYS * one.highest_rate else one


def _up(value: float, step: float) -> float:
    """To the next multiple of ``step``, without the dust of floats."""
    return round(math.ceil(value / step - 1e-9) * step, 6)
