import math

import pytest

from benchmarks.peers import summary
from benchmarks.peers.summary import Failure, Measurement


def measured(server="unstuck", batching="", load=32, number=0, **values):
    defaults = {"rate": 100.0, "p50_ms": 1.0, "p99_ms": 2.0, "errors": 0, "cpu_us": 50.0}
    rest = {"rss_mib": 600.0, "pss_mib": 300.0, "processes": 1, "other_cores": 0.1}
    return Measurement(server, batching, load, number, **(defaults | rest | values))


def test_a_row_has_the_medians_of_the_rounds_their_range_and_all_errors():
    rates = [100.0, 400.0, 200.0]
    measurements = [measured(number=at, rate=rate, errors=at, cpu_us=1e6 / rate) for at, rate in enumerate(rates)]
    (row,) = summary.rows(measurements)
    assert (row.rate, row.least_rate, row.most_rate, row.cpu_us, row.errors) == (200, 100, 400, 5000, 3)


def test_rows_are_by_server_batching_and_load_as_they_came_loads_ascending():
    measurements = [
        measured("slow", "on", 32),
        measured("slow", "on", 8),
        measured("slow", "off", 8),
        measured("fast", "on", 8),
        measured("slow", "on", 32, number=1),
    ]
    found = [(row.label, row.load) for row in summary.rows(measurements)]
    expected = [("slow, batching on", 8), ("slow, batching on", 32), ("slow, batching off", 8)]
    assert found == [*expected, ("fast, batching on", 8)]


def test_the_best_peer_is_the_one_that_answers_most_under_that_load_and_neither_ours_nor_the_reference():
    rows = summary.rows(
        [
            measured("unstuck", rate=900.0),
            measured("unstuck onnx", rate=950.0),
            measured("reference", rate=800.0),
            measured("bentoml", "on", rate=50.0),
            measured("bentoml", "off", rate=70.0),
            measured("mlserver", "on", load=8, rate=600.0),
        ]
    )
    best = summary.best_peer(rows, 32)
    assert best is not None
    assert (best.server, best.batching) == ("bentoml", "off")
    assert summary.best_peer(rows, 1) is None


def test_ratios_are_taken_round_by_round_so_that_a_slow_spell_of_the_machine_hits_both():
    pace = [1.0, 0.1, 1.0]  # the second round was ten times slower for all
    ours = [measured(number=at, rate=600 * each, cpu_us=50 / each) for at, each in enumerate(pace)]
    theirs = [measured("peer", number=at, rate=100 * each, cpu_us=400 / each) for at, each in enumerate(pace)]
    theirs.append(measured("peer", load=8))
    rows = summary.rows([*ours, *theirs])
    compared = summary.compare([*ours, *theirs], rows[0], next(row for row in rows[1:] if row.load == 32))
    assert compared.rate == pytest.approx(6)
    assert compared.cpu == pytest.approx(0.125)


def test_a_peer_that_answered_nothing_has_no_ratio():
    measurements = [measured(), measured("peer", rate=0.0, cpu_us=math.inf)]
    ours, theirs = summary.rows(measurements)
    compared = summary.compare(measurements, ours, theirs)
    assert math.isnan(compared.rate)
    assert compared.cpu == 0


def test_what_was_measured_survives_its_json_lines():
    about = {"date": "today", "rounds": 1}
    values = [measured(), Failure("bentoml", "on", "did not start"), measured("peer", "off", cpu_us=math.inf)]
    lines = [summary.as_line(value) for value in (about, *values)]
    assert summary.of_lines(lines) == (about, [values[0], values[2]], [values[1]])
