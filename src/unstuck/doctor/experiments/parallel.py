"""Calls at the same time."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles

from unstuck.doctor.endpoint import Answer, Endpoint
from unstuck.doctor.evidence.answers import EndpointState
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import ConcurrencyProbe
from unstuck.doctor.experiments.endpoint_state import serving
from unstuck.doctor.lab import Lab

SLOW_S = 0.02  # a call
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Storm:
    """What calls made by several threads came to: which item each asked for, its answer, and the time in all."""

    answers: Sequence[tuple[int, Answer]]
    seconds: float


def loadable(lab: Lab) -> Endpoint:
    """The endpoint, if it answers, and may be called by many at once. Raises NotRun."""
    endpoint = serving(lab)
    if not (endpoint.is_on_this_machine or lab.question.load):
        raise NotRun("TARGET is on another machine: simultaneous calls are made only with --load")
    return endpoint


def calls_at_once(lab: Lab) -> int:
    """How many calls may be under way when their order does not matter.

    More than one where calls are slow, and an endpoint on this machine was seen to answer simultaneous ones as it does
    calls alone. Raises NotRun where the endpoint does not answer.
    """
    serving(lab)
    calls = [call.seconds for call in lab.find(EndpointState).outcomes("predict") if call.code == "OK"]
    if not calls or min(calls) < SLOW_S:
        return 1
    try:
        probe = lab.find(ConcurrencyProbe)
    except NotRun:
        return 1
    is_right = not probe.failures and not probe.unstable and not any(each.wrong for each in probe.rounds)
    return AT_ONCE if is_right else 1


def storm(ask: Callable[[int], Answer], items: int, threads: int, calls: int, limit_s: float) -> Storm:
    """Asks for items in turn, ``threads`` at a time, until ``calls`` were made or ``limit_s`` has passed.

    Args:
        ask: makes the call for an item; thread-safe.
        items: how many there are; neighbours in time get different ones.
    """
    lock, answers, numbers = threading.Lock(), list[tuple[int, Answer]](), iter(range(calls))
    gate = threading.Barrier(threads + 1)
    began = time.monotonic()

    def work() -> None:
        gate.wait()
        while time.monotonic() - began < limit_s:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            answer = ask(number % items)
            with lock:
                answers.append((number % items, answer))

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    gate.wait()
    for worker in workers:
        worker.join()
    return Storm(answers, time.monotonic() - began)


def latencies(answers: Sequence[tuple[int, Answer]]) -> tuple[float, float]:
    """The median and the 99th percentile of the seconds."""
    seconds = sorted(answer.seconds for _, answer in answers)
    if len(seconds) < 2:
        return (seconds[0], seconds[0]) if seconds else (0.0, 0.0)
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]
