import threading
import time

import pytest

from unstuck.choosing import timing
from unstuck.choosing.conversion import Cancelled
from unstuck.choosing.timing import Timing, is_faster, largest_batch, measure


@pytest.mark.parametrize(
    ("timings", "faster"),
    [
        ([Timing(1, 10, 8.9)], True),
        ([Timing(1, 10, 9.1)], False),
        ([Timing(1, 10, 5), Timing(64, 100, 104)], True),
        ([Timing(1, 10, 5), Timing(64, 100, 106)], False),
        ([Timing(1, 10, 20), Timing(64, 100, 10)], False),
    ],
)
def test_onnx_must_be_clearly_faster_for_one_row_and_no_slower_for_many(timings, faster):
    assert is_faster(timings) is faster


def test_the_largest_batch_is_the_bound_for_short_models_and_less_for_long_ones(monkeypatch):
    monkeypatch.setattr(timing, "LONG_S", 0.02)
    assert largest_batch(lambda rows: None, threading.Event()) == timing.LARGEST_BATCH
    assert largest_batch(lambda rows: time.sleep(0.004 * rows), threading.Event()) in (4, 8)
    assert largest_batch(lambda rows: time.sleep(0.03), threading.Event()) == 1


@pytest.mark.parametrize(("batches", "sizes"), [(True, [1, timing.LARGEST_BATCH]), (False, [1])])
def test_both_run_in_turns_and_the_medians_are_told(batches, sizes, monkeypatch):
    monkeypatch.setattr(timing, "BUDGET_S", 0.0)
    turns = []
    found = measure(
        lambda rows: (turns.append(("tensorflow", rows)), time.sleep(0.004)),
        lambda rows: (turns.append(("onnx", rows)), time.sleep(0.001)),
        batches=batches,
        cancelled=threading.Event(),
    )
    assert [each.batch for each in found] == sizes
    assert all(each.onnx_ms < each.tensorflow_ms for each in found)
    last = turns[-2 * timing.FEWEST_ROUNDS :]
    assert [engine for engine, _ in last] == ["tensorflow", "onnx"] * timing.FEWEST_ROUNDS


def test_it_ends_once_it_is_cancelled():
    cancelled, runs = threading.Event(), []

    def run(rows):
        runs.append(rows)
        cancelled.set()

    with pytest.raises(Cancelled):
        measure(run, run, batches=False, cancelled=cancelled)
    assert len(runs) == 1
