"""The load generator against servers that stall, fail, hang and are away: what it says must be what they did."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from unstuck.bench import processes, usage
from unstuck.bench.generator import Plan
from unstuck.bench.load import ClosedLoop, Load, OpenLoop
from unstuck.bench.slots import NO_CONNECTION, TIMEOUT, Destination
from unstuck.bench.tally import Tally, Window
from unstuck.client.tls import TlsFiles

pytestmark = pytest.mark.slow
Answer = Callable[[int], Awaitable[int]]  # from a call's number to the status
BODY = b'{"predictions":[1]}'


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Serves HTTP until the block ends; gives the port."""
    loop = asyncio.new_event_loop()
    started: list[asyncio.Server] = []
    count = iter(range(1 << 40))
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                status = await answer(next(count))
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(BODY), BODY))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.transport.abort()

    async def start() -> None:
        started.append(await asyncio.start_server(serve, "127.0.0.1", 0))

    async def stop() -> None:
        started[0].close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield started[0].sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def fine(number: int) -> int:
    return 200


def plan(port: int, load: Load, **more: object) -> Plan:
    to = Destination("127.0.0.1", port, f"127.0.0.1:{port}", "/v1/models/m:predict", False, False, TlsFiles())
    found = Plan(to, [b"{}"] * 4, load, begin=0.0, duration_s=1.0, warmup_s=0.2, timeout_s=5.0, slots=64)
    return replace(found, **more)  # type: ignore[arg-type]


def measured(port: int, load: Load, count: int = 1, **more: object) -> Tally:
    return processes.run(plan(port, load, **more), count, lambda process, window: None)


class Stall:
    """Answers at once, but for one stretch of time in which it answers nobody."""

    def __init__(self, after_s: float, for_s: float) -> None:
        self._after_s, self._for_s = after_s, for_s
        self._began = 0.0

    async def __call__(self, number: int) -> int:
        now = time.monotonic()
        self._began = self._began or now
        left = self._began + self._after_s + self._for_s - now
        if 0 < left <= self._for_s:
            await asyncio.sleep(left)
        return 200


RATE, STALL_S, DURATION_S = 300, 0.6, 1.5


@pytest.mark.parametrize("slots", [512, 8])
def test_an_open_loop_counts_every_call_that_a_stall_held_up(slots: int) -> None:
    """Even with few connections, where most calls cannot be sent: they would have waited as well."""
    with server(Stall(0.6, STALL_S)) as port:
        load = OpenLoop(RATE, "constant")
        tally = measured(port, load, duration_s=DURATION_S, slots=slots)
    held_up = STALL_S * RATE
    slow = tally.latencies.count * (1 - tally.latencies.share_within(STALL_S * 0.1))
    assert slow == pytest.approx(held_up * 0.9, rel=0.3)
    assert tally.latencies.percentile(95) > STALL_S * 0.6
    assert tally.latencies.maximum > STALL_S * 0.9
    assert tally.calls == pytest.approx(RATE * DURATION_S, rel=0.02)
    assert not tally.failed


def test_a_closed_loop_hides_it_as_its_callers_wait() -> None:
    """Which is why there are open ones: each caller sees the stall once."""
    with server(Stall(0.6, STALL_S)) as port:
        tally = measured(port, ClosedLoop(2), duration_s=DURATION_S)
    assert tally.latencies.maximum > STALL_S * 0.5
    assert tally.latencies.count * (1 - tally.latencies.share_within(STALL_S * 0.5)) <= 4


@pytest.mark.parametrize("arrivals", ["poisson", "constant"])
def test_an_open_loop_keeps_its_rate(arrivals: str) -> None:
    with server(fine) as port:
        tally = measured(port, OpenLoop(400.0, arrivals), duration_s=1.5)  # type: ignore[arg-type]
    assert tally.calls == pytest.approx(600, rel=0.02 if arrivals == "constant" else 0.2)
    assert tally.in_time == pytest.approx(tally.calls, rel=0.2)
    assert tally.lag.count == tally.calls
    assert tally.lag.percentile(50) < 0.05
    assert sum(each.latencies.count for each in tally.windows) == tally.latencies.count


def test_failures_are_counted_by_status_and_never_as_latency() -> None:
    async def every_third(number: int) -> int:
        return 503 if number % 3 == 0 else 200

    with server(every_third) as port:
        tally = measured(port, ClosedLoop(4))
    assert tally.errors.keys() == {"HTTP 503"}
    assert tally.said == {"HTTP 503": BODY.decode()}
    assert tally.errors["HTTP 503"] == pytest.approx(tally.calls / 3, rel=0.05)
    assert tally.latencies.count + tally.failed == tally.calls


@pytest.mark.parametrize("load", [ClosedLoop(4), OpenLoop(50)])
def test_a_server_that_hangs(load: Load) -> None:
    async def hang(number: int) -> int:
        await asyncio.sleep(60)
        return 200

    began = time.monotonic()
    with server(hang) as port:
        tally = measured(port, load, timeout_s=0.3, duration_s=0.7)
    assert time.monotonic() - began < 5
    assert tally.errors.keys() == {TIMEOUT}
    assert tally.calls == pytest.approx(load.concurrency * 3 if isinstance(load, ClosedLoop) else 35, rel=0.6)
    assert tally.latencies.count == tally.in_time == 0


@pytest.mark.parametrize("load", [ClosedLoop(4), OpenLoop(50)])
def test_a_server_that_is_away(load: Load) -> None:
    with server(fine) as port:
        pass
    tally = measured(port, load, duration_s=0.5)
    assert tally.failed
    assert all(error.startswith(NO_CONNECTION) for error in tally.errors)
    assert tally.busy < 0.9  # it does not try as fast as it can


def test_what_cannot_be_sent_in_time_is_counted() -> None:
    async def slow(number: int) -> int:
        await asyncio.sleep(0.1)
        return 200

    with server(slow) as port:
        tally = measured(port, OpenLoop(500, "constant"), slots=2)  # of which 20 a second can be answered
    assert tally.calls == pytest.approx(500, rel=0.02)
    assert tally.not_sent > 300
    assert tally.latencies.count + tally.not_sent == tally.calls


def test_ctrl_c_gives_what_was_measured() -> None:
    before = signal.getsignal(signal.SIGINT)
    with server(fine) as port:
        timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.monotonic()
        tally = measured(port, ClosedLoop(2), duration_s=30)
        took = time.monotonic() - began
    assert took < 3
    assert tally.interrupted
    assert tally.latencies.count > 10
    assert tally.seconds == pytest.approx(0.5, abs=0.25)
    assert signal.getsignal(signal.SIGINT) == before


def test_the_process_that_listens_is_found() -> None:
    with server(fine) as port:
        assert usage.listening(port) == os.getpid()
    assert usage.listening(port) is None


def test_cpu_and_memory_are_of_the_time_since() -> None:
    sum(range(3_000_000))
    meter = usage.Meter(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.3:
        pass
    found = meter.read()
    assert found is not None
    assert found.cpu_s == pytest.approx(0.3, abs=0.25)
    assert 1 << 20 < found.memory_bytes <= found.peak_bytes
    assert usage.Meter(1 << 30).read() is None  # there is no such process


def test_processes_share_a_load() -> None:
    seen: list[tuple[int, Window]] = []
    with server(fine) as port:
        asked = plan(port, OpenLoop(200, "constant"), duration_s=1.2, server_pid=os.getpid())
        tally = processes.run(asked, 2, lambda process, window: seen.append((process, window)))
    assert tally.calls == pytest.approx(240, rel=0.05)
    assert {process for process, _ in seen} == {0, 1}
    assert sum(window.latencies.count for _, window in seen) == tally.latencies.count
    assert tally.usage is not None
    assert tally.usage.memory_bytes > 1 << 20
