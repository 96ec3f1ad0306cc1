"""Runs a plan in this process, or in several, whose counts are added up."""

import asyncio
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from multiprocessing.connection import Connection, wait
from typing import Any

import uvloop

from unstuck.bench.generator import Plan, generate
from unstuck.bench.tally import Tally, Window
from unstuck.errors import SetupError

TOGETHER_S = 0.1  # in which all processes hear when to begin

OnWindow = Callable[[int, Window], None]


def run(plan: Plan, processes: int, on_window: OnWindow) -> Tally:
    """What ``plan`` comes to; its ``begin`` is counted from now. Ctrl-C ends it early.

    Args:
        plan: what is to be done.
        processes: how many share the load.
        on_window: is given each window as it ends, with the number of its process.
    """
    if processes == 1:
        gc.collect()  # now, and not while it measures
        begin = time.perf_counter() + plan.warmup_s
        return _measure(replace(plan, begin=begin), lambda window: on_window(0, window))
    loads = plan.load.shared(processes)
    slots = max(1, plan.slots // len(loads))
    plans = [replace(plan, load=load, slots=slots, seed=plan.seed * 100 + number) for number, load in enumerate(loads)]
    plans[1:] = [replace(each, server_pid=None) for each in plans[1:]]  # one of them looks at the server
    tallies = _Children(plans).tallies(on_window)
    return reduce(_merged, tallies)


def _merged(one: Tally, other: Tally) -> Tally:
    one.merge(other)
    return one


def _measure(plan: Plan, on_window: Callable[[Window], None]) -> Tally:
    async def measure() -> Tally:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        return await generate(plan, on_window, stop)

    before = signal.getsignal(signal.SIGINT)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure())
    finally:
        signal.signal(signal.SIGINT, before)  # which the loop leaves to itself


class _Children:
    """A process a plan; each sends its windows, and its tally at the end."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit threads' locks
        self._pipes: list[Connection[Any, Any]] = []
        self._processes: list[Any] = []
        for plan in plans:
            ours, theirs = context.Pipe()
            process = context.Process(target=_child, args=(plan, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._begin(plans[0].warmup_s)

    def _begin(self, warmup_s: float) -> None:
        """Lets all begin at one moment, once all have started."""
        try:
            for pipe in self._pipes:
                pipe.recv()
            begin = time.perf_counter() + TOGETHER_S + warmup_s
            for pipe in self._pipes:
                pipe.send(begin)
        except (EOFError, OSError):
            raise _died() from None

    def tallies(self, on_window: OnWindow) -> list[Tally]:
        """Raises SetupError where a process died."""
        found: list[Tally] = []
        open_pipes = list(self._pipes)
        while open_pipes:
            try:
                for pipe in wait(open_pipes):
                    self._read(pipe, open_pipes, found, on_window)
            except KeyboardInterrupt:
                for process in self._processes:
                    os.kill(process.pid, signal.SIGINT)
        for process in self._processes:
            process.join()
        if len(found) < len(self._processes):
            raise _died()
        return found

    def _read(self, pipe: Any, open_pipes: list[Any], found: list[Tally], on_window: OnWindow) -> None:
        try:
            told: Window | Tally = pipe.recv()
        except EOFError:
            open_pipes.remove(pipe)
            return
        if isinstance(told, Window):
            on_window(self._pipes.index(pipe), told)
        else:
            found.append(told)


def _died() -> SetupError:
    return SetupError("A process of the load generator died.", hint="Try fewer --processes.")


def _child(plan: Plan, pipe: Any) -> None:
    gc.collect()
    pipe.send(None)
    begin: float = pipe.recv()
    pipe.send(_measure(replace(plan, begin=begin), pipe.send))
    pipe.close()
