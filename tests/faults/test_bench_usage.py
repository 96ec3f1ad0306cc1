"""What a server of several processes uses, as `unstuck bench` and `unstuck size` count it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from unstuck.bench import usage

MIB = 1 << 20
WORKER = """
import sys, time
held = bytearray(64 << 20)
print("ready", flush=True)
sys.stdin.readline()
while time.process_time() < 0.5: pass
print("done", flush=True)
sys.stdin.readline()
"""
SUPERVISOR = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKER!r}])"


@pytest.fixture
def supervisor() -> Iterator["subprocess.Popen[str]"]:
    """A process that does nothing but wait for its worker, whose pipes it shares."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("\n")


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_workers_are_counted(supervisor: "subprocess.Popen[str]") -> None:
    meter = usage.Meter(supervisor.pid)
    say(supervisor)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "done\n"
    found = meter.read()
    assert found is not None
    assert found.cpu_s > 0.3
    assert 64 * MIB < found.memory_bytes <= found.peak_bytes
    assert len(usage.family(supervisor.pid)) == 2
    assert usage.reserved_bytes(supervisor.pid) > 64 * MIB


def test_what_is_mapped_from_files_is_counted_once(supervisor: "subprocess.Popen[str]") -> None:
    sizes = [usage._sizes(pid) for pid in usage.family(supervisor.pid)]
    total = sum(each["VmRSS"] for each in sizes)
    mapped = [each["RssFile"] + each["RssShmem"] for each in sizes]
    found = usage._together("VmRSS", sizes)
    assert found == total - min(mapped) < total


def test_a_process_that_has_ended_has_no_family() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert usage.family(process.pid) == [process.pid]
    assert usage.Meter(process.pid).read() is None
    assert os.getpid() in usage.family(os.getpid())
