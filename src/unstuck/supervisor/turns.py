"""One worker at a time loads: two versions that are being loaded need twice the memory and finish no earlier."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Turns:
    """The supervisor's side: whose turn it is. Belongs to its loop."""

    def __init__(self) -> None:
        self.holder: object = None
        self._waiting: deque[tuple[object, asyncio.Future[None]]] = deque()

    async def take(self, who: object) -> None:
        """Returns once it is the turn of ``who``."""
        if self.holder is None:
            self.holder = who
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((who, granted))
        await granted

    def give_back(self, who: object) -> None:
        """``who`` has loaded, or is gone; it waits no more, either."""
        for each in [each for each in self._waiting if each[0] is who]:
            self._waiting.remove(each)
            each[1].cancel()
        if self.holder is not who:
            return
        self.holder = None
        if self._waiting:
            self.holder, granted = self._waiting.popleft()
            granted.set_result(None)


class LoadTurn:
    """A worker's side: its threads that load share one turn. Thread-safe."""

    def __init__(self, take: Callable[[], None], give_back: Callable[[], None]) -> None:
        """``take`` returns once it is this worker's turn."""
        self._take = take
        self._give_back = give_back
        self._lock = threading.Lock()
        self._holders = 0

    def enter(self) -> None:
        """Waits for the turn, which lasts until every thread that entered has left."""
        with self._lock:
            if not self._holders:
                self._take()
            self._holders += 1

    def leave(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._give_back()

    @contextmanager
    def __call__(self) -> Generator[None]:
        self.enter()
        try:
            yield
        finally:
            self.leave()
