"""One model's gate: who is inside, who is let in, and what those who are not are told."""

import threading
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Literal

from unstuck.errors import DeadlineExceeded, Overloaded, UnstuckError
from unstuck.guard.concurrency import ConcurrencyLimit

UNLIMITED = 1 << 62

Reason = Literal["requests", "bytes", "wait", "deadline", "memory"]
REASONS: tuple[Reason, ...] = ("requests", "bytes", "wait", "deadline", "memory")


def open_gate() -> "Gate":
    """One that lets everybody in."""
    return Gate("", ConcurrencyLimit(UNLIMITED, float("inf")), UNLIMITED)


@dataclass(slots=True, eq=False)
class Gate:
    """The calls to one model. What is bounded is what was let in and has no answer yet.

    The event loop of REST writes ``entered``, ``left`` and ``bytes``, without a lock, in every call's way: ``leave`` of
    its calls is there, too. Calls of other threads go by ``enter_elsewhere``.

    Attributes:
        name: the model's.
        concurrency: how many may be in flight for their own good.
        entered: calls that came in over REST.
        left: how many of these have ended.
        bytes: of the bodies of those that have not.
        limit: calls in flight from which on others are refused.
        reason: what ``limit`` comes from.
        why: the same in words, as a caller is told.
        is_watchful: whether calls have to wait, or may be refused: only then is a call's deadline looked at.
        refused: calls, by reason.
        unanswered: calls that were let in and ended without having been run, as they came too late to be.
    """

    name: str
    concurrency: ConcurrencyLimit
    limit: int
    entered: int = 0
    left: int = 0
    bytes: int = 0
    reason: Reason = "requests"
    why: str = ""
    is_watchful: bool = False
    refused: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _elsewhere_entered: int = 0
    _elsewhere_left: int = 0
    _elsewhere_bytes: int = 0

    @property
    def in_flight(self) -> int:
        return self.entered - self.left + self._elsewhere_entered - self._elsewhere_left

    @property
    def in_flight_rest(self) -> int:
        return self.entered - self.left

    @property
    def bytes_in_flight(self) -> int:
        return self.bytes + self._elsewhere_bytes

    @property
    def all_entered(self) -> int:
        return self.entered + self._elsewhere_entered

    @property
    def all_left(self) -> int:
        return self.left + self._elsewhere_left

    @property
    def all_refused(self) -> int:
        return sum(self.refused.values())

    def enter_elsewhere(self, size: int) -> None:
        """Counts a call of ``size`` bytes that does not come by REST's loop. On any thread."""
        with self._lock:
            self._elsewhere_entered += 1
            self._elsewhere_bytes += size

    def leave_elsewhere(self, size: int) -> None:
        """It has ended."""
        with self._lock:
            self._elsewhere_left += 1
            self._elsewhere_bytes -= size

    def refusal(self, left_s: float | None = None) -> UnstuckError | None:
        """Why a call that comes now is not let in; None if it is. On any thread.

        Args:
            left_s: until its deadline; None where it has none.
        """
        if self.in_flight >= self.limit:
            return self._refuse(self.reason, self.why or f"{self.limit} calls to it are in flight")
        wait_s, run_s = self.concurrency.wait_s, self.concurrency.run_s
        if left_s is not None and (left_s <= 0 or (wait_s and wait_s + run_s > left_s)):
            self._count("deadline")
            return DeadlineExceeded(
                f"Model {self.name!r}: the call's deadline is in {max(left_s, 0):.3f} s, and calls wait {wait_s:.3f} s "
                f"now and take {run_s:.3f} s.",
                hint="Give it more time, or send fewer calls.",
            )
        return None

    def overdue(self, arrived_ns: int) -> UnstuckError | None:
        """Why a call that has waited since ``arrived_ns``, of ``perf_counter_ns``, is not run any more, if so."""
        most_s = self.concurrency.most_wait_s
        if most_s is None or perf_counter_ns() - arrived_ns < most_s * 1e9:
            return None
        self.give_up()
        return self._refuse("wait", f"it has waited longer than {most_s:g} s")

    def give_up(self) -> None:
        """Counts a call inside that will not be run, or whose answer comes too late."""
        with self._lock:
            self.unanswered += 1

    def refuse_bytes(self, size: int, most: int) -> UnstuckError:
        """What the caller of a call with a body too large for now is told."""
        return self._refuse(
            "bytes",
            f"its {size:,} bytes do not fit beside the {self.bytes_in_flight:,} of its calls in flight "
            f"(--max_in_flight_bytes={most})",
        )

    def _refuse(self, reason: Reason, why: str) -> Overloaded:
        self._count(reason)
        return Overloaded(
            f"Model {self.name!r} takes no more calls now: {why}.",
            hint="Try again later, send fewer calls at a time, or add servers.",
            wait_s=self.concurrency.wait_s,
        )

    def _count(self, reason: Reason) -> None:
        with self._lock:
            self.refused[reason] += 1
