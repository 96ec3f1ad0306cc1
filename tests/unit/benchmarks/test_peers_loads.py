import json

import pytest

from benchmarks.peers import loads, processes
from benchmarks.peers.workloads import Questions

H2LOAD = """finished in 2.00s, 50.00 req/s, 1.00KB/s
requests: {total} total, {total} started, {total} done, {total} succeeded, 0 failed, 0 errored, 0 timeout
traffic: 2.04KB (2084) total, 192B (192) headers (space savings 90.00%), {data}B ({data}) data
"""


def test_what_wrk_says_counts_answers_that_are_none_as_errors():
    load = loads.read_wrk("Running 2s test\n@@ 110 2000000 1500 9000 10 3\n")
    assert load == loads.Load(answers=100, rate=50, p50_ms=1.5, p99_ms=9, errors=13)


def test_h2load_takes_a_grpc_error_for_a_success_but_bytes_tell():
    times_us = [1000] * 98 + [9000] * 2
    load = loads.read_h2load(H2LOAD.format(total=100, data=60 * 20), times_us, 2, answer_bytes=20)
    assert (load.answers, load.rate, load.errors, load.p50_ms) == (60, 30, 40, 1)
    assert load.p99_ms == pytest.approx(9)


@pytest.mark.parametrize("output", ["", "unable to connect"])
def test_tools_that_measured_nothing_end_the_benchmark_with_what_they_said(output):
    with pytest.raises(SystemExit, match="wrk said"):
        loads.read_wrk(output)
    with pytest.raises(SystemExit, match="h2load said"):
        loads.read_h2load(output, [], 2, 20)


def test_a_missing_tool_is_told_with_its_package():
    with pytest.raises(SystemExit, match="apt-get install some-package"):
        loads.need("no-such-tool-at-all", "some-package")


@pytest.mark.parametrize(
    ("scores", "wrong"),
    [
        ([0.5, 0.50001], None),
        ([0.5, 0.502], "0.502 instead of 0.5"),
        ([0.5], "1 scores"),
        ([0.5, float("nan")], "wrong answer"),
    ],
)
def test_answers_are_compared_with_the_recorded_ones(tmp_path, scores, wrong):
    (tmp_path / "model.json").write_text(json.dumps({"rows": [[1], [2]], "answers": [[0, 0], [0.5, 0.5]]}))
    questions = Questions(tmp_path / "model")
    if wrong:
        with pytest.raises(ValueError, match=wrong):
            questions.check(1, scores)
    else:
        questions.check(1, scores)


def test_a_server_is_all_processes_that_come_of_it_and_stops_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_TIMEOUT_S", 0)
    script = "sleep 60 & exec sleep 60"
    server = processes.ServerProcess(["sh", "-c", script], tmp_path, {}, tmp_path / "log")
    try:
        while len(server.pids()) < 2:
            assert not server.has_ended
        assert processes.memory_mib(server.pids())[0] > 0
    finally:
        server.stop()
    assert server.has_ended
    assert not server.pids()
