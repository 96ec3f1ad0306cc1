"""How many rows may go together: as many as make a row cheaper than it is alone."""

from collections import deque
from statistics import median

MOST_ROWS = 128
FIRST_ROWS = 32
LEAST_ROWS = 8  # fewer say little: two rows may take another, slower way through a library than one or eight
CHEAPER = 0.9  # of what a row costs alone
SAMPLES = 3
ALONE_EVERY = 16  # batches, and more often at first, is one of a single call: what it costs depends on the load
FIRST_WAIT = 64  # calls alone, until batches that did not pay are tried again
LONGEST_WAIT = 8192


class BatchSize:
    """What the batches of one kind of call teach. Not thread-safe.

    Most models take little longer for a few rows than for one. Some take as many times as long, or longer, as their
    intermediate results do not fit into the processor's cache any more: their calls gain nothing by waiting.
    """

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self.gain = 1.0  # how many times what a row costs in a batch it costs alone
        self._most_rows = most_rows
        self._rows = min(FIRST_ROWS, most_rows)
        self._alone: deque[float] = deque(maxlen=SAMPLES)  # what a row cost, in nanoseconds
        self._together: deque[float] = deque(maxlen=SAMPLES)
        self._batches = 0
        self._wait = FIRST_WAIT
        self._waits = 0

    @property
    def rows(self) -> int:
        """That the next batch may have, unless it is one of a single call."""
        return self._rows

    @property
    def is_known(self) -> bool:
        """Whether calls were seen alone and together; until then ``rows`` and ``gain`` are guesses."""
        return self._batches > 0 and bool(self._alone) and self.gain != 1.0

    def pays(self, rows: int) -> bool:
        """Whether a call with so many rows should wait for company, while others run."""
        return 2 * rows <= self._rows

    def next(self) -> int:
        """How many rows the next batch may have; it has one call at least."""
        self._batches = number = self._batches + 1
        is_power_of_two = number & (number - 1) == 0
        return self._rows if self._alone and number % ALONE_EVERY and not is_power_of_two else 0

    def learn(self, calls: int, rows: int, took_ns: int) -> None:
        """Counts a batch."""
        cost = took_ns / max(rows, 1)
        if calls == 1:
            self._alone.append(cost)
            self._wait_to_try_again()
        elif self._rows > 1 and rows >= min(LEAST_ROWS, self._most_rows):
            self._together.append(cost)
            if len(self._together) == SAMPLES:
                self._judge(rows)

    def _judge(self, rows: int) -> None:
        if self._alone:
            self.gain = median(self._alone) / max(median(self._together), 1.0)
        self._together.clear()
        if self._alone and self.gain * CHEAPER < 1:
            self._rows = rows // 4 if rows >= 4 * LEAST_ROWS else 1
            if self._rows == 1:
                self._waits, self._wait = self._wait, min(2 * self._wait, LONGEST_WAIT)
        elif 2 * rows > self._rows:
            self._rows = min(2 * self._rows, self._most_rows)

    def _wait_to_try_again(self) -> None:
        if self._rows == 1:
            self._waits -= 1
            if self._waits <= 0:
                self._rows = min(LEAST_ROWS, self._most_rows)
