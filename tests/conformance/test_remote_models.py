"""Models in S3: a server of its protocol, s3fs, and servers that serve from there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from s3_server import BUCKET, S3Server
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

from unstuck.testing import onnx_models
from unstuck.testing.models import half_plus_three, half_plus_two

TIMEOUT_S = 60
UNSTUCK = [sys.executable, "-m", "unstuck"]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    import s3fs

    server = S3Server()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
    s3fs.S3FileSystem.clear_instance_cache()
    server.down()


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a version that answers 2.5 to 1."""
    return onnx_models.half_plus_two(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of SavedModels that answer 2.5 (``two``) and 3.5 (``three``) to 1."""
    folder = tmp_path_factory.mktemp("exports")
    return {"two": half_plus_two(folder / "two", 1), "three": half_plus_three(folder / "three", 1)}


def predict(url: str, name: str = "half") -> Any:
    answer = httpx.post(f"{url}/v1/models/{name}:predict", json={"instances": [[1.0]]}, timeout=TIMEOUT_S)
    return answer.json().get("predictions", answer.text)


def until(condition: Any) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def states(url: str, name: str = "half") -> dict[str, str]:
    listed = httpx.get(f"{url}/v1/models/{name}", timeout=TIMEOUT_S).json()["model_version_status"]
    return {each["version"]: each["state"] for each in listed}


def copies(cache: Path) -> list[str]:
    """Of each whole copy its version."""
    return sorted(each.parent.name.partition("-")[0] for each in cache.glob("*/*/[0-9]*"))


def test_a_model_is_served_from_s3_and_copied_once(s3, onnx, serve, tmp_path):
    s3.put(onnx, "quick/half/1")
    settings = {"model_cache_dir": tmp_path / "cache", "remote_poll_wait_s": 60}
    for copied in (1, 0):
        gets = s3.gets
        server = serve({"half": f"s3://{BUCKET}/quick/half"}, **settings)
        assert not server.failures
        assert predict(server.url) == [[2.5]]
        assert s3.gets - gets == copied
        server.stop()


def test_a_reload_adds_a_remote_model(s3, onnx, serve, tmp_path):
    s3.put(onnx, "reload/half/5")
    server = serve({"local": onnx.parent}, model_cache_dir=tmp_path / "cache")
    request = ReloadConfigRequest()
    models = request.config.model_config_list.config
    models.add(name="local", base_path=str(onnx.parent))
    models.add(name="half", base_path=f"s3://{BUCKET}/reload/half")
    with grpc.insecure_channel(server.grpc_address) as channel:
        answer = ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=TIMEOUT_S)
        assert answer.status.error_code == 0
        models.add(name="none", base_path=f"s3://{BUCKET}/reload/none")
        with pytest.raises(grpc.RpcError, match=f"s3://{BUCKET}/reload/none does not exist"):
            ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=TIMEOUT_S)
    assert states(server.url) == {"5": "AVAILABLE"}
    assert predict(server.url) == predict(server.url, "local") == [[2.5]]
    server.stop()


@pytest.mark.slow
def test_versions_come_and_go_and_the_network_fails(s3, exports, serve, tmp_path, caplog):
    caplog.set_level("INFO", "unstuck.versions")
    s3.put(exports["two"], "life/half/1")
    cache = tmp_path / "cache"
    server = serve({"half": f"s3://{BUCKET}/life/half"}, model_cache_dir=cache, remote_poll_wait_s=0.5)
    assert predict(server.url) == [[2.5]]
    assert "are listed every 0.5 s: about 5,259,600 calls a month" in caplog.text

    for folder in ("half", "half/2", "half/2/variables", "half/2/empty"):  # as the console makes them
        s3.client.put_object(Bucket=BUCKET, Key=f"life/{folder}/")
    s3.client.upload_file(str(exports["three"] / "saved_model.pb"), BUCKET, "life/half/2/saved_model.pb.part")
    time.sleep(3)
    assert states(server.url) == {"1": "AVAILABLE"}, "version 2 is uploaded half"
    s3.put(exports["three"], "life/half/2")
    until(lambda: states(server.url) == {"2": "AVAILABLE", "1": "END"})
    assert predict(server.url) == [[3.5]]
    until(lambda: copies(cache) == ["2"])

    s3.remove("life/half/1")
    lists = s3.lists
    until(lambda: s3.lists > lists + 2)
    assert predict(server.url) == [[3.5]]

    s3.down()
    until(lambda: "cannot be listed: EndpointConnectionError" in caplog.text)
    assert predict(server.url) == [[3.5]]
    s3.up()
    s3.put(exports["two"], "life/half/3")
    until(lambda: states(server.url).get("3") == "AVAILABLE")
    assert predict(server.url) == [[2.5]]

    s3.remove("life/half")
    lists = s3.lists
    until(lambda: s3.lists > lists + 2)
    assert predict(server.url) == [[2.5]], "deleting the base path changes nothing"
    server.stop()


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A server, which is stopped at the end."""
    command = [*UNSTUCK, "serve", *arguments, "--rest_api_port=auto", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            yield server
        finally:
            server.terminate()
            server.communicate(timeout=TIMEOUT_S)


@pytest.mark.slow
def test_a_server_that_is_killed_while_it_copies_starts_again(s3, exports, tmp_path):
    s3.put(exports["two"], "killed/half/1")
    cache = tmp_path / "cache"
    arguments = f"s3://{BUCKET}/killed/half", f"--model_cache_dir={cache}"
    s3.held = "killed/half/1/variables/variables.data-00000-of-00001"
    with process(*arguments) as killed:
        assert s3.waiting.wait(TIMEOUT_S)
        killed.kill()
    s3.held = ""
    assert copies(cache) == []
    assert [each.name for each in cache.glob("*/*/*")] == ["partial"]
    with process(*arguments) as again:
        assert again.stdout is not None
        printed = ""
        while not printed.endswith("Ready. Ctrl-C stops it.\n"):
            printed += again.stdout.readline() or pytest.fail(printed)
        assert predict("http://localhost:" + printed.partition("http://localhost:")[2].split()[0]) == [[2.5]]
    assert copies(cache) == ["1"]
    assert not list(cache.rglob("partial"))


@pytest.mark.slow
def test_commands_take_urls_too(s3, onnx, tmp_path):
    s3.put(onnx, "commands/half/1")
    url = f"s3://{BUCKET}/commands/half"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    file = tmp_path / "models.config"
    file.write_text(f'model_config_list {{\n config {{ name: "half" base_path: "{url}" }}\n}}\n')
    outputs = {}
    for command in (("predict", url, "--input", "x=1.0"), ("inspect", url), ("check-config", str(file))):
        done = subprocess.run(
            [*UNSTUCK, *command], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        outputs[command[0]] = done.stdout
    assert "2.5" in outputs["predict"]
    assert "half" in outputs["inspect"]
    assert outputs["check-config"] == f"half: version 1 of {url} (onnx)\n"
