"""The supervisor with workers that are small scripts: starts, deaths, hangs, turns, changes, and the end."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unstuck.errors import SetupError, UnstuckError
from unstuck.supervisor.ports import reserve
from unstuck.supervisor.silence import TICK_S
from unstuck.supervisor.supervisor import Plan, Supervisor

FAKE = Path(__file__).with_name("fake_worker.py")
TIMEOUT_S = 30
NOTICED_S = 2.0


class Run:
    """A supervisor that ran from the first signal of a test's to its end."""

    def __init__(self, folder: Path, *scripts: str, workers: int = 2) -> None:
        self.folder = folder
        self.supervisor: Any = Supervisor(Plan([sys.executable, str(FAKE), str(folder), *scripts], workers))
        self.status = -1

    def until(self, wanted: Callable[[], Any], then: Callable[[], Any] = lambda: None) -> "Run":
        """Runs it until ``wanted``, does what comes ``then``, and stops it by SIGTERM."""
        asyncio.run(self._until(wanted, then))
        return self

    async def _until(self, wanted: Callable[[], Any], then: Callable[[], Any]) -> None:
        running = asyncio.create_task(self.supervisor.run())
        await _until(lambda: wanted() or running.done())
        if asyncio.iscoroutine(doing := then()):
            await doing
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
        self.status = await running

    def serving(self, count: int = 2) -> bool:
        return [each.state for each in self.supervisor._workers].count("serving") == count

    def hellos(self, number: int) -> list[Any]:
        """What each run of a worker was told, in their order."""
        return [json.loads(each.read_text()) for each in sorted(self.folder.glob(f"{number}-*"))]

    def times(self, what: str) -> list[float]:
        return sorted(float(each.read_text()) for each in self.folder.glob(f"{what}-*"))


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "unstuck")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_serve_and_stop(tmp_path, caplog):
    run = Run(tmp_path, "serve", workers=3)
    run.until(lambda: run.serving(3))
    assert run.status == 0
    assert not any(is_alive(int(each.name.split("-")[-1])) for each in tmp_path.glob("[123]-*"))
    assert [record.message for record in caplog.records if record.name == "unstuck.console"][-1] == "Stopped."


def test_one_worker_loads_at_a_time(tmp_path):
    run = Run(tmp_path, "serve", workers=4)
    run.until(lambda: run.serving(4))
    begun, ended = run.times("loading"), run.times("loaded")
    assert len(begun) == 4
    assert all(end <= begin for end, begin in zip(ended, begun[1:], strict=False))


def test_only_the_first_listens_before_it_has_loaded(tmp_path):
    run = Run(tmp_path, "serve")
    run.until(run.serving)
    (first,), (second,) = run.hellos(1), run.hellos(2)
    assert (first["listens_at_once"], second["listens_at_once"]) == (True, False)
    assert (first["is_proven"], second["is_proven"]) == (False, True)


def test_a_worker_that_dies_is_started_again_and_said(tmp_path, caplog):
    run = Run(tmp_path, "die", "serve", workers=1)
    run.until(lambda: len(run.hellos(1)) == 2 and run.serving(1))
    (said,) = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert "was killed by SIGKILL (by somebody, or by the system as memory ran out" in said
    assert "It is started again at once." in said
    assert run.supervisor._workers[0].said == ["last words"]


def test_a_crash_loop_backs_off_and_says_why(tmp_path, caplog):
    run = Run(tmp_path, "die loading", "die loading", "serve", workers=1)
    began = time.monotonic()
    run.until(lambda: run.serving(1))
    assert time.monotonic() - began >= 1, "the second wait"
    first, second = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert "was killed by SIGSEGV (a native crash" in first
    assert second.endswith("before it served, its death number 2 in a row. It is started again in 1 s.")


@pytest.mark.slow
def test_who_dies_while_it_loads_gives_its_turn_back(tmp_path):
    run = Run(tmp_path, "die loading", "serve", workers=2)
    run.until(run.serving)
    assert run.status == 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_hang_is_noticed_within_two_seconds(tmp_path, caplog, workers):
    run = Run(tmp_path, "hang", "serve", workers=workers)
    numbers = range(1, workers + 1)
    run.until(lambda: all(len(run.hellos(number)) == 2 for number in numbers) and run.serving(workers))
    hung = [each for each in caplog.records if "did not answer for 1.5 s, and was killed" in each.message]
    assert len(hung) == workers
    assert all(float(each.message.split("served for ")[1].split(" s")[0]) <= NOTICED_S + TICK_S for each in hung)


def test_a_server_that_cannot_be_set_up_ends_as_one_process_would(tmp_path, capfd):
    run = Run(tmp_path, "misconfigured")
    run.until(lambda: False)
    assert run.status == 1
    assert capfd.readouterr().err.count("worker 1: unstuck serve: There is no folder x.") == 1
    assert not run.hellos(2), "a second worker could say no more"


@pytest.mark.slow
def test_a_worker_that_cannot_be_set_up_again_does_not_end_the_others(tmp_path):
    run = Run(tmp_path, "die", "misconfigured", workers=1)
    run.until(lambda: len(run.hellos(1)) == 3)
    assert run.status == 0


def test_what_a_worker_asks_for_is_put_into_force_in_all_and_in_later_ones(tmp_path):
    run = Run(tmp_path, "change", "serve")

    async def change_and_kill() -> None:
        (tmp_path / "go").touch()  # both serve: one that had yet to begin would be greeted with the change
        await _until(lambda: len(list(tmp_path.glob("change-*"))) == 2)
        run.supervisor._workers[1].process.send_signal(signal.SIGKILL)
        await _until(lambda: len(run.hellos(2)) == 2 and run.serving())

    run.until(run.serving, change_and_kill)
    assert [json.loads(each.read_text()) for each in tmp_path.glob("change-*")] == [{"text": "new"}] * 2
    assert run.hellos(2)[1]["configuration"] == {"text": "new"}


def test_a_change_that_is_refused_changes_nothing(tmp_path):
    run = Run(tmp_path, "refuse")
    said: list[str] = []

    async def change() -> None:
        try:
            await run.supervisor._configuration.change({"text": "new"})
        except UnstuckError as error:
            said.append(str(error))

    run.until(run.serving, change)
    assert said == ["No."]
    assert run.supervisor._configuration.current == {}


async def _until(wanted: Callable[[], Any]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not wanted():
        assert time.monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.01)


def bind(port: int, *options: int) -> socket.socket:
    bound = socket.socket()
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def test_a_reserved_port_is_one_server_s_alone():
    with reserve("127.0.0.1", 0, "REST", "rest_api_port") as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(SetupError, match=f"The REST port 127.0.0.1:{port} cannot be used: Address already in use"):
            reserve("127.0.0.1", port, "REST", "rest_api_port")
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
        with bind(port, socket.SO_REUSEADDR, socket.SO_REUSEPORT) as one, bind(port, socket.SO_REUSEPORT) as other:
            one.listen()
            other.listen()
            with pytest.raises(SetupError):
                reserve("127.0.0.1", port, "REST", "rest_api_port")
            for _ in range(20):
                socket.create_connection(("127.0.0.1", port), 5).close()


def test_nobody_is_connected_to_a_port_that_is_only_reserved():
    with reserve("127.0.0.1", 0, "gRPC", "port") as reserved, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reserved.getsockname()[1]), 5)


def test_a_port_is_free_again_at_once():
    with reserve("127.0.0.1", 0, "REST", "rest_api_port") as reserved:
        port = reserved.getsockname()[1]
        with bind(port, socket.SO_REUSEADDR, socket.SO_REUSEPORT) as one:
            one.listen()
            client = socket.create_connection(("127.0.0.1", port), 5)
            one.accept()[0].close()  # which leaves the port in TIME_WAIT
            client.close()
    reserve("127.0.0.1", port, "REST", "rest_api_port").close()
