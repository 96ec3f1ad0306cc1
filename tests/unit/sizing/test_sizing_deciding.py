"""What a model needs, of made-up measurements."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_sizing import MIB, measured, needs, trial

from unstuck.sizing import deciding
from unstuck.sizing.deciding import CPU_STEP, FILLED, HEADROOM, LEAST_CPUS, MEMORY_STEP, USED


def test_one_replica_where_the_rate_is_low() -> None:
    found = deciding.needs(measured(highest_rate=200.0, cpu_s=0.0042), 50.0)
    assert (found.replicas, found.rate, found.workers) == (1, 50.0, 0)
    assert found.cpus == 0.3  # 50 x 4.2 ms / 0.7
    assert found.memory_bytes == 720 * MIB  # a fifth more than 600


def test_several_replicas_where_one_is_not_enough() -> None:
    found = deciding.needs(measured(highest_rate=200.0, cpu_s=0.0042), 400.0)
    assert found.replicas == 3  # each is for 160 at most
    assert found.rate == pytest.approx(400 / 3)
    assert found.cpus == 0.8


def test_without_a_rate_it_is_what_a_replica_is_good_for() -> None:
    found = deciding.needs(measured(highest_rate=200.0), None)
    assert (found.replicas, found.rate, found.cpus) == (1, 160.0, 1.0)


def test_a_model_that_is_hardly_called_gets_a_quarter_of_a_cpu() -> None:
    assert deciding.needs(measured(), 0.1).cpus == LEAST_CPUS


def test_several_processes_keep_a_cpu_each() -> None:
    assert deciding.needs(measured(workers=3, cpus=4.0), 1.0).cpus == 3.0


@given(
    highest=st.floats(0.01, 1e6),
    cpu_s=st.floats(1e-6, 100),
    cpus=st.sampled_from([0.5, 1.0, 1.5, 4.0, 64.0]),
    peak=st.integers(1, 1 << 42),
    rate=st.none() | st.floats(0.001, 1e6),
)
def test_no_replica_is_given_too_much_to_do(
    highest: float, cpu_s: float, cpus: float, peak: int, rate: float | None
) -> None:
    found = deciding.needs(measured(highest_rate=highest, cpu_s=cpu_s, cpus=cpus, peak_bytes=peak), rate)
    assert found.replicas >= 1
    assert found.rate <= highest * FILLED * (1 + 1e-6)
    if rate is not None:
        assert found.replicas * found.rate == pytest.approx(rate)
        assert (found.replicas - 1) * highest * FILLED <= rate * (1 + 1e-6)  # not one more than it takes
    assert 0 < found.cpus <= cpus
    assert found.cpus == cpus or found.cpus >= found.rate * cpu_s / USED - 1e-6
    assert found.cpus == cpus or math.isclose(found.cpus / CPU_STEP, round(found.cpus / CPU_STEP), abs_tol=1e-3)
    assert peak * HEADROOM <= found.memory_bytes + 1 < peak * HEADROOM + MEMORY_STEP + 2


def test_what_was_lacking_is_given_more_of() -> None:
    given_ = needs(cpus=0.5, memory_bytes=400 * MIB)
    assert deciding.more(trial(needs=given_, oom_kills=1), 1.0) == needs(cpus=0.5, memory_bytes=512 * MIB)
    assert deciding.more(trial(needs=given_, problem="not started"), 1.0) == needs(cpus=0.5, memory_bytes=512 * MIB)
    assert deciding.more(trial(needs=given_, meets_target=False), 1.0) == needs(cpus=0.75, memory_bytes=400 * MIB)
    assert deciding.more(trial(needs=given_, meets_target=False), 0.6) == needs(cpus=0.6, memory_bytes=400 * MIB)


def test_one_that_is_too_busy_is_given_what_it_used() -> None:
    busy = trial(needs=needs(cpus=0.5), used_cpus=0.45)
    assert busy.passed
    assert not deciding.is_settled(busy, 1.0)
    assert deciding.is_settled(busy, 0.5)  # there is no more
    assert deciding.is_settled(trial(needs=needs(cpus=0.5), used_cpus=0.4), 1.0)
    assert deciding.more(busy, 1.0) == needs(cpus=0.65)  # of which 70 % are used


def test_with_all_cpus_each_replica_gets_less_to_do() -> None:
    found = deciding.more(trial(needs=needs(cpus=1.0, replicas=2, rate=150.0), failed=3), 1.0)
    assert (found.replicas, found.rate, found.cpus) == (3, 100.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"meets_target": False}, False),
        ({"failed": 1}, False),
        ({"oom_kills": 1}, False),
        ({"problem": "it did not start"}, False),
    ],
)
def test_what_passes(changes: dict[str, object], passed: bool) -> None:
    assert trial(**changes).passed is passed


@pytest.mark.parametrize(
    ("changes", "worth"),
    [
        ({"cpus": 4.0, "used_cpus": 1.1}, True),
        ({"cpus": 4.0, "used_cpus": 3.5}, False),
        ({"cpus": 1.0, "used_cpus": 0.2}, False),
        ({"cpus": 4.0, "used_cpus": 1.1, "workers": 2}, False),
    ],
)
def test_when_several_processes_are_tried(changes: dict[str, object], worth: bool) -> None:
    assert deciding.is_worth_workers(measured(**changes)) is worth


def test_several_processes_must_do_clearly_more() -> None:
    one, same, more = measured(), measured(workers=4, highest_rate=205.0), measured(workers=4, highest_rate=260.0)
    assert deciding.better(one, same) is one
    assert deciding.better(one, more) is more
