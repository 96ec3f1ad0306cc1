"""``unstuck health``: an exit status for a container's health check."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from unstuck.cli.main import main

HEAVY = {"numpy", "pydantic", "rich", "httpx", "orjson", "tensorflow"}


@pytest.fixture
def serving() -> Iterator[Callable[[int], tuple[str, list[str]]]]:
    """A server that answers every path with one status; its address, and the paths that were asked."""
    servers: list[HTTPServer] = []

    def serve(status: int) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1), (404, 1)])
def test_the_exit_status(serving: Callable[[int], tuple[str, list[str]]], status: int, expected: int) -> None:
    url, asked = serving(status)
    assert main(["health", url]) == expected
    assert main(["health", f"{url}/"]) == expected
    assert main(["health", f"{url}/healthz"]) == expected
    assert asked == ["/readyz", "/readyz", "/healthz"]


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert main(["health", f"http://127.0.0.1:{closed.getsockname()[1]}"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_no_answer_of_http(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"hello\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert main(["health", f"http://127.0.0.1:{server.getsockname()[1]}"]) == 1
    assert "no answer of HTTP" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["ftp://h"], ["localhost:8501"], ["http://"], ["http://a", "http://b"]])
def test_what_is_no_url(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", *arguments]) == 2
    assert "expected at most one URL" in capsys.readouterr().err


def test_it_starts_without_anything_heavy() -> None:
    code = "import sys; from unstuck.cli.main import main; main(['health', 'http://127.0.0.1:1']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not HEAVY & set(done.stdout.split())
