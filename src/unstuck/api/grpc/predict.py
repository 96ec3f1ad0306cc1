"""Predict calls over gRPC: short ones that come together run together where that is safe, others by way of batches."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns, thread_time_ns

from unstuck.api.grpc.reporting import Reporter
from unstuck.api.grpc.service import PREDICT, Answer, GrpcService
from unstuck.batching.batches import Batches
from unstuck.core.observers import AnsweredCalls, Headers, Ran
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import merge_key, run_together
from unstuck.inference.waiting import WaitingCall, must_wait

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


Group = Sequence[tuple[PendingCall, PreparedCall]]


class PredictBatches:
    """Short calls run on the thread that calls ``answer``, which is always the same; others on worker threads."""

    def __init__(
        self,
        service: GrpcService,
        workers: Executor,
        batches: Batches[WaitingCall[PendingCall]] | None = None,
        placement: Placement | None = None,
    ) -> None:
        """What calls need.

        Args:
            service: the RPCs.
            workers: the threads of longer calls.
            batches: where longer calls wait for others; without it each runs alone.
            placement: which calls are short.
        """
        self._service = service
        self._reporter = Reporter(service.observer)
        self._workers = workers
        self._batches = batches
        self._placement = placement or Placement()
        self._sizes = GroupSizes()

    def answer(self, rpcs: Sequence[PendingCall]) -> None:
        """Replies to each, now or later from a worker thread."""
        groups: dict[Hashable, list[tuple[PendingCall, PreparedCall]]] = {}
        for number, rpc in enumerate(rpcs):
            if len(rpc.payload) > INLINE_BYTES:
                self.answer_on_worker(rpc)
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

    def _answer_group(self, key: Hashable, group: Group) -> None:
        if len(group) > 1 and self._answer_together(key, group):
            return
        for rpc, call in group:
            if self._is_short(call):
                self._work(rpc, partial(self._run, call))
            else:
                self._answer_later(rpc, call)

    def _is_short(self, call: PreparedCall) -> bool:
        return self._placement.is_short(call.key()) and not must_wait(call)

    def _answer_together(self, key: Hashable, group: Group) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        calls = [call for _, call in group]
        kind = calls[0].key()
        if not self._is_short(calls[0]):
            return False
        start = thread_time_ns()
        try:
            ran, payloads = self._placement.run(kind, partial(self._run_together, calls))
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        self._sizes.learn(key, len(calls), thread_time_ns() - start)
        self._reply(ran, group, payloads)
        return True

    def _run_together(self, calls: Sequence[PreparedCall]) -> tuple[Ran, list[bytes]]:
        began_ns = perf_counter_ns()
        runs = run_together(calls)
        ran_ns = perf_counter_ns()
        payloads = [self._service.encode(call, outputs) for call, outputs in zip(calls, runs, strict=True)]
        model, signature = calls[0].model, calls[0].signature.name
        times = began_ns, ran_ns - began_ns, perf_counter_ns() - ran_ns
        return Ran(model.name, model.version, signature, *times), payloads

    def _reply(self, ran: Ran, group: Group, payloads: Sequence[bytes]) -> None:
        """Reports calls that one run has answered, and answers them."""
        arrived_ns = [rpc.arrived_ns for rpc, _ in group]
        parse_ns = [call.parse_ns for _, call in group]
        sizes = sum([len(rpc.payload) for rpc, _ in group]), sum(map(len, payloads))
        warnings = sum([len(call.warnings) for _, call in group])
        answered = AnsweredCalls("grpc", "Predict", ran, arrived_ns, parse_ns, perf_counter_ns(), *sizes, warnings)
        self._service.observer.answered(answered, [rpc.headers for rpc, _ in group if rpc.headers is not None])
        for (rpc, call), payload in zip(group, payloads, strict=True):
            rpc.reply(Answer(payload, call.said), self._reporter.given_id(rpc.headers))

    # Longer calls.

    def answer_on_worker(self, rpc: PendingCall) -> None:
        """Replies to one call, which is read on a worker thread, too. On any thread."""
        self._workers.submit(self._read_and_answer, rpc)

    def _read_and_answer(self, rpc: PendingCall) -> None:
        if not rpc.is_wanted():
            return
        try:
            call = self._service.prepare_predict(rpc.payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._end(rpc, error)
            return
        if self._is_short(call) or not self._wait_for_batch(rpc, call):
            self._work(rpc, partial(self._run, call))

    def _answer_later(self, rpc: PendingCall, call: PreparedCall) -> None:
        if not self._wait_for_batch(rpc, call):
            self.on_worker(rpc, partial(self._run, call))

    def _wait_for_batch(self, rpc: PendingCall, call: PreparedCall) -> bool:
        """False for a call that cannot share a run."""
        key = merge_key(call)
        if self._batches is None or key is None:
            return False
        waiting = WaitingCall(call, partial(self._service.encode, call), rpc.is_wanted, self, rpc)
        try:
            self._batches.add(key, waiting, waiting.rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._end(rpc, error)
        return True

    def answered(self, ran: Ran, calls: Sequence[WaitingCall[PendingCall]], answers: Sequence[bytes]) -> None:
        """One batch has answered ``calls``. On any thread."""
        self._reply(ran, [(call.sent, call.prepared) for call in calls], answers)

    def failed(self, call: WaitingCall[PendingCall], error: BaseException) -> None:
        """A call that waited for a batch has no answer. On any thread."""
        self._end(call.sent, error)

    def _run(self, call: PreparedCall) -> Answer:
        return self._placement.run(call.key(), partial(self._service.run, call))

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
