"""Who is let in over gRPC: refused before the message is decoded; counted where a call waits."""

import time

import pytest
from grpc_predict_calls import Calls, read, rows

from unstuck.api.grpc.predict import INLINE_BYTES, PendingCall
from unstuck.errors import DeadlineExceeded, Overloaded
from unstuck.guard.admission import Admission, Bounds

BROKEN = b"\x0a\x03\x0a\x01m\xff\xff"  # names the model m; the rest is no message


class Guarded(Calls):
    """Calls through a gate."""

    def __init__(self, monkeypatch, *, bounds=None, **options):
        super().__init__(monkeypatch, **options)
        self.admission = self.batches._admission = Admission(bounds or Bounds())
        self.gate = self.admission.gate("m")

    def refuse(self, limit=0):
        self.gate.limit, self.gate.is_watchful, self.admission.is_watchful = limit, True, True

    def call(self, payload, **details):
        """One call that was handed over, and what it is answered, once it is."""
        replies = []
        rpc = PendingCall(payload, lambda outcome, _: replies.append(outcome), lambda: True, **details)
        self.batches.answer([rpc])
        return rpc, replies


def test_what_is_refused_is_not_decoded(monkeypatch):
    made = Guarded(monkeypatch)
    made.refuse()
    _, (refused,) = made.call(BROKEN)
    assert isinstance(refused, Overloaded)
    assert refused.retry_after_s == 1
    _, (other,) = made.call(rows(1.0, name="other"))
    assert not isinstance(other, Overloaded), "its gate is open; it is told that there is no such model"


def test_whoever_hands_calls_over_is_told_whether_one_was_refused(monkeypatch):
    made = Guarded(monkeypatch)
    calls = [PendingCall(rows(1.0, name=name), lambda *_: None, lambda: True) for name in ("m", "other")]
    assert made.batches.answer(calls)
    made.refuse()
    assert not made.batches.answer(calls)
    assert made.batches.answer(calls[1:])


def test_short_calls_are_let_in_uncounted_while_there_is_nothing_to_watch(monkeypatch):
    made = Guarded(monkeypatch)
    rpc, (answer,) = made.call(rows(1.0))
    assert read(answer)["y"] == [[2.0, 2.0]]
    assert rpc.gate is None
    assert made.gate.all_entered == 0


@pytest.mark.parametrize("padding", [0, INLINE_BYTES], ids=["read at once", "read on a worker"])
def test_calls_that_wait_are_counted_until_their_end(monkeypatch, padding):
    made = Guarded(monkeypatch, short=False)
    payload = rows(1.0) if not padding else rows(*[1.0] * (padding // 8 + 100))
    rpc, replies = made.call(payload)
    assert not replies
    assert (made.gate.in_flight, made.gate.bytes_in_flight) == (1, len(payload))
    made.workers.work()
    assert len(replies) == 1
    rpc.end()
    assert (made.gate.in_flight, made.gate.bytes_in_flight) == (0, 0)


def test_a_call_that_would_have_to_wait_beyond_the_limit_is_refused(monkeypatch):
    made = Guarded(monkeypatch, short=False)
    made.gate.limit = 1
    _, first = made.call(rows(1.0))
    _, (second,) = made.call(rows(1.0))
    assert isinstance(second, Overloaded)
    made.workers.work()
    assert read(first[0])["y"] == [[2.0, 2.0]]


def test_bytes_that_wait_are_bounded(monkeypatch):
    made = Guarded(monkeypatch, short=False, bounds=Bounds(bytes=150))
    made.call(rows(1.0))
    _, (refused,) = made.call(rows(*[1.0] * 100))
    assert "bytes do not fit" in refused.message


def test_a_deadline_that_cannot_be_met_is_told_at_once(monkeypatch):
    made = Guarded(monkeypatch)
    made.admission.is_watchful = True
    made.gate.concurrency.wait_s = 5.0
    _, (late,) = made.call(rows(1.0), deadline_ns=time.perf_counter_ns() + 1_000_000_000)
    assert isinstance(late, DeadlineExceeded)
    _, (answer,) = made.call(rows(1.0), deadline_ns=time.perf_counter_ns() + 60_000_000_000)
    assert read(answer)["y"] == [[2.0, 2.0]]


def test_a_call_that_waited_too_long_is_not_run_while_others_are_refused(monkeypatch):
    made = Guarded(monkeypatch, short=False)
    _, replies = made.call(rows(1.0))
    made.gate.concurrency.limit, made.gate.concurrency._tolerated_s = 1, 0.0
    made.workers.work()
    assert isinstance(replies[0], Overloaded)
    assert not made.servable.runs


def test_the_gate_hears_how_long_calls_run(monkeypatch):
    made = Guarded(monkeypatch, short=False)
    made.call(rows(1.0))
    made.workers.work()
    assert made.gate.concurrency.run_s > 0
