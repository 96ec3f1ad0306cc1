"""Says that a signature's answers have become constant, and how to find out why; and that they vary again."""

import logging
import shlex
import threading
import time
from collections.abc import Callable

from unstuck.core.signatures import DEFAULT_SIGNATURE
from unstuck.monitor.diversity import Constant
from unstuck.monitor.events import EventHistory

log = logging.getLogger("unstuck.versions")

PAUSE_S = 60.0  # between two lines on one signature

Signed = tuple[str, int, str]  # a model's version's signature


class ConstantLog:
    """Hears of changes; writes a line into the log, and into the history. Thread-safe."""

    def __init__(self, history: EventHistory, target_of: Callable[[str, int], str]) -> None:
        """``target_of`` a model's version: what ``unstuck diagnose`` takes."""
        self._history = history
        self._target_of = target_of
        self._lock = threading.Lock()
        self._said: dict[Signed, float] = {}  # when, of whose answers it was said last that they are constant
        self._open: set[Signed] = set()  # of whose answers it was not yet said that they vary again

    def __call__(self, name: str, version: int, signature_name: str, constant: Constant | None) -> None:
        about = f"Model {name!r} version {version}, signature {signature_name!r}"
        may_say = self._may_say((name, version, signature_name), begins=constant is not None)
        if constant is None:
            self._history.noticed(name, version, f"signature {signature_name!r}: answers vary again")
            if may_say:
                log.info("%s: answers vary again", about)
            return
        command = diagnose_command(self._target_of(name, version), signature_name)
        error = f"{constant.inputs} varied inputs in a row got {constant.same}; find out why: {command}"
        self._history.noticed(name, version, f"signature {signature_name!r}: constant answers", error)
        if may_say:
            log.warning("%s: %s", about, error)

    def _may_say(self, signed: Signed, *, begins: bool) -> bool:
        """At most one beginning a minute, and the end of each that was said."""
        now = time.monotonic()
        with self._lock:
            if not begins:
                is_open = signed in self._open
                self._open.discard(signed)
                return is_open
            if now - self._said.get(signed, -PAUSE_S) < PAUSE_S:
                return False
            self._said[signed] = now
            self._open.add(signed)
            return True


def diagnose_command(target: str, signature_name: str = DEFAULT_SIGNATURE, path: str = "") -> str:
    """What to type. ``target`` and ``path``, that of the version's folder, may be empty."""
    words = ["unstuck", "diagnose", *([target] if target else [])]
    if signature_name != DEFAULT_SIGNATURE:
        words += ["--signature", signature_name]
    if path:
        words += ["--model", path]
    return shlex.join(words)
