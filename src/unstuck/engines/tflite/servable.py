"""Answers calls by interpreters of LiteRT, each of which runs one call at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from threading import BoundedSemaphore

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors, show_shape
from unstuck.engines.tflite.graph import Entry
from unstuck.engines.tflite.parsing import Parser
from unstuck.engines.tflite.runtime import ERRORS, Interpreter
from unstuck.errors import Code, EngineError


class Pool:
    """Interpreters of one model, made as calls need them. Thread-safe."""

    def __init__(self, new: Callable[[], Interpreter], size: int) -> None:
        """Makes the first one; see ``Interpreter`` for what that raises.

        Args:
            new: makes one.
            size: how many there are at most; a call waits for one that is free.
        """
        self._new = new
        self._free = BoundedSemaphore(size)
        self._idle = deque([new()])

    def run(self, entry: Entry, inputs: Mapping[int, Tensor], aliases: Iterable[str]) -> dict[str, Tensor]:
        with self._free:
            try:
                interpreter = self._idle.pop()
            except IndexError:
                interpreter = self._new()
            outputs = interpreter.run(entry, inputs, aliases)
            self._idle.append(interpreter)  # but not one that failed: its tensors are half set
            return outputs

    def close(self) -> None:
        """Gives the memory back, once the runs in flight have ended."""
        self._idle.clear()


class TfLiteServable(Servable):
    """Thread-safe: each run takes an interpreter for itself. Owned by its loader."""

    def __init__(self, entries: Mapping[str, Entry], pool: Pool, parser: Parser | None, *, stateless: bool) -> None:
        self._entries = entries
        self._pool = pool
        self._parser = parser
        self._signatures = {name: entry.signature for name, entry in entries.items()}
        self._stateless = frozenset(entries if stateless else ())

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self._stateless

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        entry = self._entries[signature.name]
        feeds = {number: inputs[alias] for alias, number in entry.inputs.items()}
        if self._parser is not None and self._parser.examples in feeds:
            feeds |= self._parser.parse(feeds.pop(self._parser.examples))
        try:
            return self._pool.run(entry, feeds, signature.outputs)
        except ERRORS as error:
            hint = _what_came(signature, inputs)
            if entry.is_of_one:
                hint += " The model was converted with a batch of 1, and may take no other."
            raise EngineError(f"LiteRT failed: {reason(error)}", code=Code.INVALID_ARGUMENT, hint=hint) from error


def reason(error: Exception) -> str:
    """What LiteRT says, on one line."""
    return " ".join(str(error).split())[:1000] or type(error).__name__


def _what_came(signature: Signature, inputs: Tensors) -> str:
    came = ", ".join(
        f"{alias!r} declared {spec}, got {show_shape(inputs[alias].shape)}" for alias, spec in signature.inputs.items()
    )
    return f"Inputs: {came}." if came else ""
