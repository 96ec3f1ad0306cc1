"""What goes on in threads while a block runs: clients, and those who watch."""

import threading
from collections.abc import Callable
from typing import Self

JOIN_S = 60


class Background:
    """A context manager.

    Attributes:
        done: set at the end of the block; whatever works should end soon afterwards.
    """

    def __init__(self, *work: Callable[[], None]) -> None:
        """``work``: what each thread calls, once."""
        self.done = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in self._threads:
            thread.join(JOIN_S)
