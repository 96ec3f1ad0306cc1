"""PredictBatches over time, with fake clocks: how many calls run together, and on which thread."""

import threading

import pytest
from grpc_predict_calls import Calls, double, rows

from unstuck.api.grpc import predict as grpc_predict
from unstuck.inference import placement
from unstuck.inference.placement import FIRST_TRIAL, SHORT_NS


@pytest.fixture
def calls(monkeypatch):
    return lambda *args, **options: Calls(monkeypatch, *args, **options)


@pytest.fixture
def clock(monkeypatch):
    """``clock.spend(ns)``: as long has the running thread computed."""

    class Clock:
        now = 0

        def spend(self, ns):
            self.now += ns

    clock = Clock()
    for module, names in ((placement, ("perf_counter_ns", "thread_time_ns")), (grpc_predict, ("thread_time_ns",))):
        for name in names:
            monkeypatch.setattr(module, name, lambda: clock.now)
    return clock


def test_long_runs_are_made_shorter_and_tried_again_once_runs_are_short(calls, clock):
    run_ns = 2 * SHORT_NS
    made, largest = calls(lambda inputs: clock.spend(run_ns) or double(inputs)), []
    for number in range(30):
        run_ns = 2 * SHORT_NS if number < 10 else 0
        made.servable.runs.clear()
        made(*map(rows, range(8)))
        largest.append(max(made.rows))
    assert largest[0] == 8
    assert largest[9] == 2
    assert largest[-1] == 8


def test_calls_move_to_the_asking_thread_once_they_are_proven_short(calls, clock):
    made = calls(short=None)
    for _ in range(FIRST_TRIAL):
        made(rows(1))
    assert set(made.servable.threads) == {"worker"}
    made(rows(1), rows(2))
    assert made.servable.threads[-1] == threading.current_thread().name
    assert made.rows[-1] == 2


@pytest.mark.parametrize("together", [1, 2, 8])
def test_calls_that_have_become_long_leave_the_asking_thread(calls, clock, together):
    """However many come at a time: a run on the thread that reads calls holds up every other call."""
    run_ns = 0
    made = calls(lambda inputs: clock.spend(run_ns) or double(inputs), short=None)
    for _ in range(FIRST_TRIAL):
        made(rows(1))
    made(*map(rows, range(together)))
    assert made.servable.threads[-1] == threading.current_thread().name
    run_ns = 100 * SHORT_NS
    for _ in range(300):
        made(*map(rows, range(together)))
    made.servable.threads.clear()
    made(*map(rows, range(together)))
    assert set(made.servable.threads) == {"worker"}
