"""The REST application: routes a request, calls one use case, encodes, maps errors."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import orjson

from unstuck.api.compat import rest_body_is_empty
from unstuck.api.rest import messages
from unstuck.api.rest.messages import Exchange, HeaderLookup, Response
from unstuck.api.rest.paths import Action, Route, parse
from unstuck.batching.merger import Merger
from unstuck.codecs import model_json, predict_json
from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.servables import Models
from unstuck.core.signatures import Tensors
from unstuck.errors import Code, DeadlineExceeded, EngineError, NotFound, UnstuckError, UnsupportedType
from unstuck.inference.placement import Placement
from unstuck.inference.predict import PreparedCall, prepare

LOOP_BODY_BYTES = 64 * 1024  # a larger body is parsed on a worker thread: reading it would hold up the loop
CACHED_ROUTES = 1024
CORS_HEADERS = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "POST, GET"),
    ("access-control-allow-headers", "Content-Type"),
]

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class ServedModels(Models, Protocol):
    """The lookup, and what the status pages ask."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]: ...

    def statuses(self) -> dict[str, list[VersionStatus]]: ...

    @property
    def ready(self) -> bool: ...


class Scope(Protocol):
    """The part of RSGI's scope that is used here."""

    @property
    def proto(self) -> str: ...

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
    """An RSGI application. Runs on one event loop; calls that are not short run in ``workers``."""

    def __init__(self, models: ServedModels, workers: Executor, options: RestOptions) -> None:
        self._models = models
        self._workers = workers
        self._options = options
        self._placement = Placement()
        self._merger = Merger(lambda call, run: self._placement.run_inline(call.key, run))
        self._routes: dict[tuple[str, str], Route] = {}
        self.in_flight = 0
        self.draining = False

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        self.in_flight += 1
        try:
            response = await self._answer(scope, exchange)
            if len(response.body) >= messages.GZIP_MIN_BYTES and messages.accepts_gzip(scope.headers):
                response = await self._on_worker(partial(messages.deflate, response))
            if self._options.cors:
                response.headers = [*response.headers, *CORS_HEADERS]
            exchange.response_bytes(response.status, response.headers, response.body)
        finally:
            self.in_flight -= 1

    async def _answer(self, scope: Scope, exchange: Exchange) -> Response:
        method, path = scope.method, scope.path
        try:
            if path[:4].lower() != "/v1/":
                return self._own_page(method, path)
            if method == "OPTIONS":
                return _preflight(scope.headers)
            route = self._route(method, path)
            if route.action is Action.PREDICT:
                return await self._predict(route.spec, scope.headers, exchange)
            return self._about_model(route)
        except UnstuckError as error:
            response = Response.of_error(error)
            if rest_body_is_empty(error):
                response.body = b""
            return response
        except Exception as error:  # the last seam: no request may go unanswered
            log.exception("%s %s failed inside the server", method, path)
            return Response.of_error(EngineError(f"Internal error: {error!r}", code=Code.INTERNAL))

    def _route(self, method: str, path: str) -> Route:
        route = self._routes.get((method, path))
        if route is None:
            route = parse(method, path)
            if len(self._routes) < CACHED_ROUTES:
                self._routes[method, path] = route
        return route

    async def _predict(self, spec: ModelSpec, headers: HeaderLookup, exchange: Exchange) -> Response:
        body = await messages.read_body(exchange, headers, self._options.max_body_bytes)
        if len(body) > LOOP_BODY_BYTES:
            return await self._on_worker(partial(self._predict_on_worker, spec, body))
        request, call = self._prepare(spec, body)
        if self._placement.is_short(call.key):
            if call.is_mergeable:
                return _answered(request, call, await self._merger.run(call))
            return self._placement.run_inline(call.key, partial(_run, request, call))
        work = partial(_run, request, call)
        return await self._on_worker(partial(self._placement.run_on_thread, call.key, work))

    def _predict_on_worker(self, spec: ModelSpec, body: bytes) -> Response:
        request, call = self._prepare(spec, body)
        return _run(request, call)

    def _prepare(self, spec: ModelSpec, body: bytes) -> tuple[predict_json.JsonPredictRequest, PreparedCall]:
        request = predict_json.parse(body)
        return request, prepare(self._models, spec, request, strict_inputs=self._options.strict_inputs)

    async def _on_worker(self, work: Callable[[], Result]) -> Result:
        """Runs ``work`` on a worker thread; after the timeout its result is not waited for any longer."""
        future = asyncio.get_running_loop().run_in_executor(self._workers, work)
        try:
            return await asyncio.wait_for(future, self._options.timeout_s)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The call took longer than {self._options.timeout_s:g} s.",
                hint="Send fewer rows in a request, or raise --rest_api_timeout_in_ms.",
            ) from None

    def _about_model(self, route: Route) -> Response:
        spec = route.spec
        if route.action is Action.STATUS:
            return Response(200, model_json.status(self._models.status(spec.name, spec.version)))
        if route.action is Action.METADATA:
            model = self._models.find(spec)
            return Response(200, model_json.metadata(model.name, model.version, model.servable.signatures))
        raise UnsupportedType(
            f":{route.action.value} is not built yet.", hint="Call :predict with the same signature_name."
        )

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


def _run(request: predict_json.JsonPredictRequest, call: PreparedCall) -> Response:
    return _answered(request, call, call.run())


def _answered(request: predict_json.JsonPredictRequest, call: PreparedCall, outputs: Tensors) -> Response:
    response = Response(200, predict_json.encode(outputs, request.format))
    return messages.with_warnings(response, call.warnings) if call.warnings else response


def _preflight(headers: HeaderLookup) -> Response:
    origin = headers.get("origin") or ""
    if origin.startswith(("http://", "https://")):
        return Response(200, b"", [])
    return Response(400, b"", [])


def _states(statuses: list[VersionStatus]) -> dict[str, str]:
    return {
        str(each.version): each.state.name if each.state is not State.END else f"END: {each.error}" for each in statuses
    }
