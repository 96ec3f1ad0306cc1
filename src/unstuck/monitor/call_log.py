"""A line of the server's log for each call that is worth one: those that failed, those that were slow, or all."""

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from unstuck.core import request_ids
from unstuck.core.observers import AnsweredCalls, Headers, OtherCall
from unstuck.monitor.log_lines import FIELDS

log = logging.getLogger("unstuck.requests")

LoggedCalls = Literal["off", "errors", "slow", "all"]
LINES_A_SECOND = 10
BURST = 50
MAX_CHARACTERS = 500

Fields = Mapping[str, Any]


class CallLog:
    """A ``CallObserver``. Thread-safe."""

    wants_headers = True

    def __init__(self, logged: LoggedCalls, slow_ms: float) -> None:
        """Logs failed calls, but for ``off``; with ``slow`` those of at least ``slow_ms`` as well.

        But for ``all``, no more than LINES_A_SECOND are written: a client must not fill the disk with its mistakes.
        """
        self._slow_ns = 0 if logged == "all" else slow_ms * 1e6
        self._has_successes = logged in ("slow", "all")
        self._limit = _Limit() if logged != "all" else None
        log.setLevel(logging.INFO)

    def answered(self, calls: AnsweredCalls, headers: Sequence[Headers]) -> None:
        if not self._has_successes:
            return
        ran = calls.ran
        for (arrived_ns, stages), each in zip(calls.stages(), headers, strict=True):
            took_ns = calls.done_ns - arrived_ns
            if took_ns < self._slow_ns:
                continue
            self._write(
                logging.INFO,
                {
                    "request_id": request_ids.sane(each.get(request_ids.HEADER)) or request_ids.made(),
                    "api": calls.api,
                    "method": calls.method,
                    "model": ran.model,
                    "version": ran.version,
                    "signature": ran.signature,
                    "code": "OK",
                    "ms": _ms(took_ns),
                    **{f"{stage}_ms": _ms(stage_ns) for stage, stage_ns in stages.items()},
                    "calls_in_run": len(calls.arrived_ns),
                },
            )

    def ended(self, call: OtherCall) -> None:
        took_ns = call.done_ns - call.arrived_ns
        if call.error is None and not (self._has_successes and took_ns >= self._slow_ns):
            return
        fields: dict[str, Any] = {
            "request_id": call.request_id or request_ids.made(),
            "api": call.api,
            "method": call.method,
            "model": call.model[:MAX_CHARACTERS],
            "code": call.code.name,
            "ms": _ms(took_ns),
        }
        level = logging.INFO
        if call.error is not None:
            level = logging.ERROR if call.code.http_status >= 500 else logging.WARNING
            fields["error"] = str(call.error)[:MAX_CHARACTERS]
        self._write(level, fields)

    def _write(self, level: int, fields: Fields) -> None:
        if self._limit is not None:
            if not self._limit.allows():
                return
            if left_out := self._limit.left_out():
                log.warning("%d more calls were not logged: at most %d a second are.", left_out, LINES_A_SECOND)
        # As JSON's strings: what a client sent can neither end the line nor look like another field.
        text = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        log.log(level, "call %s", text, extra={FIELDS: fields})


class _Limit:
    """A bucket of BURST lines that fills by LINES_A_SECOND. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines = float(BURST)
        self._at = time.monotonic()
        self._left_out = 0

    def allows(self) -> bool:
        """Whether one more line may be written now."""
        with self._lock:
            now = time.monotonic()
            self._lines = min(BURST, self._lines + (now - self._at) * LINES_A_SECOND)
            self._at = now
            if self._lines < 1:
                self._left_out += 1
                return False
            self._lines -= 1
            return True

    def left_out(self) -> int:
        """How many lines were not written since this was last asked."""
        with self._lock:
            left_out, self._left_out = self._left_out, 0
            return left_out


def _ms(duration_ns: int) -> float:
    return round(duration_ns / 1e6, 3)


def _shown(value: Any) -> str:
    if isinstance(value, str) and value and request_ids.sane(value) == value:
        return value
    return json.dumps(value)
