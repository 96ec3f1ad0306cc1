import threading
import time

import numpy as np
import pytest
from fake_endpoints import FakeEndpoint, FakeModel, lab_with, linear, unavailable

from unstuck.client.failures import of_server, too_late
from unstuck.core.models import State
from unstuck.doctor.checks.resources.stale_response import stale_response
from unstuck.doctor.evidence.answers import EndpointAnswers, EndpointState
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import ConcurrencyProbe, EndpointBatchProbe, LoadRamp, RepeatProbe
from unstuck.doctor.experiments import endpoint_state, load_ramp, repeat_probe
from unstuck.doctor.experiments.endpoint_answers import answers_of
from unstuck.errors import Code


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(repeat_probe, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(endpoint_state, "RECONNECT_PAUSE_S", 0.0)
    monkeypatch.setattr(load_ramp, "LEVEL_S", 0.2)


class SharedBuffer:
    """Calls write their answer to one place, and read it after a while."""

    def __init__(self):
        self.place = None

    def __call__(self, body, run):
        self.place = run()
        time.sleep(0.002)
        return self.place


class Busy:
    """What it does beyond two calls at a time."""

    def __init__(self, instead):
        self.active, self.lock, self.instead = 0, threading.Lock(), instead

    def __call__(self, body, run):
        with self.lock:
            self.active += 1
            is_busy = self.active > 2
        try:
            time.sleep(0.003)
            return self.instead() if is_busy else run()
        finally:
            with self.lock:
                self.active -= 1


def refuse():
    raise unavailable("The batch scheduling queue to which this task was submitted is full")


def cached_by(key):
    known = {}

    def serve(body, run):
        if key(body) not in known:
            known[key(body)] = run()
        return known[key(body)]

    return serve


def test_a_server_that_answers():
    state = lab_with(FakeEndpoint()).find(EndpointState)
    assert state.is_reachable
    assert state.available == [1]
    assert state.metadata_version == 1
    assert [call.code for call in state.outcomes("predict")] == ["OK", "OK", "OK"]
    assert state.why_down() == ""


def test_a_server_that_hangs_is_asked_twice_and_no_probe_follows():
    def hang(body, run):
        raise too_late("http://127.0.0.1:8501")

    endpoint = FakeEndpoint(hang)
    lab = lab_with(endpoint, FakeModel())
    state = lab.find(EndpointState)
    assert endpoint.calls == 2
    assert state.stopped_early
    for probe in (EndpointAnswers, RepeatProbe, EndpointBatchProbe, ConcurrencyProbe, LoadRamp):
        with pytest.raises(NotRun, match="does not answer"):
            lab.find(probe)
    assert endpoint.calls == 2


@pytest.mark.parametrize("code", [Code.UNAUTHENTICATED, Code.PERMISSION_DENIED])
def test_no_probe_follows_where_access_is_refused(code):
    def wants_a_login(body, run):
        raise of_server(code, "no token")

    endpoint = FakeEndpoint(wants_a_login)
    lab = lab_with(endpoint, FakeModel())
    refused = lab.find(EndpointState).refused
    assert refused is not None
    assert (refused.code, refused.message) == (code.name, "no token")
    for probe in (EndpointAnswers, RepeatProbe, EndpointBatchProbe, ConcurrencyProbe, LoadRamp):
        with pytest.raises(NotRun, match="refuses access"):
            lab.find(probe)
    assert endpoint.calls == 3


def test_a_version_that_is_loading():
    state = lab_with(FakeEndpoint(lambda body, run: refuse(), states={3: State.LOADING}), FakeModel()).find(
        EndpointState
    )
    assert "version 3 is LOADING" in state.why_down()


def test_answers_are_counted_by_output_and_asked_once():
    endpoint = FakeEndpoint()
    lab = lab_with(endpoint)
    answers = lab.find(EndpointAnswers)
    calls = endpoint.calls
    assert answers.source == "synthetic"
    assert answers.asked == 60
    assert not answers.failed
    assert answers.outputs[0].distinct == answers.outputs[0].distinct_inputs == 60
    assert len(answers_of(lab)) == 60
    assert endpoint.calls == calls


def test_constant_answers():
    endpoint = FakeEndpoint(model=lambda inputs: {"y": np.full((len(inputs["x"]), 1), 0.25, np.float32)})
    output = lab_with(endpoint).find(EndpointAnswers).outputs[0]
    assert output.is_constant
    assert output.lowest == output.highest == 0.25
    assert output.most_frequent == 60


def test_requests_are_sent_with_their_own_bytes(tmp_path):
    bodies = []

    def serve(body, run):
        bodies.append(body)
        return run()

    file = tmp_path / "requests.jsonl"
    file.write_text('{"instances":  [[1, 2, 3]]}\n{"instances": [[1, 2]]}\n')
    answers = lab_with(FakeEndpoint(serve), requests=file).find(EndpointAnswers)
    assert b'{"instances":  [[1, 2, 3]]}' in bodies
    assert b'{"instances": [[1, 2]]}' in bodies
    assert answers.failed == {"INVALID_ARGUMENT": 1}
    assert answers.failed_twice == answers.retried == 1


@pytest.mark.parametrize("key", [lambda body: "path", len, lambda body: body[:20], lambda body: body.count(b"[")])
def test_a_cache_keyed_on_part_of_the_body_replays(key):
    probe = lab_with(FakeEndpoint(cached_by(key)), FakeModel()).find(RepeatProbe)
    assert len(probe.replays) >= 2 or probe.constant_is_first
    assert probe.contradictions == 0


def test_a_cache_keyed_on_the_whole_body_is_right():
    probe = lab_with(FakeEndpoint(cached_by(lambda body: body)), FakeModel()).find(RepeatProbe)
    assert probe.inconsistent == 0
    assert not probe.replays
    assert not probe.constant_is_first


def test_a_random_model_replays_nothing():
    random = np.random.default_rng(1)

    def noisy(inputs):
        return {"y": linear(inputs)["y"] + random.normal(size=(len(inputs["x"]), 1)).astype(np.float32)}

    probe = lab_with(FakeEndpoint(model=noisy)).find(RepeatProbe)
    assert probe.at_once_differs > 0
    assert not probe.replays


def test_a_dropped_feature_is_no_replay():
    def dropped(inputs):
        return linear({"x": inputs["x"] * np.array([1, 1, 0], np.float32)})

    probe = lab_with(FakeEndpoint(model=dropped), FakeModel()).find(RepeatProbe)
    assert not probe.replays
    assert probe.inconsistent == 0


@pytest.mark.parametrize(("at", "row"), [(0, 0), (-1, -1)])
def test_a_batch_of_one_rows_answers(at, row):
    def first(inputs):
        return {"y": np.repeat(linear(inputs)["y"][at][None], len(inputs["x"]), 0)}

    probe = lab_with(FakeEndpoint(model=first)).find(EndpointBatchProbe)
    assert probe.rows >= 4
    assert all(trial.is_broadcast for trial in probe.trials)
    assert all(trial.equals_row == range(trial.size)[row] for trial in probe.trials)


def test_rows_that_keep_their_answers_in_a_batch():
    trials = lab_with(FakeEndpoint()).find(EndpointBatchProbe).trials
    assert [trial.size for trial in trials[:2]] == [2, 3]
    assert trials[2].order == trials[3].order[::-1]
    assert all(trial.own == trial.size and not trial.is_broadcast for trial in trials)


def test_answers_of_others_under_concurrency():
    probe = lab_with(FakeEndpoint(SharedBuffer())).find(ConcurrencyProbe)
    worst = max(probe.rounds, key=lambda each: each.others)
    assert worst.others == worst.wrong > 2
    assert worst.swapped_with >= 2
    assert worst.wrong_alone_again == 0


def test_a_default_under_concurrency():
    probe = lab_with(FakeEndpoint(Busy(lambda: {"y": np.full((1, 1), 9.0, np.float32)}))).find(ConcurrencyProbe)
    worst = max(probe.rounds, key=lambda each: each.wrong)
    assert worst.one_default == worst.wrong > 10
    assert worst.others == 0
    assert worst.default == "[9]"


def test_failures_under_concurrency_alone():
    lab = lab_with(FakeEndpoint(Busy(refuse)))
    probe = lab.find(ConcurrencyProbe)
    assert probe.alone_failed == 0
    assert probe.rounds[-1].failed["UNAVAILABLE"] > 10
    assert next(iter(probe.messages)).endswith("is full")
    assert any(level.failures for level in lab.find(LoadRamp).levels)


def test_another_machine_is_not_loaded_without_leave():
    endpoint = FakeEndpoint()
    endpoint.is_on_this_machine = False
    with pytest.raises(NotRun, match="--load"):
        lab_with(endpoint).find(ConcurrencyProbe)
    assert lab_with(endpoint, load=True).find(ConcurrencyProbe).failures == 0


def test_all_probes_together_make_a_few_hundred_calls():
    endpoint = FakeEndpoint()
    lab = lab_with(endpoint)
    for kind in (EndpointState, EndpointAnswers, RepeatProbe, EndpointBatchProbe, ConcurrencyProbe, LoadRamp):
        lab.find(kind)
    assert endpoint.calls < 500


def test_a_dropped_feature_that_is_mostly_zero_is_no_replay(tmp_path):
    def dropped(inputs):
        return linear({"x": inputs["x"] * np.array([1, 1, 0], np.float32)})

    file = tmp_path / "requests.jsonl"
    rows = [[0.1 * at, 1 - 0.07 * at * at, float(at == 11)] for at in range(12)]
    file.write_text("".join(f'{{"instances": [{row}]}}\n' for row in rows))
    lab = lab_with(FakeEndpoint(model=dropped), FakeModel(), requests=file)
    assert stale_response.run({RepeatProbe: lab.find(RepeatProbe)})[0].status == "ruled-out"
