"""Longer predict calls over REST: begun on the loop, run elsewhere, ended on the loop by an answer or their timeout."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from unstuck.api.rest import forms
from unstuck.api.rest.calls import Call, Parsed
from unstuck.api.rest.messages import Response
from unstuck.batching.batches import Batches
from unstuck.batching.fair import FairThreads
from unstuck.core.observers import Ran
from unstuck.errors import DeadlineExceeded
from unstuck.guard.deadlines import seconds_given
from unstuck.inference.placement import Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import merge_key
from unstuck.inference.waiting import WaitingCall

Report = Callable[[Ran, Sequence[Call], Sequence[int], Sequence[bytes], int], None]


def timed_out(timeout_s: float | None) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"The call took longer than {timeout_s:g} s.",
        hint="Send fewer rows in a request, or give it more time: --rest_api_timeout_in_ms, and the call's own header.",
    )


class LongerCalls:
    """Belongs to one event loop. Runs calls in batches with others where they can share a run, else in ``workers``."""

    def __init__(
        self,
        workers: FairThreads,
        timeout_s: float | None,
        batches: Batches[WaitingCall[Parsed]] | None,
        placement: Placement,
        report: Report,
    ) -> None:
        """``report`` hears, on the loop, of calls that a batch has answered, as ``PredictCalls`` does of its own."""
        self._workers = workers
        self._timeout_s = timeout_s
        self._batches = batches
        self._placement = placement
        self._report = report

    # On the loop.

    def begin(self, parsed: Parsed) -> None:
        """Replies to a call later."""
        self._leave_loop(parsed.call)
        if not self._wait_for_batch(parsed):
            self._workers.submit_for(parsed.call.spec.name, self._run, parsed)

    def begin_unread(self, call: Call, prepare: Callable[[Call], Parsed]) -> None:
        """Replies to a call later, which ``prepare`` reads on a worker thread."""
        self._leave_loop(call)
        self._workers.submit_for(call.spec.name, self._read, call, prepare)

    def begin_joined(self, calls: Sequence[Call], joined: PreparedCall) -> bool:
        """Replies later to calls that were read as one; which of them run together is for ``batches`` to say.

        False, and no reply, where there are no batches.
        """
        if self._batches is None:
            return False
        end = 0
        for call, rows in zip(calls, joined.rows, strict=True):
            end += rows
            inputs = {alias: array[end - rows : end] for alias, array in joined.inputs.items()}
            prepared = PreparedCall(joined.model, joined.signature, inputs, [], parse_ns=joined.parse_ns)
            self._leave_loop(call)
            try:
                self._wait_for_batch(Parsed(call, forms.JSON_ROWS, prepared))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
                call.reply_once(error)
        return True

    def _leave_loop(self, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        timeout_s = seconds_given(call.headers, self._timeout_s)
        if timeout_s is not None:
            call.timer = self._loop.call_later(timeout_s, self._expire, call, timeout_s)

    def _expire(self, call: Call, timeout_s: float) -> None:
        call.gate.give_up()
        call.reply_once(timed_out(timeout_s))

    def _end_batch(self, ran: Ran, calls: Sequence[Parsed], answers: Sequence[bytes]) -> None:
        wanted = [(parsed, answer) for parsed, answer in zip(calls, answers, strict=True) if parsed.is_wanted()]
        if not wanted:
            return
        parse_ns = [parsed.prepared.parse_ns for parsed, _ in wanted]
        warnings = sum([len(parsed.prepared.warnings) for parsed, _ in wanted])
        wanted[0][0].call.gate.concurrency.ran(ran.run_ns / 1e9, len(calls))
        self._report(ran, [parsed.call for parsed, _ in wanted], parse_ns, [answer for _, answer in wanted], warnings)
        for parsed, answer in wanted:
            parsed.call.reply_once(parsed.response(answer))

    # On any thread.

    def answered(self, ran: Ran, calls: Sequence[WaitingCall[Parsed]], answers: Sequence[bytes]) -> None:
        """One batch has answered ``calls``."""
        self._on_loop(self._end_batch, ran, [call.sent for call in calls], answers)

    def failed(self, call: WaitingCall[Parsed], error: BaseException) -> None:
        """A call that waited for a batch has no answer."""
        self._on_loop(call.sent.call.reply_once, error)

    def _wait_for_batch(self, parsed: Parsed) -> bool:
        """False for a call that cannot share a run."""
        key = merge_key(parsed.prepared)
        if self._batches is None or key is None:
            return False
        waiting = WaitingCall(parsed.prepared, parsed.encode, parsed.is_wanted, self, parsed, parsed.overdue)
        self._batches.add(key, waiting, waiting.rows)
        return True

    def _on_loop(self, ended: Callable[..., None], *what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(ended, *what)

    # On worker threads.

    def _read(self, call: Call, prepare: Callable[[Call], Parsed]) -> None:
        if call.ended:
            return
        try:
            if (late := call.gate.overdue(call.arrived_ns)) is not None:
                raise late
            parsed = prepare(call)
            if self._wait_for_batch(parsed):
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._on_loop(call.reply_once, error)
        else:
            self._run(parsed)

    def _run(self, parsed: Parsed) -> None:
        if parsed.call.ended:
            return
        outcome: Response | BaseException
        try:
            if (late := parsed.overdue()) is not None:
                raise late
            outcome = self._placement.run(parsed.prepared.key(), parsed.run)
            parsed.learn()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            outcome = error
        self._on_loop(parsed.call.reply_once, outcome)
