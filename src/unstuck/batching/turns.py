"""Gathers the calls that arrive in one turn of the event loop, so that they can be answered together.

A run of a small model costs about the same for one row as for thirty-two, and each run makes the loop give up and take
back the interpreter lock, which under load costs more than the run. The first call of a turn schedules the answer, the
others of that turn join it; nobody waits for a timer, and a lone call waits for nothing.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)


class Turns(Generic[Key, Item, Result]):
    """Belongs to one event loop; ``answer`` runs on it."""

    def __init__(self, answer: Callable[[Key, list[tuple[Item, "asyncio.Future[Result]"]]], None]) -> None:
        """``answer(key, waiting)`` must complete each future now or later; one that was cancelled is done already."""
        self._answer = answer
        self._waiting: dict[Key, list[tuple[Item, asyncio.Future[Result]]]] = {}

    def join(self, key: Key, item: Item) -> "asyncio.Future[Result]":
        """The result of ``item``, answered with the others of this turn that have the same key."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = [(item, future)]
            loop.call_soon(self._end_turn, key)
        else:
            waiting.append((item, future))
        return future

    def _end_turn(self, key: Key) -> None:
        self._answer(key, self._waiting.pop(key))
