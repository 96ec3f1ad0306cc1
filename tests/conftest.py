"""What tests share: servers that run in this process, in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from unstuck.config.settings import AUTO_PORT, ModelConfig, ServerConfig
from unstuck.core.locations import location
from unstuck.errors import UnstuckError
from unstuck.server import Server

START_TIMEOUT_S = 120

ServeFunction = Callable[..., "RunningServer"]


@dataclass
class RunningServer:
    """A server in a thread: the addresses of its REST API and of gRPC, and what could not be loaded."""

    config: ServerConfig
    url: str = ""
    grpc_address: str = ""
    failures: tuple[UnstuckError, ...] = ()

    def __post_init__(self) -> None:
        self._loaded = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="test-server", daemon=True)
        self._thread.start()
        assert self._loaded.wait(START_TIMEOUT_S), "the server did not start in time"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
            self._loaded.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self.config)
        await server.start()
        failures: list[UnstuckError] = []
        await server.load_models(failures.append)
        self.url, self.failures = f"http://127.0.0.1:{server.rest_port}", tuple(failures)
        self.grpc_address = f"127.0.0.1:{server.grpc_port}"
        self._loaded.set()
        await self._stop.wait()
        await server.stop()

    def stop(self) -> None:
        """May be called again."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive(), "the server did not stop in time"


@pytest.fixture(scope="module")
def serve() -> Iterator[ServeFunction]:
    """``serve({"name": base_path, …}, **settings)``: a running server; stopped when the module's tests are over."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="session")
def serve_for_all() -> Iterator[ServeFunction]:
    """As ``serve``; stopped when the session ends."""
    with _servers() as start:
        yield start


@contextmanager
def _servers() -> Iterator[ServeFunction]:
    running: list[RunningServer] = []

    def start(models: Mapping[str, Path | str], **settings: Any) -> RunningServer:
        aliases = {"rest_api_enable_cors_support": "cors"}
        config = ServerConfig(
            models=tuple(ModelConfig(name, location(str(path))) for name, path in models.items()),
            host="127.0.0.1",
            **{
                "rest_port": AUTO_PORT,
                "grpc_port": AUTO_PORT,
                **{aliases.get(name, name): value for name, value in settings.items()},
            },
        )
        running.append(RunningServer(config))
        return running[-1]

    yield start
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(RunningServer.stop, running))
