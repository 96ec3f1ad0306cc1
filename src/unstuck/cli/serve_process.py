"""The process that serves: alone, or as one of several workers."""

import asyncio
import atexit
import faulthandler
import logging
import os
import signal
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import uvloop

from unstuck import __version__
from unstuck.cli.allowed import say_what_is_allowed
from unstuck.cli.memory import keep_freed_buffers
from unstuck.cli.served_page import served_page
from unstuck.config.settings import ServerConfig
from unstuck.errors import UnstuckError
from unstuck.monitor import log_lines
from unstuck.monitor.log_lines import console
from unstuck.server import Server
from unstuck.supervisor.peers import ConnectedPeers
from unstuck.supervisor.pulse import Pulse

SAME_SIGNAL_S = 0.5
ABANDONED = 130


def serve_alone(config: ServerConfig) -> NoReturn:
    """Serves until SIGINT or SIGTERM. Raises UnstuckError: what is asked for cannot be served."""
    _run(_serve_alone(config))


def serve_as_worker(config: ServerConfig, peers: ConnectedPeers) -> NoReturn:
    """Serves as one of several, until SIGTERM, or until the supervisor is gone. Raises UnstuckError, as above."""
    faulthandler.enable(all_threads=False)  # the supervisor keeps what it writes of a native crash
    rest_port, grpc_port = peers.ports
    _run(_serve_as_worker(replace(config, rest_port=rest_port, grpc_port=grpc_port), peers))


def _run(serving: Coroutine[Any, Any, int]) -> NoReturn:
    keep_freed_buffers()
    logging.getLogger("unstuck.versions").setLevel(logging.INFO)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(serving)
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Ends the process without taking the interpreter apart: a native thread that wakes up in that aborts it."""
    logging.shutdown()
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    log_lines.flush()
    os._exit(status)


async def _serve_alone(config: ServerConfig) -> int:
    stop = _stop_signals()
    server = Server(config)
    await server.start()
    names = ", ".join(each.name for each in server.plan) or "no model yet"
    console.info(f"Unstuck {__version__}, pid {os.getpid()}: loading {names} …")
    say_what_is_allowed()
    failed: list[UnstuckError] = []
    loading = asyncio.ensure_future(server.load_models(lambda error: _report(error, failed)))
    stopping = asyncio.ensure_future(stop.get())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        if failed and not server.models.available():
            stopping.cancel()
            await server.stop()
            return 1
        console.info(served_page(server, config))
    await stopping
    console.info("Stopping: no new connections; requests in flight are finished.")
    finishing = asyncio.ensure_future(server.stop())
    # Ctrl-C in a terminal reaches the whole process group, and a wrapper may send it on: that is one request to stop.
    await asyncio.wait({finishing}, timeout=SAME_SIGNAL_S)
    while not stop.empty():
        stop.get_nowait()
    again = asyncio.ensure_future(stop.get())
    await asyncio.wait({finishing, again}, return_when=asyncio.FIRST_COMPLETED)
    if not finishing.done():
        console.info("Stopped at once, on the second signal.")
        os._exit(ABANDONED)  # a call that never ends holds its thread; the interpreter would wait for it
    again.cancel()
    finishing.result()
    console.info("Stopped.")
    return 0


async def _serve_as_worker(config: ServerConfig, peers: ConnectedPeers) -> int:
    loop = asyncio.get_running_loop()
    stop = _stop_signals()
    server = Server(config, peers)
    peers.start(lost=partial(_stop_from_thread, loop, stop))
    Pulse(loop, peers.tell, server.grpc_batches).start()
    await server.start(listens=peers.listens_at_once)
    serving = asyncio.ensure_future(_come_into_service(server, config, peers))
    stopping = asyncio.ensure_future(stop.get())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done() and not serving.result():
        await server.stop()
        return 1
    await stopping
    await server.stop()
    return 0


def _stop_from_thread(loop: asyncio.AbstractEventLoop, stop: "asyncio.Queue[signal.Signals]") -> None:
    loop.call_soon_threadsafe(stop.put_nowait, signal.SIGTERM)


async def _come_into_service(server: Server, config: ServerConfig, peers: ConnectedPeers) -> bool:
    """Loads when it is this worker's turn, and takes calls once it has; False where nothing can be served."""
    failed: list[UnstuckError] = []
    await asyncio.to_thread(peers.load_turn.enter)
    try:
        await server.load_models(lambda error: _report(error, failed))
    finally:
        peers.load_turn.leave()
    if failed and not server.models.available():
        return False
    await asyncio.to_thread(peers.may_serve)
    if not peers.listens_at_once:
        await server.listen()
    peers.tell("serving", served_page(server, config))
    return True


def _stop_signals() -> "asyncio.Queue[signal.Signals]":
    queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, queue.put_nowait, number)
    return queue


def _report(error: UnstuckError, failed: list[UnstuckError]) -> None:
    failed.append(error)
    console.error(error)
