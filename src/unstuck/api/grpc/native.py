"""The fast front end: pygrpc-native, whose HTTP/2 work runs in Rust; plaintext only (docs/adr/0004).

Its low-level API hands over the calls that came since the last time in one batch, which one thread of ours answers.
"""

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from pygrpc_native import EVENT_CALL, NativeGrpcFront

from unstuck.api.grpc.predict import PendingCall, PredictBatches
from unstuck.api.grpc.service import PREDICT, Answer, GrpcService
from unstuck.api.grpc.status import failure, id_metadata, warning_metadata
from unstuck.errors import Code
from unstuck.guard.refusals import DELAY_S

Event = tuple[Any, ...]  # kind, call id, method, payload, client; then metadata and more, where it is asked for

BATCH = 64
IO_THREADS = 1
POLL_S = 0.01
FLUSH_S = 0.2  # answers are written by a thread of the front end's, for which closing it does not wait
KEEPALIVE_TIME_MS = 7_200_000

log = logging.getLogger(__name__)
logging.getLogger("pygrpc_native").addFilter(lambda record: "could not bind" not in record.getMessage())  # we say it


class NativeListener:
    """One bound address. ``start`` and ``stop`` once each, from any thread."""

    def __init__(self, target: str, *, with_metadata: bool = False, shares_port: bool = False) -> None:
        """Binds ``target``.

        Args:
            target: as in ``127.0.0.1:8500`` or ``unix:/run/x.sock``.
            with_metadata: whether calls are handed on with their metadata, which costs each of them something.
            shares_port: other processes of this server listen on it, too.

        Raises:
            OSError: it cannot be bound.
        """
        self._front = NativeGrpcFront(
            target,
            [],
            io_threads=IO_THREADS,
            call_details=True,  # with their deadlines, and word of those that pass
            keepalive_time_ms=KEEPALIVE_TIME_MS,
            keepalive_permit_without_calls=False,
            reuse_port=shares_port,
        )
        self._with_metadata = with_metadata
        self.batches = 0  # begun and ended: odd while the thread that answers is at one
        self.thread_id = 0
        self._live: dict[int, PendingCall] = {}
        self._draining = False
        self._paths: list[str] = []

    @property
    def port(self) -> int:
        return self._front.bound_port

    @property
    def in_flight(self) -> int:
        return len(self._live)

    def start(self, service: GrpcService, calls: PredictBatches, fallback_socket: str) -> None:
        """Answers calls from now on; those of no RPC of ``service`` by the server at ``fallback_socket``."""
        self._service = service
        self._calls = calls
        self._paths = list(service.rpcs)
        self._front.add_methods([(path, False) for path in self._paths])
        self._front.set_fallback(fallback_socket)
        self._front.start()
        threading.Thread(target=self._dispatch, name="unstuck-grpc", daemon=True).start()

    def stop(self, timeout_s: float) -> None:
        """Refuses new calls, lets those in flight finish, and closes after ``timeout_s`` at the latest."""
        self._draining = True
        deadline = time.monotonic() + timeout_s
        while self._live and time.monotonic() < deadline:
            time.sleep(POLL_S)
        time.sleep(FLUSH_S)
        self._front.close()

    def _dispatch(self) -> None:
        self.thread_id = threading.get_native_id()
        while (events := self._front.recv_batch_details(BATCH)) is not None:
            self.batches += 1
            try:
                took_all = self._answer(events)
            except Exception as error:  # this thread must go on, and no call may wait for ever
                log.exception("A batch of calls failed")
                for event in events:
                    self._reply(event[1], self._paths[event[2]], error, "")
                took_all = True
            self.batches += 1
            if not took_all:
                time.sleep(DELAY_S)  # those that come meanwhile are told together

    def _answer(self, events: Sequence[Event]) -> bool:
        arrived_ns = time.perf_counter_ns()
        predicts: list[PendingCall] = []
        for kind, call_id, method, payload, peer, details in events:
            if kind != EVENT_CALL or payload is None:
                if (gone := self._live.pop(call_id, None)) is not None:
                    gone.give_up()  # cancelled, or its deadline has passed
            elif self._draining:
                self._front.fail(call_id, Code.UNAVAILABLE.number, "The server is stopping.")
            else:
                path = self._paths[int(method)]
                wanted = partial(self._live.__contains__, call_id)
                metadata = dict(details[0]) if self._with_metadata else None
                headers = metadata if self._service.observer.wants_headers else None
                reply = partial(self._reply, call_id, path)
                call = PendingCall(payload, reply, wanted, path, arrived_ns, headers, metadata)
                if (left_s := details[2]) is not None:
                    call.deadline_ns = arrived_ns + int(left_s * 1e9)
                self._live[call_id] = call
                if path == PREDICT:
                    predicts.append(call)
                else:
                    self._calls.on_worker(call, self._service.call(path, payload, str(peer), metadata))
        return self._calls.answer(predicts)

    def _reply(self, call_id: int, path: str, outcome: Answer | BaseException, request_id: str) -> None:
        if call_id not in self._live:
            return
        named = id_metadata(request_id) if request_id else []
        if isinstance(outcome, Answer):
            metadata = [*warning_metadata(outcome.warnings), *named] if outcome.warnings or named else None
            self._front.respond(call_id, outcome.payload, trailing_metadata=metadata)
        else:
            failed = failure(outcome, path)
            self._front.fail(call_id, failed.code.number, failed.message, trailing_metadata=[*failed.metadata, *named])
        self._forget(call_id)

    def _forget(self, call_id: int) -> None:
        call = self._live.pop(call_id, None)  # by one thread alone
        if call is not None:
            call.end()
