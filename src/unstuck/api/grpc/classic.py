"""The grpcio server: health, reflection, TLS, compressed answers, and whatever else pygrpc-native cannot do.

grpcio's asyncio server: its threaded one gives a thread to each call before its message has arrived, and to each open
stream: a few silent clients would take them all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from unstuck.api.grpc.names import SERVICES, official_pool
from unstuck.api.grpc.predict import PendingCall, PredictBatches
from unstuck.api.grpc.service import PREDICT, Answer, GrpcService
from unstuck.api.grpc.status import failure, id_metadata, warning_metadata
from unstuck.core.observers import Headers
from unstuck.errors import UnstuckError
from unstuck.guard.access import Grant

HEALTH = "grpc.health.v1.Health"
OPTIONS = {
    "grpc.max_receive_message_length": (1 << 31) - 1,  # what protobuf can hold; -1 would inflate without end
    "grpc.max_send_message_length": -1,
    # Calls that wait to be taken: past the first number they are cancelled at random. A client that opens and resets
    # 500 streams three times fills the default of 1,000, to its neighbours' harm.
    "grpc.server.max_pending_requests": 20_000,
    "grpc.server.max_pending_requests_hard_limit": 40_000,
    "grpc.so_reuseport": 0,  # a second server on the port must fail, not take half of the calls in silence
}
CallerOf = Callable[[Headers], Grant | None]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Health:
    """What the health service says of the server and of each of its services. Belongs to the loop."""

    def __init__(self) -> None:
        self.servicer: Any = HealthServicer()

    async def set_serving(self, serving: bool) -> None:
        """Whether all models are available, and the server is not stopping."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES):
            await self.servicer.set(name, status)


class InFlight:
    """How many calls are being answered. Belongs to the loop."""

    def __init__(self) -> None:
        self.calls = 0


def server(
    service: GrpcService | None,
    calls: PredictBatches | None,
    health: Health | None,
    options: Mapping[str, Any] | None = None,
    in_flight: InFlight | None = None,
    caller_of: CallerOf | None = None,
) -> Any:
    """A ``grpc.aio.Server`` of the running loop, without a port yet.

    Args:
        service: the RPCs to serve; None leaves them out.
        calls: answers those of ``service``.
        health: None leaves the health service out.
        options: channel arguments, over ours.
        in_flight: what counts the calls.
        caller_of: says whose a call of the reflection service is; None where anybody may call it.
    """
    interceptors = [_KeyForReflection(caller_of)] if caller_of else []
    made: Any = grpc.aio.server(interceptors=interceptors, options=list({**OPTIONS, **(options or {})}.items()))
    if service is not None and calls is not None:
        made.add_generic_rpc_handlers(_handlers(service, calls, in_flight or InFlight()))
    names = [*SERVICES, reflection.SERVICE_NAME]
    if health is not None:
        cast("Any", health_pb2_grpc).add_HealthServicer_to_server(health.servicer, made)
        names.append(HEALTH)
    reflection.enable_server_reflection(names, made, pool=official_pool())
    return made


def _handlers(service: GrpcService, calls: PredictBatches, in_flight: InFlight) -> Sequence[grpc.GenericRpcHandler]:
    by_service: dict[str, dict[str, Any]] = {}
    for path in service.rpcs:
        _, name, method = path.split("/")
        handler = cast("Any", grpc).unary_unary_rpc_method_handler(_handler(service, path, calls, in_flight))
        by_service.setdefault(name, {})[method] = handler
    return [grpc.method_handlers_generic_handler(name, methods) for name, methods in by_service.items()]


def _handler(
    service: GrpcService, path: str, calls: PredictBatches, in_flight: InFlight
) -> Callable[[bytes, Any], Awaitable[bytes]]:
    wants_headers, needs_keys = service.observer.wants_headers, service.needs_keys

    async def handle(payload: bytes, context: Any) -> bytes:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Answer | BaseException, str]] = loop.create_future()

        def reply(outcome: Answer | BaseException, request_id: str) -> None:
            with suppress(RuntimeError):  # the loop is closed: the server has stopped
                loop.call_soon_threadsafe(_settle, ended, (outcome, request_id))

        metadata: Headers | None = None
        if wants_headers or needs_keys:
            metadata = dict[Any, Any](context.invocation_metadata() or ())
        headers = metadata if wants_headers else None
        rpc = PendingCall(payload, reply, lambda: not ended.done(), path, perf_counter_ns(), headers, metadata)
        if (left_s := context.time_remaining()) is not None:
            rpc.deadline_ns = rpc.arrived_ns + int(left_s * 1e9)
        in_flight.calls += 1
        try:
            if path == PREDICT:
                calls.answer_on_worker(rpc)
            else:
                calls.on_worker(rpc, service.call(path, payload, context.peer(), metadata))
            outcome, request_id = await ended
            rpc.end()
        except BaseException:  # cancelled, or its deadline has passed
            rpc.give_up()
            raise
        finally:
            in_flight.calls -= 1
        named = id_metadata(request_id)
        if isinstance(outcome, BaseException):
            failed = failure(outcome, path)
            return await context.abort(_CODES[failed.code.number], failed.message, (*failed.metadata, *named))
        context.set_trailing_metadata((*warning_metadata(outcome.warnings), *named))
        return outcome.payload

    return handle


class _KeyForReflection(grpc.aio.ServerInterceptor):
    """Lets whoever has the right ``status`` see what services there are. Health is everybody's."""

    def __init__(self, caller_of: CallerOf) -> None:
        self._caller_of = caller_of

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if handler_call_details.method.startswith(f"/{reflection.SERVICE_NAME}/"):
            try:
                caller = self._caller_of(dict[Any, Any](handler_call_details.invocation_metadata or ()))
                if caller is not None:
                    caller.check_any("status")
            except UnstuckError as error:
                return cast("Any", grpc).stream_stream_rpc_method_handler(_refusing(error, handler_call_details.method))
        return await continuation(handler_call_details)


def _refusing(error: UnstuckError, path: str) -> Callable[[Any, Any], Awaitable[None]]:
    async def refuse(_: Any, context: Any) -> None:
        failed = failure(error, path)
        await context.abort(_CODES[failed.code.number], failed.message, tuple(failed.metadata))

    return refuse


def _settle(ended: "asyncio.Future[Any]", outcome: object) -> None:
    if not ended.done():  # else its client has gone
        ended.set_result(outcome)
