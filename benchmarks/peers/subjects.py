"""The servers that are measured: how each is started, and what it speaks."""

import json
import os
import shlex
import sys
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import protocols, venvs
from benchmarks.peers.protocols import Protocol
from benchmarks.peers.summary import OURS, REFERENCE, label

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
MAX_BATCH, MAX_WAIT_S = 32, 0.005  # as in scripts/saved_model.py


@dataclass(frozen=True, slots=True)
class Launch:
    """What a server is started with: a model, ports, whether it is to batch, a folder for files of its own."""

    model: str
    base_path: Path
    is_text: bool
    ports: Sequence[int]
    batching: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Subject:
    """One server in one configuration.

    Attributes:
        name: the server's.
        batching: on, off, or empty where there is no choice.
        protocol: of its REST API.
        path: of its prediction, with ``{model}`` in it or not.
        command: starts it.
        environment: for it, besides this process's.
        is_settled: of its REST address, once it serves: whether it has nothing of its own to do any more.
    """

    name: str
    batching: str
    protocol: Protocol
    path: str
    command: Callable[[Launch], list[str]]
    environment: Callable[[Launch], dict[str, str]] = field(default=lambda _: {})
    is_settled: Callable[[str], bool] = field(default=lambda _: True)

    @property
    def label(self) -> str:
        return label(self.name, self.batching)


def ours(also: Sequence[str]) -> list[Subject]:
    """Unstuck with its defaults, and once more for each ``NAME=FLAGS``."""
    variants = [(OURS, "")] + [(f"{OURS} {name}", flags) for name, _, flags in (each.partition("=") for each in also)]
    return [
        Subject(name, "", *_LIKE_TENSORFLOW, _unstuck(shlex.split(flags)), is_settled=_has_chosen_engines)
        for name, flags in variants
    ]


def reference(template: str) -> Subject:
    """A server with TensorFlow Serving's API: a command with ``{rest_port}``, ``{grpc_port}``, ``{model}``,
    ``{base_path}`` and ``{version_path}`` in it.
    """

    def command(launch: Launch) -> list[str]:
        rest_port, grpc_port, *_ = launch.ports
        names = {"rest_port": rest_port, "grpc_port": grpc_port, "model": launch.model}
        paths = {"base_path": launch.base_path, "version_path": launch.base_path / "1"}
        return [part.format(**names, **paths) for part in shlex.split(template)]

    return Subject(REFERENCE, "", *_LIKE_TENSORFLOW, command)


def grpcio() -> Subject:
    """The peer of our gRPC: a bare grpcio server (``benchmarks.grpc_peer``)."""

    def command(launch: Launch) -> list[str]:
        version = str(launch.base_path / "1")
        return [sys.executable, "-m", "benchmarks.grpc_peer", launch.model, version, str(launch.ports[1])]

    return Subject("grpcio", "", *_LIKE_TENSORFLOW, command, lambda _: {"PYTHONPATH": str(REPOSITORY)})


def peers() -> list[Subject]:
    """The Python model servers, each with batching on and off."""
    return [
        Subject(name, batching, protocol, path, command, _environment(name))
        for name, protocol, path, command in _PEERS
        for batching in ("on", "off")
    ]


def _unstuck(flags: Sequence[str]) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        rest_port, grpc_port, *_ = launch.ports
        serve = [sys.executable, "-m", "unstuck", "serve", f"{launch.model}={launch.base_path}", "--host=127.0.0.1"]
        return [*serve, f"--rest_api_port={rest_port}", f"--port={grpc_port}", *flags]

    return command


def _has_chosen_engines(address: str) -> bool:
    """With ``--engine=auto`` models are converted while they serve."""
    with urllib.request.urlopen(f"http://{address}/statusz", timeout=10) as response:
        models = json.load(response)["models"].values()
    choices = [version.get("engine_choice") for model in models for version in model["versions"].values()]
    return all(choice["state"] == "chosen" for choice in choices if choice)


def _environment(name: str) -> Callable[[Launch], dict[str, str]]:
    def environment(launch: Launch) -> dict[str, str]:
        binaries = venvs.python(name).parent
        return {
            "PATH": f"{binaries}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(SCRIPTS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MODEL": str(launch.base_path / "1"),
            "INPUT": "text" if launch.is_text else "floats",
            "PORT": str(launch.ports[0]),
            "SECOND_PORT": str(launch.ports[1]),
            "BATCHING": launch.batching,
            "BENTOML_DO_NOT_TRACK": "true",
            "BENTOML_HOME": str(launch.folder / "bentoml"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # as its guide to high throughput says
        }

    return environment


def _script(peer: str, script: str) -> Callable[[Launch], list[str]]:
    return lambda launch: [str(venvs.python(peer)), str(SCRIPTS / script)]


def _bentoml(launch: Launch) -> list[str]:
    program = [str(venvs.python("bentoml").parent / "bentoml"), "serve", "bentoml_service:Predictor"]
    return [*program, "--host=127.0.0.1", f"--port={launch.ports[0]}", f"--working-dir={SCRIPTS}"]


def _mlserver(launch: Launch) -> list[str]:
    http_port, grpc_port, metrics_port = launch.ports
    ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    settings = {"host": "127.0.0.1", "debug": False, **ports}
    (launch.folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "model", "implementation": "mlserver_runtime.Predictor"}
    batching = {"max_batch_size": MAX_BATCH, "max_batch_time": MAX_WAIT_S} if launch.batching == "on" else {}
    (launch.folder / "model-settings.json").write_text(json.dumps({**model, **batching}))
    return [str(venvs.python("mlserver").parent / "mlserver"), "start", str(launch.folder)]


_LIKE_TENSORFLOW = (protocols.TENSORFLOW, "/v1/models/{model}:predict")
_V2 = "/v2/models/model/infer"
_PEERS = (
    ("bentoml", protocols.BENTOML, "/predict", _bentoml),
    ("litserve", protocols.LITSERVE, "/predict", _script("litserve", "litserve_server.py")),
    ("mlserver", protocols.OPEN_INFERENCE, _V2, _mlserver),
    ("rayserve", protocols.TENSORFLOW, "/", _script("rayserve", "ray_server.py")),
    ("pytriton", protocols.OPEN_INFERENCE, _V2, _script("pytriton", "pytriton_server.py")),
)
