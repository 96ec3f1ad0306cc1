"""All gates together: shares, memory, what is set at a tick, what is said."""

import logging
import time

import pytest

from unstuck.core.cgroups import Memory
from unstuck.errors import Overloaded
from unstuck.guard.admission import MAX_GATES, MEMORY_TICKS, QUIET_S, Admission, Bounds, Held
from unstuck.guard.concurrency import TICK_S
from unstuck.guard.memory import MemoryWatch

GIB = 1 << 30
TIMEOUT_S = 30


class Clock:
    """Ticks of an admission, and what happens in between."""

    def __init__(self, **bounds):
        self.used, self.models = 0.5, ["m"]
        memory = MemoryWatch(lambda: [Memory(GIB, int(self.used * GIB))], lambda: None)
        given = {"requests": 100, "bytes": 1000, "together": 4, "tolerated_wait_s": 1.0, **bounds}
        self.admission = Admission(Bounds(**given), memory, lambda: self.models)
        self.now = 0.0

    def ticks(self, count, gate=None, came=0, answered=0):
        for _ in range(count):
            for _ in range(came):
                if gate.refusal() is None:
                    gate.entered += 1
            if gate is not None:
                gate.left += min(answered, gate.in_flight)
            self.now += TICK_S
            self.admission.tick(self.now, TICK_S)


def test_one_gate_a_model_and_strangers_beyond_many_share_one():
    admission = Admission()
    assert admission.gate("m") is admission.gate("m")
    assert admission.gate("m") is not admission.gate("n")
    for number in range(2 * MAX_GATES):
        admission.gate(f"made up {number}")
    assert admission.gate("yet another") is admission.gate("and one more")
    assert len(admission.overview()) <= MAX_GATES + 1


def test_without_bounds_nobody_is_refused():
    admission = Admission()
    gate = admission.gate("m")
    gate.entered = 1_000_000
    for number in range(50):
        admission.tick(number * TICK_S, TICK_S)
    assert gate.refusal() is None
    assert admission.refusal_of_bytes(gate, 1 << 40) is None


def test_a_single_model_may_have_as_many_as_there_may_be():
    clock = Clock(requests=8)
    gate = clock.admission.gate("m")
    gate.entered = 7
    assert gate.refusal() is None
    gate.entered = 8
    assert "--max_in_flight_requests=8" in gate.refusal().message


def test_a_model_that_takes_all_it_can_get_leaves_another_its_share():
    clock = Clock()
    clock.models = ["hot", "cold"]
    hot, cold = clock.admission.gate("hot"), clock.admission.gate("cold")
    clock.ticks(1)
    while hot.refusal() is None:
        hot.entered += 1
    clock.ticks(1)
    assert hot.in_flight == 75
    assert cold.refusal() is None
    assert cold.limit == 25
    assert hot.in_flight + cold.limit <= 100


def test_bytes_are_shared_the_same_way():
    clock = Clock()
    clock.models = ["hot", "cold"]
    hot, cold = clock.admission.gate("hot"), clock.admission.gate("cold")
    with Held(clock.admission, cold) as other, Held(clock.admission, hot) as held:
        other.take(10)
        held.take(700)
        with pytest.raises(Overloaded, match="do not fit"):
            held.take(100)
        other.take(240)
        assert (hot.bytes_in_flight, cold.bytes_in_flight) == (700, 250)
    assert (hot.bytes_in_flight, cold.bytes_in_flight) == (0, 0)


def test_a_body_larger_than_all_bytes_there_are_may_come_alone():
    clock = Clock()
    gate = clock.admission.gate("m")
    with Held(clock.admission, gate) as held:
        held.take(900)
        held.take(900)
        with pytest.raises(Overloaded):
            Held(clock.admission, gate).take(1)
    assert gate.refused["bytes"] == 1


def test_while_memory_is_short_few_calls_are_taken_and_the_figures_are_told():
    clock = Clock()
    gate = clock.admission.gate("m")
    clock.used = 0.97
    clock.ticks(MEMORY_TICKS + 1)
    assert clock.admission.is_watchful
    gate.entered = 3
    assert gate.refusal() is None, "an idle server with a large model still answers"
    gate.entered = 4
    refused = gate.refusal()
    assert "993 of the container's 1,024 MiB are used" in refused.message
    assert gate.refused["memory"] == 1
    clock.used = 0.8
    clock.ticks(MEMORY_TICKS)
    assert gate.refusal() is None
    assert not clock.admission.is_watchful


def test_overload_is_told_in_the_log_once_when_it_begins_and_once_when_it_ends(caplog):
    caplog.set_level(logging.INFO, "unstuck.admission")
    clock = Clock(requests=10_000)
    gate = clock.admission.gate("m")
    clock.ticks(100, gate, came=50, answered=5)
    assert gate.all_refused > 1000
    clock.ticks(100, gate, came=1, answered=50)
    assert gate.refusal() is None
    clock.ticks(int(QUIET_S / TICK_S), gate)
    begun, ended = (record.getMessage() for record in caplog.records)
    assert begun.startswith("Model 'm': calls are refused: ")
    assert ended.startswith(f"Model 'm': calls are let in again: {gate.all_refused} were refused in ")


def test_what_there_is_to_see():
    clock = Clock()
    gate = clock.admission.gate("m")
    gate.entered, gate.bytes = 3, 70
    gate.enter_elsewhere(30)
    shown = clock.admission.overview()["m"]
    assert (shown["in_flight"], shown["bytes_in_flight"], shown["limited_by"]) == (4, 100, "requests")
    assert set(shown["refused"]) == {"requests", "bytes", "wait", "deadline", "memory"}


def test_names_of_models_that_there_are_not_are_not_shown():
    clock = Clock()
    clock.admission.gate("m")
    clock.admission.gate("made up")
    assert list(clock.admission.overview()) == ["m"]


def test_its_thread_ends():
    clock = Clock()
    gate = clock.admission.gate("m")
    gate.limit = 0
    clock.admission.start()
    deadline = time.monotonic() + TIMEOUT_S
    while gate.limit == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    clock.admission.stop()
    assert gate.limit == 100


def test_calls_that_were_given_up_are_no_answers():
    """Else a backlog that is dropped would look like a model that answers fast, and let in the next one."""
    clock = Clock(requests=10_000)
    gate = clock.admission.gate("m")
    clock.ticks(30, gate, came=50, answered=5)
    strict = gate.limit
    assert strict < 100
    for _ in range(200):
        gate.give_up()
        gate.left += 1
    clock.ticks(2, gate, came=50, answered=5)
    assert gate.limit < 2 * strict
