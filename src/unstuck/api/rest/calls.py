"""One predict call over REST, as it came, and as it was read."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from unstuck.api.rest import messages
from unstuck.api.rest.forms import Sent
from unstuck.api.rest.messages import HeaderLookup, Response
from unstuck.core.models import ModelSpec
from unstuck.core.observers import AnsweredCalls
from unstuck.core.signatures import Tensors
from unstuck.errors import UnstuckError
from unstuck.guard.gates import Gate, open_gate
from unstuck.inference.predict import PreparedCall


@dataclass(slots=True)
class Call:
    """One predict call.

    Attributes:
        spec: the model asked for.
        body: as sent, inflated.
        headers: of the request.
        arrived_ns: when its head was there, or for a large body when all of it was.
        reply: hears, on the loop, the response or the error instead of it.
        ended: whether it was answered, or nobody waits for it any more.
        gate: of the model, through which it came in.
        timer: ends it, once it is no short one.
    """

    spec: ModelSpec
    body: bytes
    headers: HeaderLookup
    arrived_ns: int
    reply: "Callable[[Call, Response | BaseException], None]"
    gate: Gate = field(default_factory=open_gate)
    ended: bool = False
    timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Nobody waits for it any more."""
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()

    def reply_once(self, outcome: Response | BaseException) -> None:
        """Replies, unless it has ended. On the loop."""
        if not self.ended:
            self.end()
            self.reply(self, outcome)


@dataclass(slots=True)
class Parsed:
    """A call, what its body holds, and what it asks for."""

    call: Call
    sent: Sent
    prepared: PreparedCall

    def is_wanted(self) -> bool:
        return not self.call.ended

    def overdue(self) -> UnstuckError | None:
        """Why it is not run any more, if so."""
        return self.call.gate.overdue(self.call.arrived_ns)

    def learn(self) -> None:
        """Lets the gate know how long it ran alone."""
        if self.prepared.ran is not None:
            self.call.gate.concurrency.ran(self.prepared.ran.run_ns / 1e9)

    def encode(self, outputs: Tensors) -> bytes:
        return self.sent.encode(self.prepared, outputs)

    def run(self) -> Response:
        """Answers it alone; the response has what is to be reported."""
        call, prepared = self.call, self.prepared
        body = prepared.run(self.encode)
        assert prepared.ran is not None
        response = self.response(body)
        times = [call.arrived_ns], [prepared.parse_ns], 0
        response.calls = AnsweredCalls(
            "rest", "Predict", prepared.ran, *times, len(call.body), len(body), len(prepared.warnings)
        )
        return response

    def response(self, body: bytes) -> Response:
        """``body`` with what is said besides."""
        response, said = Response(200, body, self.sent.headers), self.prepared.said
        return messages.with_warnings(response, said) if said else response
