"""Predict calls over REST: short ones of one turn of the loop together where that is safe, others by way of batches."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from time import perf_counter_ns, thread_time_ns
from typing import TypeVar

from unstuck.api.rest import forms, messages
from unstuck.api.rest.calls import Call, Parsed
from unstuck.api.rest.longer import LongerCalls, timed_out
from unstuck.api.rest.messages import HeaderLookup, Response
from unstuck.batching.batches import Batches
from unstuck.batching.fair import FairThreads
from unstuck.batching.turns import Turns
from unstuck.codecs import predict_json
from unstuck.core.models import ModelSpec
from unstuck.core.observers import AnsweredCalls, CallObserver, NobodyWatches, Ran
from unstuck.core.servables import Models
from unstuck.guard.gates import Gate, open_gate
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall, prepare
from unstuck.inference.together import answer_together, merge_key
from unstuck.inference.waiting import WaitingCall, must_wait

LOOP_BODY_BYTES = 64 * 1024  # a larger body is parsed on a worker thread: reading it would hold up the loop

Result = TypeVar("Result")
Reply = Callable[[Response | BaseException], None]


class PredictCalls:
    """Belongs to one event loop. Short calls run on it, others in ``workers``."""

    def __init__(
        self,
        models: Models,
        workers: FairThreads,
        timeout_s: float | None,
        strict_inputs: bool,
        max_body_bytes: int,
        observer: CallObserver | None = None,
        batches: Batches[WaitingCall[Parsed]] | None = None,
        placement: Placement | None = None,
    ) -> None:
        """What calls need.

        Args:
            models: the lookup.
            workers: the threads of longer calls.
            timeout_s: of a longer call; None for ever.
            strict_inputs: refuse what would otherwise be a warning.
            max_body_bytes: largest request body, inflated.
            observer: hears of the calls answered together; what to tell it of others is in ``Response.calls``.
            batches: where longer calls wait for others; without it each runs alone.
            placement: which calls are short.
        """
        self._models = models
        self._workers = workers
        self._timeout_s = timeout_s
        self._strict_inputs = strict_inputs
        self._max_body_bytes = max_body_bytes
        self._observer: CallObserver = observer or NobodyWatches()
        self._wants_headers = self._observer.wants_headers
        self._placement = placement or Placement()
        self._longer = LongerCalls(workers, timeout_s, batches, self._placement, self._report)
        self._turns: Turns[ModelSpec, Call] = Turns(self._answer_turn)
        self._sizes = GroupSizes()
        self._tasks: set[asyncio.Task[Response]] = set()

    def begin(self, call: Call) -> None:
        """Replies to ``call`` in a later turn of the loop.

        The way for small bodies, of at most LOOP_BODY_BYTES: they are read on the loop.
        """
        self._turns.join(call.spec, call)

    async def answer(
        self, spec: ModelSpec, body: bytes, headers: HeaderLookup, arrived_ns: int, gate: Gate | None = None
    ) -> Response:
        """The response to one call that ``gate`` has let in, whatever its size. Raises UnstuckError."""
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        call = Call(spec, body, headers, arrived_ns, partial(_settle, answered), gate or open_gate())
        if len(body) > LOOP_BODY_BYTES:
            self._longer.begin_unread(call, self._prepare)
        else:
            self.begin(call)
        try:
            return await answered
        finally:
            call.end()

    async def on_worker(self, work: Callable[[], Result], model: str = "") -> Result:
        """Runs ``work`` for a model on a worker thread; after the timeout its result is not waited for any longer."""
        future = asyncio.wrap_future(self._workers.submit_for(model, work))
        try:
            return await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError:
            raise timed_out(self._timeout_s) from None

    def _answer_turn(self, spec: ModelSpec, waiting: list[Call]) -> None:
        most = self._sizes.most(spec)
        for start in range(0, len(waiting), most):
            part = waiting[start : start + most]
            began_ns = perf_counter_ns()
            together = predict_json.parse_together([call.body for call in part]) if len(part) > 1 else None
            if together is not None and self._answer_together(spec, part, together, began_ns):
                continue
            read = [parsed for call in part if (parsed := self._read(call)) is not None]
            if together is None and len(read) > 1:
                self._answer_groups(spec, read)
            else:
                self._answer_alone(read)

    def _answer_together(
        self, spec: ModelSpec, waiting: list[Call], together: predict_json.JsonPredictRequests, began_ns: int
    ) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        try:
            prepared = prepare(self._models, spec, together, tentative=True)
            prepared.rows = together.counts
            key = prepared.key(len(waiting))
            prepared.parse_ns = perf_counter_ns() - began_ns
            if prepared.warnings or not (prepared.is_mergeable or must_wait(prepared)):
                return False
            if must_wait(prepared) or not self._placement.is_short(key):
                return self._longer.begin_joined(waiting, prepared)
            start = thread_time_ns()
            answers = self._placement.run(key, partial(prepared.run, together.encode))
            self._sizes.learn(spec, len(waiting), thread_time_ns() - start)
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        assert prepared.ran is not None
        self._report(prepared.ran, waiting, [prepared.parse_ns] * len(waiting), answers)
        said = prepared.said
        headers = messages.with_warnings(Response(200, b""), said).headers if said else messages.JSON_HEADERS
        for call, body in zip(waiting, answers, strict=True):
            call.reply(call, Response(200, body, headers))
        return True

    def _report(
        self, ran: Ran, calls: Sequence[Call], parse_ns: Sequence[int], answers: Sequence[bytes], warnings: int = 0
    ) -> None:
        arrived_ns = [call.arrived_ns for call in calls]
        sizes = sum([len(call.body) for call in calls]), sum(map(len, answers))
        answered = AnsweredCalls("rest", "Predict", ran, arrived_ns, parse_ns, perf_counter_ns(), *sizes, warnings)
        self._observer.answered(answered, [call.headers for call in calls] if self._wants_headers else ())

    def _read(self, call: Call) -> Parsed | None:
        """None where it cannot be: its caller has heard why."""
        try:
            return self._prepare(call)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            call.reply_once(error)
            return None

    def _answer_groups(self, spec: ModelSpec, waiting: Sequence[Parsed]) -> None:
        """Those that were read one by one, as they could not be read as one, may share a run all the same."""
        groups: dict[Hashable, list[Parsed]] = {}
        for number, parsed in enumerate(waiting):
            key = merge_key(parsed.prepared) if self._is_short(parsed.prepared) else None
            groups.setdefault(key or number, []).append(parsed)
        for group in groups.values():
            if len(group) == 1 or not self._answer_group(spec, group):
                self._answer_alone(group)

    def _is_short(self, prepared: PreparedCall) -> bool:
        return self._placement.is_short(prepared.key()) and not must_wait(prepared)

    def _answer_group(self, spec: ModelSpec, group: Sequence[Parsed]) -> bool:
        """Answers all or none, as ``_answer_together``."""
        prepared = [parsed.prepared for parsed in group]
        start = thread_time_ns()
        try:
            encoders = [parsed.encode for parsed in group]
            ran, answers = self._placement.run(prepared[0].key(), partial(answer_together, prepared, encoders))
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        self._sizes.learn(spec, len(group), thread_time_ns() - start)
        self._report(ran, [parsed.call for parsed in group], [each.parse_ns for each in prepared], answers)
        for parsed, body in zip(group, answers, strict=True):
            parsed.call.reply(parsed.call, parsed.response(body))
        return True

    def _answer_alone(self, calls: Sequence[Parsed]) -> None:
        for parsed in calls:
            call = parsed.call
            try:
                if not self._is_short(parsed.prepared):
                    self._longer.begin(parsed)
                    continue
                response = self._placement.run(parsed.prepared.key(), parsed.run)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
                call.reply_once(error)
            else:
                call.reply(call, response)

    def reply_from_worker(self, work: Callable[[], Response], reply: Reply) -> None:
        """Calls ``reply`` on the loop with what ``work`` returns on a worker thread, or with its error."""
        task = asyncio.ensure_future(self.on_worker(work))
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(partial(self._reply_with, reply))

    def _reply_with(self, reply: Reply, done: "asyncio.Task[Response]") -> None:
        self._tasks.discard(done)
        if not done.cancelled():
            reply(done.exception() or done.result())

    def _prepare(self, call: Call) -> Parsed:
        began_ns = perf_counter_ns()
        sent = forms.parse(call.spec, call.body, call.headers, self._max_body_bytes)
        prepared = prepare(
            self._models,
            call.spec,
            sent.request,
            output_filter=sent.output_filter,
            strict_inputs=self._strict_inputs,
        )
        prepared.parse_ns = perf_counter_ns() - began_ns
        return Parsed(call, sent, prepared)


def _settle(answered: "asyncio.Future[Response]", _: Call, outcome: Response | BaseException) -> None:
    if answered.done():
        return  # its caller has gone
    if isinstance(outcome, Response):
        answered.set_result(outcome)
    else:
        answered.set_exception(outcome)
