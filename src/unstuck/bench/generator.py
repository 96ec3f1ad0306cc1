"""Puts a load on a server from one event loop, and counts what comes of it."""

import asyncio
import gc
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unstuck.bench.alarm import Alarm
from unstuck.bench.load import ClosedLoop, Load, OpenLoop
from unstuck.bench.slots import NO_CONNECTION, TIMEOUT, Caller, Destination, Slot
from unstuck.bench.tally import Recorder, Tally, Window
from unstuck.bench.usage import Meter

WINDOW_S = 0.5
MOST_WINDOWS = 120
SWEEP_S = 0.05
LOOP_S = 0.001  # which a loop may wake too early
RETRY_S = 0.05  # before a caller whose connection was refused tries again
DRAIN_S = 1.0  # after the end, in which calls that wait for a slot are still sent
MOST_AT_ONCE = 256  # calls sent before answers are read


@dataclass(frozen=True, slots=True)
class Plan:
    """One measurement.

    Attributes:
        destination: where calls go.
        bodies: what they carry, in turn.
        load: how they come.
        begin: the first measured moment, on ``time.perf_counter``; the load begins ``warmup_s`` before.
        duration_s: how long is measured.
        timeout_s: after which a call has failed.
        slots: how many calls are under way at most.
        seed: of the arrivals.
        server_pid: the server's process on this machine; None where there is none to look at.
    """

    destination: Destination
    bodies: Sequence[bytes]
    load: Load
    begin: float
    duration_s: float
    warmup_s: float
    timeout_s: float
    slots: int
    seed: int = 0
    server_pid: int | None = None


def caller_of(plan: Plan) -> Caller:
    if plan.destination.is_grpc:
        from unstuck.bench.grpc_slots import GrpcCaller

        return GrpcCaller(plan.destination, plan.timeout_s)
    from unstuck.bench.http_slots import HttpCaller

    return HttpCaller(plan.destination)


async def generate(plan: Plan, on_window: Callable[[Window], None], stop: asyncio.Event) -> Tally:
    """Puts the load on, until its time is over or ``stop`` is set; then waits for the answers that are due."""
    kind = _Open if isinstance(plan.load, OpenLoop) else _Closed
    return await kind(plan, caller_of(plan), on_window).run(stop)


class _Generator(ABC):
    def __init__(self, plan: Plan, caller: Caller, on_window: Callable[[Window], None]) -> None:
        self.plan = plan
        self.end = plan.begin + plan.duration_s
        self.recorder = Recorder(plan.begin, self.end, on_window)
        self.requests = [caller.framed(body) for body in plan.bodies]
        self.slots: list[Slot] = []
        self.is_over = False
        self._caller = caller
        self._next = 0
        self._quiet = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self, stop: asyncio.Event) -> Tally:
        plan = self.plan
        await _until(plan.begin - plan.warmup_s, stop)
        gc.disable()  # its pauses would be counted as the server's
        helpers = [self._loop.create_task(self._sweep()), self._loop.create_task(self._cut())]
        try:
            self.start()
            await _until(plan.begin, stop)
            cpu, began = time.process_time(), time.perf_counter()
            meter = None if plan.server_pid is None else Meter(plan.server_pid)
            await _until(self.end, stop)
            self.is_over = True
            self.recorder.tally.busy = (time.process_time() - cpu) / max(time.perf_counter() - began, 1e-9)
            self.recorder.tally.usage = meter.read() if meter else None
            self.stop()
            await self._drained(stop)
            self.leave()
        finally:
            gc.enable()
            for helper in helpers:
                helper.cancel()
            for slot in self.slots:
                slot.is_busy = False  # what is still under way is not counted
                slot.close()
        return self.recorder.finish(interrupted=stop.is_set())

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """No more calls are due."""

    @abstractmethod
    def leave(self) -> None:
        """No more calls are sent."""

    @abstractmethod
    def ended(self, slot: Slot) -> None: ...

    @abstractmethod
    def swept(self, now: float, late: float) -> None:
        """The loop came round, ``late`` seconds after it was to."""

    def new_slot(self) -> Slot:
        slot = self._caller.slot(self._ended)
        self.slots.append(slot)
        return slot

    def send(self, slot: Slot, intended: float) -> None:
        number = self._next
        self._next = number + 1 if number + 1 < len(self.requests) else 0
        slot.intended = intended
        slot.number = number
        slot.send(self.requests[number])

    def _ended(self, slot: Slot) -> None:
        self.recorder.ended(slot)
        self.ended(slot)
        if self.is_over:
            self._quiet.set()

    async def _drained(self, stop: asyncio.Event) -> None:
        while any(slot.is_busy for slot in self.slots) and not stop.is_set():
            self._quiet.clear()
            await _until(time.perf_counter() + SWEEP_S, stop, self._quiet)

    async def _sweep(self) -> None:
        """Gives up on calls that take too long; a timer a call would cost more than the call."""
        while True:
            due = time.perf_counter() + SWEEP_S
            await asyncio.sleep(SWEEP_S)
            now = time.perf_counter()
            self.swept(now, now - due)
            before = now - self.plan.timeout_s
            for slot in self.slots:
                if slot.is_busy and slot.intended < before:
                    slot.give_up(TIMEOUT)

    async def _cut(self) -> None:
        length = max(WINDOW_S, self.plan.duration_s / MOST_WINDOWS)
        moment = self.plan.begin
        while moment < self.end:
            moment += length
            if self.end - moment < length / 2:
                moment = self.end  # rather a long one than one so short that its rate means nothing
            await asyncio.sleep(max(0.0, moment - time.perf_counter()) + LOOP_S)
            self.recorder.cut()


class _Closed(_Generator):
    def start(self) -> None:
        assert isinstance(self.plan.load, ClosedLoop)
        for _ in range(self.plan.load.concurrency):
            self.send(self.new_slot(), time.perf_counter())

    def stop(self) -> None: ...

    def leave(self) -> None: ...

    def swept(self, now: float, late: float) -> None:
        if self.plan.begin <= now < self.end:
            self.recorder.lags.append(late)

    def ended(self, slot: Slot) -> None:
        if self.is_over:
            return
        if slot.error.startswith(NO_CONNECTION):
            self._loop.call_later(RETRY_S, self._again, slot)
        else:
            self.send(slot, time.perf_counter())

    def _again(self, slot: Slot) -> None:
        if not self.is_over:
            self.send(slot, time.perf_counter())


class _Open(_Generator):
    """A call for which no slot is free waits for one, and the wait is part of its latency: users wait likewise."""

    def start(self) -> None:
        plan = self.plan
        assert isinstance(plan.load, OpenLoop)
        self._origin = plan.begin - plan.warmup_s
        self._due = plan.load.due(plan.seed)
        self._moment = self._origin + next(self._due)
        self._free: list[Slot] = []
        self._waiting: deque[float] = deque()
        self._alarm = Alarm(self._tick)
        self._alarm.set(self._moment)

    def stop(self) -> None:
        self._alarm.close()
        now = min(time.perf_counter(), self.end)
        while self._moment < now:
            self._note_lag(now)
            self._call(self._moment)
            self._moment = self._origin + next(self._due)

    def leave(self) -> None:
        self.recorder.tally.not_sent += sum(intended >= self.plan.begin for intended in self._waiting)
        self._waiting.clear()

    def swept(self, now: float, late: float) -> None:
        """Each call has its own lag."""

    def _tick(self) -> None:
        now = time.perf_counter()
        for _ in range(MOST_AT_ONCE):
            if self._moment > now or self._moment >= self.end:
                break
            self._note_lag(now)
            self._call(self._moment)
            self._moment = self._origin + next(self._due)
        if self._moment < self.end and not self.is_over:
            self._alarm.set(self._moment)

    def _note_lag(self, now: float) -> None:
        if self._moment >= self.plan.begin:
            self.recorder.lags.append(now - self._moment)

    def _call(self, intended: float) -> None:
        if self._free:
            self.send(self._free.pop(), intended)
        elif len(self.slots) < self.plan.slots:
            self.send(self.new_slot(), intended)
        else:
            self._waiting.append(intended)

    def ended(self, slot: Slot) -> None:
        now = time.perf_counter()
        while self._waiting and self._waiting[0] < now - self.plan.timeout_s:
            self.recorder.tally.not_sent += self._waiting.popleft() >= self.plan.begin
        if self._waiting and now < self.end + DRAIN_S:
            self.send(slot, self._waiting.popleft())
        else:
            self._free.append(slot)


async def _until(moment: float, *events: asyncio.Event) -> None:
    """Waits for ``moment``, on ``time.perf_counter``, or for one of ``events``."""
    left = moment - time.perf_counter()
    if left <= 0 or any(event.is_set() for event in events):
        return
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
