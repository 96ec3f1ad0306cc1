"""Versions and models come and go under constant calls over REST and gRPC: none fails, and all are answered right."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from traffic import MODEL, TIMEOUT_S, Traffic, export, remove, rss_bytes, status, until

from unstuck.proto.wire.management_pb2 import ReloadConfigRequest, ReloadConfigResponse

RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
SERVE = [sys.executable, "-m", "unstuck", "serve"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The model's folder, with version 1."""
    export(tmp_path / MODEL, 1)
    return tmp_path / MODEL


@pytest.fixture
def start(serve: Any) -> Iterator[Any]:
    """``start(models, **settings)``: a server that looks at its folders all the time, and ends with the test."""
    running: list[Any] = []

    def started(models: dict[str, Path], **settings: Any) -> Any:
        running.append(serve(models, poll_wait_s=0.05, **settings))
        return running[-1]

    yield started
    for server in running:
        server.stop()


class Lives:
    """When each version was there: from before its folder appeared until after its state was END."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.born: dict[int, float] = {1: 0.0}
        self.dead: dict[int, float] = {}

    def swap(self, base: Path, version: int, traffic: Traffic, weight_bytes: int = 0) -> None:
        """Adds ``version`` and waits until it answers and the one before has ended; then removes that one's folder."""
        self.born[version] = time.monotonic()
        export(base, version, weight_bytes)
        until(lambda: traffic.latest == version)
        until(lambda: status(self._url)[version - 1] == "END")
        self.dead[version - 1] = time.monotonic()
        remove(base / str(version - 1))

    def check(self, traffic: Traffic) -> None:
        assert traffic.failures == []
        assert {answer.api for answer in traffic.answers} == {"REST", "gRPC"}
        for answer in traffic.answers:
            assert self.born[answer.version] <= answer.heard, answer
            assert answer.asked <= self.dead.get(answer.version, answer.asked), answer


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_versions_are_swapped_without_one_failed_call(start, base, front):
    server = start({MODEL: base}, grpc_front=front)
    lives = Lives(server.url)
    with Traffic(server.url, server.grpc_address) as traffic:
        for version in range(2, 6):
            lives.swap(base, version, traffic)
    lives.check(traffic)
    assert {answer.version for answer in traffic.answers} == {1, 2, 3, 4, 5}
    assert status(server.url) == {1: "END", 2: "END", 3: "END", 4: "END", 5: "AVAILABLE"}


def test_a_broken_version_changes_nothing_and_serves_once_it_is_mended(start, base):
    server = start({MODEL: base})
    with Traffic(server.url, server.grpc_address) as traffic:
        broken = base / "2"
        broken.mkdir()
        (broken / "saved_model.pb").write_bytes(b"\x89PNG")
        until(lambda: status(server.url).get(2) == "END")
        answer = httpx.get(f"{server.url}/v1/models/{MODEL}/versions/2", timeout=TIMEOUT_S).json()
        (said,) = answer["model_version_status"]
        assert said["status"]["error_code"] == "FAILED_PRECONDITION"
        assert "has no readable saved_model.pb" in said["status"]["error_message"]
        assert httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_S).status_code == 200
        assert traffic.latest == 1
        # The folder is filled file by file, as by cp, while it is looked at.
        whole = export(base.parent / "source", 2)
        for path in sorted(whole.rglob("*"), key=lambda path: (path.is_file(), path.name == "saved_model.pb")):
            target = broken / path.relative_to(whole)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.write_bytes(path.read_bytes())
                time.sleep(0.06)
        until(lambda: traffic.latest == 2)
    assert traffic.failures == []
    until(lambda: status(server.url) == {1: "END", 2: "AVAILABLE"})


def test_deleted_versions_are_unloaded_and_come_back(start, base):
    server = start({MODEL: base})
    remove(base / "1")
    until(lambda: status(server.url) == {1: "END"})
    gone = httpx.post(f"{server.url}/v1/models/{MODEL}:predict", json={"instances": [1.0]}, timeout=TIMEOUT_S)
    assert gone.status_code == 404
    assert httpx.get(f"{server.url}/readyz", timeout=TIMEOUT_S).status_code == 503
    export(base, 1)
    until(lambda: status(server.url) == {1: "AVAILABLE"})
    base.rename(base.parent / "away")
    time.sleep(0.2)
    assert status(server.url) == {1: "AVAILABLE"}, "without its base path nothing changes"


def config_text(base: Path, labels: dict[str, int], others: dict[str, Path] | None = None) -> str:
    labelled = "".join(f' version_labels {{ key: "{label}" value: {value} }}' for label, value in labels.items())
    models = [f'config {{ name: "{MODEL}" base_path: "{base}" model_version_policy {{ all {{}} }}{labelled} }}']
    models += [f'config {{ name: "{name}" base_path: "{path}" }}' for name, path in (others or {}).items()]
    return f"model_config_list {{ {' '.join(models)} }}"


def test_labels_move_and_models_come_and_go_by_the_file_while_calls_are_answered(start, base, tmp_path, caplog):
    export(base, 2)
    export(tmp_path / "other", 7)
    file = tmp_path / "models.config"

    def write(text: str) -> None:
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(file)

    write(config_text(base, {"stable": 1}))
    server = start({}, model_config_file=file, model_config_poll_s=0.05, allow_unavailable_labels=True)
    assert not server.failures

    def other() -> int:
        return httpx.get(f"{server.url}/v1/models/other/metadata", timeout=TIMEOUT_S).status_code

    with Traffic(server.url, server.grpc_address, "/labels/stable") as traffic:
        until(lambda: traffic.latest == 1)
        write(config_text(base, {"stable": 2}))
        until(lambda: traffic.latest == 2)
        write(config_text(base, {"stable": 9}, {"other": tmp_path / "other"}))
        until(lambda: "'stable' cannot be given to version 9" in caplog.text)
        assert other() == 404, "what is refused changes nothing"
        write("model_config_list { config { nam")
        until(lambda: "line 1" in caplog.text)
        write(config_text(base, {"stable": 1, "next": 2}, {"other": tmp_path / "other"}))
        until(lambda: traffic.latest == 1)
        until(lambda: other() == 200)
        write(config_text(base, {"stable": 1}))
        until(lambda: other() == 404)
    assert traffic.failures == []
    assert {answer.version for answer in traffic.answers} == {1, 2}


def reload(address: str, text: str) -> str:
    """Sends the configuration; the status code of the answer."""
    from google.protobuf import text_format

    request = ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(RELOAD, response_deserializer=ReloadConfigResponse.FromString)
        try:
            return str(call(request.SerializeToString(), timeout=TIMEOUT_S).status.error_code)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_models_are_added_relabelled_and_removed_over_grpc_while_calls_are_answered(start, base, tmp_path, front):
    server = start({MODEL: base}, grpc_front=front)
    export(tmp_path / "other", 7)
    others = {"other": tmp_path / "other"}
    with Traffic(server.url, server.grpc_address) as traffic:
        assert reload(server.grpc_address, config_text(base, {"stable": 1}, others)) == "0"
        other = f"{server.url}/v1/models/other:predict"
        assert httpx.post(other, json={"instances": [2.0]}).json() == {"predictions": [8.0]}
        stable = f"{server.url}/v1/models/{MODEL}/labels/stable:predict"
        assert httpx.post(stable, json={"instances": [2.0]}).json() == {"predictions": [2.0]}
        refused = reload(server.grpc_address, config_text(base, {"stable": 3}))
        assert refused.startswith("FAILED_PRECONDITION: The label 'stable' cannot be given to version 3")
        assert httpx.post(other, json={"instances": [2.0]}).status_code == 200
        missing = reload(server.grpc_address, config_text(base, {}, {"none": tmp_path / "none"}))
        assert missing.startswith("UNKNOWN: 1 model(s) did not become available: 'none': ")
        assert httpx.post(other, json={"instances": [2.0]}).status_code == 404
        assert httpx.post(stable, json={"instances": [2.0]}).status_code == 400
        assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert traffic.failures == []


def test_an_empty_reload_and_a_wrong_one_are_refused(start, base):
    server = start({MODEL: base})
    assert reload(server.grpc_address, "").startswith("INVALID_ARGUMENT: ReloadConfigRequest.config must have")
    wrong = reload(server.grpc_address, 'model_config_list { config { name: "a" base_path: "b" } }')
    assert wrong.startswith("INVALID_ARGUMENT: model_config_list.config[0].base_path: expected an absolute path")
    assert status(server.url) == {1: "AVAILABLE"}


# The same with a server in a process of its own, for longer


class Process:
    """``unstuck serve`` as a process."""

    def __init__(self, folder: Path, *arguments: Any) -> None:
        self.log = folder / "log"
        command = [*SERVE, *map(str, arguments), "--rest_api_port=auto", "--port=auto", "--host=127.0.0.1"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until(lambda: "Ready." in self.log.read_text() or self.process.poll() is not None)
        text = self.log.read_text()
        assert "Ready." in text, text
        self.url = re.search(r"REST +(http://\S+)", text)[1]  # type: ignore[index]
        self.address = re.search(r"gRPC +(\S+)", text)[1]  # type: ignore[index]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Any]:
    running: list[Process] = []

    def launched(*arguments: Any) -> Process:
        running.append(Process(tmp_path, *arguments))
        return running[-1]

    yield launched
    for each in running:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


@pytest.mark.slow
def test_twenty_swaps_fail_no_call(launch, base):
    server = launch(base)
    lives = Lives(server.url)
    with Traffic(server.url, server.address) as traffic:
        for version in range(2, 22):
            lives.swap(base, version, traffic)
    lives.check(traffic)
    assert {answer.version for answer in traffic.answers} == set(range(1, 22))
    assert server.end() == 0
    took_ms = sorted((answer.heard - answer.asked) * 1000 for answer in traffic.answers)
    print(
        json.dumps(
            {"answers": len(took_ms), "p50_ms": took_ms[len(took_ms) // 2], "p99_ms": took_ms[-len(took_ms) // 100]}
        )
    )


@pytest.mark.slow
def test_twenty_swaps_of_a_large_model_give_its_memory_back(launch, base):
    """100 MB each; two are there during a swap, one afterwards."""
    size = 100 << 20
    server = launch(base)
    lives, held = Lives(server.url), []
    with Traffic(server.url, server.address) as traffic:
        for version in range(2, 22):
            lives.swap(base, version, traffic, weight_bytes=size)
            time.sleep(0.2)
            held.append(rss_bytes(server.process.pid))
    lives.check(traffic)
    print(json.dumps([each >> 20 for each in held]))
    assert max(held[3:]) - min(held[3:]) < size // 2, held
    assert held[-1] - held[3] < size // 4, held


@pytest.mark.slow
def test_killed_during_a_swap_it_comes_back_with_what_is_on_disk(launch, base):
    server = launch(base)
    export(base, 2, weight_bytes=200 << 20)
    until(lambda: status(server.url).get(2) in ("START", "LOADING", "AVAILABLE"))
    server.end(signal.SIGKILL)
    server = launch(base)
    assert status(server.url) == {2: "AVAILABLE"}
    with Traffic(server.url, server.address) as traffic:
        until(lambda: len(traffic.answers) > 20)
    assert traffic.failures == []
    assert {answer.version for answer in traffic.answers} == {2}
    assert server.end() == 0
