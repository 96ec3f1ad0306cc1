"""Serves a model under a container's limits, first to learn what it needs, then with just that, to prove it."""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from unstuck.bench import child
from unstuck.bench import run as bench
from unstuck.bench.load import OpenLoop
from unstuck.bench.results import Level, Results
from unstuck.bench.run import ENOUGH_CALLS, MOST_STEP_S, Question, measure
from unstuck.bench.usage import Usage, reserved_bytes
from unstuck.errors import SetupError, UnstuckError
from unstuck.sizing import deciding
from unstuck.sizing.deciding import Measured, Needs, Trial
from unstuck.sizing.limits import Limits, limits
from unstuck.sizing.server_status import ServerStatus

SECOND = "second"  # the name of the model's second copy
RESOURCE_PRESERVING = "resource_preserving"
PIPELINE_FILE = "--pipeline_file="
MOST_TRIALS = 4
QUIET = 0.5  # of its CPUs: with more used by others, figures are theirs as well


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be sized.

    Attributes:
        path: the model.
        question: what is measured; its URL, loads and process are found.
        rate: requests a second; None for what one replica does.
        cpus: of a replica at most.
        workers: processes; 0 is one without a supervisor, None is what does more.
        api: which is called.
        flags: more of ``unstuck serve``.
    """

    path: str
    question: Question
    rate: float | None
    cpus: float
    workers: int | None = None
    api: str = "rest"
    flags: Sequence[str] = ()

    @property
    def keeps_both(self) -> bool:
        """Whether the old version stays loaded until a new one serves."""
        return not any(RESOURCE_PRESERVING in flag for flag in self.flags)


class Watcher(bench.Watcher, Protocol):
    """Is told of the progress."""

    def says(self, what: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Sizing:
    """What came of it.

    Attributes:
        how: what held the server to its limits.
        is_exact: whether memory was held to what it occupies.
        about: what was measured, by name.
        measured: the server on all the CPUs that it was given.
        trials: with what it was to be given; the last is the result.
        remarks: what to know of the figures.
    """

    asked: Asked
    how: str
    is_exact: bool
    about: dict[str, str]
    measured: Measured
    trials: Sequence[Trial]
    remarks: Sequence[str] = field(default_factory=tuple[str, ...])

    @property
    def needs(self) -> Needs:
        return self.trials[-1].needs

    @property
    def is_proven(self) -> bool:
        return self.trials[-1].passed


def size(asked: Asked, watcher: Watcher) -> Sizing:
    """Measures, decides, and tries what was decided.

    Raises:
        SetupError: the model cannot be served, or no rate keeps within the target.
        KeyboardInterrupt: it was interrupted.
    """
    others = _other_work()
    with limits() as held:
        runs = _Runs(asked, held, watcher)
        measured, results = runs.search(asked.workers or 0)
        if asked.workers is None and deciding.is_worth_workers(measured):
            several = runs.search(int(asked.cpus))
            if deciding.better(measured, several[0]) is several[0]:
                measured, results = several
        trials = [runs.attempt(deciding.needs(measured, asked.rate), measured)]
        while not deciding.is_settled(trials[-1], asked.cpus) and len(trials) < MOST_TRIALS:
            trials.append(runs.attempt(deciding.more(trials[-1], asked.cpus), measured))
        return Sizing(
            asked, held.how, held.is_exact, dict(results.about), measured, trials, [*others, *_remarks(results)]
        )


@dataclass(frozen=True, slots=True)
class _Served:
    url: str
    pid: int
    status: ServerStatus
    start_s: float


class _Runs:
    """Servers, one after another."""

    def __init__(self, asked: Asked, held: Limits, watcher: Watcher) -> None:
        self._asked, self._held, self._watcher = asked, held, watcher

    def search(self, workers: int) -> tuple[Measured, Results]:
        """The highest rate, and what it took. Raises SetupError, as ``size`` does."""
        asked = self._asked
        processes = f", {workers} processes" if workers else ""
        self._watcher.says(f"Starting a server on {_cpus(asked.cpus)}{processes} …")
        with self._serving(self._held.hold(asked.cpus), workers) as served:
            results = self._measured(replace(asked.question, loads=()), served)
            best, closed = results.best, results.levels[0]
            if best is None:
                raise _too_slow(results)
            usage = _usage(best)
            measured = Measured(
                cpus=asked.cpus,
                workers=workers,
                highest_rate=best.load.rate if isinstance(best.load, OpenLoop) else 0.0,
                p99_s=best.p99_s,
                cpu_s=usage.cpu_s / max(best.tally.in_time, 1),
                used_cpus=_usage(closed).cpu_s / closed.tally.seconds,
                peak_bytes=usage.peak_bytes,
                second_bytes=served.status.growth_bytes(SECOND) * max(workers, 1),
                reserved_bytes=reserved_bytes(served.pid),
                start_s=served.start_s,
                batch=served.status.learned_batch(child.NAME, asked.question.signature),
            )
        return measured, results

    def attempt(self, needs: Needs, measured: Measured) -> Trial:
        """How a server does with ``needs``."""
        headroom = max(needs.memory_bytes - measured.peak_bytes, 0)
        within = self._held.hold(needs.cpus, needs.memory_bytes, measured.reserved_bytes + headroom)
        kills = self._held.oom_kills()
        self._watcher.says(f"Trying {_cpus(needs.cpus)}, {needs.memory_bytes >> 20:,} MiB, {needs.rate:,.4g}/s …")
        try:
            with self._serving(within, needs.workers) as served:
                (level,) = self._measured(self._at(needs.rate), served).levels
                usage = _usage(level)
        except UnstuckError as error:
            return Trial(needs, oom_kills=self._held.oom_kills() - kills, problem=str(error))
        return Trial(
            needs,
            meets_target=bool(level.meets_target),
            p99_s=level.p99_s,
            used_cpus=usage.cpu_s / level.tally.seconds,
            failed=level.tally.failed + level.tally.not_sent,
            peak_bytes=usage.peak_bytes,
            start_s=served.start_s,
            oom_kills=self._held.oom_kills() - kills,
        )

    def _at(self, rate: float) -> Question:
        question = self._asked.question
        seconds = min(max(question.duration_s, ENOUGH_CALLS / rate), MOST_STEP_S)
        return replace(question, loads=(OpenLoop(rate, question.arrivals),), duration_s=seconds)

    @contextmanager
    def _serving(self, within: Sequence[str], workers: int) -> Generator[_Served]:
        asked, began = self._asked, time.monotonic()
        flags = [*_of_both(asked.flags), f"{SECOND}={asked.path}"] if asked.keeps_both else list(asked.flags)
        if workers:
            flags.append(f"--workers={workers}")
        with child.serving(asked.path, asked.api, flags, within) as served:
            status = ServerStatus(served.rest)
            status.wait_for_workers(workers)
            status.check()
            yield _Served(served.url, served.pid, status, time.monotonic() - began)

    def _measured(self, question: Question, served: _Served) -> Results:
        results = measure(replace(question, url=served.url, server_pid=served.pid), self._watcher)
        if results.is_interrupted:
            raise KeyboardInterrupt
        return results


def _of_both(flags: Sequence[str]) -> list[str]:
    """The same for both copies: a pipeline's file must say for which of several models it is."""
    found: list[str] = []
    for flag in flags:
        file = flag.removeprefix(PIPELINE_FILE)
        if file == flag:
            found.append(flag)
        else:
            found += [f"{PIPELINE_FILE}{name}={file.rpartition('=')[2]}" for name in (child.NAME, SECOND)]
    return found


def _cpus(count: float) -> str:
    return f"{count:g} CPU{'s' * (count != 1)}"


def _usage(level: Level) -> Usage:
    if level.tally.usage is None:
        raise SetupError("The server ended while it was measured.", hint="unstuck serve on the same model says why.")
    return level.tally.usage


def _too_slow(results: Results) -> SetupError:
    slowest = results.levels[-1]
    alone = slowest.tally.latencies.percentile(50)
    return SetupError(
        f"{results.verdict} At {slowest.load.name}, half of the requests take {alone * 1e3:,.3g} ms or more.",
        hint="Allow more with --p99=MS, or give it more CPUs with --cpus=N.",
    )


def _other_work() -> list[str]:
    """A remark, if this machine is busy with something else; now, before it is with us."""
    load, cpus = os.getloadavg()[0], os.cpu_count() or 1
    if load < QUIET * cpus:
        return []
    return [f"Other work ran on this machine (load {load:.1f} on {_cpus(cpus)}): it may do more, and faster, without."]


def _remarks(results: Results) -> list[str]:
    limit = results.limit
    if limit is None or not limit.generator_limits:
        return list(results.notes)
    return [*results.notes, results.verdict]
