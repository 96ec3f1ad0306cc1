"""The fast front end: pygrpc-native, whose HTTP/2 work runs in Rust; plaintext only (docs/adr/0004).

Its low-level API hands over the calls that came since the last time in one batch, which one thread of ours answers.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

from pygrpc_native import EVENT_CALL, NativeGrpcFront

from unstuck.api.grpc.predict import PendingCall, PredictBatches, reply_if_wanted
from unstuck.api.grpc.service import PREDICT, Answer, GrpcService
from unstuck.api.grpc.status import failure, warning_metadata
from unstuck.errors import Code

Event = tuple[int, int, int, bytes | None, object]  # kind, call id, method, payload, client

BATCH = 64
IO_THREADS = 1
POLL_S = 0.01
KEEPALIVE_TIME_MS = 7_200_000

log = logging.getLogger(__name__)


class NativeListener:
    """One bound address. ``start`` and ``stop`` once each, from any thread."""

    def __init__(self, target: str) -> None:
        """Binds ``target`` (``127.0.0.1:8500``, ``unix:/run/x.sock``). Raises OSError where it cannot."""
        self._front = NativeGrpcFront(
            target, [], io_threads=IO_THREADS, keepalive_time_ms=KEEPALIVE_TIME_MS, keepalive_permit_without_calls=False
        )
        self._live: set[int] = set()
        self._draining = False
        self._paths: list[str] = []

    @property
    def port(self) -> int:
        return self._front.bound_port

    def start(self, service: GrpcService, workers: Executor, fallback_socket: str) -> None:
        """Answers calls from now on; those of no RPC of ``service`` by the server at ``fallback_socket``."""
        self._service = service
        self._workers = workers
        self._batches = PredictBatches(service, workers)
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
        self._front.close()

    def _dispatch(self) -> None:
        while (events := self._front.recv_batch(BATCH)) is not None:
            try:
                self._answer(events)
            except Exception as error:  # this thread must go on, and no call may wait for ever
                log.exception("A batch of calls failed")
                for _, call_id, method, _, _ in events:
                    self._reply(call_id, self._paths[method], error)

    def _answer(self, events: Sequence[Event]) -> None:
        predicts: list[PendingCall] = []
        for kind, call_id, method, payload, peer in events:
            if kind != EVENT_CALL or payload is None:
                self._live.discard(call_id)  # cancelled, or its deadline has passed
            elif self._draining:
                self._front.fail(call_id, Code.UNAVAILABLE.number, "The server is stopping.")
            else:
                self._live.add(call_id)
                path = self._paths[method]
                wanted = partial(self._live.__contains__, call_id)
                call = PendingCall(payload, partial(self._reply, call_id, path), wanted)
                if path == PREDICT:
                    predicts.append(call)
                else:
                    self._workers.submit(reply_if_wanted, call, self._service.call(path, payload, str(peer)))
        self._batches.answer(predicts)

    def _reply(self, call_id: int, path: str, outcome: Answer | BaseException) -> None:
        if call_id not in self._live:
            return
        if isinstance(outcome, Answer):
            metadata = warning_metadata(outcome.warnings) if outcome.warnings else None
            self._front.respond(call_id, outcome.payload, trailing_metadata=metadata)
        else:
            failed = failure(outcome, path)
            self._front.fail(call_id, failed.code.number, failed.message, trailing_metadata=failed.metadata)
        self._live.discard(call_id)
