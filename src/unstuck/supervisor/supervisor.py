"""Keeps the workers alive, and answers what one of them asks about all."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from unstuck.config.model_config_file import read_text
from unstuck.core.cgroups import oom_kills
from unstuck.errors import NotReady, UnstuckError
from unstuck.monitor.families import Family
from unstuck.monitor.line_writer import writer_to
from unstuck.monitor.log_lines import console, missing_as_json
from unstuck.supervisor import deaths, messages, metrics, status
from unstuck.supervisor.configuration import SharedConfiguration
from unstuck.supervisor.messages import Configuration
from unstuck.supervisor.process import WorkerProcess
from unstuck.supervisor.silence import HANG_S, TICK_S
from unstuck.supervisor.turns import Turns
from unstuck.supervisor.worker import Worker, as_time, own_memory

SAME_SIGNAL_S = 0.5
ABANDONED = 130
START_S = 5.0  # between two tries to start a process
ANSWER_S = 1.0  # for a worker to tell its metrics or its status; one that hangs is left out

log = logging.getLogger(__name__)
events = logging.getLogger("unstuck.workers")  # what an operator wants to read while the server runs


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run.

    Attributes:
        command: of each worker.
        workers: how many.
        rest_port: that they share; 0 for none.
        grpc_port: the same of gRPC.
        configuration: that they begin with.
        config_file: which is looked at every ``poll_s`` seconds for changes; None, or 0 seconds, for never.
        has_plain_log: a log for people, whose lines say which worker wrote them.
    """

    command: Sequence[str]
    workers: int
    rest_port: int = 0
    grpc_port: int = 0
    configuration: Configuration = field(default_factory=dict[str, str])
    config_file: Path | None = None
    poll_s: float = 0
    has_plain_log: bool = True


class Supervisor:
    """``run`` once, on a loop's main thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._workers = [Worker(number) for number in range(1, plan.workers + 1)]
        self._configuration = SharedConfiguration(plan.configuration, lambda: self._workers)
        self._turns = Turns()
        self._past: list[Family] = []  # what processes that are gone had counted
        self._began = time.time()
        self._status = 0
        self._stop = asyncio.Event()
        self._has_served = asyncio.Event()

    async def run(self) -> int:
        """Until SIGINT or SIGTERM, or until the first worker cannot be set up; returns the exit status."""
        signals = _stop_signals()
        keeping = asyncio.gather(*(self._keep(worker) for worker in self._workers))
        beside = [asyncio.create_task(self._watch()), asyncio.create_task(self._poll_file())]
        stopping = asyncio.create_task(self._stop.wait())
        signalled = asyncio.create_task(signals.get())
        await asyncio.wait({stopping, signalled, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if signalled.done():
            console.info("Stopping: no new connections; requests in flight are finished.")
        self._stop.set()
        for worker in self._workers:
            if worker.process:
                worker.process.send_signal(signal.SIGTERM)
        # Ctrl-C in a terminal reaches the process group, and a wrapper may send it on: that is one request to stop.
        await asyncio.wait({keeping}, timeout=SAME_SIGNAL_S)
        while not signals.empty():
            signals.get_nowait()
        again = asyncio.create_task(signals.get())
        await asyncio.wait({keeping, again}, return_when=asyncio.FIRST_COMPLETED)
        if not keeping.done():
            console.info("Stopped at once, on the second signal.")
            for worker in self._workers:
                worker.kill("was abandoned")
            os._exit(ABANDONED)
        for task in (*beside, again, signalled):
            task.cancel()
        keeping.result()
        if not self._status:
            console.info("Stopped.")
        return self._status

    # A worker's life.

    async def _keep(self, worker: Worker) -> None:
        """Starts it, again and again. The first shows whether the server can be set up; the others follow it."""
        if worker is not self._workers[0]:
            await self._unless_stopped(self._has_served.wait())
        while not self._stop.is_set():
            killed_before = oom_kills()
            process = WorkerProcess(_Ears(self, worker), lambda line: self._pass_on(worker, line))
            try:
                await process.start(self._plan.command)
            except OSError as error:  # no memory, or too many processes: that may pass
                events.error("Worker %d cannot be started: %s. Trying again in %g s.", worker.number, error, START_S)
                await self._unless_stopped(asyncio.sleep(START_S))
                continue
            self._greet(worker, process)
            if self._stop.is_set():  # it came while the process began, and was sent to those that there were
                process.send_signal(signal.SIGTERM)
            code = await process.until_ends()
            died = deaths.in_words(code, worker.why_killed, oom_kills() - killed_before)
            await self._bury(worker, process.pid, code, died)

    def _greet(self, worker: Worker, process: WorkerProcess) -> None:
        """Without a pause: what it is told is what is in force when it begins to count as one of us."""
        listens = not any(each.listens for each in self._workers)
        process.tell(
            "hello",
            {
                "number": worker.number,
                "workers": self._plan.workers,
                "rest_port": self._plan.rest_port,
                "grpc_port": self._plan.grpc_port,
                "configuration": self._configuration.current,
                "is_proven": self._has_served.is_set(),
                "listens_at_once": listens,  # somebody must say that the server lives, and loads
            },
        )
        worker.begins(process, self._configuration.generation, listens=listens)

    async def _bury(self, worker: Worker, pid: int, code: int, died: str) -> None:
        self._past = metrics.merged([*self._past, *metrics.counts_in(worker.families)])
        worker.families = []
        served_s = worker.ended("" if self._stop.is_set() else died)
        self._turns.give_back(worker)
        if self._stop.is_set():
            if code not in (0, -signal.SIGTERM):  # which ends one that does not yet listen to it
                events.warning("Worker %d (pid %d) %s as it stopped.", worker.number, pid, died)
            return
        if code > 0 and not self._has_served.is_set():
            self._status = code  # it has said why
            self._stop.set()
            return
        wait_s = worker.backoff.wait_s(served_s)
        times = f", its death number {worker.backoff.deaths} in a row" if worker.backoff.deaths > 1 else ""
        after = f"after it had served for {served_s:.1f} s" if served_s else "before it served"
        again = f"in {wait_s:g} s" if wait_s else "at once"
        events.error(
            "Worker %d (pid %d) %s %s%s. It is started again %s.", worker.number, pid, died, after, times, again
        )
        await self._unless_stopped(asyncio.sleep(wait_s))

    async def _unless_stopped(self, awaited: Any) -> None:
        waits = {asyncio.ensure_future(awaited), asyncio.ensure_future(self._stop.wait())}
        _, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            each.cancel()

    async def _watch(self) -> None:
        said: set[int] = set()
        while True:
            await asyncio.sleep(TICK_S)
            for worker in self._workers:
                if worker.watch is None or worker.why_killed:
                    continue
                if why := worker.watch.look(is_loading=self._turns.holder is worker):
                    worker.kill(why)
                if worker.watch.silent_s < HANG_S:
                    said.discard(worker.number)
                elif worker.number not in said:
                    said.add(worker.number)
                    what = "is killed" if why else "works, or waits for a CPU or a disk, and is given some time"
                    events.warning("Worker %d does not answer; it %s.", worker.number, what)

    def _pass_on(self, worker: Worker, line: str) -> None:
        if self._plan.has_plain_log:
            writer_to(sys.stderr).write(f"worker {worker.number}: {line}")
        else:
            writer_to(sys.stderr).write(line, missing_as_json)

    # What workers say and ask.

    def told(self, worker: Worker, what: str, value: Any) -> None:
        if what == "beat":
            if worker.watch:
                worker.watch.beat(value)
        elif what == "loaded":
            self._turns.give_back(worker)
        elif what == "serving":
            worker.serves()
            if not self._has_served.is_set():
                self._has_served.set()
                console.info(value)
            else:
                events.info("Worker %d serves.", worker.number)

    async def asked(self, worker: Worker, what: str, value: Any) -> Any:
        """Raises UnstuckError, which the worker is told."""
        if what == "load":
            return await self._turns.take(worker)
        if what == "serve":
            return await self._configuration.admit(worker)
        if what == "change":
            return await self._configuration.change(value)
        if what == "quarantine":
            return await self._configuration.quarantine(value)
        return await (self._metrics() if what == "metrics" else self._document())

    async def _metrics(self) -> list[Any]:
        for worker, families in (await self._ask_all("metrics")).items():
            worker.families = messages.families_from_json(families)
        own = metrics.of_workers(
            [(each.number, max(each.runs - 1, 0), each.state == "serving") for each in self._workers]
        )
        families = chain(self._past, *(each.families for each in self._workers), own)
        return messages.families_as_json(metrics.merged(families))

    async def _document(self) -> dict[str, Any]:
        found = await self._ask_all("status")
        documents = {worker.number: document for worker, document in found.items() if worker.listens}
        if not documents:
            raise NotReady("No worker tells its status.", hint="Try again.")
        workers = [each.document() for each in self._workers]
        resident, shared = own_memory()
        own = {"pid": os.getpid(), "memory_bytes": resident, "shared_bytes": shared}
        processes = [own, *workers]
        server = {
            **own,
            "ready": any(each["server"]["ready"] for each in documents.values()),
            "started": as_time(self._began),
            "uptime_s": round(time.time() - self._began, 1),
            "memory_bytes": sum(each["memory_bytes"] - each["shared_bytes"] for each in processes),
            "shared_bytes": sum(each["shared_bytes"] for each in processes),
            "supervisor": own,
            "workers": workers,
        }
        return status.merged(documents, server)

    async def _ask_all(self, what: str) -> dict[Worker, Any]:
        """The answers of those that give one in time."""

        async def ask(worker: Worker) -> Any:
            if worker.process is None:
                return None
            try:
                return await asyncio.wait_for(worker.process.ask(what), ANSWER_S)
            except (UnstuckError, TimeoutError) as error:
                log.debug("worker %d does not tell its %s: %s", worker.number, what, error)
                return None

        answers = await asyncio.gather(*map(ask, self._workers))
        return {worker: found for worker, found in zip(self._workers, answers, strict=True) if found is not None}

    async def _poll_file(self) -> None:
        """Puts a file that has changed into force; one that cannot be is tried again, as what it needs may come."""
        file, known, said = self._plan.config_file, self._plan.configuration.get("text"), ""
        while file is not None and self._plan.poll_s > 0:
            await asyncio.sleep(self._plan.poll_s)
            try:
                text = await asyncio.to_thread(read_text, file)
                if text == known or not self._has_served.is_set():
                    continue
                await self._configuration.change({"text": text})
            except UnstuckError as error:
                if str(error) != said:
                    log.error("The configuration stays as it was: %s", error)
                said = str(error)
            else:
                events.info("The configuration of %s is in force.", file)
                known, said = text, ""


@dataclass(frozen=True, slots=True)
class _Ears:
    """Says which worker spoke."""

    supervisor: Supervisor
    worker: Worker

    def told(self, what: str, value: Any) -> None:
        self.supervisor.told(self.worker, what, value)

    async def asked(self, what: str, value: Any) -> Any:
        return await self.supervisor.asked(self.worker, what, value)


def _stop_signals() -> "asyncio.Queue[signal.Signals]":
    queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, queue.put_nowait, number)
    return queue
