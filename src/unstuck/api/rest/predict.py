"""Predict calls over REST: those of one turn of the loop together where that is safe, each for itself otherwise."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns, thread_time_ns
from typing import TypeVar

from unstuck.api.rest import forms, messages
from unstuck.api.rest.forms import Sent
from unstuck.api.rest.messages import HeaderLookup, Response
from unstuck.batching.turns import Turns
from unstuck.codecs import predict_json
from unstuck.core.models import ModelSpec
from unstuck.core.observers import AnsweredCalls, CallObserver, NobodyWatches
from unstuck.core.servables import Models
from unstuck.errors import DeadlineExceeded
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall, prepare

LOOP_BODY_BYTES = 64 * 1024  # a larger body is parsed on a worker thread: reading it would hold up the loop

Result = TypeVar("Result")
Reply = Callable[[Response | BaseException], None]


@dataclass(slots=True)
class Call:
    """One predict call.

    Attributes:
        spec: the model asked for.
        body: as sent, inflated.
        headers: of the request.
        arrived_ns: when its head was there, or for a large body when all of it was.
        reply: hears, on the loop, the response or the error instead of it.
    """

    spec: ModelSpec
    body: bytes
    headers: HeaderLookup
    arrived_ns: int
    reply: "Callable[[Call, Response | BaseException], None]"


class PredictCalls:
    """Belongs to one event loop. Short calls run on it, others in ``workers``."""

    def __init__(
        self,
        models: Models,
        workers: Executor,
        timeout_s: float | None,
        strict_inputs: bool,
        max_body_bytes: int,
        observer: CallObserver | None = None,
    ) -> None:
        """``observer`` hears of the calls answered together; what to tell it of others is in ``Response.calls``."""
        self._models = models
        self._workers = workers
        self._timeout_s = timeout_s
        self._strict_inputs = strict_inputs
        self._max_body_bytes = max_body_bytes
        self._observer: CallObserver = observer or NobodyWatches()
        self._wants_headers = self._observer.wants_headers
        self._placement = Placement()
        self._turns: Turns[ModelSpec, Call] = Turns(self._answer_turn)
        self._sizes = GroupSizes()
        self._tasks: set[asyncio.Task[Response]] = set()

    def begin(self, call: Call) -> None:
        """Replies to ``call`` in a later turn of the loop.

        The way for small bodies, of at most LOOP_BODY_BYTES: they are read on the loop.
        """
        self._turns.join(call.spec, call)

    async def answer(self, spec: ModelSpec, body: bytes, headers: HeaderLookup, arrived_ns: int) -> Response:
        """The response to one call, whatever its size. Raises UnstuckError."""
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        call = Call(spec, body, headers, arrived_ns, partial(_settle, answered))
        if len(body) > LOOP_BODY_BYTES:
            return await self.on_worker(partial(self._answer_on_worker, call))
        self.begin(call)
        return await answered

    async def on_worker(self, work: Callable[[], Result]) -> Result:
        """Runs ``work`` on a worker thread; after the timeout its result is not waited for any longer."""
        future = asyncio.get_running_loop().run_in_executor(self._workers, work)
        try:
            return await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The call took longer than {self._timeout_s:g} s.",
                hint="Send fewer rows in a request, or raise --rest_api_timeout_in_ms.",
            ) from None

    def _answer_turn(self, spec: ModelSpec, waiting: list[Call]) -> None:
        most = self._sizes.most(spec)
        for start in range(0, len(waiting), most):
            part = waiting[start : start + most]
            if len(part) == 1 or not self._answer_together(spec, part):
                for call in part:
                    self._answer_alone(call)

    def _answer_together(self, spec: ModelSpec, waiting: list[Call]) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        began_ns = perf_counter_ns()
        bodies = [call.body for call in waiting]
        together = predict_json.parse_together(bodies)
        if together is None:
            return False
        try:
            prepared = prepare(self._models, spec, together, tentative=True)
            prepared.rows = together.counts
            key = prepared.key(len(waiting))
            if not prepared.is_mergeable or not self._placement.is_short(key):
                return False
            prepared.parse_ns = perf_counter_ns() - began_ns
            start = thread_time_ns()
            answers = self._placement.run(key, partial(prepared.run, together.encode))
            self._sizes.learn(spec, len(waiting), thread_time_ns() - start)
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        self._report(prepared, waiting, bodies, answers)
        said = prepared.said
        headers = messages.with_warnings(Response(200, b""), said).headers if said else messages.JSON_HEADERS
        for call, body in zip(waiting, answers, strict=True):
            call.reply(call, Response(200, body, headers))
        return True

    def _report(self, prepared: PreparedCall, calls: list[Call], bodies: list[bytes], answers: list[bytes]) -> None:
        assert prepared.ran is not None
        arrived_ns = [call.arrived_ns for call in calls]
        parse_ns = [prepared.parse_ns] * len(calls)
        sizes = sum(map(len, bodies)), sum(map(len, answers))
        answered = AnsweredCalls("rest", "Predict", prepared.ran, arrived_ns, parse_ns, perf_counter_ns(), *sizes)
        self._observer.answered(answered, [call.headers for call in calls] if self._wants_headers else ())

    def _answer_alone(self, call: Call) -> None:
        try:
            sent, prepared = self._prepare(call)
            key, work = prepared.key(), partial(_run, call, sent, prepared)
            if not self._placement.is_short(key):
                self.reply_from_worker(partial(self._placement.run, key, work), partial(call.reply, call))
                return
            response = self._placement.run(key, work)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            call.reply(call, error)
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

    def _answer_on_worker(self, call: Call) -> Response:
        sent, prepared = self._prepare(call)
        return _run(call, sent, prepared)

    def _prepare(self, call: Call) -> tuple[Sent, PreparedCall]:
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
        return sent, prepared


def _run(call: Call, sent: Sent, prepared: PreparedCall) -> Response:
    warnings = prepared.warnings
    body = prepared.run(partial(sent.encode, prepared))
    assert prepared.ran is not None
    times = [call.arrived_ns], [prepared.parse_ns], 0
    calls = AnsweredCalls("rest", "Predict", prepared.ran, *times, len(call.body), len(body), len(warnings))
    response, said = Response(200, body, sent.headers, calls), prepared.said
    return messages.with_warnings(response, said) if said else response


def _settle(answered: "asyncio.Future[Response]", _: Call, outcome: Response | BaseException) -> None:
    if answered.done():
        return  # its caller has gone
    if isinstance(outcome, Response):
        answered.set_result(outcome)
    else:
        answered.set_exception(outcome)
