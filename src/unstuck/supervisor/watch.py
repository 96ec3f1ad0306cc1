"""Looks whether a worker moves, from outside: all of it by its beats, its threads by what it says in them."""

from collections.abc import Callable
from typing import Any

from unstuck.supervisor.silence import HANG_S, Silence, Usage

LOADING_PATIENCE = 10.0  # a network file system makes threads wait that hold what others need


class Watch:
    """One worker, as long as it serves."""

    def __init__(self, usage_now: Callable[[], Usage]) -> None:
        self._usage_now = usage_now
        self._has_beaten = True  # since the last look
        self._silence: Silence | None = None
        self._stuck: dict[str, Any] = {}
        self.silent_s = 0.0

    def beat(self, stuck: dict[str, Any] | None) -> None:
        """It lives; ``stuck`` says which of its threads has not answered, for how long, and whether that is a hang."""
        self._has_beaten, self._silence = True, None
        self._stuck = stuck or {}

    def look(self, *, is_loading: bool = False) -> str:
        """Why it is to be killed; empty if it is not. Called every TICK_S."""
        if self._silence:
            self._silence.look(self._usage_now())
        elif not self._has_beaten:
            self._silence = Silence(self._usage_now(), looks=1)  # one look in which it did not beat
        self._has_beaten = False
        silent_s = self._silence.for_s if self._silence else 0.0
        stuck_s = float(self._stuck.get("for_s", 0))
        self.silent_s = max(silent_s, stuck_s)
        patience = LOADING_PATIENCE if is_loading else 1.0
        if self._silence and self._silence.is_hang(patience):
            return f"did not answer for {silent_s:g} s"
        if self._stuck.get("is_hang") and stuck_s >= HANG_S * patience:
            return f"hung: {self._stuck['what']} did not answer for {stuck_s:g} s"
        return ""
