"""Predict calls over gRPC: short ones that come together run together where that is safe, others by way of batches."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns, thread_time_ns

from unstuck.api.grpc.model_name import INFERENCES, model_name
from unstuck.api.grpc.reporting import Reporter
from unstuck.api.grpc.service import PREDICT, Answer, GrpcService
from unstuck.batching.batches import Batches
from unstuck.batching.fair import FairThreads
from unstuck.core.observers import AnsweredCalls, Headers, Ran
from unstuck.errors import UnstuckError
from unstuck.guard.access import Grant
from unstuck.guard.admission import Admission
from unstuck.guard.gates import Gate
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import answer_together, merge_key
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
        metadata: the same, where calls need a key.
        caller: whose call it is, once that is known.
        deadline_ns: until when its client waits; None for ever.
        gate: that it went in by, where it had to wait.
    """

    payload: bytes
    reply: Reply
    is_wanted: Callable[[], bool]
    path: str = PREDICT
    arrived_ns: int = 0
    headers: Headers | None = None
    metadata: Headers | None = None
    caller: Grant | None = None
    deadline_ns: int | None = None
    gate: Gate | None = None

    @property
    def left_s(self) -> float | None:
        """Until its deadline; None where it has none."""
        return None if self.deadline_ns is None else (self.deadline_ns - perf_counter_ns()) / 1e9

    def enter(self, gate: Gate) -> None:
        """Waits from now on; to be told of the ``end``, once."""
        self.gate = gate
        gate.enter_elsewhere(len(self.payload))

    def end(self) -> None:
        """It is answered."""
        if self.gate is not None:
            self.gate.leave_elsewhere(len(self.payload))

    def give_up(self) -> None:
        """Its client has gone before it was answered."""
        if self.gate is not None:
            self.gate.give_up()
        self.end()

    def overdue(self) -> UnstuckError | None:
        """Why it is not run any more, if so."""
        return None if self.gate is None else self.gate.overdue(self.arrived_ns)


Group = Sequence[tuple[PendingCall, PreparedCall]]


class PredictBatches:
    """Short calls run on the thread that calls ``answer``, which is always the same; others on worker threads."""

    def __init__(
        self,
        service: GrpcService,
        workers: FairThreads,
        batches: Batches[WaitingCall[PendingCall]] | None = None,
        placement: Placement | None = None,
        admission: Admission | None = None,
    ) -> None:
        """What calls need.

        Args:
            service: the RPCs.
            workers: the threads of longer calls.
            batches: where longer calls wait for others; without it each runs alone.
            placement: which calls are short.
            admission: who may come in while more come than can be answered; without it everybody.
        """
        self._service = service
        self._reporter = Reporter(service.observer)
        self._workers = workers
        self._batches = batches
        self._placement = placement or Placement()
        self._admission = admission or Admission()
        self._sizes = GroupSizes()

    def answer(self, rpcs: Sequence[PendingCall]) -> bool:
        """Replies to each, now or later from a worker thread; returns False if the gates refused one."""
        if self._service.needs_keys:
            rpcs = [rpc for rpc in rpcs if self._is_known(rpc)]
        took_all = True
        if self._admission.is_watchful:
            let_in = [rpc for rpc in rpcs if self._lets_in(rpc, self._gate_of(rpc))]
            took_all, rpcs = len(let_in) == len(rpcs), let_in
        groups: dict[Hashable, list[tuple[PendingCall, PreparedCall]]] = {}
        for number, rpc in enumerate(rpcs):
            if len(rpc.payload) > INLINE_BYTES:
                self.answer_on_worker(rpc)
                continue
            try:
                call = self._service.prepare_predict(rpc.payload, rpc.caller)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
                self._end(rpc, error)
            else:
                groups.setdefault(merge_key(call) or number, []).append((rpc, call))
        for key, group in groups.items():
            most = self._sizes.most(key)
            for start in range(0, len(group), most):
                self._answer_group(key, group[start : start + most])
        return took_all

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
            encoders = [partial(self._service.encode, call) for call in calls]
            ran, payloads = self._placement.run(kind, partial(answer_together, calls, encoders))
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        self._sizes.learn(key, len(calls), thread_time_ns() - start)
        self._reply(ran, group, payloads)
        return True

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

    def _gate_of(self, rpc: PendingCall) -> Gate:
        return self._admission.gate(model_name(rpc.payload, rpc.path))

    def _is_known(self, rpc: PendingCall) -> bool:
        """Whether its client may call at all; else it is refused before anything is done for it."""
        try:
            rpc.caller = self._service.caller(rpc.metadata)
        except UnstuckError as error:
            self._end(rpc, error)
            return False
        return True

    def _lets_in(self, rpc: PendingCall, gate: Gate) -> bool:
        refused = gate.refusal(rpc.left_s)
        if refused is not None:
            self._end(rpc, refused)
        return refused is None

    def _lets_wait(self, rpc: PendingCall, gate: Gate) -> bool:
        refused = gate.refusal(rpc.left_s) or self._admission.refusal_of_bytes(gate, len(rpc.payload))
        if refused is not None:
            self._end(rpc, refused)
            return False
        rpc.enter(gate)
        return True

    def answer_on_worker(self, rpc: PendingCall) -> None:
        """Replies to one call, which is read on a worker thread, too. On any thread."""
        gate = self._gate_of(rpc)
        if self._is_known(rpc) and self._lets_wait(rpc, gate):
            self._workers.submit_for(gate.name, self._read_and_answer, rpc)

    def _read_and_answer(self, rpc: PendingCall) -> None:
        if not self._is_due(rpc):
            return
        try:
            call = self._service.prepare_predict(rpc.payload, rpc.caller)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._end(rpc, error)
            return
        if self._is_short(call) or not self._wait_for_batch(rpc, call):
            self._work(rpc, partial(self._run, call))

    def _answer_later(self, rpc: PendingCall, call: PreparedCall) -> None:
        name = call.model.name
        if self._lets_wait(rpc, self._admission.gate(name)) and not self._wait_for_batch(rpc, call):
            self._workers.submit_for(name, self._work_if_due, rpc, partial(self._run, call))

    def _wait_for_batch(self, rpc: PendingCall, call: PreparedCall) -> bool:
        """False for a call that cannot share a run."""
        key = merge_key(call)
        if self._batches is None or key is None:
            return False
        waiting = WaitingCall(call, partial(self._service.encode, call), rpc.is_wanted, self, rpc, rpc.overdue)
        try:
            self._batches.add(key, waiting, waiting.rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._end(rpc, error)
        return True

    def answered(self, ran: Ran, calls: Sequence[WaitingCall[PendingCall]], answers: Sequence[bytes]) -> None:
        """One batch has answered ``calls``. On any thread."""
        if (gate := calls[0].sent.gate) is not None:
            gate.concurrency.ran(ran.run_ns / 1e9, len(calls))
        self._reply(ran, [(call.sent, call.prepared) for call in calls], answers)

    def failed(self, call: WaitingCall[PendingCall], error: BaseException) -> None:
        """A call that waited for a batch has no answer. On any thread."""
        self._end(call.sent, error)

    def _run(self, call: PreparedCall) -> Answer:
        return self._placement.run(call.key(), partial(self._service.run, call))

    def on_worker(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        """Answers with what ``work`` returns on a worker thread, or with its error."""
        if not self._is_known(rpc):
            return
        if rpc.path not in INFERENCES:
            self._workers.submit(self._work_if_due, rpc, work)
        elif self._lets_wait(rpc, gate := self._gate_of(rpc)):
            self._workers.submit_for(gate.name, self._work_if_due, rpc, work)

    def _work_if_due(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        if self._is_due(rpc):
            self._work(rpc, work)

    def _is_due(self, rpc: PendingCall) -> bool:
        """False for a call that was cancelled, or whose deadline passed, or that waited for too long for a thread."""
        if not rpc.is_wanted():
            return False
        late = rpc.overdue()
        if late is not None:
            self._end(rpc, late)
        return late is None

    def _work(self, rpc: PendingCall, work: Callable[[], Answer]) -> None:
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._end(rpc, error)
        else:
            self._end(rpc, answer)

    def _end(self, rpc: PendingCall, outcome: Answer | BaseException) -> None:
        if rpc.gate is not None and isinstance(outcome, Answer) and outcome.ran is not None:
            rpc.gate.concurrency.ran(outcome.ran.run_ns / 1e9)
        rpc.reply(outcome, self._reporter.ended(rpc.path, rpc.payload, rpc.arrived_ns, rpc.headers, outcome))
