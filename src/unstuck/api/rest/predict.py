"""Predict calls over REST: those of one turn of the loop together where that is safe, each for itself otherwise."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from time import thread_time_ns
from typing import TypeVar

from unstuck.api.rest import messages
from unstuck.api.rest.messages import Response
from unstuck.batching.turns import Turns
from unstuck.codecs import predict_json
from unstuck.codecs.predict_json import JsonPredictRequest
from unstuck.core.models import ModelSpec
from unstuck.core.servables import Models
from unstuck.errors import DeadlineExceeded
from unstuck.inference.placement import GroupSizes, Placement
from unstuck.inference.predict import PreparedCall, prepare

LOOP_BODY_BYTES = 64 * 1024  # a larger body is parsed on a worker thread: reading it would hold up the loop

Result = TypeVar("Result")
Reply = Callable[[Response | BaseException], None]
Call = tuple[bytes, Reply]


class PredictCalls:
    """Belongs to one event loop. Short calls run on it, others in ``workers``."""

    def __init__(self, models: Models, workers: Executor, timeout_s: float | None, strict_inputs: bool) -> None:
        self._models = models
        self._workers = workers
        self._timeout_s = timeout_s
        self._strict_inputs = strict_inputs
        self._placement = Placement()
        self._turns: Turns[ModelSpec, Call] = Turns(self._answer_turn)
        self._sizes = GroupSizes()
        self._tasks: set[asyncio.Task[Response]] = set()

    def begin(self, spec: ModelSpec, body: bytes, reply: Reply) -> None:
        """Calls ``reply`` on the loop, in a later turn of it, with the response or with the error instead of it.

        The way for small bodies, of at most LOOP_BODY_BYTES: they are read on the loop.
        """
        self._turns.join(spec, (body, reply))

    async def answer(self, spec: ModelSpec, body: bytes) -> Response:
        """The response to one call, whatever its size. Raises UnstuckError."""
        if len(body) > LOOP_BODY_BYTES:
            return await self.on_worker(partial(self._answer_on_worker, spec, body))
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.begin(spec, body, partial(_settle, answered))
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
                for body, reply in part:
                    self._answer_alone(spec, body, reply)

    def _answer_together(self, spec: ModelSpec, waiting: list[Call]) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        together = predict_json.parse_together([body for body, _ in waiting])
        if together is None:
            return False
        try:
            call = prepare(self._models, spec, together, tentative=True)
            call.rows = together.counts
            key = call.key(len(waiting))
            if not call.is_mergeable or not self._placement.is_short(key):
                return False
            start = thread_time_ns()
            bodies = self._placement.run(key, partial(call.run, together.encode))
            self._sizes.learn(spec, len(waiting), thread_time_ns() - start)
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        for (_, reply), body in zip(waiting, bodies, strict=True):
            reply(Response(200, body))
        return True

    def _answer_alone(self, spec: ModelSpec, body: bytes, reply: Reply) -> None:
        try:
            request, call = self._prepare(spec, body)
            key, work = call.key(), partial(_run, request, call)
            if not self._placement.is_short(key):
                self.reply_from_worker(partial(self._placement.run, key, work), reply)
                return
            response = self._placement.run(key, work)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            reply(error)
        else:
            reply(response)

    def reply_from_worker(self, work: Callable[[], Response], reply: Reply) -> None:
        """Calls ``reply`` on the loop with what ``work`` returns on a worker thread, or with its error."""
        task = asyncio.ensure_future(self.on_worker(work))
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(partial(self._reply_with, reply))

    def _reply_with(self, reply: Reply, done: "asyncio.Task[Response]") -> None:
        self._tasks.discard(done)
        if not done.cancelled():
            reply(done.exception() or done.result())

    def _answer_on_worker(self, spec: ModelSpec, body: bytes) -> Response:
        request, call = self._prepare(spec, body)
        return _run(request, call)

    def _prepare(self, spec: ModelSpec, body: bytes) -> tuple[JsonPredictRequest, PreparedCall]:
        request = predict_json.parse(body)
        return request, prepare(self._models, spec, request, strict_inputs=self._strict_inputs)


def _run(request: JsonPredictRequest, call: PreparedCall) -> Response:
    form = request.format
    response = Response(200, call.run(lambda outputs: predict_json.encode(outputs, form)))
    return messages.with_warnings(response, call.warnings) if call.warnings else response


def _settle(answered: "asyncio.Future[Response]", outcome: Response | BaseException) -> None:
    if answered.done():
        return  # its caller has gone
    if isinstance(outcome, Response):
        answered.set_result(outcome)
    else:
        answered.set_exception(outcome)
