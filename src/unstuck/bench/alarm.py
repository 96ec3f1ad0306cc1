"""Wakes the event loop at a moment, to some ten microseconds; loops know but milliseconds."""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable

_MONOTONIC, _ABSOLUTE = 1, 1  # CLOCK_MONOTONIC, TFD_TIMER_ABSTIME
_SOONEST_NS = 1  # 0 would switch the timer off


class _Spec(ctypes.Structure):
    """itimerspec, as 64-bit Linux has it."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """Calls ``ring`` in the running loop once the moment that was set last has come. By timerfd on Linux."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._file = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._file >= 0:
                self._loop.add_reader(self._file, self._rang)

    def set(self, moment: float) -> None:
        """``moment``: on ``time.perf_counter``; one that has passed rings in the loop's next turn."""
        if self._file < 0:
            self._timer = self._loop.call_later(max(0.0, moment - time.perf_counter()), self._ring)
            return
        nanoseconds = max(int(moment * 1e9), _SOONEST_NS)
        spec = _Spec(0, 0, *divmod(nanoseconds, 1_000_000_000))
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(spec), None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _rang(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # it was set anew in between
        self._ring()
