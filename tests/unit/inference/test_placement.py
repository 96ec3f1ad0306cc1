import threading

import pytest

from unstuck.inference import placement
from unstuck.inference.placement import (
    FIRST_TRIAL,
    SHORT_NS,
    STILL_SHORT_NS,
    WAITED_NS,
    WINDOW,
    Placement,
    RunTimes,
)

SHORT, LONG = SHORT_NS // 10, SHORT_NS * 10


def runs_until(times, inline, clock_ns=SHORT, cpu_ns=SHORT, limit=20_000):
    """How many runs of this length it takes until calls are, or are no longer, placed on the loop."""
    for count in range(1, limit):
        times.record(clock_ns, cpu_ns)
        if times.inline is inline:
            return count
    return None


def test_calls_start_on_threads_and_move_to_the_loop_once_proven_short():
    times = RunTimes()
    assert not times.inline
    assert runs_until(times, inline=True) == FIRST_TRIAL


@pytest.mark.parametrize(
    ("clock_ns", "cpu_ns"),
    [(LONG, LONG), (LONG, SHORT), (SHORT_NS, SHORT_NS), (SHORT, SHORT_NS)],
    ids=["long", "waiting", "at the limit", "computing"],
)
def test_calls_that_are_not_short_stay_on_threads(clock_ns, cpu_ns):
    assert runs_until(RunTimes(), True, clock_ns, cpu_ns, limit=1000) is None


def test_a_slow_run_in_the_trial_keeps_calls_on_threads_until_it_is_one_in_a_hundred():
    times = RunTimes()
    times.record(LONG, LONG)
    assert runs_until(times, inline=True) == 100


def test_waiting_for_the_interpreter_lock_now_and_then_does_not_keep_calls_on_threads():
    times = RunTimes()
    for number in range(FIRST_TRIAL):
        times.record(LONG if number % 3 == 0 else SHORT, SHORT)
    assert times.inline


@pytest.mark.parametrize(
    ("clock_ns", "cpu_ns"), [(LONG, LONG), (10 * WAITED_NS, SHORT)], ids=["computing", "waiting for very long"]
)
def test_slow_runs_on_the_loop_send_calls_back_to_threads_at_once(clock_ns, cpu_ns):
    times = RunTimes()
    runs_until(times, inline=True)
    assert runs_until(times, False, clock_ns, cpu_ns) == 1


def test_calls_that_wait_leave_the_loop_once_it_has_waited_for_long():
    times = RunTimes()
    runs_until(times, inline=True)
    assert runs_until(times, False, LONG, SHORT) == WAITED_NS // LONG + 1


def test_a_few_runs_that_a_busy_machine_interrupts_right_after_the_move_do_not_undo_it():
    times = RunTimes()
    runs_until(times, inline=True)
    for _ in range(WINDOW):
        times.record(LONG, SHORT)
        for _ in range(3):
            times.record(SHORT, SHORT)
    assert times.inline


def test_calls_run_together_may_come_near_the_limit_that_a_single_one_moves_at():
    times = RunTimes()
    runs_until(times, inline=True)
    assert runs_until(times, False, STILL_SHORT_NS - 1, STILL_SHORT_NS - 1) is None


def test_one_computing_run_among_many_short_ones_does_not():
    times = RunTimes()
    runs_until(times, inline=True)
    for _ in range(WINDOW - 1):
        times.record(SHORT, SHORT)
    times.record(LONG, LONG)
    assert times.inline
    times.record(LONG, LONG)
    assert not times.inline


@pytest.mark.parametrize(("every", "stays"), [(20, True), (5, True), (3, False)])
def test_a_busy_machine_does_not_move_calls_but_waiting_does(every, stays):
    """On the clock, three in four must be short; their own computing is."""
    times = RunTimes()
    runs_until(times, inline=True)
    stayed = []
    for number in range(1, WINDOW + 1):
        times.record(SHORT if number % every else LONG, SHORT)
        stayed.append(times.inline)
    assert all(stayed) is stays


def test_each_failed_trial_makes_the_next_one_longer_up_to_a_limit():
    times = RunTimes()
    trials = []
    for _ in range(7):
        trials.append(runs_until(times, inline=True))
        runs_until(times, False, LONG, LONG)
    assert trials == [16, 64, 256, 1024, 4096, 8192, 8192]


def test_placement_measures_each_kind_of_call_on_its_own(monkeypatch):
    now_ns = 0
    monkeypatch.setattr(placement, "perf_counter_ns", lambda: now_ns)
    monkeypatch.setattr(placement, "thread_time_ns", lambda: now_ns)

    def work(took_ns):
        nonlocal now_ns
        now_ns += took_ns
        return took_ns

    kinds = Placement()
    assert not kinds.is_short("a")
    for _ in range(FIRST_TRIAL):
        assert kinds.run("a", lambda: work(SHORT)) == SHORT
        kinds.run("b", lambda: work(LONG))
    assert kinds.is_short("a")
    assert not kinds.is_short("b")
    kinds.run("a", lambda: work(LONG))
    assert not kinds.is_short("a")


def test_a_failing_run_is_measured_and_its_error_passed_on(monkeypatch):
    recorded = []
    monkeypatch.setattr(RunTimes, "record", lambda self, clock_ns, cpu_ns: recorded.append(clock_ns))
    with pytest.raises(ZeroDivisionError):
        Placement().run("a", lambda: 1 // 0)
    assert len(recorded) == 1


def test_threads_may_record_at_once(monkeypatch):
    monkeypatch.setattr(placement, "perf_counter_ns", lambda: 0)
    monkeypatch.setattr(placement, "thread_time_ns", lambda: 0)
    kinds = Placement()
    threads = [threading.Thread(target=lambda: [kinds.run("a", int) for _ in range(2)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds.is_short("a"), "none of the 16 runs was lost"
