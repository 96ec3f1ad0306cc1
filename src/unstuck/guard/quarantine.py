"""When a version is suspected, and what condemns it: decisions on numbers. Nothing here runs a model.

What a client sends can make a sound model fail with any code: a table of files that the request names (NOT_FOUND), a
shape too large (RESOURCE_EXHAUSTED), bytes that are no PNG (DATA_LOSS), a Python op (UNKNOWN). So an error condemns
nobody: it only has an input asked for that is known to work, and a version is condemned where that fails, too.
"""

import threading
from dataclasses import dataclass

from unstuck.errors import Code, QuarantineKind

OF_INPUTS = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE, Code.UNIMPLEMENTED})  # as a rule
OF_A_MOMENT = frozenset(
    {Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE, Code.ABORTED, Code.CANCELLED, Code.DEADLINE_EXCEEDED}
)
IN_A_ROW = 20  # failed runs of which none speaks of more than its inputs
STRIKES = 3  # checks in a row that fail for what may pass
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
SHARE = 10  # a check that finds nothing is followed by a pause at least as many times as long
QUIET_S = 60.0
FIRST_RELOAD_S = 1.0
LAST_RELOAD_S = 300.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What was wrong with the answer to an input that is known to work; ``code`` where it was an error."""

    kind: QuarantineKind
    said: str
    code: Code = Code.UNKNOWN


class Suspicion:
    """Of one loaded version. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed = 0
        self._strikes = 0
        self._is_checked = False
        self._opens_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    def succeeded(self) -> None:
        """A run has given an answer. In each call's way."""
        self._failed = 0

    def calls_for_check(self, code: Code, now_s: float) -> bool:
        """Whether a run that failed with ``code`` has it checked: then ``acquit`` or ``is_condemned_by`` follows."""
        with self._lock:
            self._failed += 1
            if code in OF_INPUTS and self._failed < IN_A_ROW:
                return False
            if self._is_checked or now_s < self._opens_s:
                return False
            self._is_checked = True
            return True

    def acquit(self, now_s: float, took_s: float) -> None:
        """The check that a failed run called for has found nothing: the input was to blame."""
        with self._lock:
            if now_s > self._opens_s + QUIET_S:
                self._pause_s = FIRST_PAUSE_S
            self._strikes, self._is_checked = 0, False
            self._opens_s = now_s + max(self._pause_s, SHARE * took_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def is_condemned_by(self, failure: Failure) -> bool:
        """Whether it is broken, as an input known to work has failed; else it is to be checked again in a moment."""
        with self._lock:
            self._strikes += 1
            return failure.code not in OF_A_MOMENT or self._strikes >= STRIKES

    def passed(self) -> None:
        """An input known to work has been answered rightly."""
        self._strikes = 0


class Reloads:
    """When a version is loaded again: at once, and after ever longer waits if it does not serve well for a while."""

    def __init__(self) -> None:
        self._failed = 0

    def wait_s(self, served_s: float) -> float:
        """How long to wait, now that it is out of service once more.

        Args:
            served_s: for how long it had served; 0 where it could not be loaded.
        """
        if served_s >= QUIET_S:
            self._failed = 0
        self._failed += 1
        return 0.0 if self._failed == 1 else min(FIRST_RELOAD_S * 2 ** (self._failed - 2), LAST_RELOAD_S)
