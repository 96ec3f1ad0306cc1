"""A disk that is full while the server logs, copies and converts: it answers on, says so once, and recovers."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pytest
from traffic import TIMEOUT_S, until

from unstuck.choosing import cache as conversions
from unstuck.choosing import conversion
from unstuck.data.tfrecord import records
from unstuck.proto.wire.prediction_log_pb2 import PredictionLog
from unstuck.testing import onnx_models

MIB = 1 << 20
CONFIG = """
model_config_list {{ config {{
    name: "m" base_path: "{model}" model_platform: "onnx"
    logging_config {{
        log_collector_config {{ filename_prefix: "{prefix}" }}
        sampling_config {{ sampling_rate: 1.0 }}
    }}
}} }}
"""


class Disk:
    """A file system of its own, of a few MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(b"x" * (1 << 16))  # of which the system takes what there is room for

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "m"
    onnx_models.half_plus_two(path)
    return path


class Caller:
    """Counts its calls."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/models/m:predict"
        self.calls = 0

    def call(self, count: int = 20) -> None:
        """Each is answered right."""
        with httpx.Client(timeout=TIMEOUT_S, verify=False) as client:
            for _ in range(count):
                self.calls += 1
                answer = client.post(self._url, json={"instances": [[float(self.calls)]]})
                assert answer.json() == {"predictions": [[self.calls / 2 + 2]]}


def test_calls_are_answered_while_they_cannot_be_logged_and_logged_again_afterwards(
    serve, model, disk, tmp_path, caplog
):
    file = tmp_path / "models.config"
    file.write_text(CONFIG.format(model=model, prefix=disk.folder / "log" / "req"))
    server = serve({}, model_config_file=file)
    caller = Caller(server.url)

    def said(text: str) -> list[str]:
        return [each.getMessage() for each in caplog.records if text in each.getMessage()]

    def logged() -> list[PredictionLog]:
        files = sorted((disk.folder / "log").glob("*.tfrecord"))
        return [PredictionLog.FromString(each.data) for each in files for each in records(each)]

    caller.call()
    until(lambda: (disk.folder / "log").exists() and len(logged()) == caller.calls)
    disk.fill()
    written = len(logged())
    for _ in range(3):
        before = int(counted(server.url, "RESOURCE_EXHAUSTED"))
        caller.call()
        until(lambda: counted(server.url, "RESOURCE_EXHAUSTED") > before)  # noqa: B023
        # Whole records alone, which reading them shows; a few may still fit into what the file's last page has left.
        assert written <= len(logged()) < caller.calls
    assert len(said("cannot be logged: [Errno 28] No space left on device")) == 1
    disk.make_room()
    while not said("are logged again"):
        caller.call(1)
    server.stop()
    dropped = int(said("are logged again")[0].split("; ")[1].split()[0])
    assert len(logged()) == caller.calls - dropped
    assert len(said("cannot be logged")) == 1


def counted(url: str, code: str) -> float:
    page = httpx.get(f"{url}/metrics", timeout=TIMEOUT_S, verify=False).text
    name = ":tensorflow:serving:request_log_count"
    lines = [line for line in page.splitlines() if line.startswith(name) and f'"{code}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


class Serve:
    """``unstuck serve`` as a process whose stdout and stderr are ``out``."""

    def __init__(self, model: Path, out: Any, *flags: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "unstuck",
            "serve",
            str(model),
            f"--rest_api_port={port}",
            "--host=127.0.0.1",
            "--port=auto",
        ]
        self.process = subprocess.Popen([*command, "--log_requests=all", *flags], stdout=out, stderr=out)
        until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None
        try:
            return httpx.get(f"{self.url}/readyz", timeout=TIMEOUT_S, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


MANY_LINES = 300


@pytest.mark.parametrize("is_supervised", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", ["json", pytest.param("text", marks=pytest.mark.slow)])
def test_a_log_on_a_full_disk_stops_no_call_and_goes_on_once_there_is_room(model, disk, form, is_supervised):
    log = disk.folder / "log"
    with log.open("ab") as out:
        server = Serve(model, out, f"--log_format={form}", *["--workers=1"] * is_supervised)
    caller = Caller(server.url)
    caller.call()
    disk.fill()
    caller.call(MANY_LINES)
    disk.make_room()
    caller.call()
    assert server.stop() == 0
    said = log.read_text()
    assert said.count("call request_id=") < caller.calls
    assert said.count("Lines that belong here could not be written: No space left on device.") == 1
    if form == "json":
        assert [json.loads(line)["message"] for line in said.splitlines()][-1] == "Stopped."
    else:
        assert said.splitlines()[-1] == "Stopped."


@pytest.mark.slow
@pytest.mark.parametrize("is_supervised", [False, True])
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_log_that_nothing_can_be_written_to_stops_nothing(model, form, is_supervised):
    with Path("/dev/full").open("wb") as full:
        server = Serve(model, full, f"--log_format={form}", *["--workers=1"] * is_supervised)
    Caller(server.url).call(MANY_LINES)
    assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "text"])
def test_nor_does_one_that_nobody_reads_any_more(model, form):
    ours, theirs = os.pipe()
    server = None
    reading = threading.Thread(target=lambda: os.read(ours, 100), daemon=True)
    reading.start()
    try:
        server = Serve(model, theirs, f"--log_format={form}")
        os.close(theirs)
        reading.join(TIMEOUT_S)
        os.close(ours)
        Caller(server.url).call(MANY_LINES)
    finally:
        assert server is not None
        assert server.stop() == 0


def test_a_version_that_the_cache_has_no_room_for_changes_nothing_until_there_is(serve, model, disk, caplog):
    caplog.set_level(logging.INFO, "unstuck.versions")
    store = fsspec.filesystem("memory")
    content = next(model.rglob("model.onnx")).read_bytes()
    store.pipe("/models/m/1/model.onnx", content)
    looks = {"remote_poll_wait_s": 0.1, "poll_wait_s": 0.1, "load_retries": 100}
    server = serve({"m": "memory://models/m"}, model_cache_dir=disk.folder, load_retry_interval_s=0.5, **looks)
    assert not server.failures
    caller = Caller(server.url)
    disk.fill()
    store.pipe({"/models/m/2/model.onnx": content, "/models/m/2/assets.extra/more": b"x" * 100_000})
    until(lambda: "No space left on device" in caplog.text)
    caller.call()
    states = httpx.get(f"{server.url}/v1/models/m", timeout=TIMEOUT_S).json()["model_version_status"]
    assert {each["version"]: each["state"] for each in states}["1"] == "AVAILABLE"
    disk.make_room()
    until(lambda: served(server.url).get("2") == "AVAILABLE")
    caller.call()
    server.stop()
    copies = sorted(str(each.relative_to(each.parents[2])) for each in disk.folder.rglob("model.onnx"))
    assert copies == [each for each in copies if "partial" not in each]
    store.rm("/models", recursive=True)


def served(url: str) -> dict[str, str]:
    answer = httpx.get(f"{url}/v1/models/m", timeout=TIMEOUT_S).json()
    return {each["version"]: each["state"] for each in answer["model_version_status"]}


def test_a_conversion_that_found_no_room_is_tried_again(disk):
    kept = conversions.Conversions(disk.folder / "conversions")
    limits = conversion.Limits(memory_bytes=1 << 30)
    write = "import sys; open(sys.argv[1], 'wb').write(b'x' * 100_000)"
    command = [sys.executable, "-c", write]

    def convert() -> Path:
        made = threading.Event()
        return kept.get("key", limits, lambda out: conversion.run(command, out, limits, made), made)

    (disk.folder / "conversions").mkdir()
    disk.fill()
    (disk.folder / "conversions" / "key.lock").touch()
    with pytest.raises(conversion.NotConverted, match="there is no room for the conversion: No space left on device"):
        convert()
    disk.make_room()
    assert convert().stat().st_size == 100_000
