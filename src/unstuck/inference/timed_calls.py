"""Predict calls on their way into batches that wait for a timer, and back."""

from collections.abc import Hashable, Sequence
from time import perf_counter_ns
from typing import Any, Protocol

from unstuck.core.observers import Ran
from unstuck.core.signatures import Tensors
from unstuck.errors import UnstuckError
from unstuck.inference.batched import BatchKey, Run, Took
from unstuck.inference.predict import PreparedCall, about
from unstuck.inference.waiting import WaitingCall


class Queue(Protocol):
    """Where calls wait; see ``unstuck.batching.batches``."""

    def add(self, key: Hashable, item: WaitingCall[Any], rows: int) -> None: ...


class TimedCalls:
    """Puts each call where its ``merge_key`` says: in a batch by the batching parameters, or with the others."""

    def __init__(self, others: Queue) -> None:
        self._others = others

    def add(self, key: Hashable, item: WaitingCall[Any], rows: int) -> None:
        """Queues one call.

        Raises:
            QueueFull: too many wait already.
            InvalidRequest: it is larger than any batch may be.
        """
        prepared = item.prepared
        if not isinstance(key, BatchKey) or prepared.model.batching is None:
            self._others.add(key, item, rows)
            return
        run = Run(prepared.model, prepared.signature, prepared.inputs, _tell, item, item.is_wanted)
        try:
            prepared.model.batching.add(key, run, rows)
        except UnstuckError as error:
            raise about(prepared.model, prepared.signature, error) from None


def _tell(runs: Sequence[Run], took: Took) -> None:
    began_ns = perf_counter_ns()
    answered: dict[int, tuple[list[WaitingCall[Any]], list[bytes]]] = {}  # by caller
    for run in runs:
        call: WaitingCall[Any] = run.sent
        try:
            answer = _answer(call, run)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            call.caller.failed(call, error)
        else:
            calls, answers = answered.setdefault(id(call.caller), ([], []))
            calls.append(call)
            answers.append(answer)
    encode_ns = perf_counter_ns() - began_ns
    for calls, answers in answered.values():
        calls[0].caller.answered(_ran(calls[0].prepared, took, encode_ns), calls, answers)


def _answer(call: WaitingCall[Any], run: Run) -> bytes:
    prepared = call.prepared
    try:
        if isinstance(run.outcome, BaseException):
            raise run.outcome
        outputs: Tensors = run.outcome
        answer = call.encode(outputs)
    except UnstuckError as error:
        raise about(prepared.model, prepared.signature, error) from error
    for observer in prepared.model.observers:
        observer.ran(prepared.signature, prepared.inputs, outputs, ())
    return answer


def _ran(call: PreparedCall, took: Took, encode_ns: int) -> Ran:
    return Ran(call.model.name, call.model.version, call.signature.name, took.began_ns, took.run_ns, encode_ns)
