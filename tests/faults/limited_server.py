"""``unstuck serve`` in a process with limits, as the tests of memory start it."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traffic import until

TIMEOUT_S = 120


class Served:
    """``unstuck serve`` of the model ``m`` in a process with limits."""

    def __init__(self, command: Callable[[Sequence[Any]], list[str]], base: Path, *flags: str) -> None:
        self._output = base.parent / "output"
        arguments = [f"m={base}", "--rest_api_port=auto", "--port=auto", "--host=127.0.0.1", *flags]
        environment = {**os.environ, "XDG_CACHE_HOME": str(base.parent / "cache")}
        with self._output.open("w") as file:
            self.process = subprocess.Popen(
                command([sys.executable, "-m", "unstuck", "serve", *arguments]),
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def url(self) -> str:
        return self._said_as(r"REST +(http://\S+)")

    @property
    def grpc_address(self) -> str:
        return self._said_as(r"gRPC +(\S+)")

    def _said_as(self, pattern: str) -> str:
        found: list[str] = []
        until(lambda: self._has_ended() or found.extend(re.findall(pattern, self.said)) or found)
        assert found, self.said
        return found[0]

    def _has_ended(self) -> bool:
        return self.process.poll() is not None

    def versions(self) -> dict[str, Any]:
        return self.model()["versions"]

    def model(self) -> dict[str, Any]:
        return self._get("/statusz")["models"]["m"]

    def limits(self) -> dict[str, Any]:
        return self._get("/statusz")["server"]["limits"]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=TIMEOUT_S) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT_S)


@contextmanager
def served(command: Callable[[Sequence[Any]], list[str]], base: Path, *flags: str) -> Iterator[Served]:
    server = Served(command, base, *flags)
    try:
        yield server
    finally:
        server.stop()
