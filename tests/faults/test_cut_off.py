"""Our client when a connection ends before or within an answer, as when a process dies: one more try, and no more."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from unstuck import AsyncClient, Client
from unstuck.client import Unreachable
from unstuck.testing import onnx_models

ROWS = 20_000  # whose answer is of some 100 kB
REQUEST_BYTES = 50_000  # less than it takes to ask for them, and more than to connect
TIMEOUT_S = 60
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST instead of FIN


class Cutter:
    """Stands before a server, and ends connections within answers to large requests."""

    def __init__(self, target: str) -> None:
        self._target = target.rsplit(":", 1)
        self._lock = threading.Lock()
        self.cuts_left = self._after_bytes = 0
        self._resets = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, cuts: int, after_bytes: int, *, resets: bool) -> None:
        """Ends the next ``cuts`` connections that bring back more than ``after_bytes`` of an answer."""
        with self._lock:
            self.cuts_left, self._after_bytes, self._resets = cuts, after_bytes, resets

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._target[0], int(self._target[1])), TIMEOUT_S)
            asked = threading.Event()
            for work in (self._send, self._bring_back):
                threading.Thread(target=work, args=[client, server, asked], daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        sent = 0
        with suppress(OSError):
            while data := client.recv(1 << 16):
                sent += len(data)
                if sent >= REQUEST_BYTES:
                    asked.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _bring_back(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        brought = 0
        with suppress(OSError):
            while data := server.recv(1 << 16):
                brought += len(data) * asked.is_set()
                if self._may_cut(brought):
                    client.sendall(data[: len(data) - (brought - self._after_bytes)])
                    break
                client.sendall(data)
        if self._resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        for each in (client, server):
            with suppress(OSError):  # or else the thread that still reads from it would keep it open
                each.shutdown(socket.SHUT_RD if self._resets else socket.SHUT_RDWR)
            each.close()

    def _may_cut(self, brought: int) -> bool:
        with self._lock:
            is_due = bool(self.cuts_left) and brought > self._after_bytes
            self.cuts_left -= is_due
        return is_due


@pytest.fixture(scope="module")
def server(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("models") / "m"
    onnx_models.half_plus_two(path)
    return serve({"m": path})


@pytest.fixture(params=["rest", "grpc"])
def cutter(request: pytest.FixtureRequest, server: Any) -> Iterator[Any]:
    target = server.url.removeprefix("http://") if request.param == "rest" else server.grpc_address
    made = Cutter(target)
    made.url = f"{'http' if request.param == 'rest' else 'grpc'}://{made.address}"
    yield made
    made.close()


AFTER = pytest.mark.parametrize("after_bytes", [0, 30_000])
HOW = pytest.mark.parametrize("resets", [False, pytest.param(True, marks=pytest.mark.slow)])
X = np.arange(ROWS, dtype=np.float32).reshape(-1, 1)


@AFTER
@HOW
def test_a_call_whose_connection_ends_is_made_once_more(cutter, after_bytes, resets):
    with Client(cutter.url, "m", timeout_s=TIMEOUT_S) as client:
        client.predict(X[:1])
        cutter.cut(1, after_bytes, resets=resets)
        np.testing.assert_array_equal(client.predict(X)["y"], X / 2 + 2)
        assert cutter.cuts_left == 0


@AFTER
@HOW
def test_and_not_again(cutter, after_bytes, resets):
    with Client(cutter.url, "m", timeout_s=TIMEOUT_S) as client:
        client.predict(X[:1])
        cutter.cut(3, after_bytes, resets=resets)
        with pytest.raises(Unreachable, match="ended before the answer came") as error:
            client.predict(X)
        assert error.value.may_have_run
        assert cutter.cuts_left == 1, "two tries"


@pytest.mark.slow
@AFTER
@HOW
def test_the_same_of_the_client_that_awaits(cutter, after_bytes, resets):
    async def call() -> Any:
        async with AsyncClient(cutter.url, "m", timeout_s=TIMEOUT_S) as client:
            await client.predict(X[:1])
            cutter.cut(1, after_bytes, resets=resets)
            answer = await client.predict(X)
            cutter.cut(3, after_bytes, resets=resets)
            with pytest.raises(Unreachable, match="ended before the answer came"):
                await client.predict(X)
            return answer["y"]

    np.testing.assert_array_equal(asyncio.run(call()), X / 2 + 2)
    assert cutter.cuts_left == 1
