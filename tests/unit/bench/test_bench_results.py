import json

import pytest
from made_up_levels import level

from unstuck.bench.histogram import Histogram
from unstuck.bench.load import ClosedLoop, OpenLoop
from unstuck.bench.report import as_html, as_json, as_text
from unstuck.bench.results import BUSY, Results

ABOUT = {"target": "http://host:1/v1/models/m", "model": "m, version 3"}
HOSTILE = "<script>alert(1)</script>\x1b[31m"
FAST = [0.001] * 2000


@pytest.mark.parametrize(
    ("latencies", "more", "meets"),
    [
        ([0.001] * 99 + [0.5], {}, True),
        ([0.001] * 98 + [0.5] * 2, {}, False),
        ([0.001] * 99, {"errors": {"HTTP 503": 1}}, True),
        ([0.001] * 98, {"errors": {"HTTP 503": 2}}, False),  # a call that failed was not answered in time
        ([0.001] * 98, {"not_sent": 2}, False),
        ([], {}, False),
    ],
)
def test_a_target(latencies: list[float], more: dict[str, object], meets: bool) -> None:
    assert level(OpenLoop(50), latencies, target_ms=10, **more).meets_target is meets
    assert level(OpenLoop(50), latencies, **more).meets_target is None


def test_a_generator_that_was_the_limit() -> None:
    assert level(ClosedLoop(4), FAST, busy=0.5).generator_limits == ""
    assert "95% of a CPU" in level(ClosedLoop(4), FAST, busy=0.95).generator_limits
    assert "to read what had come" in level(ClosedLoop(4), FAST, lag=Histogram([0.02] * 10)).generator_limits
    late = level(OpenLoop(50), FAST, lag=Histogram([0.02] * 100))
    assert "20" in late.generator_limits
    assert "late" in late.generator_limits
    assert level(OpenLoop(50), [0.5] * 100, lag=Histogram([0.02] * 100)).generator_limits == ""  # next to nothing
    assert BUSY < 1


def test_rate_is_what_was_answered_in_time() -> None:
    assert level(ClosedLoop(1), FAST).rate == 1000.0


def searched(*steps: tuple[float, bool], limited: bool = False) -> Results:
    levels = [level(ClosedLoop(32), FAST)]
    for rate, met in steps:
        busy = 0.99 if limited and not met else 0.1
        levels.append(level(OpenLoop(rate), FAST if met else [1.0] * 100, target_ms=20, busy=busy))
    return Results(ABOUT, levels, target_p99_s=0.02, is_search=True)


def test_what_a_search_found() -> None:
    found = searched((500, True), (750, False), (612, True))
    assert found.is_fine
    assert found.verdict == "612 requests/s keep the 99th percentile within 20 ms; 750/s do not."
    assert found.as_dict()["highest_rate"] == 612


def test_a_search_that_the_generator_limited_says_so() -> None:
    said = searched((500, True), (750, False), limited=True).verdict
    assert said.startswith("At least 500 requests/s keep")
    assert "the load generator used 99% of a CPU" in said
    assert "--processes=2" in said


def test_a_search_that_found_nothing() -> None:
    found = searched((500, False), (125, False))
    assert not found.is_fine
    assert found.verdict == "No rate that was tried keeps the 99th percentile within 20 ms."


@pytest.mark.parametrize(
    ("more", "target_ms", "fine"),
    [({}, 0, True), ({}, 20, True), ({}, 0.5, False), ({"errors": {"HTTP 500": 1}}, 0, False)],
)
def test_what_is_fine(more: dict[str, object], target_ms: float, fine: bool) -> None:
    levels = [level(ClosedLoop(2), FAST, target_ms=target_ms, **more)]
    results = Results(ABOUT, levels, target_p99_s=target_ms / 1000 or None)
    assert results.is_fine is fine
    assert ("is not within" in as_text(results)) is (target_ms == 0.5)


def test_the_text() -> None:
    results = Results(ABOUT, [level(ClosedLoop(2), FAST, errors={"HTTP 503": 3}, not_sent=2)], notes=["It is odd."])
    text = as_text(results)
    assert "http://host:1/v1/models/m" in text
    assert "2 at a time" in text
    assert "1,000" in text  # answers a second
    assert "2 at a time: HTTP 503    3 of 2,005: why HTTP 503" in text
    assert "2 of 2,005" in text
    assert "It is odd." in text
    assert "500 µs" in text  # of CPU an answer
    assert max(map(len, text.splitlines())) <= 116
    assert "\x1b" not in text
    assert "\x1b" in as_text(results, colour=True)


def test_a_narrow_terminal_gets_fewer_columns() -> None:
    lines = as_text(Results(ABOUT, [level(ClosedLoop(2), FAST)] * 2), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    (head,) = [line.split() for line in lines if line.startswith("load")]
    assert {"load", "answers/s", "p50", "p99", "failed"} <= set(head)
    assert "memory" not in head


def test_few_answers_and_an_early_end_are_said() -> None:
    text = as_text(Results(ABOUT, [level(ClosedLoop(2), [0.01] * 50)], is_interrupted=True))
    assert "Fewer than 1,000 answers at 2 at a time" in text
    assert "interrupted" in text


def test_the_json() -> None:
    levels = [level(ClosedLoop(2), FAST), level(OpenLoop(100.0, "constant"), [], errors={"timeout": 4})]
    document = json.loads(as_json(Results(ABOUT, levels)))
    closed, opened = document["levels"]
    assert (closed["load"], closed["concurrency"], closed["answered"]) == ("closed", 2, 2000)
    assert closed["latency_ms"]["p99"] == pytest.approx(1.0, rel=0.01)
    assert sum(count for _, count in closed["histogram_ms"]) == 2000
    assert closed["server"] == {
        "cpu_ms_per_answer": 0.5, "cpus": 0.5, "memory_bytes": 64 << 20, "peak_memory_bytes": 128 << 20
    }  # fmt: skip
    assert (opened["load"], opened["rate"], opened["arrivals"]) == ("open", 100.0, "constant")
    assert opened["errors"] == {"timeout": 4}
    assert document["fine"] is False


def test_the_page() -> None:
    rates = [level(OpenLoop(rate), [rate / 1e6 * (1 + number / 100) for number in range(200)]) for rate in (100, 900)]
    page = as_html(Results(ABOUT | {"target": HOSTILE}, rates, notes=[HOSTILE]))
    assert page.count("<svg") == 4
    for title in ("Latency by percentile", "Latency by rate", "Answers a second over time", "The 99th percentile over"):
        assert title in page
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "http://" not in page.replace("http://host", "")  # it asks for nothing
    assert "100/s" in page


def test_a_page_of_nothing() -> None:
    page = as_html(Results(ABOUT, [level(ClosedLoop(2), [], errors={HOSTILE: 4})]))
    assert page.count("<svg") == 1  # no answers over time
    assert "<script>" not in page
    assert "4 of 4" in page
