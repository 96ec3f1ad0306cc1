"""What the observer hears of requests, and the id by which their answers name them."""

from time import perf_counter_ns

from unstuck.api.rest import messages
from unstuck.api.rest.messages import HeaderLookup, Response
from unstuck.core import request_ids
from unstuck.core.observers import CallObserver, OtherCall
from unstuck.errors import Code, UnstuckError


class Reporter:
    """Thread-safe. Calls that were answered together are reported where that happens."""

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer
        self._wants_headers = observer.wants_headers

    def answered(self, response: Response, headers: HeaderLookup) -> Response:
        """The response to a predict call or to one about examples, which carries what is to be reported."""
        calls = response.calls
        if calls is not None:
            calls.done_ns = perf_counter_ns()
            self._observer.answered(calls, (headers,) if self._wants_headers else ())
        if self._wants_headers and (name := request_ids.sane(headers.get(request_ids.HEADER))):
            response.headers = [*response.headers, (request_ids.HEADER, name)]
        return response

    def failed(self, call: OtherCall, error: BaseException) -> Response:
        """The response to a call that ended with ``error``."""
        response = messages.of_failure(error)
        call.error, call.code = error, error.code if isinstance(error, UnstuckError) else Code.INTERNAL
        if self._wants_headers and call.headers is not None:
            call.request_id = request_ids.sane(call.headers.get(request_ids.HEADER)) or request_ids.made()
            response.headers = [*response.headers, (request_ids.HEADER, call.request_id)]
        return self.ended(call, response)

    def ended(self, call: OtherCall, response: Response) -> Response:
        """The response to a call that runs no model."""
        call.done_ns, call.response_bytes = perf_counter_ns(), len(response.body)
        self._observer.ended(call)
        return response
