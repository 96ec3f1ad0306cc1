"""Gathers the calls that arrive in one turn of the event loop, so that they can be answered together.

A run of a small model costs about the same for one row as for thirty-two, and each run makes the loop give up and take
back the interpreter lock, which under load costs more than the run. The first call of a turn schedules the answer, the
others of that turn join it; nobody waits for a timer, and a lone call waits for nothing.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


class Turns(Generic[Key, Item]):
    """Belongs to one event loop; ``answer`` runs on it."""

    def __init__(self, answer: Callable[[Key, list[Item]], None]) -> None:
        """``answer(key, items)`` takes the calls of one turn that have the same key."""
        self._answer = answer
        self._waiting: dict[Key, list[Item]] = {}

    def join(self, key: Key, item: Item) -> None:
        """Adds one call to this turn."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = [item]
            asyncio.get_running_loop().call_soon(self._end_turn, key)
        else:
            waiting.append(item)

    def _end_turn(self, key: Key) -> None:
        self._answer(key, self._waiting.pop(key))
