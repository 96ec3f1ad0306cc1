"""Who may come in while more calls come than can be answered: the gates of all models, and who sets them."""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from unstuck.errors import UnstuckError
from unstuck.guard.concurrency import TICK_S, ConcurrencyLimit
from unstuck.guard.gates import UNLIMITED, Gate
from unstuck.guard.memory import MemoryWatch
from unstuck.guard.sharing import room

MAX_GATES = 1024  # names come from requests; strangers beyond these share one
STRANGERS = ""
NOTICEABLE_S = 0.01  # of waiting, from which on deadlines are looked at
MEMORY_TICKS = 3
QUIET_S = 5.0  # without a refusal, before it is said that there are no more

log = logging.getLogger(__name__)
events = logging.getLogger("unstuck.admission")  # what an operator wants to read while the server runs


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be in flight in this process.

    Attributes:
        requests: calls to all models.
        bytes: of the bodies of calls to all models.
        together: calls to one model that run at the same time.
        tolerated_wait_s: from which on a model's calls are refused; None never refuses any for that.
    """

    requests: int = UNLIMITED
    bytes: int = UNLIMITED
    together: int = UNLIMITED
    tolerated_wait_s: float | None = None


@dataclass(slots=True)
class _Seen:
    """A gate as it was at the last tick; and when its calls were last refused, if that is not long ago."""

    entered: int = 0
    left: int = 0
    unanswered: int = 0
    refused: int = 0
    refusing_since: float | None = None
    refused_before: int = 0
    last_refusal: float = 0.0


@dataclass(slots=True)
class Held:
    """The bytes of one call over REST, as they come; on its loop, as the gate's ``bytes`` are. Released at the end."""

    admission: "Admission"
    gate: Gate
    size: int = 0

    def take(self, size: int) -> None:
        """Takes so many more. Raises Overloaded where there is no room for them."""
        refused = self.admission.refusal_of_bytes(self.gate, size, self.size)
        if refused is not None:
            raise refused
        self.gate.bytes += size
        self.size += size

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.bytes -= self.size


@dataclass(slots=True)
class Admission:
    """Thread-safe. Without ``start``, gates are set by whoever calls ``tick``.

    Attributes:
        bounds: what may be in flight.
        memory: says when memory is short; None where nobody looks.
        models: that are served, which share what there is; nobody knows which while there are none.
        is_watchful: whether any gate is.
    """

    bounds: Bounds = field(default_factory=Bounds)
    memory: MemoryWatch | None = None
    models: Callable[[], Collection[str]] = tuple[str, ...]
    is_watchful: bool = False
    _gates: dict[str, Gate] = field(default_factory=dict[str, Gate])
    _seen: dict[str, _Seen] = field(default_factory=dict[str, _Seen])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _ticks: int = 0

    def gate(self, name: str) -> Gate:
        """The gate of a model, known or not."""
        gate = self._gates.get(name)
        if gate is None:
            with self._lock:
                name = name if len(self._gates) < MAX_GATES else STRANGERS
                gate = self._gates.get(name) or self._gates.setdefault(name, self._new_gate(name))
        return gate

    def _new_gate(self, name: str) -> Gate:
        tolerated_s = self.bounds.tolerated_wait_s
        concurrency = ConcurrencyLimit(self.bounds.together, float("inf") if tolerated_s is None else tolerated_s)
        gate = Gate(name, concurrency, UNLIMITED)
        self._set(gate, self.bounds.requests)
        return gate

    @property
    def in_flight_rest(self) -> int:
        """Calls over REST that have no answer yet."""
        return sum([gate.in_flight_rest for gate in list(self._gates.values())])

    def refusal_of_bytes(self, gate: Gate, size: int, held: int = 0) -> UnstuckError | None:
        """Why a call, of which ``held`` bytes are here, may not bring ``size`` more; None if it may.

        Where nothing else is in flight, it may be as large as it likes: other limits are for that.
        """
        others = [each.bytes_in_flight for each in list(self._gates.values()) if each is not gate]
        own = gate.bytes_in_flight
        if own + size <= room(self.bounds.bytes, others, len(self.models())) or (own == held and not any(others)):
            return None
        return gate.refuse_bytes(held + size, self.bounds.bytes)

    # Ticks.

    def start(self) -> None:
        """Looks at everything ten times a second, on a thread of its own, until ``stop``."""
        threading.Thread(target=self._watch, name="unstuck-admission", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self) -> None:
        before = perf_counter()
        while not self._stopping.wait(TICK_S):
            now = perf_counter()
            try:
                self.tick(now, now - before)
            except Exception:  # the next look may go well
                log.exception("The gates could not be set")
            before = now

    def tick(self, now: float, seconds: float) -> None:
        """Sets every gate by what happened in the last ``seconds``."""
        if self.memory is not None and self._ticks % MEMORY_TICKS == 0:
            self.memory.look()
        self._ticks += 1
        gates = list(self._gates.values())
        in_flight, models = [gate.in_flight for gate in gates], len(self.models())
        for number, gate in enumerate(gates):
            seen = self._seen.setdefault(gate.name, _Seen())
            self._learn(gate, seen, seconds, in_flight[number])
            self._set(gate, room(self.bounds.requests, in_flight[:number] + in_flight[number + 1 :], models))
            self._tell(gate, seen, now)
            seen.entered, seen.left, seen.refused = gate.all_entered, gate.all_left, gate.all_refused
            seen.unanswered = gate.unanswered
        self.is_watchful = any(gate.is_watchful for gate in gates)

    def _learn(self, gate: Gate, seen: _Seen, seconds: float, in_flight: int) -> None:
        gate.concurrency.tick(
            seconds,
            in_flight,
            entered=gate.all_entered - seen.entered,
            answered=max(gate.all_left - seen.left - gate.unanswered + seen.unanswered, 0),
            refused=gate.all_refused - seen.refused,
        )

    def _set(self, gate: Gate, place: int) -> None:
        limit, wait_s = gate.concurrency.limit, gate.concurrency.wait_s
        gate.reason, gate.limit = "requests", place
        gate.why = f"{place} are in flight (--max_in_flight_requests={self.bounds.requests})"
        if limit is not None and limit < gate.limit:
            gate.reason, gate.limit = "wait", limit
            gate.why = f"{limit} are in flight, and more would wait too long"
        if self.memory is not None and self.memory.shortage and self.bounds.together < gate.limit:
            gate.reason, gate.limit = "memory", self.bounds.together
            gate.why = f"memory is short, {self.memory.shortage}, and {self.bounds.together} are in flight"
        gate.is_watchful = gate.reason != "requests" or wait_s > NOTICEABLE_S

    def _tell(self, gate: Gate, seen: _Seen, now: float) -> None:
        refused = gate.all_refused
        if refused > seen.refused:
            seen.last_refusal = now
            if seen.refusing_since is None:
                seen.refusing_since, seen.refused_before = now, seen.refused
                events.warning("Model %r: calls are refused: %s (%s)", gate.name, _why(gate), _counted(gate))
        elif seen.refusing_since is not None and now - seen.last_refusal > QUIET_S:
            took_s, count = seen.last_refusal - seen.refusing_since, refused - seen.refused_before
            events.warning("Model %r: calls are let in again: %d were refused in %.1f s", gate.name, count, took_s)
            seen.refusing_since = None

    # What there is to see.

    def overview(self) -> dict[str, dict[str, Any]]:
        """Of each model that was called: what is in flight, what may be, and why; what was refused."""
        known = self.models()
        return {name: _overview(gate) for name, gate in list(self._gates.items()) if not known or name in known}


def _overview(gate: Gate) -> dict[str, Any]:
    return {
        "in_flight": gate.in_flight,
        "bytes_in_flight": gate.bytes_in_flight,
        "limit": gate.limit,
        "limited_by": gate.reason,
        "expected_wait_s": round(gate.concurrency.wait_s, 3),
        "refused": dict(gate.refused),
    }


def _why(gate: Gate) -> str:
    return gate.why if gate.is_watchful else "no room"


def _counted(gate: Gate) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in gate.refused.items() if count)
