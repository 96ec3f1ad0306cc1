"""How many calls to one model may be in flight, so that what waits is bounded by time, whatever a call costs.

Sources: Envoy's adaptive concurrency (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/
adaptive_concurrency_filter): the limit is what keeps the latency at a target, plus a headroom of its square root. Its
ideal latency is measured by holding calls back now and then; a model's own time is known here, as is what calls wait,
which WeChat's DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices", 2018) found to be the better
signal. That a queue is no fault until it stands, and what then helps, is from CoDel (RFC 8289).
"""

import math
from dataclasses import dataclass

TICK_S = 0.1
LEAST_ANSWERS = 8  # in a window: a first call may take a hundred times as long as the others
LEAST_WINDOW_S = 0.095  # about a tick
WINDOWS = 2  # in a row that show a standing queue
STRICT = 0.1  # of the tolerated wait, while most calls are refused
RELAX, TIGHTEN = 1.05, 0.8
MOSTLY_SERVED = 0.1  # share of refused calls below which more may wait again
RUN_WEIGHT = 0.2
RATE_WEIGHT = 0.5
SHORT_BATCH = 0.25  # of the tolerated wait: batches that take longer than this,
TIMES_ALONE = 4  # and than so many calls alone, are larger than they have to be


@dataclass(slots=True)
class _Window:
    seconds: float = 0.0
    answered: int = 0
    entered: int = 0
    refused: int = 0
    lowest: int | None = None

    def add(self, seconds: float, answered: int, entered: int, refused: int, in_flight: int) -> None:
        if in_flight or answered:
            self.seconds += seconds
        self.answered += answered
        self.entered += entered
        self.refused += refused
        self.lowest = in_flight if self.lowest is None else min(self.lowest, in_flight)


class ConcurrencyLimit:
    """Of one model. Told of what happened at every tick; not thread-safe, but ``ran`` may come from any thread.

    While a queue is short, or soon gone, there is no limit. Once calls that came now would wait longer than is
    tolerated, in two windows in a row, the limit is what the model answers in its own time and a tenth of that wait.
    While nearly all calls are served, ever more wait is allowed, until there is no limit again.

    Attributes:
        limit: calls in flight; None for as many as come.
        wait_s: what a call that came now would wait before it runs; the less that the last two windows say.
        run_s: of a run, of one call or of several, smoothed; 0 for calls that are too short to matter.
    """

    def __init__(self, least: int, tolerated_s: float) -> None:
        """Calm.

        Args:
            least: calls in flight, whatever is measured: as many as run at the same time.
            tolerated_s: wait from which on calls are refused; a model that takes longer than that may be waited for
                as long as it takes.
        """
        self._least = least
        self._tolerated_s = tolerated_s
        self._allowed_s = tolerated_s
        self._window = _Window()
        self._over = 0
        self._last_wait_s = self._rate = 0.0
        self.limit: int | None = None
        self.wait_s = 0.0
        self.run_s = 0.0
        self._alone_s = 0.0

    @property
    def most_wait_s(self) -> float | None:
        """What a call may have waited at most, that is still to be run; None for as long as it takes."""
        return None if self.limit is None else max(self._tolerated_s, self.run_s)

    def ran(self, run_s: float, calls: int = 1) -> None:
        """A run that answered so many calls took so long."""
        self.run_s = _smoothed(self.run_s, run_s, RUN_WEIGHT)
        if calls == 1:
            self._alone_s = _smoothed(self._alone_s, run_s, RUN_WEIGHT)

    @property
    def own_s(self) -> float:
        """The model's own time: that of its runs, but not of batches that are large only as many calls wait."""
        return min(self.run_s, max(SHORT_BATCH * self._tolerated_s, TIMES_ALONE * self._alone_s))

    def tick(self, seconds: float, in_flight: int, *, entered: int, answered: int, refused: int) -> None:
        """What happened in the last ``seconds``, and how many calls are in flight now.

        Args:
            seconds: since the last tick.
            in_flight: calls that were let in and have no answer yet.
            entered: calls let in meanwhile.
            answered: calls that ended meanwhile.
            refused: calls refused meanwhile.
        """
        window = self._window
        window.add(seconds, answered, entered, refused, in_flight)
        if not in_flight:
            self._end_window(0.0)
        elif window.answered >= LEAST_ANSWERS and window.seconds >= LEAST_WINDOW_S:
            self._end_window(window.answered / window.seconds)

    def _end_window(self, rate: float) -> None:
        """``rate``: answers a second under load; 0 where there was no load."""
        window, self._window = self._window, _Window()
        wait_s = max((window.lowest or 0) / rate - self.run_s, 0.0) if rate else 0.0
        self.wait_s, self._last_wait_s = min(wait_s, self._last_wait_s), wait_s
        self._rate = rate = _smoothed(self._rate, rate, RATE_WEIGHT) if rate else 0.0
        if self.limit is None:
            self._over = self._over + 1 if wait_s > max(self._tolerated_s, self.run_s) else 0
            if self._over < WINDOWS:
                return
            self._allowed_s = STRICT * self._tolerated_s
            self._set_limit(rate)
        elif self._relaxes(window):
            self.limit, self._over = None, 0
        elif rate:
            self._set_limit(rate)

    def _relaxes(self, window: _Window) -> bool:
        """Allows more or less wait; True once nobody has to be refused any more."""
        came = window.entered + window.refused
        if window.refused > MOSTLY_SERVED * came:
            self._allowed_s = max(STRICT * self._tolerated_s, TIGHTEN * self._allowed_s)
            return False
        self._allowed_s = min(self._tolerated_s, RELAX * self._allowed_s)
        return not window.refused and self._allowed_s >= self._tolerated_s

    def _set_limit(self, rate: float) -> None:
        target_s = self.own_s + max(self._allowed_s, self.own_s)
        headroom = math.sqrt(self.limit or 0)
        self.limit = max(self._least, math.ceil(rate * target_s + headroom))


def _smoothed(before: float, now: float, weight: float) -> float:
    return before + weight * (now - before) if before else now
