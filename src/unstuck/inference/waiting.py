"""Longer calls that wait for a batch, and what is done with a batch of them."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns, thread_time_ns
from typing import Any, Generic, Protocol, TypeVar

from unstuck.core.observers import Ran
from unstuck.core.signatures import Tensors
from unstuck.errors import UnstuckError
from unstuck.inference.placement import SHORT_NS, Placement
from unstuck.inference.predict import PreparedCall, about
from unstuck.inference.together import run_together

Sent = TypeVar("Sent")


class Caller(Protocol[Sent]):
    """The front end that a call came by. Told on a worker thread, of each call once."""

    def answered(self, ran: Ran, calls: "Sequence[WaitingCall[Sent]]", answers: Sequence[bytes]) -> None:
        """One run has answered ``calls``."""
        ...

    def failed(self, call: "WaitingCall[Sent]", error: BaseException) -> None: ...


@dataclass(slots=True)
class WaitingCall(Generic[Sent]):
    """A prepared call in a queue.

    Attributes:
        prepared: the call.
        encode: makes its answer of its outputs.
        is_wanted: whether anybody still waits for it.
        caller: whom to tell.
        sent: what the caller knows it by.
        overdue: why it is too late to run it, if so.
    """

    prepared: PreparedCall
    encode: Callable[[Tensors], bytes]
    is_wanted: Callable[[], bool]
    caller: Caller[Sent]
    sent: Sent
    overdue: Callable[[], UnstuckError | None] = lambda: None

    @property
    def rows(self) -> int:
        return len(next(iter(self.prepared.inputs.values())))


def must_wait(call: PreparedCall) -> bool:
    """Whether the batching parameters say how it waits, however short it is."""
    batching = call.model.batching
    return batching is not None and call.signature.name in batching.parameters


class WaitingCalls:
    """Runs batches of calls, and learns from them which are short. Thread-safe."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def run(self, key: Hashable, calls: Iterable[WaitingCall[Any]]) -> None:
        """Answers ``calls``, which may run together, all with the same ``merge_key``. Does not raise."""
        del key
        wanted = [call for call in calls if _is_due(call)]
        if len(wanted) < 2 or not self._run_together(wanted):
            for call in wanted:
                self._run_alone(call)

    def _run_together(self, calls: Sequence[WaitingCall[Any]]) -> bool:
        """False where the run failed: each is then run alone, so that nobody hears of another's error."""
        first = calls[0].prepared
        began_ns, cpu_ns = perf_counter_ns(), thread_time_ns()
        try:
            outputs = run_together([call.prepared for call in calls])
        except Exception:  # noqa: BLE001 - whoever it is about hears of it alone
            return False
        run_ns, cpu_ns = perf_counter_ns() - began_ns, thread_time_ns() - cpu_ns
        if run_ns < SHORT_NS:  # so is then each alone; otherwise nothing is known of them
            self._placement.learn(first.key(), run_ns, cpu_ns)
        answers = [_encoded(call, each) for call, each in zip(calls, outputs, strict=True)]
        encode_ns = perf_counter_ns() - began_ns - run_ns
        ran = Ran(first.model.name, first.model.version, first.signature.name, began_ns, run_ns, encode_ns)
        self._tell(ran, calls, answers)
        return True

    def _tell(self, ran: Ran, calls: Sequence[WaitingCall[Any]], answers: Sequence[bytes | BaseException]) -> None:
        by_caller: dict[int, tuple[list[WaitingCall[Any]], list[bytes]]] = {}
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, BaseException):
                call.caller.failed(call, answer)
            else:
                answered, with_them = by_caller.setdefault(id(call.caller), ([], []))
                answered.append(call)
                with_them.append(answer)
        for answered, with_them in by_caller.values():
            answered[0].caller.answered(ran, answered, with_them)

    def _run_alone(self, call: WaitingCall[Any]) -> None:
        prepared = call.prepared
        try:
            answer = self._placement.run(prepared.key(), lambda: prepared.run(call.encode))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            call.caller.failed(call, error)
        else:
            assert prepared.ran is not None
            call.caller.answered(prepared.ran, [call], [answer])


def _is_due(call: WaitingCall[Any]) -> bool:
    if not call.is_wanted():
        return False
    late = call.overdue()
    if late is not None:
        call.caller.failed(call, late)
    return late is None


def _encoded(call: WaitingCall[Any], outputs: Tensors) -> bytes | BaseException:
    try:
        return call.encode(outputs)
    except UnstuckError as error:
        return about(call.prepared.model, call.prepared.signature, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
        return error
