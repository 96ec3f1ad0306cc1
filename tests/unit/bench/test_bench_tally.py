import pickle
import timeit
from dataclasses import dataclass

import pytest
from made_up_levels import tally

from unstuck.bench import tally as module
from unstuck.bench.tally import Recorder, Window


@dataclass
class Ended:
    """A slot whose call has ended."""

    intended: float
    error: str = ""
    answer: bytes = b"answer"
    number: int = 0
    is_busy: bool = False

    def send(self, request: bytes) -> None: ...

    def give_up(self, why: str) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its only value is the time."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_latency_counts_from_the_intended_moment(clock: list[float]) -> None:
    recorder = Recorder(10.0, 12.0, lambda window: None)
    clock[0] = 11.5
    recorder.ended(Ended(intended=10.25))
    clock[0] = 12.0
    found = recorder.finish(interrupted=False)
    assert found.latencies.maximum == 1.25
    assert (found.in_time, found.calls, found.received, found.seconds) == (1, 1, 6, 2.0)


def test_the_warm_up_is_not_counted(clock: list[float]) -> None:
    recorder = Recorder(10.0, 12.0, lambda window: None)
    clock[0] = 9.5
    recorder.ended(Ended(intended=9.0))
    recorder.ended(Ended(intended=9.0, error="HTTP 503"))
    clock[0] = 10.5
    recorder.ended(Ended(intended=9.9))  # begun before, answered in time: throughput, but no latency
    clock[0] = 12.0
    found = recorder.finish(interrupted=False)
    assert (found.in_time, found.calls, found.failed) == (1, 0, 0)


def test_what_is_answered_late_has_its_latency(clock: list[float]) -> None:
    recorder = Recorder(10.0, 12.0, lambda window: None)
    clock[0] = 13.0
    recorder.ended(Ended(intended=11.0))
    found = recorder.finish(interrupted=False)
    assert (found.in_time, found.latencies.count, found.latencies.maximum) == (0, 1, 2.0)


def test_failures_are_no_latencies(clock: list[float]) -> None:
    recorder = Recorder(0.0, 2.0, lambda window: None)
    clock[0] = 1.0
    for answer in (b"first", b"second"):
        recorder.ended(Ended(intended=0.5, error="HTTP 503", answer=answer))
    found = recorder.finish(interrupted=False)
    assert found.errors == {"HTTP 503": 2}
    assert found.said == {"HTTP 503": "first"}
    assert found.latencies.count == found.received == 0


def test_the_first_answer_to_each_request_is_kept(clock: list[float]) -> None:
    recorder = Recorder(0.0, 2.0, lambda window: None)
    clock[0] = 1.0
    for number, answer in ((0, b"a"), (1, b"b"), (0, b"c")):
        recorder.ended(Ended(0.5, answer=answer, number=number))
    assert recorder.finish(interrupted=True).answers == {0: b"a", 1: b"b"}


def test_time_is_cut_into_windows(clock: list[float]) -> None:
    seen: list[Window] = []
    recorder = Recorder(0.0, 2.0, seen.append)
    for moment, error in ((0.5, ""), (0.9, "timeout"), (1.5, "")):
        clock[0] = moment
        recorder.ended(Ended(moment - 0.25, error=error))
        if moment == 0.9:
            clock[0] = 1.0
            recorder.cut()
    clock[0] = 2.0
    found = recorder.finish(interrupted=False)
    assert found.windows == seen
    assert [(each.at, each.seconds, each.latencies.count, each.failed) for each in seen] == [(0, 1, 1, 1), (1, 1, 1, 0)]
    assert found.latencies.count == 2


def test_an_end_in_the_warm_up_measured_nothing(clock: list[float]) -> None:
    clock[0] = 9.0
    assert Recorder(10.0, 12.0, lambda window: None).finish(interrupted=True).seconds == 0.0


def test_processes_add_up() -> None:
    one, other = (
        tally([0.1, 0.2], {"HTTP 503": 1}, busy=0.5),
        tally([0.3, 0.4], {"HTTP 503": 2, "timeout": 1}, busy=0.7),
    )
    other.windows.append(Window(2.0, 0.5))
    other = pickle.loads(pickle.dumps(other))
    one.merge(other)
    assert (one.latencies.count, one.in_time, one.calls, one.busy, one.seconds) == (4, 4, 8, 0.7, 2.0)
    assert one.errors == {"HTTP 503": 3, "timeout": 1}
    assert [each.latencies.count for each in one.windows] == [2, 2, 0]


def test_a_call_costs_little() -> None:
    """A generator that makes 30,000 calls a second has 33 us for each."""
    recorder = Recorder(0.0, 1e12, lambda window: None)
    slot = Ended(0.0)
    assert min(timeit.repeat(lambda: recorder.ended(slot), number=1000, repeat=10)) / 1000 < 10e-6
