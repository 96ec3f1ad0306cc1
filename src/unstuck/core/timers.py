"""Functions that are called later, on a thread of their own, where there is no event loop to do it."""

import threading
from collections.abc import Callable


def call_later(seconds: float, call: Callable[..., object], *arguments: object) -> threading.Timer:
    """Starts a timer that keeps no process alive; it may be cancelled."""
    timer = threading.Timer(seconds, call, arguments)
    timer.daemon = True
    timer.start()
    return timer
