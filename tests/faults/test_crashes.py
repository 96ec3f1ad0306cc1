"""Calls that crash, hang or fill a worker, under traffic: the others serve on, and nobody else's call fails."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from harmful import COMPUTES, COMPUTES_S, CRASHES, EATS_MEMORY, HANGS, export
from limited import in_cgroup
from served_workers import NOTICED_S, TIMEOUT_S, Traffic, Workers, get, until_ended

from unstuck import Client
from unstuck.client import Unreachable

MIB = 1 << 20
CPUS = 0.2
SETTLED = 50  # right answers in a row of the traffic after something happened

Serve = Callable[..., Workers]
_NEIGHBOURS = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
own = os.getpid()
for _ in range(4):
    if not os.fork():
        while os.getppid() == own:
            pass
        os._exit(0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture
def serve(tmp_path: Path, model: Path) -> Iterator[Serve]:
    running: list[Workers] = []

    def start(*arguments: Any, **options: Any) -> Workers:
        running.append(Workers(tmp_path, model, "--allow_unsafe_ops", *arguments, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def ask(workers: Workers, *values: float) -> httpx.Response:
    """Over a connection of its own, and once."""
    body = {"instances": [[value] for value in values]}
    return httpx.post(f"{workers.url}/v1/models/m:predict", json=body, timeout=TIMEOUT_S, verify=False)


def deaths(workers: Workers) -> int:
    return sum(each["restarts"] for each in workers.workers())


def settle(workers: Workers, traffic: Traffic) -> None:
    """Waits until all workers serve again, and the clients are answered."""
    workers.until(workers.all_serve)
    enough = traffic.outcomes["right"] + SETTLED
    workers.until(lambda: traffic.outcomes["right"] >= enough)


def one_dies(workers: Workers, value: float) -> tuple[Any, float]:
    """Sends what harms, once, while all is well and clients call; which worker it was, and how long the call took."""
    with Traffic(workers) as traffic:
        settle(workers, traffic)
        before, began = workers.workers(), time.monotonic()
        with pytest.raises(httpx.TransportError):  # nothing, rather than a part of an answer
            ask(workers, 4.0, value)
        took_s = time.monotonic() - began
        workers.until(lambda: deaths(workers) == 1)
        settle(workers, traffic)
    assert set(traffic.outcomes) == {"right"}, traffic.outcomes
    (dead,) = [old["number"] for old, new in zip(before, workers.workers(), strict=True) if old["pid"] != new["pid"]]
    assert get(f"{workers.url}/readyz").status_code == 200
    return next(each for each in workers.workers() if each["number"] == dead), took_s


def test_a_native_crash_ends_one_call_and_says_where_it_was(serve):
    worker, took_s = one_dies(serve(), CRASHES)
    assert took_s < NOTICED_S
    assert "was killed by SIGSEGV (a native crash" in worker["died"]
    assert any("look.py" in line for line in worker["last_words"]), worker["last_words"]


@pytest.mark.slow
def test_a_call_that_blocks_the_whole_process_is_noticed(serve):
    worker, took_s = one_dies(serve(), HANGS)
    assert took_s < NOTICED_S + 0.25, "and what it takes to ask"
    assert "did not answer for 1.5 s, and was killed" in worker["died"]


@pytest.mark.slow
def test_a_worker_that_takes_all_memory_is_killed_and_no_other(serve):
    with in_cgroup(memory_bytes=1200 * MIB) as group:
        workers = serve(within=group.command)
        worker, _ = one_dies(workers, EATS_MEMORY)
        assert "was killed by SIGKILL (as memory ran out; the container's limit is 1,200 MiB)" in worker["died"]
        assert group.oom_kills() == 1
        assert workers.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_our_client_kills_two_workers_by_one_call_and_no_third(serve, api):
    workers = serve(workers=3)
    address = workers.url if api == "rest" else f"grpc://{workers.address}"
    with Client(address, "m") as client:
        assert client.predict([[2.0]])["y"][0, 0] == 3.0
        with pytest.raises(Unreachable, match="ended before the answer came") as error:
            client.predict([[CRASHES]])
        assert error.value.may_have_run
        workers.until(workers.all_serve)
        assert deaths(workers) == 2
        assert client.predict([[2.0]])["y"][0, 0] == 3.0


@pytest.mark.slow
def test_a_call_that_is_repeated_for_ever_does_not_end_the_server(serve):
    workers = serve(workers=1)
    for _ in range(3):
        workers.until(lambda: is_answered(workers))
        with pytest.raises(httpx.TransportError):
            ask(workers, CRASHES)
    workers.until(lambda: is_answered(workers))
    said = [line for line in workers.said.splitlines() if "is started again" in line]
    assert [line.rpartition("again ")[2] for line in said] == ["at once.", "in 1 s.", "in 2 s."]
    assert all("was killed by SIGSEGV (a native crash" in line for line in said)
    assert "its death number 3 in a row" in said[2]


def is_answered(workers: Workers) -> bool:
    try:
        return ask(workers, 4.0).json() == {"predictions": [[4.0]]}
    except httpx.TransportError:
        return False


# Little CPU


def beside_busy_neighbours(command: Sequence[str]) -> Sequence[str]:
    """On one CPU together with four processes that compute, until this one ends."""
    return [sys.executable, "-c", _NEIGHBOURS, *command]


@pytest.fixture(params=["quota", "neighbours"])
def starved(request: pytest.FixtureRequest) -> Iterator[Callable[[Sequence[str]], Sequence[str]]]:
    """Runs a command with about a fifth of a CPU."""
    if request.param == "neighbours":
        yield beside_busy_neighbours
    else:
        with in_cgroup(cpus=CPUS) as group:
            yield group.command


@pytest.mark.slow
def test_with_a_fifth_of_a_cpu_all_is_slow_and_right_and_nobody_is_taken_for_hung(serve, starved):
    workers = serve(within=starved)
    with Traffic(workers) as traffic:
        settle(workers, traffic)
        began = time.monotonic()
        assert ask(workers, COMPUTES).json() == {"predictions": [[COMPUTES / 2 + 2]]}
        assert time.monotonic() - began > NOTICED_S > COMPUTES_S, "it had too much CPU to show anything"
        assert get(f"{workers.url}/healthz").status_code == 200
        assert get(f"{workers.url}/readyz").status_code == 200
        settle(workers, traffic)
    assert set(traffic.outcomes) == {"right"}, traffic.outcomes
    assert deaths(workers) == 0, workers.said
    stopped = workers.workers()[0]["pid"]
    os.kill(stopped, signal.SIGSTOP)
    until_ended(stopped)
    workers.until(workers.all_serve)
    assert "did not answer for 1.5 s, and was killed" in workers.workers()[0]["died"]
