"""Measures a served model: requests, loads one after another, what they came to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from unstuck.bench import answers, processes, requests, search, usage
from unstuck.bench.generator import Plan
from unstuck.bench.load import Arrivals, ClosedLoop, Load, OpenLoop
from unstuck.bench.requests import Requests
from unstuck.bench.results import Level, Results
from unstuck.bench.tally import Window
from unstuck.bench.target import Target
from unstuck.client.tls import TlsFiles

FOR_CAPACITY = ClosedLoop(32)
ENOUGH_CALLS = 400  # for a 99th percentile
MOST_STEP_S = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be measured.

    Attributes:
        url: of the served model.
        loads: one after another; empty for a search.
        arrivals: of a search's rates.
        target_p99_s: what the 99th percentile should stay within; a search needs it.
        requests: a file of them; None makes them up.
        signature: empty for the default one.
        batch: rows of a made-up request.
        connections: calls under way at most, in an open loop.
        processes: that share each load.
        server_pid: the server's process; None looks for it.
        diagnosis: the command that finds out why answers are odd.
        tls: what TLS needs.
        api_key: for the server; empty for none.
    """

    url: str
    loads: Sequence[Load]
    arrivals: Arrivals = "poisson"
    target_p99_s: float | None = None
    duration_s: float = 5.0
    warmup_s: float = 1.0
    timeout_s: float = 10.0
    requests: Path | None = None
    signature: str = ""
    batch: int = 1
    connections: int = 256
    processes: int = 1
    server_pid: int | None = None
    diagnosis: str = ""
    tls: TlsFiles = field(default_factory=TlsFiles)
    api_key: str = field(default="", repr=False)


class Watcher(Protocol):
    """Is told of the progress."""

    def begins(self, load: Load, seconds: float) -> None: ...

    def window(self, process: int, window: Window) -> None: ...

    def ended(self, level: Level) -> None: ...


def measure(question: Question, watcher: Watcher) -> Results:
    """The results; of what was measured so far, where Ctrl-C ended it.

    Raises:
        UnstuckError: the server does not answer, or nothing can be sent to it.
    """
    with Target(question.url, question.tls, question.api_key) as target:
        asked = _requests(question, target)
        run = _Run(question, target, asked, watcher)
        try:
            run.search() if not question.loads else run.all(question.loads)
        except KeyboardInterrupt:  # between two loads; within one it ends that one
            run.is_interrupted = True
        diagnosis = question.diagnosis or f"unstuck diagnose {question.url}"
        return Results(
            about=_about(question, target, asked),
            levels=run.levels,
            target_p99_s=question.target_p99_s,
            is_search=not question.loads,
            notes=answers.notes(target, asked, run.answers, diagnosis),
            is_interrupted=run.is_interrupted,
        )


def _requests(question: Question, target: Target) -> Requests:
    if question.requests is not None:
        return requests.of_file(target, question.requests, question.signature)
    return requests.made_up(target, question.signature or "serving_default", question.batch, question.timeout_s)


def _about(question: Question, target: Target, asked: Requests) -> dict[str, str]:
    metadata = target.metadata()
    sizes = [len(body) for body in asked.bodies]
    about = {
        "target": question.url,
        "model": f"{metadata.model}, version {metadata.version}",
        "signature": asked.signature.name if asked.signature else "several",
        "requests": f"{asked.source}, {sum(sizes) / len(sizes):,.0f} bytes each",
        "measured": f"{question.duration_s:g} s each, after {question.warmup_s:g} s to warm up",
    }
    if question.processes > 1:
        about["generator"] = f"{question.processes} processes"
    return about


def _server_pid(question: Question, target: Target, asked: Requests) -> int | None:
    if question.server_pid is None and target.address.is_loopback:
        return usage.listening(asked.destination.port)
    return question.server_pid


class _Run:
    def __init__(self, question: Question, target: Target, asked: Requests, watcher: Watcher) -> None:
        self.levels: list[Level] = []
        self.answers: dict[int, bytes] = {}
        self.is_interrupted = False
        self._question = question
        self._watcher = watcher
        self._plan = Plan(
            destination=asked.destination,
            bodies=asked.bodies,
            load=FOR_CAPACITY,
            begin=0.0,
            duration_s=question.duration_s,
            warmup_s=question.warmup_s,
            timeout_s=question.timeout_s,
            slots=question.connections,
            server_pid=_server_pid(question, target, asked),
        )

    def all(self, loads: Sequence[Load]) -> None:
        for load in loads:
            if not self.is_interrupted:
                self.level(load)

    def search(self) -> None:
        target = self._question.target_p99_s
        assert target is not None
        capacity = self.level(FOR_CAPACITY)
        if self.is_interrupted or not capacity.rate:
            return

        def meets(rate: float) -> bool | None:
            seconds = min(max(self._question.duration_s, ENOUGH_CALLS / rate), MOST_STEP_S)
            level = self.level(OpenLoop(rate, self._question.arrivals), seconds)
            return None if self.is_interrupted else level.meets_target

        search.highest(capacity.rate, meets)

    def level(self, load: Load, seconds: float | None = None) -> Level:
        seconds = seconds or self._question.duration_s
        plan = replace(self._plan, load=load, duration_s=seconds, seed=len(self.levels))
        self._watcher.begins(load, seconds)
        tally = processes.run(plan, self._question.processes, self._watcher.window)
        of_closed = self._question.loads or isinstance(load, OpenLoop)  # a search's first look has no target
        level = Level(load, tally, self._question.target_p99_s if of_closed else None)
        self.levels.append(level)
        self.is_interrupted = tally.interrupted
        self.answers |= tally.answers
        self._watcher.ended(level)
        return level
