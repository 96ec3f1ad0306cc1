"""Servers beyond what ``deploy`` starts: fresh state at each start, sockets that hardly serve, our own server."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from corpus import server
from corpus.case import Deployment

START_S = 120
STOP_S = 20


def live(
    deployment: Deployment,
    hooks: Callable[[], server.Hooks] = server.Hooks,
    *,
    protocol: str = "rest",
    name: str = "model",
    path: str = "",
) -> Deployment:
    """The deployment, served with new hooks at each start: no cache is warm, no count has begun."""
    model = deployment.model
    assert model is not None
    versions = {int(model.name): model} if model.name.isdigit() else {int(f.name): f for f in model.iterdir()}
    listen = {"rest": server.rest, "grpc": server.grpc}[protocol]
    return replace(deployment, serve=lambda: listen(versions, hooks(), name=name, path=path))


@contextmanager
def nobody(target: str = "http://{}/v1/models/model") -> Iterator[str]:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    yield target.format(address)


@contextmanager
def silent(target: str = "http://{}/v1/models/model") -> Iterator[str]:
    """Takes connections and requests, and never says a word."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield target.format(f"127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


@contextmanager
def says(status: int, body: str, content_type: str = "text/html", name: str = "model") -> Iterator[str]:
    """Answers everything alike, as a proxy without a server behind it."""
    payload = body.encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silence: the default writes each request to standard error."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}/v1/models/{name}"
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


@contextmanager
def unstuck(models: Mapping[str, Path], *flags: str, protocol: str = "rest", path: str = "") -> Iterator[str]:
    """``unstuck serve`` in a process of its own; gives the TARGET URL of the first model."""
    named = [f"{name}={folder}" for name, folder in models.items()]
    command = [sys.executable, "-m", "unstuck", "serve", *named, "--host=127.0.0.1", *flags]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, "--rest_api_port=auto", "--port=auto"],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        try:
            address = _address(process, said, {"rest": r"REST +http://", "grpc": r"gRPC +"}[protocol])
            scheme, prefix = {"rest": ("http", "v1/models/"), "grpc": ("grpc", "")}[protocol]
            yield f"{scheme}://{address}/{prefix}{next(iter(models))}{path}"
        finally:
            process.terminate()
            process.wait(STOP_S)


def _address(process: "subprocess.Popen[Any]", said: Any, before: str) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        said.seek(0)
        text = said.read()
        found = re.search(before + r"(127\.0\.0\.1:\d+)", text)
        if found and "Ready." in text:
            return found[1]
        assert process.poll() is None, f"unstuck serve ended:\n{text}"
        time.sleep(0.05)
    raise AssertionError(f"unstuck serve is not ready:\n{text}")
