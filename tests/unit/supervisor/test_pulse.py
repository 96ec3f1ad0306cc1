import threading
import time
from typing import Any

from unstuck.supervisor.pulse import Pulse
from unstuck.supervisor.silence import HANG_S, TICK_S, usage_of_thread


class Loop:
    """Turns when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def call_soon_threadsafe(self, callback: Any) -> None:
        self.waiting.append(callback)

    def turn(self) -> None:
        for callback in self.waiting:
            callback()
        self.waiting.clear()


class Threads:
    """A pulse of this thread as the loop's, and of others whose batches are ``counts``."""

    def __init__(self) -> None:
        self.loop, self.said = Loop(), []
        self.counts: dict[int, int] = {}
        self._pulse: Any = Pulse(self.loop, lambda what, value: self.said.append(value), lambda: self.counts)

    def beat(self, count: int = 1, *, turns: bool = False) -> Any:
        for _ in range(count):
            self._pulse.beat()
            if turns:
                self.loop.turn()
        return self.said[-1]


def test_a_loop_that_turns_is_never_stuck():
    threads = Threads()
    threads.beat(5, turns=True)
    assert threads.said == [None] * 5


def test_a_loop_that_stands_is_stuck_until_it_turns():
    threads = Threads()
    threads.beat(4)
    assert threads.said[:2] == [None, None]
    assert [each["for_s"] for each in threads.said[2:]] == [TICK_S, 2 * TICK_S]
    assert {each["what"] for each in threads.said[2:]} == {"the event loop"}
    threads.loop.turn()
    assert threads.beat() is None


def test_a_thread_of_grpc_that_stays_at_one_batch_is_stuck():
    other = threading.Thread(target=time.sleep, args=[1], daemon=True)
    other.start()
    assert other.native_id is not None
    threads = Threads()
    threads.counts = {other.native_id: 7}
    said = threads.beat(3, turns=True)
    assert (said["what"], said["for_s"], said["is_hang"]) == ("the thread of gRPC", 2 * TICK_S, False)
    threads.counts = {other.native_id: 9}
    assert threads.beat(turns=True) is None, "it is at another batch"
    threads.counts = {other.native_id: 10}
    assert [threads.beat(turns=True) for _ in range(3)] == [None] * 3, "it waits for a batch"


BEATS = int(HANG_S / TICK_S) + 2  # the first asks the loop, the second sees that it has not answered


def test_a_thread_that_does_nothing_meanwhile_hangs():
    waiting = threading.Thread(target=time.sleep, args=[1], daemon=True)
    waiting.start()
    assert waiting.native_id is not None
    while usage_of_thread(waiting.native_id).wants_cpu:
        pass
    threads = Threads()
    threads.counts = {waiting.native_id: 7}
    assert threads.beat(BEATS - 1, turns=True) == {"what": "the thread of gRPC", "for_s": HANG_S, "is_hang": True}


def test_a_thread_that_computes_meanwhile_does_not():
    threads = Threads()
    assert threads.beat(BEATS)["for_s"] == HANG_S
    assert threads.beat()["is_hang"] is False, "this thread runs whenever it is looked at"
