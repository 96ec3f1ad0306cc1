"""Servers of one workload, all started, checked and warm, measured in turn, round by round."""

import http.client
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.peers import loads, processes
from benchmarks.peers.processes import ServerProcess
from benchmarks.peers.subjects import Launch, Subject
from benchmarks.peers.summary import Failure, Measurement
from benchmarks.peers.workloads import Questions, Workload

START_TIMEOUT_S = 180
CALL_TIMEOUT_S = 30
WARM_S = 2
LEAST_ANSWERS, LONGER = 10, 5
IDLE_LOOK_S, IDLE_CORES, IDLE_TIMEOUT_S = 0.2, 0.3, 20
STARTING_AT_ONCE = 2  # some give up when their processes start too slowly


class Server:
    """One server, and the calls of one workload on it."""

    def __init__(self, subject: Subject, workload: Workload, questions: Questions, folder: Path) -> None:
        self.subject = subject
        self._workload, self._questions = workload, questions
        self._folder = folder / subject.label.replace(" ", "-").replace(",", "")
        self._folder.mkdir(parents=True)
        self._path = subject.path.format(model=workload.model)
        self._body = self._folder / "request"
        self._body.write_bytes(_frame(self._message(0)) if workload.is_grpc else self._json(0))
        self._answer_bytes = 0
        self._process: ServerProcess | None = None

    def start(self) -> None:
        """Returns once it gives a right answer. Raises TimeoutError, or ValueError for a wrong one."""
        ports = processes.free_ports(3)
        self._rest, self._grpc = f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
        questions, batching = self._questions, self.subject.batching
        launch = Launch(self._workload.model, questions.base_path, questions.is_text, ports, batching, self._folder)
        command, environment = self.subject.command(launch), self.subject.environment(launch)
        self._process = ServerProcess(command, self._folder, environment, self._folder / "server.log")
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._ask(0)
                if self.subject.is_settled(self._rest):
                    return
                told = "it is still busy by itself"
            except OSError as error:  # not listening, not ready, not loaded
                told = str(error)
            if self._process.has_ended or time.monotonic() > deadline:
                raise TimeoutError(f"did not start: {told}\n{self._process.last_words()}")
            time.sleep(0.25)

    def stop(self) -> None:
        if self._process:
            self._process.stop()

    def check(self) -> None:
        """All rows at once: each must get its own answer. Raises ValueError or OSError."""
        with ThreadPoolExecutor(len(self._questions.rows)) as callers:
            list(callers.map(self._ask, range(len(self._questions.rows))))

    def warm(self) -> None:
        self._press(self._workload.warm_load, WARM_S)

    def pause(self) -> None:
        if self._process:
            self._process.pause()

    def resume(self) -> None:
        """Returns once it answers again. Raises OSError or ValueError where it does not."""
        assert self._process is not None
        self._process.resume()
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while True:
            try:
                return self._ask(0)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.25)

    def measure(self, load: int, number: int, seconds: int) -> Measurement:
        """One measurement; a longer one where the server is too slow for it."""
        measured = self._measure(load, number, seconds)
        if measured.rate * seconds < LEAST_ANSWERS:
            measured = self._measure(load, number, seconds * LONGER)
        return measured

    def _measure(self, load: int, number: int, seconds: int) -> Measurement:
        assert self._process is not None
        pids = self._process.pids()
        started, cpu_s, machine_s, tools_s = time.monotonic(), processes.cpu_s(pids), *_others_s()
        result = self._press(load, seconds)
        took_s, cpu_s = time.monotonic() - started, processes.cpu_s(pids) - cpu_s
        machine_s, tools_s = (after - before for after, before in zip(_others_s(), (machine_s, tools_s), strict=True))
        rss_mib, pss_mib = processes.memory_mib(pids)
        _wait_until_idle(pids)
        return Measurement(
            server=self.subject.name,
            batching=self.subject.batching,
            load=load,
            round=number,
            rate=result.rate,
            p50_ms=result.p50_ms,
            p99_ms=result.p99_ms,
            errors=result.errors,
            cpu_us=cpu_s / result.answers * 1e6 if result.answers else float("inf"),
            rss_mib=rss_mib,
            pss_mib=pss_mib,
            processes=len(pids),
            other_cores=max(0.0, machine_s - tools_s - cpu_s) / took_s,
        )

    def _press(self, load: int, seconds: int) -> loads.Load:
        if self._workload.is_grpc:
            return loads.h2load(self._grpc, self._body, load, seconds, self._answer_bytes)
        return loads.wrk(f"http://{self._rest}{self._path}", self._body, load, seconds)

    def _ask(self, number: int) -> None:
        ask = self._call if self._workload.is_grpc else self._post
        self._questions.check(number, ask(number))

    def _post(self, number: int) -> list[float]:
        connection = http.client.HTTPConnection(self._rest, timeout=CALL_TIMEOUT_S)
        try:
            connection.request("POST", self._path, self._json(number), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"no answer: {error!r}") from None
        finally:
            connection.close()
        if response.status != 200:
            raise OSError(f"HTTP {response.status}: {body[:200]!r}")
        return self.subject.protocol.scores(body)

    def _json(self, number: int) -> bytes:
        return self.subject.protocol.request(self._workload.input_name, self._questions.rows[number])

    def _call(self, number: int) -> list[float]:
        import grpc

        from unstuck.proto import tensors
        from unstuck.proto.wire.predict_pb2 import PredictResponse

        with grpc.insecure_channel(self._grpc) as channel:
            try:
                answer = channel.unary_unary(loads.GRPC_CALL)(self._message(number), timeout=CALL_TIMEOUT_S)
            except grpc.RpcError as error:
                raise OSError(str(error)) from None
        self._answer_bytes = len(_frame(answer))
        (output,) = PredictResponse.FromString(answer).outputs.values()
        return tensors.to_array(output)[0].tolist()

    def _message(self, number: int) -> bytes:
        import numpy as np

        from unstuck.proto import tensors
        from unstuck.proto.wire.predict_pb2 import PredictRequest

        request = PredictRequest()
        request.model_spec.name = self._workload.model
        row = np.array([self._questions.rows[number]], np.float32)
        tensors.fill(request.inputs[self._workload.input_name], row, as_content=True)
        return request.SerializeToString()


def measure(
    workload: Workload,
    subjects: Sequence[Subject],
    questions: Questions,
    *,
    levels: Sequence[int],
    rounds: int,
    seconds: int,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Measurement | Failure]:
    """Measurements as they are made, in turns, so that a slow spell of the machine hits all alike.

    Whoever is not measured is paused: a few idle servers alone took 0.3 of a CPU.
    """
    with ExitStack() as stack:
        servers = [Server(subject, workload, questions, folder) for subject in subjects]
        for server in servers:
            stack.callback(server.stop)
        with ThreadPoolExecutor(STARTING_AT_ONCE) as starters:
            outcomes = list(starters.map(_start, servers))
        for number, server in enumerate(servers):
            outcomes[number] = outcomes[number] or _warm(server)  # none while others start
        ready = [server for server, failed in zip(servers, outcomes, strict=True) if not failed]
        yield from filter(None, outcomes)
        for server in ready:
            server.pause()
        say(f"{len(ready)} servers are warm, and their answers are right")
        for number in range(rounds):
            for server in list(ready):
                if failed := _outcome(server, server.resume):
                    ready.remove(server)
                    yield failed
                    continue
                for load in levels:
                    yield server.measure(load, number, seconds)
                server.pause()


def _wait_until_idle(pids: Sequence[int]) -> None:
    """Some go on for seconds with requests whose client has left, which the next server must not suffer from."""
    deadline = time.monotonic() + IDLE_TIMEOUT_S
    busy_s = IDLE_LOOK_S
    while busy_s > IDLE_LOOK_S * IDLE_CORES and time.monotonic() < deadline:
        before_s = processes.cpu_s(pids)
        time.sleep(IDLE_LOOK_S)
        busy_s = processes.cpu_s(pids) - before_s


def _start(server: Server) -> Failure | None:
    return _outcome(server, server.start)


def _warm(server: Server) -> Failure | None:
    return _outcome(server, server.check, server.warm, server.check)


def _outcome(server: Server, *steps: Callable[[], None]) -> Failure | None:
    try:
        for step in steps:
            step()
    except (OSError, ValueError) as error:
        server.stop()
        return Failure(server.subject.name, server.subject.batching, str(error))
    return None


def _others_s() -> tuple[float, float]:
    """CPU time of the whole machine, and of this process's ended children: the load generators."""
    children = getrusage(RUSAGE_CHILDREN)
    own = os.times()
    return processes.machine_cpu_s(), children.ru_utime + children.ru_stime + own.user + own.system


def _frame(message: bytes) -> bytes:
    """As gRPC has it: not compressed, the length, the message."""
    return b"\0" + len(message).to_bytes(4, "big") + message
