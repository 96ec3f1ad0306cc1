"""The REST application: routes a request, calls one use case, encodes, maps errors."""

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import orjson

from unstuck.api.rest import messages
from unstuck.api.rest.messages import BodyFuture, Exchange, HeaderLookup, Response
from unstuck.api.rest.paths import Action, Route, parse_among
from unstuck.api.rest.predict import LOOP_BODY_BYTES, PredictCalls
from unstuck.codecs import json_examples, model_json
from unstuck.core.models import ModelSpec, VersionStatus
from unstuck.core.servables import Models
from unstuck.errors import NotFound
from unstuck.inference.examples import Classes, classify, regress
from unstuck.inference.predict import errors_about

CACHED_ROUTES = 1024
CORS_HEADERS = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "POST, GET"),
    ("access-control-allow-headers", "Content-Type"),
]


class ServedModels(Models, Protocol):
    """The lookup, and what the status pages ask."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]: ...

    def statuses(self) -> dict[str, list[VersionStatus]]: ...

    @property
    def ready(self) -> bool: ...


class Scope(Protocol):
    """The part of RSGI's scope that is used here."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> HeaderLookup: ...


@dataclass(frozen=True, slots=True)
class RestOptions:
    """See ServerConfig for the meaning of each."""

    timeout_s: float | None
    cors: bool
    max_body_bytes: int
    strict_inputs: bool


class RestApp:
    """An RSGI application, on one event loop; calls that are not short run in ``workers``."""

    def __init__(self, models: ServedModels, workers: Executor, options: RestOptions) -> None:
        self._models = models
        self._options = options
        self._loop_bytes = min(LOOP_BODY_BYTES, options.max_body_bytes)
        self._calls = PredictCalls(models, workers, options.timeout_s, options.strict_inputs)
        self._routes: dict[tuple[str, str], Route] = {}
        self.in_flight = 0
        self.draining = False

    def begin(self, scope: Scope, exchange: Exchange) -> bool:
        """Answers nearly every request, without a coroutine or a task: a small predict call. False: not that kind.

        May be called on any thread; everything else here belongs to the loop's.
        """
        route = self._routes.get((scope.method, scope.path))
        headers = scope.headers
        if route is None or route.action is not Action.PREDICT or not messages.is_plain(headers, self._loop_bytes):
            return False
        exchange().add_done_callback(partial(self._with_body, route.spec, headers, exchange))
        return True

    def _with_body(self, spec: ModelSpec, headers: HeaderLookup, exchange: Exchange, arrived: BodyFuture) -> None:
        try:
            body = arrived.result()
        except Exception:  # noqa: BLE001 - the client left in the middle of it: there is nobody to answer
            return
        self.in_flight += 1
        self._calls.begin(spec, body, partial(self._reply, headers, exchange))

    def _reply(self, headers: HeaderLookup, exchange: Exchange, outcome: Response | BaseException) -> None:
        response = outcome if isinstance(outcome, Response) else messages.of_failure(outcome)
        if messages.wants_gzip(headers, response):
            self._calls.reply_from_worker(partial(messages.deflate, response), partial(self._send, exchange))
        else:
            self._send(exchange, response)

    def _send(self, exchange: Exchange, outcome: Response | BaseException) -> None:
        response = outcome if isinstance(outcome, Response) else messages.of_failure(outcome)
        self.in_flight -= 1
        if self._options.cors:
            response.headers = [*response.headers, *CORS_HEADERS]
        exchange.response_bytes(response.status, response.headers, response.body)

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        self.in_flight += 1
        try:
            response = await self._answer(scope, exchange)
            if messages.wants_gzip(scope.headers, response):
                response = await self._calls.on_worker(partial(messages.deflate, response))
        except BaseException:  # cancelled: the client left
            self.in_flight -= 1
            raise
        self._send(exchange, response)

    async def _answer(self, scope: Scope, exchange: Exchange) -> Response:
        method, path = scope.method, scope.path
        try:
            route = self._routes.get((method, path))
            if route is None:
                if path[:4].lower() != "/v1/":
                    return self._own_page(method, path)
                if method == "OPTIONS":
                    return _preflight(scope.headers)
                route = self._parse_route(method, path)
            if route.action is Action.PREDICT:
                body = await messages.read_body(exchange, scope.headers, self._options.max_body_bytes)
                return await self._calls.answer(route.spec, body)
            if route.action in (Action.CLASSIFY, Action.REGRESS):
                body = await messages.read_body(exchange, scope.headers, self._options.max_body_bytes)
                return await self._calls.on_worker(partial(self._about_examples, route, body))
            return self._about_model(route)
        except Exception as error:  # noqa: BLE001 - the last seam: no request may go unanswered
            return messages.of_failure(error)

    def _parse_route(self, method: str, path: str) -> Route:
        route = parse_among(method, path, self._models.statuses())
        if len(self._routes) < CACHED_ROUTES:
            self._routes[method, path] = route
        return route

    def _about_examples(self, route: Route, body: bytes) -> Response:
        request = json_examples.parse(body)
        use_case = classify if route.action is Action.CLASSIFY else regress
        answered = use_case(self._models, route.spec, request.signature_name, request.examples)
        result = answered.result
        with errors_about(answered.model, answered.signature):
            if isinstance(result, Classes):
                return Response(200, json_examples.encode_classes(result.labels, result.scores))
            return Response(200, json_examples.encode_values(result.values))

    def _about_model(self, route: Route) -> Response:
        spec = route.spec
        if route.action is Action.STATUS:
            return Response(200, model_json.status(self._models.status(spec.name, spec.version)))
        model = self._models.find(spec)
        return Response(200, model_json.metadata(model.name, model.version, model.servable.signatures))

    def _own_page(self, method: str, path: str) -> Response:
        if method not in ("GET", "HEAD") or path not in ("/healthz", "/readyz"):
            raise NotFound(
                f"There is nothing at {method} {path}.",
                hint="The API is under /v1/models/; health is at /healthz and /readyz.",
            )
        if path == "/healthz":
            return Response(200, b'{"status":"alive"}')
        ready = self._models.ready and not self.draining
        models = {name: _states(statuses) for name, statuses in self._models.statuses().items()}
        state = "ready" if ready else "draining" if self.draining else "not ready"
        return Response(200 if ready else 503, orjson.dumps({"status": state, "models": models}))


def _preflight(headers: HeaderLookup) -> Response:
    origin = headers.get("origin") or ""
    if origin.startswith(("http://", "https://")):
        return Response(200, b"", [])
    return Response(400, b"", [])


def _states(statuses: list[VersionStatus]) -> dict[str, str]:
    return {
        str(each.version): f"{each.state.name}: {each.error}" if each.error else each.state.name for each in statuses
    }
