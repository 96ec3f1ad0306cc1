"""What the observer hears of calls, and the id by which their answers name them."""

from time import perf_counter_ns
from typing import cast

from unstuck.api.compat import grpc_code
from unstuck.api.grpc.service import Answer
from unstuck.core import request_ids
from unstuck.core.observers import AnsweredCalls, CallObserver, Headers, Method, OtherCall
from unstuck.errors import Code, UnstuckError


class Reporter:
    """Thread-safe. Calls that were answered together are reported where that happens."""

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer
        self.wants_headers = observer.wants_headers

    def ended(
        self, path: str, payload: bytes, arrived_ns: int, headers: Headers | None, outcome: Answer | BaseException
    ) -> str:
        """Reports the end of a call; returns the id that the answer's metadata is to carry, empty for none."""
        method = cast("Method", path.rpartition("/")[2])
        done_ns = perf_counter_ns()
        if isinstance(outcome, Answer) and outcome.ran is not None:
            sizes = len(payload), len(outcome.payload), len(outcome.warnings)
            times = (arrived_ns,), (outcome.parse_ns,), done_ns
            answered = AnsweredCalls("grpc", method, outcome.ran, *times, *sizes)
            self._observer.answered(answered, (headers,) if headers is not None else ())
            return self.given_id(headers)
        call = OtherCall("grpc", method, "", None, arrived_ns, done_ns, len(payload), 0, headers=headers)
        call.request_id = self.given_id(headers)
        if isinstance(outcome, Answer):
            call.response_bytes = len(outcome.payload)
        else:
            call.error, call.code = outcome, Code.INTERNAL
            if isinstance(outcome, UnstuckError):
                call.model, call.code = outcome.model, grpc_code(outcome, path)
            if self.wants_headers:
                call.request_id = call.request_id or request_ids.made()
        self._observer.ended(call)
        return call.request_id

    def given_id(self, headers: Headers | None) -> str:
        """The id that the client gave its call; empty where it gave none, or where nobody wants to know."""
        return request_ids.sane(headers.get(request_ids.HEADER)) if headers is not None else ""
