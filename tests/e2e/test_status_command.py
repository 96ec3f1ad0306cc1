"""`unstuck status` of a server of ours, of one that only has TensorFlow Serving's pages, and of none."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from unstuck.testing import models as exports

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def server(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``half`` serves, ``broken`` does not."""
    folder = tmp_path_factory.mktemp("models")
    exports.half_plus_two(folder / "half", 1)
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "broken" / "1" / "saved_model.pb").write_bytes(b"")
    return serve({"half": folder / "half", "broken": folder / "broken"})


@pytest.fixture(scope="module")
def stock(server: Any) -> Iterator[str]:
    """A server that passes on TensorFlow Serving's pages, and has no others."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_its = self.path.startswith("/v1/")
            answer = httpx.get(f"{server.url}{self.path}") if is_its else httpx.Response(404, text="Not found")
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def status(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unstuck", "status", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_of_our_server(server: Any) -> None:
    done = status(server.url)
    assert (done.returncode, done.stderr) == (1, "")
    assert "half    1        AVAILABLE" in done.stdout
    assert "broken version 1: is not served: Model 'broken' version 1 cannot be served: " in done.stdout
    assert "\x1b" not in done.stdout


def test_of_one_model_that_is_well(server: Any) -> None:
    done = status(f"{server.url}/v1/models/half", "--format=json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["well"], list(report["models"])) == (0, True, ["half"])
    version = report["models"]["half"]["versions"]["1"]
    assert (version["engine"], version["state"]) == ("tensorflow", "AVAILABLE")
    assert version["load_s"] > 0
    assert version["memory_growth_bytes"] != 0
    default = version["signatures"]["serving_default"]
    assert default["merged"]
    unmerged = {name: each["why_not_merged"] for name, each in version["signatures"].items() if not each["merged"]}
    assert unmerged["classify_x_to_y"] == "'inputs' (string [?]) has no batch dimension of any size in front"


def test_of_a_stock_server(stock: str) -> None:
    well, broken, unnamed, unknown = (
        status(f"{stock}{path}") for path in ("/v1/models/half", "/v1/models/broken", "", "/v1/models/x")
    )
    assert [each.returncode for each in (well, broken, unnamed, unknown)] == [0, 1, 2, 2]
    assert well.stdout.startswith("Not Unstuck: only versions and states are known")
    assert "broken version 1: is not served: " in broken.stdout
    assert f"unstuck status {stock}/v1/models/NAME" in unnamed.stderr
    assert "answers 404" in unknown.stderr


def test_of_nobody() -> None:
    done = status("http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unstuck status: http://127.0.0.1:1/statusz cannot be read: " in done.stderr


def test_it_needs_no_framework_and_no_server() -> None:
    script = "import sys, unstuck.cli.status; print(sorted({'tensorflow', 'numpy', 'granian'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[]\n"
