"""An endpoint whose calls are slow is asked fewer of them, and several at once where nothing can be mixed up by it."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from unstuck.core.dtypes import FLOAT
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.doctor.evidence.answers import CallOutcome, EndpointState
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import ConcurrencyProbe, Mixed, RepeatProbe
from unstuck.doctor.experiments import endpoint_answers
from unstuck.doctor.experiments.endpoint_answers import asks_once
from unstuck.doctor.experiments.parallel import calls_at_once
from unstuck.doctor.experiments.running import EndpointRunner
from unstuck.doctor.experiments.sending import Sendable

SIGNATURE = Signature("serving_default", {"x": TensorSpec("x", "x:0", FLOAT, (None, 1))}, {})


class Slow:
    """Twice the input, after a moment; ``most`` calls were under way at once."""

    def __init__(self):
        self.calls, self.active, self.most, self._lock = 0, 0, 0, threading.Lock()

    def predict(self, signature, inputs, timeout_s=0):
        with self._lock:
            self.calls, self.active = self.calls + 1, self.active + 1
            self.most = max(self.most, self.active)
        time.sleep(0.03)
        with self._lock:
            self.active -= 1
        return SimpleNamespace(outputs={"y": inputs["x"] * 2}, error=None)


def lab(*, seconds=0.2, concurrency=None, **repeated):
    calls = [CallOutcome(what="predict", code="OK", seconds=seconds)]
    evidence = {
        EndpointState: EndpointState(url="u", model="m", is_reachable=True, calls=calls),
        RepeatProbe: RepeatProbe(**{"inputs": 4, "calls": 20, "distinct": 4, "inconsistent": 0} | repeated),
        ConcurrencyProbe: concurrency,
    }

    def find(kind):
        if evidence[kind] is None:
            raise NotRun("no simultaneous calls")
        return evidence[kind]

    class Lab(SimpleNamespace):
        __hash__ = object.__hash__

    return Lab(find=find, endpoint=Slow(), signature=SIGNATURE)


def probe(**more):
    rounds = [Mixed(threads=4, calls=16, **more)]
    return ConcurrencyProbe(requests=8, alone_calls=16, alone_failed=0, alone_median_s=0.2, rounds=rounds)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"concurrency": probe()}, 4),
        ({"concurrency": probe(), "seconds": 0.001}, 1),
        ({"concurrency": probe(wrong=1)}, 1),
        ({"concurrency": probe(failed={"UNAVAILABLE": 1})}, 1),
        ({}, 1),
    ],
)
def test_several_at_once_only_where_calls_are_slow_and_simultaneous_ones_right(given, expected):
    assert calls_at_once(lab(**given)) == expected


@pytest.mark.parametrize("at_once", [1, 4])
def test_rows_keep_their_order_whatever_is_under_way_at_once(at_once):
    endpoint = Slow()
    batch = {"x": np.arange(10, dtype=np.float32)[:, None]}
    answers = EndpointRunner(endpoint, SIGNATURE, calls=10, at_once=at_once)(batch)
    assert answers["y"].ravel().tolist() == [2.0 * each for each in range(10)]
    assert (endpoint.calls, endpoint.most) == (10, at_once)


def test_no_more_calls_are_made_than_are_left():
    endpoint = Slow()
    assert EndpointRunner(endpoint, SIGNATURE, calls=6, at_once=4)({"x": np.ones((10, 1), np.float32)}) is None
    assert endpoint.calls <= 6


@pytest.mark.parametrize(("repeated", "calls"), [({}, 0), ({"inconsistent": 1}, 1), ({"contradictions": 2}, 1)])
def test_what_was_answered_is_not_asked_again_where_answers_stay_the_same(monkeypatch, repeated, calls):
    given = lab(**repeated)
    row = {"x": np.array([[3.0]], np.float32)}
    known = (Sendable(row, SIGNATURE, "training"), SimpleNamespace(outputs={"y": np.array([[6.0]])}, error=None))
    monkeypatch.setattr(endpoint_answers, "answers_of", lambda asked: [known])
    ask = asks_once(given)
    assert ask({"x": row["x"].copy()}).outputs["y"].tolist() == [[6.0]]
    assert given.endpoint.calls == calls
    ask({"x": row["x"] + 1})
    assert given.endpoint.calls == calls + 1
