"""One of the workers, from run to run, as the supervisor knows it."""

import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from unstuck.monitor.families import Family
from unstuck.supervisor.backoff import Backoff
from unstuck.supervisor.memory import memory_of
from unstuck.supervisor.process import WorkerProcess
from unstuck.supervisor.silence import usage_of_process
from unstuck.supervisor.watch import Watch

State = Literal["waiting", "loading", "serving"]


@dataclass(eq=False)
class Worker:
    """Belongs to the supervisor's loop.

    Attributes:
        number: from 1 on.
        state: ``waiting`` has no process.
        since: when it came into that state, in seconds of the epoch.
        process: its latest.
        listens: whether it takes calls, or is about to.
        generation: of the configuration that it has.
        watch: looks whether it moves, once it serves.
        why_killed: what it had done, where we killed it.
        runs: how many processes it has had.
        died: how its latest process but this one ended, in words; empty if none did.
        said: the last lines that one wrote to stderr.
        families: its metrics, as it last told them.
    """

    number: int
    state: State = "waiting"
    since: float = field(default_factory=time.time)
    process: WorkerProcess | None = None
    listens: bool = False
    generation: int = 0
    watch: Watch | None = None
    why_killed: str = ""
    runs: int = 0
    died: str = ""
    said: list[str] = field(default_factory=list[str])
    families: list[Family] = field(default_factory=list[Family])
    backoff: Backoff = field(default_factory=Backoff)
    serving_since: float = 0.0  # of a clock that nobody sets

    def begins(self, process: WorkerProcess, generation: int, *, listens: bool) -> None:
        """A new process of it has begun."""
        self.process, self.generation, self.listens = process, generation, listens
        self.runs += 1
        self.why_killed, self.watch, self.serving_since = "", None, 0.0
        self._come_into("loading")

    def serves(self) -> None:
        """It has loaded and listens; from now on it must not be silent."""
        assert self.process is not None
        pid = self.process.pid
        self.watch, self.serving_since = Watch(lambda: usage_of_process(pid)), time.monotonic()
        self._come_into("serving")

    def ended(self, died: str) -> float:
        """Its process has; returns for how long it had served. ``died`` is empty where it was to end."""
        assert self.process is not None
        if died:
            self.died, self.said = died, list(self.process.last_words)
        self.process, self.listens, self.watch = None, False, None
        self._come_into("waiting")
        return time.monotonic() - self.serving_since if self.serving_since else 0.0

    def kill(self, why: str) -> None:
        """At once: its connections are closed by the system."""
        self.why_killed = why
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)

    def document(self) -> dict[str, Any]:
        """For ``/statusz``."""
        pid = self.process.pid if self.process else 0
        memory = memory_of(pid)
        return {
            "number": self.number,
            "pid": pid or None,
            "state": self.state,
            "since": as_time(self.since),
            "restarts": max(self.runs - 1, 0),
            "memory_bytes": memory.resident,
            "shared_bytes": memory.resident - memory.proportional,
            "died": self.died,
            "last_words": self.said,
        }

    def _come_into(self, state: State) -> None:
        self.state, self.since = state, time.time()


def own_memory() -> tuple[int, int]:
    """The supervisor's: all, and how much of it is shared."""
    memory = memory_of(os.getpid())
    return memory.resident, memory.resident - memory.proportional


def as_time(seconds: float) -> str:
    """Seconds of the epoch as ISO 8601 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
