"""``unstuck serve`` and ``tensorflow_model_server`` as their users run them: processes, signals, what they print."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from unstuck import __version__
from unstuck.testing import models as exports

SERVE = [sys.executable, "-m", "unstuck", "serve"]
TENSORFLOW_MODEL_SERVER = [str(Path(sys.executable).parent / "tensorflow_model_server")]
START_S, STOP_S = 60, 60
SLOW_S, ENDLESS_S = 2.0, 300.0
CALLABLE = [
    *("half_plus_two", "half_plus_two_tf2", "matrix_half_plus_two", "mlp", "dtypes", "multi_io", "text_bytes"),
    *("scalar_output", "complex_output", "nan_output", "vocabulary_lookup", "asset_reader"),
]
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


class Process:
    """A command that runs; what it prints is in ``out`` and ``err``."""

    def __init__(self, command: list[Any], folder: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([str(each) for each in command], stdout=out, stderr=err)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def url(self) -> str:
        found = re.search(r"REST +(http://\S+)", self.out)
        assert found, self.out + self.err
        return found[1]

    def until_prints(self, text: str) -> "Process":
        end = time.monotonic() + START_S
        while text not in self.out:
            assert self.process.poll() is None, f"it ended early:\n{self.out}{self.err}"
            assert time.monotonic() < end, f"it did not print {text!r}:\n{self.out}{self.err}"
            time.sleep(0.02)
        return self

    def until_ends(self) -> int:
        return self.process.wait(STOP_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.until_ends()


Run = Callable[..., Process]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """``run(arguments…)``: ``unstuck serve`` on a free port, or another command; killed when the module ends."""
    running: list[Process] = []

    def start(
        *arguments: Any, command: list[str] = SERVE, port: str = "--rest_api_port=auto", grpc: str = "--port=auto"
    ) -> Process:
        given = [*command, *arguments, *filter(None, (port, grpc))]
        running.append(Process(given, tmp_path_factory.mktemp("run")))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``model(name)``: the base path of that model of ``unstuck.testing.models``, exported on first use."""
    exported: dict[str, Path] = {}

    def path_of(name: str, **options: Any) -> Path:
        key = f"{name}{options or ''}"
        if key not in exported:
            exported[key] = tmp_path_factory.mktemp("models") / name
            exports.EXPORTS[name](exported[key], **options)
        return exported[key]

    return path_of


# What it prints


@pytest.fixture(scope="module")
def many(run: Run, model: Callable[..., Path]) -> Process:
    """A server of many models, one of them under a name that a URL must quote."""
    named = [f"{name}={model(name)}" for name in CALLABLE]
    return run(*named, f"a b={model('half_plus_two')}", "--host=127.0.0.1").until_prints("stops it.\n")


def test_start_up_says_what_is_served_and_where(many):
    assert many.out.startswith(f"Unstuck {__version__}, pid {many.process.pid}: loading half_plus_two, ")
    assert re.search(
        r"REST +http://127\.0\.0\.1:\d+ +\(bound to 127\.0\.0\.1; ready: /readyz, live: /healthz\)", many.out
    )
    assert "  multi_io, version 1\n" in many.out
    assert "  half_plus_two, version 123\n" in many.out
    assert "    serving_default: x: float [-1,64] -> logits: float [-1,10]\n" in many.out
    assert "    with_scalar: a: float [-1,2], b: int64 [-1], c: string [-1] -> count: int32 [], total: " in many.out
    assert many.out.endswith("\n\nReady. Ctrl-C stops it.\n")
    # TensorFlow itself may say which kernels it takes for float16 on this processor.
    assert [line for line in many.err.splitlines() if "oneDNN" not in line] == []


@needs_curl
@pytest.mark.parametrize("name", [*CALLABLE, "a%20b"])
def test_every_printed_command_works(many, name):
    commands = re.findall(rf"^ +(.*curl .*/v1/models/{name}:predict)$", many.out, re.M)
    assert commands or name == "complex_output"  # none of its signatures can be called in JSON
    failed = []
    for command in commands:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode or json.loads(done.stdout).keys() & {"predictions", "outputs"} == set():
            failed.append((command, done.stdout or done.stderr))
    assert not failed


@pytest.mark.parametrize("command", [SERVE, TENSORFLOW_MODEL_SERVER], ids=["unstuck serve", "tensorflow_model_server"])
def test_version(run, command):
    process = run("--version", command=command, port="")
    assert process.until_ends() == 0
    assert re.fullmatch(rf"Unstuck ModelServer: {__version__}\nTensorFlow Library: \d+\.\d+\.\d+\n", process.out)


# How it stops


def post(url: str, answers: list[httpx.Response | httpx.HTTPError]) -> threading.Thread:
    """Calls the model ``slow`` from a thread, which ends when the answer, or why there is none, is in ``answers``."""

    def call() -> None:
        try:
            answers.append(httpx.post(f"{url}/v1/models/slow:predict", json={"instances": [2.0]}, timeout=STOP_S))
        except httpx.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    time.sleep(0.3)  # until it has arrived
    return thread


def refuses(url: str) -> bool:
    address = httpx.URL(url)
    try:
        socket.create_connection((address.host, address.port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


BOTH = pytest.param([signal.SIGINT, signal.SIGTERM], marks=pytest.mark.slow)


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], BOTH], ids=repr)
def test_a_signal_lets_running_requests_finish(run, model, signals):
    """Two signals at once are one request to stop: a terminal's Ctrl-C that a wrapper sends on."""
    process = run(model("slow", busy_s=SLOW_S)).until_prints("Ready.")
    answers: list[Any] = []
    thread = post(process.url, answers)
    for number in signals:
        process.process.send_signal(number)
    process.until_prints("Stopping: no new connections; requests in flight are finished.")
    while not refuses(process.url):
        assert thread.is_alive(), "connections were accepted until the end"
        time.sleep(0.02)
    assert thread.is_alive(), "the request was not running any more"
    assert process.until_ends() == 0
    thread.join(STOP_S)
    (answer,) = answers
    assert (answer.status_code, answer.json()) == (200, {"predictions": [3.0]})
    assert process.out.endswith("Stopped.\n")
    assert process.err == ""


def test_a_second_signal_ends_at_once(run, model):
    process = run(model("slow", busy_s=ENDLESS_S)).until_prints("Ready.")
    answers: list[Any] = []
    thread = post(process.url, answers)
    process.process.send_signal(signal.SIGINT)
    process.until_prints("Stopping")
    time.sleep(1)  # longer than two signals count as one
    assert process.process.poll() is None
    process.process.send_signal(signal.SIGINT)
    assert process.until_ends() == 130
    thread.join(STOP_S)
    assert isinstance(answers[0], httpx.RemoteProtocolError)
    assert process.out.endswith("Stopped at once, on the second signal.\n")
    assert "Traceback" not in process.err


def test_a_signal_during_loading_stops_it(run, model):
    process = run(model("mlp")).until_prints("loading mlp")
    assert process.stop() == 0
    assert process.out.endswith("Stopped.\n")
    assert process.err == ""


# What goes wrong


def saved_model(path: Path, content: bytes) -> None:
    (path / "1").mkdir(parents=True)
    (path / "1" / "saved_model.pb").write_bytes(content)


def session_bundle(path: Path) -> None:
    (path / "00000123").mkdir(parents=True)
    for name in ("checkpoint", "export", "export.meta"):
        (path / "00000123" / name).write_bytes(b"\0")


def no_variables(path: Path) -> None:
    exports.half_plus_two(path, 1)
    shutil.rmtree(path / "1" / "variables")


BROKEN = {
    "empty": (lambda path: saved_model(path, b""), ["1/saved_model.pb holds no graph: the file is empty or cut off"]),
    "garbage": (lambda path: saved_model(path, b"\x89PNG\r\n"), ["has no readable saved_model.pb"]),
    "session bundle": (session_bundle, ["00000123 has no saved_model.pb", "SessionBundle of TensorFlow before 1.0"]),
    "no variables": (no_variables, ["cannot be loaded by TensorFlow"]),
    "nothing in the version": (
        lambda path: (path / "1").mkdir(parents=True),
        ["has no saved_model.pb, model.onnx or model.tflite; it has nothing"],
    ),
    "no versions": (lambda path: (path / "assets").mkdir(parents=True), ["has no version folders", "it has assets"]),
    "no folder": (lambda path: None, ["is not a folder"]),
}


@pytest.mark.parametrize(("build", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_model_ends_it_with_one_message(run, tmp_path, build, says):
    build(tmp_path / "broken")
    process = run(tmp_path / "broken")
    assert process.until_ends() == 1
    assert "Ready" not in process.out
    assert process.err.startswith("unstuck"), process.err
    assert process.err.count("\n") == 1, process.err
    for words in [*says, str(tmp_path / "broken")]:
        assert words in process.err


def test_beside_a_broken_model_the_other_serves(run, model, tmp_path):
    saved_model(tmp_path / "broken", b"")
    process = run(tmp_path / "broken", model("half_plus_two")).until_prints("Ready.")
    assert "broken is NOT served" in process.out
    assert "saved_model.pb holds no graph" in process.err
    assert process.err.count("\n") == 1
    answer = httpx.post(f"{process.url}/v1/models/half_plus_two:predict", json={"instances": [[1.0]]})
    assert answer.json() == {"predictions": [[2.5]]}
    ready = httpx.get(f"{process.url}/readyz")
    assert ready.status_code == 503
    assert ready.json()["models"]["half_plus_two"] == {"123": "AVAILABLE"}
    assert re.match(r"END: .*saved_model\.pb holds no graph", ready.json()["models"]["broken"]["1"])
    assert httpx.get(f"{process.url}/healthz").status_code == 200
    broken = httpx.post(f"{process.url}/v1/models/broken:predict", json={"instances": [1]})
    assert broken.status_code == 404
    assert "holds no graph" in broken.json()["error"]
    assert process.stop() == 0


def test_a_port_in_use_ends_it_before_anything_is_loaded(run, model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = run(model("half_plus_two"), "--host=127.0.0.1", port=f"--rest_api_port={port}")
        assert process.until_ends() == 1
    assert process.out == ""
    assert process.err.startswith(
        f"unstuck serve: The REST port 127.0.0.1:{port} cannot be used: Address already in use"
    )
    assert process.err.endswith("or let the server pick one: --rest_api_port=auto.\n")
    assert process.err.count("\n") == 1


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_a_grpc_port_in_use_ends_it_before_anything_is_loaded(run, model, front):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ["--host=127.0.0.1", f"--grpc_front={front}"]
        process = run(model("half_plus_two"), *flags, grpc=f"--port={port}")
        assert process.until_ends() == 1
    assert process.out == ""
    assert f"unstuck serve: The gRPC port 127.0.0.1:{port} cannot be used: Address already in use." in process.err
    assert "could not bind" not in process.err, "it is said once"
    assert process.err.endswith("or let the server pick one: --port=auto; --port=0 serves no gRPC.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rest_api_prot=1"], "Unknown flag --rest_api_prot. Did you mean --rest_api_port?"),
        (
            ["--use_alts_credentials=true"],
            "--use_alts_credentials cannot be used: ALTS is for machines of Google Cloud",
        ),
        (["--host=256.256.256.256"], "256.256.256.256"),
        (["--workers=0"], "--workers=0 is malformed: expected a number above 0."),
        (["--workers=2", "--grpc_socket_path=/run/u.sock"], "do not go together: a unix socket is one process's."),
        (["--workers=2", "--host=256.256.256.256"], "The REST port 256.256.256.256:0 cannot be used"),
    ],
)
def test_a_wrong_flag_ends_it_with_one_message(run, model, arguments, says):
    process = run(model("half_plus_two"), *arguments)
    assert process.until_ends() == 1
    assert says in process.err
    assert process.err.count("\n") == 1
    assert "Ready" not in process.out


# Under TensorFlow Serving's name


def test_tensorflow_model_server_serves_rest_where_a_port_is_given(run, model):
    flags = ["--model_name=half", f"--model_base_path={model('half_plus_two')}"]
    process = run(*flags, command=TENSORFLOW_MODEL_SERVER).until_prints("Ready.")
    answer = httpx.post(f"{process.url}/v1/models/half:predict", json={"instances": [[1.0]]})
    assert answer.json() == {"predictions": [[2.5]]}
    assert process.stop() == 0


def test_tensorflow_model_server_serves_grpc_alone_where_no_rest_port_is_given(run, model):
    process = run(f"--model_base_path={model('half_plus_two')}", command=TENSORFLOW_MODEL_SERVER, port="")
    process.until_prints("Ready.")
    assert re.search(r"gRPC +localhost:\d+", process.out)
    assert "REST" not in process.out
    assert "curl" not in process.out
    assert process.stop() == 0


def test_tensorflow_model_server_has_nothing_to_do_without_a_port(run, model):
    path = f"--model_base_path={model('half_plus_two')}"
    process = run(path, command=TENSORFLOW_MODEL_SERVER, port="", grpc="--port=0")
    assert process.until_ends() == 1
    assert process.err == (
        "tensorflow_model_server: Nothing to listen on: REST and gRPC are off. "
        "Give one a port: --port=8500 or --rest_api_port=8501.\n"
    )
