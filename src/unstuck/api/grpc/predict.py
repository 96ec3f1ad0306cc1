"""Predict calls over gRPC, as they come in batches: together where that is safe, each for itself otherwise."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import thread_time_ns

from unstuck.api.grpc.service import Answer, GrpcService
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import merge_key, run_together

INLINE_BYTES = 1 << 20  # a larger message is read on a worker thread: reading it would hold up the others

Reply = Callable[[Answer | BaseException], None]


@dataclass(slots=True)
class PendingCall:
    """One call: its message, how it is answered, and whether its client still waits."""

    payload: bytes
    reply: Reply
    is_wanted: Callable[[], bool]


class PredictBatches:
    """Belongs to the thread that calls ``answer``. Short calls run on it, others in ``workers``."""

    def __init__(self, service: GrpcService, workers: Executor) -> None:
        self._service = service
        self._workers = workers
        self._placement = Placement()
        self._sizes = GroupSizes()

    def answer(self, rpcs: Sequence[PendingCall]) -> None:
        """Replies to each, now or later from a worker thread."""
        groups: dict[Hashable, list[tuple[PendingCall, PreparedCall]]] = {}
        for number, rpc in enumerate(rpcs):
            if len(rpc.payload) > INLINE_BYTES:
                self._on_worker(rpc, partial(self._service.predict, rpc.payload))
                continue
            try:
                call = self._service.prepare_predict(rpc.payload)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
                rpc.reply(error)
            else:
                groups.setdefault(merge_key(call) or number, []).append((rpc, call))
        for key, group in groups.items():
            most = self._sizes.most(key)
            for start in range(0, len(group), most):
                self._answer_group(key, group[start : start + most])

    def _answer_group(self, key: Hashable, group: Sequence[tuple[PendingCall, PreparedCall]]) -> None:
        if len(group) > 1 and self._answer_together(key, group):
            return
        for rpc, call in group:
            kind, work = call.key(), partial(self._service.run, call)
            if self._placement.is_short(kind):
                _reply_with(rpc, partial(self._placement.run, kind, work))
            else:
                self._on_worker(rpc, partial(self._placement.run, kind, work))

    def _answer_together(self, key: Hashable, group: Sequence[tuple[PendingCall, PreparedCall]]) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        calls = [call for _, call in group]
        kind = calls[0].key()
        if not self._placement.is_short(kind):
            return False
        start = thread_time_ns()
        try:
            payloads = self._placement.run(kind, partial(self._run_together, calls))
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        self._sizes.learn(key, len(calls), thread_time_ns() - start)
        for (rpc, _), payload in zip(group, payloads, strict=True):
            rpc.reply(Answer(payload))
        return True

    def _run_together(self, calls: Sequence[PreparedCall]) -> list[bytes]:
        runs = run_together(calls)
        return [self._service.encode(call, outputs) for call, outputs in zip(calls, runs, strict=True)]

    def _on_worker(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        self._workers.submit(reply_if_wanted, rpc, work)


def reply_if_wanted(rpc: PendingCall, work: Callable[[], Answer]) -> None:
    """Replies with what ``work`` returns, or with its error, unless nobody waits for it any more."""
    if rpc.is_wanted():  # it may have been cancelled, or its deadline passed, while it waited for a thread
        _reply_with(rpc, work)


def _reply_with(rpc: PendingCall, work: Callable[[], Answer]) -> None:
    try:
        answer = work()
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
        rpc.reply(error)
    else:
        rpc.reply(answer)
