"""What goes wrong between a request and its answer in a server: batchers, buffers and caches with a mistake each.

Each class makes the state of one server; its methods are hooks (``corpus.server.Hooks``).
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from corpus.served import Refused, Tensors
from corpus.server import Call, Forward, Reply

Answer = Callable[[], Tensors]


@dataclass
class _Group:
    members: list[tuple[Tensors, Tensors]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)


class Batcher:
    """Answers that are ready within a window leave together; ``place`` says which of them a member gets.

    Args:
        place: (its index, the members as (outputs, inputs)) -> the index of the answer that it gets.
        window_s: how long the first one waits for others.
    """

    def __init__(self, place: Callable[[int, Sequence[tuple[Tensors, Tensors]]], int], window_s: float = 0.02) -> None:
        self._place, self._window_s = place, window_s
        self._lock = threading.Lock()
        self._group: _Group | None = None

    def after(self, outputs: Tensors, inputs: Tensors) -> Tensors:
        with self._lock:
            first = self._group is None
            group = self._group = self._group or _Group()
            index = len(group.members)
            group.members.append((outputs, inputs))
        if first:
            time.sleep(self._window_s)
            with self._lock:
                self._group = None
            group.closed.set()
        group.closed.wait()
        return group.members[self._place(index, group.members)][0]


class SharedInputs:
    """One buffer for the inputs of all requests, filled before the model is free to read it."""

    def __init__(self, wait_s: float = 0.01) -> None:
        self._buffer: Tensors = {}
        self._wait_s = wait_s

    def before(self, inputs: Tensors) -> Tensors:
        self._buffer = inputs
        time.sleep(self._wait_s)
        return self._buffer


class SharedOutputs:
    """One buffer for some of the outputs, written by the model and read when the answer is encoded."""

    def __init__(self, names: Sequence[str], wait_s: float = 0.01) -> None:
        self._names, self._wait_s = names, wait_s
        self._buffer: Tensors = {}

    def after(self, outputs: Tensors, inputs: Tensors) -> Tensors:
        self._buffer = {name: outputs[name] for name in self._names}
        time.sleep(self._wait_s)
        return outputs | self._buffer


class Slots:
    """As many slots for answers as anybody thought there would be calls at a time."""

    def __init__(self, count: int, wait_s: float = 0.015) -> None:
        self._slots: list[Tensors] = [{}] * count
        self._wait_s = wait_s

    def around(self, call: Call, answer: Answer) -> Tensors:
        slot = call.number % len(self._slots)
        self._slots[slot] = answer()
        time.sleep(self._wait_s)
        return self._slots[slot]


class Replay:
    """Now and then the answer of the call before is sent again.

    Args:
        when: the number of a call -> whether it gets the answer before.
        keep_replayed: the buffer keeps what it held then, and the model's new answer is lost.
    """

    def __init__(self, when: Callable[[int], bool], *, keep_replayed: bool = True) -> None:
        self._when, self._keep = when, keep_replayed
        self._last: Tensors | None = None
        self._lock = threading.Lock()

    def around(self, call: Call, answer: Answer) -> Tensors:
        with self._lock:
            fresh, last = answer(), self._last
            replayed = last if last is not None and self._when(call.number) else fresh
            self._last = replayed if self._keep else fresh
            return replayed


class ReplyCache:
    """A cache of replies before the server.

    Args:
        key: (path, body) -> what it looks replies up by.
        ttl_s: how long a reply is kept.
        headers: whether it says what it does, in the headers Age and X-Cache.
    """

    def __init__(self, key: Callable[[str, bytes], Any], *, ttl_s: float = float("inf"), headers: bool = False) -> None:
        self._key, self._ttl_s, self._headers = key, ttl_s, headers
        self._kept: dict[Any, tuple[float, tuple[int, bytes]]] = {}
        self._lock = threading.Lock()

    def proxy(self, path: str, body: bytes, forward: Forward) -> Reply:
        key, now = self._key(path, body), time.monotonic()
        with self._lock:
            since, reply = self._kept.get(key, (now, None))
            hit = reply is not None and now - since < self._ttl_s
        if not hit or reply is None:
            since, reply = now, forward()
            if reply[0] == 200:
                with self._lock:
                    self._kept[key] = since, reply
        said = {"X-Cache": "HIT" if hit else "MISS", "Age": str(int(now - since))}
        return (*reply, said) if self._headers else reply


class TensorCache:
    """A cache of outputs inside the server, for REST and gRPC alike."""

    def __init__(self, key: Callable[[Tensors], Any]) -> None:
        self._key = key
        self._kept: dict[Any, Tensors] = {}

    def after(self, outputs: Tensors, inputs: Tensors) -> Tensors:
        return self._kept.setdefault(self._key(inputs), outputs)


class OneWorker:
    """Works on one call at a time; who waits longer than ``patience_s`` is sent away."""

    def __init__(self, work_s: float, patience_s: float) -> None:
        self._work_s, self._patience_s = work_s, patience_s
        self._worker = threading.Lock()

    def around(self, call: Call, answer: Answer) -> Tensors:
        if not self._worker.acquire(timeout=self._patience_s):
            raise Refused("Deadline Exceeded", 504, "DEADLINE_EXCEEDED")
        try:
            time.sleep(self._work_s)
            return answer()
        finally:
            self._worker.release()


class Quota:
    """A share of a CPU for all calls together: each takes as many times longer as there are calls."""

    def __init__(self, work_s: float, deadline_s: float) -> None:
        self._work_s, self._deadline_s = work_s, deadline_s

    def around(self, call: Call, answer: Answer) -> Tensors:
        needs = self._work_s * call.active
        time.sleep(min(needs, self._deadline_s))
        if needs > self._deadline_s:
            raise Refused("Timed out waiting for the model", 504, "DEADLINE_EXCEEDED")
        return answer()


class Crowded:
    """Up to ``limit`` calls at a time are answered; what is more gets ``instead`` of the answer."""

    def __init__(self, limit: int, instead: Callable[[Answer], Tensors], work_s: float = 0.03) -> None:
        self._limit, self._instead, self._work_s = limit, instead, work_s

    def around(self, call: Call, answer: Answer) -> Tensors:
        time.sleep(self._work_s)
        return self._instead(answer) if call.active > self._limit else answer()


class Breaker:
    """More than ``limit`` calls at a time, and for a while nobody gets an answer."""

    def __init__(self, limit: int, open_s: float) -> None:
        self._limit, self._open_s = limit, open_s
        self._until = float("-inf")

    def around(self, call: Call, answer: Answer) -> Tensors:
        if time.monotonic() < self._until:
            raise Refused("circuit breaker is open", 503, "UNAVAILABLE")
        time.sleep(0.03)
        if call.active > self._limit:
            self._until = time.monotonic() + self._open_s
        return answer()


def refuses(message: str, status: int, code: str) -> Callable[[Answer], Tensors]:
    """For ``Crowded``: an error."""

    def refuse(answer: Answer) -> Tensors:
        raise Refused(message, status, code)

    return refuse


def always(**values: float | Sequence[float]) -> Callable[[Answer], Tensors]:
    """For ``Crowded``: the same values in every row, whatever was asked."""

    def constant(answer: Answer) -> Tensors:
        outputs = answer()
        return {
            name: np.broadcast_to(np.asarray(values[name], given.dtype), given.shape).copy()
            for name, given in outputs.items()
        }

    return constant
