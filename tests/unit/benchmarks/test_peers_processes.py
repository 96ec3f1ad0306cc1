import sys
import time
from pathlib import Path

import pytest

from benchmarks.peers import processes
from benchmarks.peers.processes import ServerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="all of it is in /proc")
SCRIPT = "import os, time; os.fork(); time.sleep(600)"
TIMEOUT_S = 30


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_TIMEOUT_S", 0.1)
    process = ServerProcess([sys.executable, "-c", SCRIPT], tmp_path, {}, tmp_path / "log")
    _until(lambda: len(process.pids()) == 2)
    yield process
    process.stop()


def test_all_processes_are_paused_and_resumed(server):
    server.pause()
    _until(lambda: set(_states(server)) == {"T"})
    server.resume()
    _until(lambda: set(_states(server)) == {"S"})


def test_a_paused_server_ends_at_once(server):
    server.pause()
    server.stop()
    assert server.has_ended
    assert not server.pids()


def _states(server):
    return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in server.pids()]


def _until(condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
