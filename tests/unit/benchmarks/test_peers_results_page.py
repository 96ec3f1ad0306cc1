import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.peers import results_page
from benchmarks.peers.summary import Failure, Measurement
from benchmarks.peers.workloads import WORKLOADS

MLP = WORKLOADS["mlp"]
ABOUT = {
    "date": "2026-01-02 03:04 UTC",
    "machine": "2 cores",
    "load_average": "0.10 0.20 0.30",
    "versions": ["unstuck 1.2.3", "bentoml==4.5.6"],
    "reference": "another server",
    "rounds": 1,
    "seconds": 3,
}


def measured(server, batching, load, rate, cpu_us, p99_ms):
    values = {"p50_ms": 0.5, "errors": 0, "rss_mib": 1600.0, "pss_mib": 300.0, "processes": 2, "other_cores": 0.05}
    return Measurement(server, batching, load, 0, rate=rate, cpu_us=cpu_us, p99_ms=p99_ms, **values)


@pytest.fixture
def measurements():
    return [
        measured("unstuck", "", 1, 3000.0, 150.0, 0.5),
        measured("unstuck", "", 32, 34000.0, 29.0, 2.0),
        measured("bentoml", "on", 1, 30.0, 8000.0, 40.0),
        measured("bentoml", "on", 32, 527.0, 1840.0, 338.0),
        measured("bentoml", "off", 32, 294.0, 3490.0, 420.0),
        measured("reference", "", 32, 17000.0, 58.0, 4.0),
    ]


def test_the_page_says_what_ran_on_what_when_and_what_could_not_be_measured(measurements):
    failures = [Failure("rayserve", "off", "did not start: timeout\na traceback")]
    page = results_page.page({"mlp": (ABOUT, measurements, failures)})
    assert "*reference*: another server." in page
    for told in (
        "2026-01-02 03:04 UTC",
        "2 cores",
        "0.10 0.20 0.30",
        "unstuck 1.2.3, bentoml==4.5.6",
        "1 rounds of 3 s",
    ):
        assert told in page
    assert "Not measured: rayserve, batching off: did not start: timeout\n" in page
    assert "a traceback" not in page
    assert "![rate](results/mlp-rate.svg)" in page


def test_ours_is_compared_with_the_best_peer_and_the_reference_under_each_load(measurements):
    lines = results_page.ratios(MLP, measurements).splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == ["bentoml, batching on", "bentoml, batching on", "reference"]
    assert "| 32 | bentoml, batching on | 64.5 times: 34,000 to 527 | 0.02 of it: 29 to 1,840 µs | 2 to 338 |" in lines


def test_ours_with_further_flags_is_told_apart(measurements):
    told = results_page.ratios(MLP, [*measurements, measured("unstuck onnx", "", 32, 40000.0, 25.0, 2.0)])
    assert "| 32 | unstuck onnx beside reference | 2.35 times: 40,000 to 17,000 |" in told


def test_nothing_is_compared_without_ours_or_without_others(measurements):
    assert results_page.ratios(MLP, measurements[2:]) == ""
    assert results_page.ratios(MLP, measurements[:2]) == ""


def test_the_table_has_a_line_for_each_server_batching_and_load(measurements):
    lines = results_page.table(MLP, measurements).splitlines()
    assert len(lines) == 2 + len(measurements)
    assert lines[2] == "| **unstuck** |  | 1 | 3,000 | 3,000–3,000 | 0.5 | 0.5 | 0 | 150 | 1,600 (300) | 2 | 0.05 |"
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_plots_are_files_of_their_own_with_the_faster_batching_of_each_server(measurements):
    measurements.append(measured("bentoml", "off", 1, 340.0, 3000.0, 7.0))
    for picture in results_page.plots(MLP, measurements).values():
        root = ElementTree.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        hints = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
        assert any("340" in str(hint) or "3000" in str(hint) for hint in hints), "batching off is faster at 1"
        assert any("527" in str(hint) or "1840" in str(hint) for hint in hints), "and on at 32"


def test_one_load_alone_has_no_plot(measurements):
    assert results_page.plots(MLP, [each for each in measurements if each.load == 32]) == {}
    assert "![" not in results_page.page({"mlp": (ABOUT, measurements[1:2], [])})
