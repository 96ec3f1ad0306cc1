"""What each method of a client does, without doing it: generators that yield what to send and when to wait."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from unstuck.client.examples import examples_json
from unstuck.client.failures import Unreachable, UnreadableAnswer
from unstuck.client.inputs import bind
from unstuck.client.messages import Call, Classes, Flow, ModelMetadata, Pause, Reply, Send, Wire
from unstuck.client.prediction import Prediction
from unstuck.core.models import ModelSpec, VersionStatus
from unstuck.core.signatures import DEFAULT_SIGNATURE, Tensor
from unstuck.errors import Code, DeadlineExceeded, InvalidRequest, NotFound, UnknownSignature, UnstuckError

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0
MOST_CUT_OFF = 1  # tries whose connection ended: what kills the process that it reaches must not reach them all

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, and how often it is tried again.

    Attributes:
        timeout_s: for all tries of a method together, the pauses between them too; None is forever.
        retries: how many tries after the first.
        clock: seconds, of any beginning.
        jitter: a number from 0 to 1.
    """

    timeout_s: float | None
    retries: int
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def deadline(self) -> float | None:
        return None if self.timeout_s is None else self.clock() + self.timeout_s

    def left_s(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self.clock(), 0.001)

    def pause_s(self, failed: int, wanted_s: float) -> float:
        """How long to wait after the ``failed``-th failure, at least the ``wanted_s`` that the server asked for."""
        most = min(FIRST_PAUSE_S * 2 ** (failed - 1), MAX_PAUSE_S)
        return max(wanted_s, most * (0.5 + self.jitter() / 2))


class Calls:
    """The calls to one model; remembers its signatures. Thread-safe: what is remembered is replaced whole."""

    def __init__(self, wire: Wire, spec: ModelSpec, patience: Patience) -> None:
        self._wire = wire
        self._spec = spec
        self._patience = patience
        self._metadata: ModelMetadata | None = None

    def metadata(self) -> Flow[ModelMetadata]:
        return self._read_metadata(self._patience.deadline())

    def status(self) -> Flow[list[VersionStatus]]:
        return self._exchange(self._wire.status(self._spec), self._patience.deadline())

    def known_metadata(self) -> Flow[ModelMetadata]:
        """The metadata as it was read first, or last."""
        if self._metadata is None:
            return (yield from self.metadata())
        return self._metadata

    def predict(self, signature_name: str, inputs: object, named: Mapping[str, object]) -> Flow[Prediction]:
        deadline = self._patience.deadline()
        call = None
        if self._metadata is not None:
            # What is remembered may be of a version that serves no longer: a call that does not fit is tried on news.
            with suppress(UnstuckError):
                call = self._predict_call(self._metadata, signature_name, inputs, named)
        if call is None:
            metadata = yield from self._read_metadata(deadline)
            call = self._predict_call(metadata, signature_name, inputs, named)
        try:
            return (yield from self._exchange(call, deadline))
        except (InvalidRequest, NotFound, UnreadableAnswer):
            self._metadata = None
            raise

    def classify(
        self, signature_name: str, examples: Sequence[Mapping[str, object]], context: Mapping[str, object] | None
    ) -> Flow[Classes]:
        call = self._wire.classify(self._spec, signature_name, examples_json(examples, context))
        return (yield from self._exchange(call, self._patience.deadline()))

    def regress(
        self, signature_name: str, examples: Sequence[Mapping[str, object]], context: Mapping[str, object] | None
    ) -> Flow[Tensor]:
        call = self._wire.regress(self._spec, signature_name, examples_json(examples, context))
        return (yield from self._exchange(call, self._patience.deadline()))

    def _predict_call(
        self, metadata: ModelMetadata, signature_name: str, inputs: object, named: Mapping[str, object]
    ) -> Call[Prediction]:
        name = signature_name or DEFAULT_SIGNATURE
        signature = metadata.signatures.get(name)
        if signature is None:
            raise UnknownSignature(self._spec.name, name, metadata.signatures)
        return self._wire.predict(self._spec, signature, bind(signature, inputs, named))

    def _read_metadata(self, deadline: float | None) -> Flow[ModelMetadata]:
        self._metadata = metadata = yield from self._exchange(self._wire.metadata(self._spec), deadline)
        return metadata

    def _exchange(self, call: Call[T], deadline: float | None) -> Flow[T]:
        """Sends the call until it is answered, or fails for good."""
        patience = self._patience
        failed = cut_off = 0
        while True:
            wanted_s = 0.0
            try:
                reply = yield Send(call.request, patience.left_s(deadline))
                assert reply is not None
                error = self._wire.failure(reply)
                if error is None:
                    return call.read(reply)
                if (other := call.instead(error)) is not None:
                    call = other
                    continue
                wanted_s = _retry_after_s(reply)
            except Unreachable as unreachable:
                error = unreachable
            except (
                DeadlineExceeded
            ) as late:  # the transport's, which knows what was left of the time, not what was given
                whole = f"{late.message.removesuffix('.')} within {patience.timeout_s:g} s."
                raise DeadlineExceeded(whole, hint=late.hint) from late
            failed += 1
            cut_off += isinstance(error, Unreachable) and error.may_have_run
            pause_s = patience.pause_s(failed, wanted_s)
            left_s = patience.left_s(deadline)
            is_last = failed > patience.retries or cut_off > MOST_CUT_OFF or (left_s is not None and pause_s >= left_s)
            if is_last or error.code is not Code.UNAVAILABLE:
                raise error
            yield Pause(pause_s)


def _retry_after_s(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
