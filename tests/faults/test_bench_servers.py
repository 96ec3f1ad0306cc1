"""``unstuck bench`` against our own front ends: with TLS, and with messages larger than HTTP/2's windows."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unstuck.cli.main import main
from unstuck.testing import onnx_models

pytestmark = pytest.mark.slow
QUICK = ("--concurrency=3", "--duration=0.7", "--warmup=0.2", "--format=json")
Bench = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "m"
    onnx_models.half_plus_two(folder)
    return folder


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    def run(*arguments: str) -> dict[str, Any]:
        status = main(["bench", *arguments, *QUICK])
        out, err = capsys.readouterr()
        assert status == 0, out + err
        (level,) = json.loads(out)["levels"]
        assert level["answered"] == level["calls"] > 3
        return level

    return run


@pytest.mark.parametrize("front", ["native", "grpcio"])
@pytest.mark.parametrize("batch", [1, 300_000])
def test_messages_of_any_size_over_grpc(front: str, batch: int, serve: Any, model: Path, bench: Bench) -> None:
    running = serve({"m": model}, grpc_front=front)
    level = bench(f"grpc://{running.grpc_address}/m", f"--batch={batch}")
    assert level["answer_bytes"] / level["answered"] > 4 * batch  # floats


def test_large_messages_over_rest(serve: Any, model: Path, bench: Bench) -> None:
    level = bench(f"{serve({'m': model}).url}/v1/models/m", "--batch=20000")
    assert level["answer_bytes"] / level["answered"] > 40_000


@pytest.fixture(scope="module")
def secured(serve: Any, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A server with TLS on both APIs, and the certificate to trust."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key -out crt -subj /CN=localhost -addext"
    subprocess.run(
        [*command.split(), "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True, timeout=60
    )
    config = folder / "ssl.pbtxt"
    key, certificate = ((folder / name).read_text() for name in ("key", "crt"))
    config.write_text(f"server_key: {key!r}\nserver_cert: {certificate!r}\n")
    return serve({"m": model}, ssl_config_file=config, rest_tls_config_file=config), folder / "crt"


def test_tls(secured: tuple[Any, Path], bench: Bench) -> None:
    running, certificate = secured
    bench(f"{running.url.replace('http:', 'https:')}/v1/models/m", f"--ca-file={certificate}")
    bench(f"grpcs://{running.grpc_address}/m", f"--ca-file={certificate}")


def test_a_server_that_is_not_trusted(secured: tuple[Any, Path], capsys: pytest.CaptureFixture[str]) -> None:
    running, _ = secured
    assert main(["bench", f"{running.url.replace('http:', 'https:')}/v1/models/m", *QUICK]) == 2
    assert "certificate" in capsys.readouterr().err.lower()
