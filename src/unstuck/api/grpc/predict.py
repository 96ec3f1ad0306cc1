"""Predict calls over gRPC, as they come in batches: together where that is safe, each for itself otherwise."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns, thread_time_ns

from unstuck.api.grpc.reporting import Reporter
from unstuck.api.grpc.service import PREDICT, Answer, GrpcService
from unstuck.core.observers import AnsweredCalls, Headers, Ran
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import merge_key, run_together

INLINE_BYTES = 1 << 20  # a larger message is read on a worker thread: reading it would hold up the others

Reply = Callable[[Answer | BaseException, str], None]  # the str: an id for the answer's metadata, or nothing


@dataclass(slots=True)
class PendingCall:
    """One call.

    Attributes:
        payload: its message.
        reply: answers it.
        is_wanted: whether its client still waits.
        path: of its method.
        arrived_ns: when its message was there.
        headers: its metadata, where the observer wants it.
    """

    payload: bytes
    reply: Reply
    is_wanted: Callable[[], bool]
    path: str = PREDICT
    arrived_ns: int = 0
    headers: Headers | None = None


class PredictBatches:
    """Belongs to the thread that calls ``answer``. Short calls run on it, others in ``workers``."""

    def __init__(self, service: GrpcService, workers: Executor) -> None:
        self._service = service
        self._reporter = Reporter(service.observer)
        self._workers = workers
        self._placement = Placement()
        self._sizes = GroupSizes()

    def answer(self, rpcs: Sequence[PendingCall]) -> None:
        """Replies to each, now or later from a worker thread."""
        groups: dict[Hashable, list[tuple[PendingCall, PreparedCall]]] = {}
        for number, rpc in enumerate(rpcs):
            if len(rpc.payload) > INLINE_BYTES:
                self.on_worker(rpc, partial(self._service.predict, rpc.payload))
                continue
            try:
                call = self._service.prepare_predict(rpc.payload)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
                self._end(rpc, error)
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
                self._work(rpc, partial(self._placement.run, kind, work))
            else:
                self.on_worker(rpc, partial(self._placement.run, kind, work))

    def _answer_together(self, key: Hashable, group: Sequence[tuple[PendingCall, PreparedCall]]) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        calls = [call for _, call in group]
        kind = calls[0].key()
        if not self._placement.is_short(kind):
            return False
        start = thread_time_ns()
        try:
            ran, payloads = self._placement.run(kind, partial(self._run_together, calls))
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        self._sizes.learn(key, len(calls), thread_time_ns() - start)
        self._report(ran, group, payloads)
        said = calls[0].said
        for (rpc, _), payload in zip(group, payloads, strict=True):
            rpc.reply(Answer(payload, said), self._reporter.given_id(rpc.headers))
        return True

    def _run_together(self, calls: Sequence[PreparedCall]) -> tuple[Ran, list[bytes]]:
        began_ns = perf_counter_ns()
        runs = run_together(calls)
        ran_ns = perf_counter_ns()
        payloads = [self._service.encode(call, outputs) for call, outputs in zip(calls, runs, strict=True)]
        model, signature = calls[0].model, calls[0].signature.name
        times = began_ns, ran_ns - began_ns, perf_counter_ns() - ran_ns
        return Ran(model.name, model.version, signature, *times), payloads

    def _report(self, ran: Ran, group: Sequence[tuple[PendingCall, PreparedCall]], payloads: Sequence[bytes]) -> None:
        arrived_ns = [rpc.arrived_ns for rpc, _ in group]
        parse_ns = [call.parse_ns for _, call in group]
        sizes = sum([len(rpc.payload) for rpc, _ in group]), sum(map(len, payloads))
        answered = AnsweredCalls("grpc", "Predict", ran, arrived_ns, parse_ns, perf_counter_ns(), *sizes)
        self._service.observer.answered(answered, [rpc.headers for rpc, _ in group if rpc.headers is not None])

    def on_worker(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        """Answers with what ``work`` returns on a worker thread, or with its error."""
        self._workers.submit(self._work_if_wanted, rpc, work)

    def _work_if_wanted(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        if rpc.is_wanted():  # it may have been cancelled, or its deadline passed, while it waited for a thread
            self._work(rpc, work)

    def _work(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._end(rpc, error)
        else:
            self._end(rpc, answer)

    def _end(self, rpc: PendingCall, outcome: Answer | BaseException) -> None:
        rpc.reply(outcome, self._reporter.ended(rpc.path, rpc.payload, rpc.arrived_ns, rpc.headers, outcome))
