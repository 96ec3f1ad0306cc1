"""Predict calls over REST: those of one turn of the loop together where that is safe, each for itself otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
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
from unstuck.inference.placement import SHORT_NS, Placement
from unstuck.inference.predict import PreparedCall, prepare

LOOP_BODY_BYTES = 64 * 1024  # a larger body is parsed on a worker thread: reading it would hold up the loop
LEAST_TOGETHER = 2
MAX_TOGETHER = 64

Result = TypeVar("Result")
Waiting = list[tuple[bytes, "asyncio.Future[Response]"]]


class PredictCalls:
    """Belongs to one event loop. Short calls run on it, others in ``workers``."""

    def __init__(self, models: Models, workers: Executor, timeout_s: float | None, strict_inputs: bool) -> None:
        self._models = models
        self._workers = workers
        self._timeout_s = timeout_s
        self._strict_inputs = strict_inputs
        self._placement = Placement()
        self._turns: Turns[ModelSpec, bytes, Response] = Turns(self._answer_turn)
        self._most_together: dict[ModelSpec, int] = {}

    def answer(self, spec: ModelSpec, body: bytes) -> Awaitable[Response]:
        """The response to one call. Raises UnstuckError when awaited."""
        if len(body) <= LOOP_BODY_BYTES:
            return self._turns.join(spec, body)
        return self.on_worker(partial(self._answer_on_worker, spec, body))

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

    def _answer_turn(self, spec: ModelSpec, waiting: Waiting) -> None:
        most = self._most_together.get(spec, MAX_TOGETHER)
        for start in range(0, len(waiting), most):
            part = waiting[start : start + most]
            if len(part) == 1 or not self._answer_together(spec, part):
                for body, future in part:
                    self._answer_alone(spec, body, future)

    def _answer_together(self, spec: ModelSpec, waiting: Waiting) -> bool:
        """Answers all or none: whatever is special about one call is for it alone to hear."""
        together = predict_json.parse_together([body for body, _ in waiting])
        if together is None:
            return False
        try:
            call = prepare(self._models, spec, together)
            key = call.key(len(waiting))
            if not call.is_mergeable or not self._placement.is_short(key):
                return False
            start = thread_time_ns()
            bodies = self._placement.run(key, partial(call.run, together.encode))
            self._learn(spec, len(waiting), thread_time_ns() - start)
        except Exception:  # noqa: BLE001 - each is answered alone, and hears of its own error there
            return False
        for (_, future), body in zip(waiting, bodies, strict=True):
            if not future.done():
                future.set_result(Response(200, body))
        return True

    def _learn(self, spec: ModelSpec, calls: int, took_ns: int) -> None:
        """Keeps the runs on the loop short: fewer calls together after a long run, more again after short ones."""
        most = self._most_together.get(spec, MAX_TOGETHER)
        if took_ns > SHORT_NS:
            self._most_together[spec] = max(LEAST_TOGETHER, calls // 2)
        elif calls >= most < MAX_TOGETHER:
            self._most_together[spec] = most * 2

    def _answer_alone(self, spec: ModelSpec, body: bytes, future: "asyncio.Future[Response]") -> None:
        if future.done():
            return
        try:
            request, call = self._prepare(spec, body)
            key, work = call.key(), partial(_run, request, call)
            if self._placement.is_short(key):
                future.set_result(self._placement.run(key, work))
            else:
                task = asyncio.ensure_future(self.on_worker(partial(self._placement.run, key, work)))
                task.add_done_callback(partial(_hand_over, future))
        except Exception as error:  # noqa: BLE001 - raised again in the call that waits
            future.set_exception(error)

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


def _hand_over(future: "asyncio.Future[Response]", done: "asyncio.Future[Response]") -> None:
    if future.done() or done.cancelled():
        return
    if error := done.exception():
        future.set_exception(error)
    else:
        future.set_result(done.result())
