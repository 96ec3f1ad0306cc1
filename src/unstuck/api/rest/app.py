"""The REST application: routes a request, calls one use case, encodes, maps errors."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns
from typing import Protocol, cast

from unstuck.api.rest import messages
from unstuck.api.rest.admin import PREFIX, AdminCalls, CallersScope
from unstuck.api.rest.calls import Call, Parsed
from unstuck.api.rest.messages import BodyFuture, BodyLimits, Exchange, HeaderLookup, Response, Scope
from unstuck.api.rest.own_pages import OwnPages, Page, Readiness
from unstuck.api.rest.paths import Action, Route, parse_among
from unstuck.api.rest.predict import LOOP_BODY_BYTES, PredictCalls
from unstuck.api.rest.reporting import Reporter
from unstuck.batching.batches import Batches
from unstuck.batching.fair import FairThreads
from unstuck.codecs import json_examples, model_json
from unstuck.core.models import ModelSpec, VersionStatus
from unstuck.core.observers import AnsweredCalls, CallObserver, Method, NobodyWatches, OtherCall
from unstuck.core.servables import Models
from unstuck.errors import BodyTooSlow, Overloaded, UnstuckError
from unstuck.guard.access import Access, Right
from unstuck.guard.admission import Admission, Held
from unstuck.guard.deadlines import seconds_given
from unstuck.guard.gates import Gate
from unstuck.guard.inflation import DEFAULT_MAX_TIMES
from unstuck.guard.refusals import Refusals
from unstuck.inference.examples import Classes, classify, regress
from unstuck.inference.placement import Placement
from unstuck.inference.predict import errors_about, notices
from unstuck.inference.waiting import WaitingCall

CACHED_ROUTES = 1024
CACHED_PATH_CHARACTERS = 512
CORS_HEADERS = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "POST, GET"),
    ("access-control-allow-headers", "Content-Type"),
]
CORS_KEY_HEADERS = [*CORS_HEADERS[:2], ("access-control-allow-headers", "Content-Type, Authorization, X-API-Key")]


_METHODS: dict[Action, Method] = {
    Action.PREDICT: "Predict",
    Action.CLASSIFY: "Classify",
    Action.REGRESS: "Regress",
    Action.METADATA: "GetModelMetadata",
    Action.STATUS: "GetModelStatus",
}


_RIGHTS: dict[Action, Right] = {
    Action.PREDICT: "predict",
    Action.CLASSIFY: "predict",
    Action.REGRESS: "predict",
    Action.METADATA: "status",
    Action.STATUS: "status",
}


class ServedModels(Models, Readiness, Protocol):
    """The lookup, and what the status pages ask."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]: ...


@dataclass(frozen=True, slots=True)
class RestOptions:
    """See ServerConfig for the meaning of each."""

    timeout_s: float | None
    cors: bool
    max_body_bytes: int
    strict_inputs: bool
    max_inflation: int = DEFAULT_MAX_TIMES
    body_timeout_s: float | None = None


class RestApp:
    """An RSGI application, on one event loop; calls that are not short run in ``workers``."""

    def __init__(
        self,
        models: ServedModels,
        workers: FairThreads,
        options: RestOptions,
        pages: Mapping[str, Page] | None = None,
        observer: CallObserver | None = None,
        batches: Batches[WaitingCall[Parsed]] | None = None,
        placement: Placement | None = None,
        access: Access | None = None,
        admission: Admission | None = None,
    ) -> None:
        """What requests need.

        Args:
            models: the lookup.
            workers: the threads of longer calls.
            options: the settings.
            pages: by path, further pages of the server's own; each is made on a thread that is no worker.
            observer: hears of every call.
            batches: where longer predict calls wait for others; without it each runs alone.
            placement: which predict calls are short.
            access: who may call what; without it anybody.
            admission: who may come in while more come than can be answered; without it everybody.
        """
        self._access = None if access is None or access.is_open else access
        watching = observer or NobodyWatches()
        self._models = models
        self._options = options
        self._limits = BodyLimits(options.max_body_bytes, options.max_inflation, options.body_timeout_s)
        self._arriving: dict[Exchange, int] = {}  # small calls whose bodies have not come yet, and since when
        self._loop_bytes = min(LOOP_BODY_BYTES, options.max_body_bytes)
        self._calls = PredictCalls(
            models,
            workers,
            options.timeout_s,
            options.strict_inputs,
            options.max_body_bytes,
            watching,
            batches,
            placement,
        )
        self._reporter = Reporter(watching)
        self._wants_headers = watching.wants_headers
        self._admission = admission or Admission()
        self._routes: dict[tuple[str, str], tuple[Route, Gate]] = {}
        self._refusals = Refusals(self._refuse, _later)
        self.pages = OwnPages(models, dict(pages or {}), self._access)
        self._others = 0  # in flight that are behind no gate
        self.admin: AdminCalls | None = None

    @property
    def in_flight(self) -> int:
        """How many calls are being answered."""
        return self._others + self._admission.in_flight_rest

    def begin(self, scope: Scope, exchange: Exchange) -> bool:
        """Answers nearly every request, without a coroutine or a task: a small predict call. False: not that kind.

        May be called on any thread; everything else here belongs to the loop's.
        """
        known = self._routes.get((scope.method, scope.path))
        headers = scope.headers
        if known is None or not messages.is_plain(headers, self._loop_bytes):
            return False
        route, gate = known
        if route.action is not Action.PREDICT:
            return False
        if self._access is not None and not self._access.allows(headers, "predict", route.spec.name):
            return False
        self._arriving[exchange] = arrived_ns = perf_counter_ns()
        exchange().add_done_callback(partial(self._with_body, route.spec, gate, headers, exchange, arrived_ns))
        return True

    def refuse_late_bodies(self) -> None:
        """Answers the small calls whose bodies have not come in time; to be called every second or so."""
        allowed_s = self._limits.allowed_s(self._loop_bytes)
        if allowed_s is None:
            return
        now_ns = perf_counter_ns()
        for exchange, arrived_ns in list(self._arriving.items()):
            if now_ns - arrived_ns > allowed_s * 1e9 and self._arriving.pop(exchange, None):
                call = OtherCall("rest", "Predict", "", None, arrived_ns, 0, 0, 0)
                self._write(exchange, self._reporter.failed(call, BodyTooSlow(allowed_s)))

    def _with_body(
        self,
        spec: ModelSpec,
        gate: Gate,
        headers: HeaderLookup,
        exchange: Exchange,
        arrived_ns: int,
        arrived: BodyFuture,
    ) -> None:
        if self._arriving.pop(exchange, None) is None:
            return  # it was refused: it came too late
        try:
            body = arrived.result()
        except Exception:  # noqa: BLE001 - the client left in the middle of it
            exchange.response_bytes(400, [], b"")  # which nobody reads; without one granian waits for it as it stops
            return
        call = Call(spec, body, headers, arrived_ns, partial(self._reply, exchange), gate)
        if gate.is_watchful or gate.entered - gate.left >= gate.limit:
            refused = gate.refusal(seconds_given(headers, self._options.timeout_s))
            if refused is not None:
                tell = self._refusals.add if isinstance(refused, Overloaded) else self._refuse
                tell((exchange, call, refused))
                return
        gate.entered += 1  # written out, no calls: this is every call's way
        gate.bytes += len(body)
        self._calls.begin(call)

    def _refuse(self, refused: tuple[Exchange, Call, UnstuckError]) -> None:
        exchange, call, why = refused
        self._write(exchange, self._reporter.failed(_other(call), why))

    def _reply(self, exchange: Exchange, call: Call, outcome: Response | BaseException) -> None:
        headers = call.headers
        if not isinstance(outcome, Response):
            response = self._reporter.failed(_other(call), outcome)
        elif outcome.calls is not None or self._wants_headers:
            response = self._reporter.answered(outcome, headers)
        else:
            response = outcome
        if messages.wants_gzip(headers, response):
            self._calls.reply_from_worker(partial(messages.deflate, response), partial(self._send, exchange, call))
        else:
            self._send(exchange, call, response)

    def _send(self, exchange: Exchange, call: Call, outcome: Response | BaseException) -> None:
        gate = call.gate
        gate.left += 1
        gate.bytes -= len(call.body)
        self._write(exchange, outcome if isinstance(outcome, Response) else messages.of_failure(outcome))

    def _write(self, exchange: Exchange, response: Response) -> None:
        if self._options.cors:
            response.headers = [*response.headers, *(CORS_HEADERS if self._access is None else CORS_KEY_HEADERS)]
        exchange.response_bytes(response.status, response.headers, response.body)

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        if self.admin is not None and scope.path.startswith(PREFIX):
            self._write(exchange, await self.admin.answer(cast("CallersScope", scope), exchange))
            return
        if self.pages.has(scope.path):
            self._write(exchange, await self.pages.answer(scope))
            return
        self._others += 1
        try:
            response = await self._answer(scope, exchange)
            if messages.wants_gzip(scope.headers, response):
                response = await self._calls.on_worker(partial(messages.deflate, response))
        finally:  # the client may have left
            self._others -= 1
        self._write(exchange, response)

    async def _answer(self, scope: Scope, exchange: Exchange) -> Response:
        method, path, headers = scope.method, scope.path, scope.headers
        call = OtherCall("rest", "", "", None, perf_counter_ns(), 0, 0, 0, headers=headers)
        try:
            known = self._routes.get((method, path))
            if known is None and method == "OPTIONS":
                return self._reporter.ended(call, _preflight(headers))
            route, gate = known or self._parse_route(method, path)
            call.method, call.model = _METHODS[route.action], route.spec.name
            if self._access is not None:
                self._access.check(headers, _RIGHTS[route.action], route.spec.name)
            if route.action in (Action.STATUS, Action.METADATA):
                return self._reporter.ended(call, self._about_model(route))
            with Held(self._admission, gate) as held:
                body = await self._read(exchange, headers, held)
                call.arrived_ns, call.request_bytes = perf_counter_ns(), len(body)
                response = await self._infer(route, body, headers, held.gate, call.arrived_ns)
            return self._reporter.answered(response, headers)
        except Exception as error:  # noqa: BLE001 - the last seam: no request may go unanswered
            return self._reporter.failed(call, error)

    async def _read(self, exchange: Exchange, headers: HeaderLookup, held: Held) -> bytes:
        """The body, of which no byte is read that there is no room for."""
        refused = held.gate.refusal(seconds_given(headers, self._options.timeout_s))
        if refused is not None:
            raise refused
        if length := headers.get("content-length"):
            held.take(int(length))
        body = await messages.read_body(exchange, headers, self._limits, None if length else held.take)
        held.take(max(len(body) - held.size, 0))  # as it is more, inflated
        return body

    async def _infer(self, route: Route, body: bytes, headers: HeaderLookup, gate: Gate, arrived_ns: int) -> Response:
        gate.entered += 1
        self._others -= 1
        try:
            if route.action is Action.PREDICT:
                return await self._calls.answer(route.spec, body, headers, arrived_ns, gate)
            work = partial(self._about_examples, route, body, arrived_ns)
            return await self._calls.on_worker(work, route.spec.name)
        finally:
            gate.left += 1
            self._others += 1

    def _parse_route(self, method: str, path: str) -> tuple[Route, Gate]:
        route = parse_among(method, path, self._models.statuses())
        known = route, self._admission.gate(route.spec.name)
        if len(path) <= CACHED_PATH_CHARACTERS:
            if len(self._routes) >= CACHED_ROUTES:
                del self._routes[
                    next(iter(self._routes))
                ]  # the oldest: nobody fills it for ever by asking for nonsense
            self._routes[method, path] = known
        return known

    def _about_examples(self, route: Route, body: bytes, arrived_ns: int) -> Response:
        began_ns = perf_counter_ns()
        request = json_examples.parse(body)
        use_case = classify if route.action is Action.CLASSIFY else regress
        answered = use_case(self._models, route.spec, request.signature_name, request.examples)
        result, ran = answered.result, answered.ran
        ran_ns = perf_counter_ns()
        with errors_about(answered.model, answered.signature):
            if isinstance(result, Classes):
                answer = json_examples.encode_classes(result.labels, result.scores)
            else:
                answer = json_examples.encode_values(result.values)
        ran.encode_ns = perf_counter_ns() - ran_ns
        times = [arrived_ns], [ran_ns - began_ns - ran.run_ns], 0
        calls = AnsweredCalls("rest", _METHODS[route.action], ran, *times, len(body), len(answer))
        return messages.with_warnings(Response(200, answer, calls=calls), notices(answered.model, answered.signature))

    def _about_model(self, route: Route) -> Response:
        spec = route.spec
        if route.action is Action.STATUS:
            return Response(200, model_json.status(self._models.status(spec.name, spec.version)))
        model = self._models.find(spec)
        return Response(200, model_json.metadata(model.name, model.version, model.servable.signatures))


def _later(seconds: float, tell: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, tell)


def _other(call: Call) -> OtherCall:
    times = call.arrived_ns, 0
    return OtherCall("rest", "Predict", call.spec.name, None, *times, len(call.body), 0, headers=call.headers)


def _preflight(headers: HeaderLookup) -> Response:
    origin = headers.get("origin") or ""
    if origin.startswith(("http://", "https://")):
        return Response(200, b"", [])
    return Response(400, b"", [])
