"""What calls came to, counted: by the generator's processes, added up for a result."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from unstuck.bench.histogram import Histogram
from unstuck.bench.slots import Slot
from unstuck.bench.usage import Usage

MAX_SAID = 300
MAX_KEPT_BYTES = 64 << 20  # of answers


@dataclass(slots=True)
class Window:
    """A stretch of the measured time.

    Attributes:
        at: its beginning, in seconds from the first measured moment.
        seconds: how long it is.
        latencies: of the calls that were answered in it.
        failed: how many calls failed in it.
    """

    at: float
    seconds: float
    latencies: Histogram = field(default_factory=Histogram)
    failed: int = 0

    def merge(self, other: "Window") -> None:
        self.seconds = max(self.seconds, other.seconds)
        self.latencies.merge(other.latencies)
        self.failed += other.failed


@dataclass(slots=True)
class Tally:
    """All of a measurement.

    Attributes:
        seconds: how long was measured.
        in_time: how many answers came in that time, those to calls of the warm-up too: what throughput is.
        latencies: of the answers to calls that were due in that time, whenever they came.
        errors: failed calls by what failed.
        said: by what failed, the first message of it.
        not_sent: calls that were due, and for which no slot became free in time.
        received: bytes of the answers that ``latencies`` counts.
        lag: how late the generator itself was: to send, each call of an open loop; to read, in a closed one.
        busy: the generator's CPU time by time, its busiest process's.
        usage: of the server in that time; None where it cannot be seen.
        windows: the stretches, in their order.
        answers: by the request's number, the first answer.
        interrupted: whether it ended early.
    """

    seconds: float = 0.0
    in_time: int = 0
    latencies: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter[str])
    said: dict[str, str] = field(default_factory=dict[str, str])
    not_sent: int = 0
    received: int = 0
    lag: Histogram = field(default_factory=Histogram)
    busy: float = 0.0
    usage: Usage | None = None
    windows: list[Window] = field(default_factory=list[Window])
    answers: dict[int, bytes] = field(default_factory=dict[int, bytes])
    interrupted: bool = False

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def calls(self) -> int:
        """Every call that was due."""
        return self.latencies.count + self.failed + self.not_sent

    def merge(self, other: "Tally") -> None:
        """Adds what another process counted in the same time."""
        self.seconds = max(self.seconds, other.seconds)
        self.in_time += other.in_time
        self.latencies.merge(other.latencies)
        self.errors.update(other.errors)
        self.said = other.said | self.said
        self.not_sent += other.not_sent
        self.received += other.received
        self.lag.merge(other.lag)
        self.busy = max(self.busy, other.busy)
        self.usage = self.usage or other.usage
        for mine, theirs in zip(self.windows, other.windows, strict=False):
            mine.merge(theirs)
        self.windows += other.windows[len(self.windows) :]
        self.answers = other.answers | self.answers
        self.interrupted = self.interrupted or other.interrupted


class Recorder:
    """Counts the calls of one generator, and cuts the time into windows.

    Args:
        begin, end: of what is measured, on ``time.perf_counter``.
        on_window: is given each window as it ends.
    """

    def __init__(self, begin: float, end: float, on_window: Callable[[Window], None]) -> None:
        self.tally = Tally()
        self.lags: list[float] = []
        self._begin, self._end = begin, end
        self._on_window = on_window
        self._latencies: list[float] = []
        self._failed = 0
        self._cut_at = begin
        self._kept_bytes = 0

    def ended(self, slot: Slot) -> None:
        """Called for every call: what is not needed at once waits for the cut."""
        now = time.perf_counter()
        if now < self._begin:
            return
        if slot.error:
            if slot.intended >= self._begin:
                self._fail(slot)
            return
        tally = self.tally
        if now < self._end:
            tally.in_time += 1
        if slot.intended < self._begin:
            return
        self._latencies.append(now - slot.intended)
        tally.received += len(slot.answer)
        if slot.number not in tally.answers and self._kept_bytes < MAX_KEPT_BYTES:
            tally.answers[slot.number] = slot.answer
            self._kept_bytes += len(slot.answer)

    def _fail(self, slot: Slot) -> None:
        self.tally.errors[slot.error] += 1
        self._failed += 1
        if slot.error not in self.tally.said:
            self.tally.said[slot.error] = slot.answer[:MAX_SAID].decode(errors="replace")

    def cut(self) -> None:
        """Ends a window, and begins the next."""
        now = time.perf_counter()
        if now <= self._cut_at:
            return
        window = Window(self._cut_at - self._begin, now - self._cut_at, Histogram(self._latencies), self._failed)
        self._cut_at, self._latencies, self._failed = now, [], 0
        self.tally.windows.append(window)
        self.tally.latencies.merge(window.latencies)
        self.tally.lag.add(self.lags)
        self.lags.clear()
        self._on_window(window)

    def finish(self, *, interrupted: bool) -> Tally:
        """The whole, once no call is under way that counts."""
        if self._latencies or self._failed:
            self.cut()
        self.tally.seconds = max(0.0, min(time.perf_counter(), self._end) - self._begin)
        self.tally.interrupted = interrupted
        return self.tally
