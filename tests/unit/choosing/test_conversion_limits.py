"""Stand-ins for the converter: each is a Python program that is given the place for the model, and its memory limit."""

import os
import sys
import threading
import time

import pytest

from unstuck.choosing import conversion
from unstuck.choosing.conversion import Cancelled, Limits, NotConverted, check_installed, run, tool_versions
from unstuck.errors import SetupError

LIMITS = Limits(seconds=20, memory_bytes=200 << 20)
NEVER = threading.Event()


def python(code):
    return [sys.executable, "-S", "-c", f"import os, sys, time\nout, memory = sys.argv[1:]\n{code}"]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_model_is_where_it_was_asked_for(tmp_path):
    run(python("open(out, 'w').write(memory)"), tmp_path / "m", LIMITS, NEVER)
    assert (tmp_path / "m").read_text() == str(200 << 20)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('KeyError: no op Foo'); sys.exit(1)", "tf2onnx failed: KeyError: no op Foo"),
        ("raise ValueError('at once')", "tf2onnx failed: ValueError: at once"),
        ("sys.exit(3)", "tf2onnx failed: exit status 3"),
        ("os.abort()", r"tf2onnx crashed \(SIGABRT\)"),
        ("os.kill(os.getpid(), 9)", "was killed, as systems do where memory runs out"),
        ("raise MemoryError", "more memory than the 200 MiB"),
        ("x = b'x' * (300 << 20); time.sleep(20)", "more memory than the 200 MiB"),
        ("pass", "tf2onnx ended without a model"),
    ],
)
def test_why_there_is_none(code, said, tmp_path):
    with pytest.raises(NotConverted, match=said):
        run(python(code), tmp_path / "m", LIMITS, NEVER)


def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path):
    code = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
open(out, "w").write(f"{child.pid}")
time.sleep(60)
"""
    began = time.monotonic()
    with pytest.raises(NotConverted, match="takes longer than 1 s"):
        run(python(code), tmp_path / "m", Limits(1, LIMITS.memory_bytes), NEVER)
    assert time.monotonic() - began < 10
    child = int((tmp_path / "m").read_text())
    for _ in range(100):
        if not is_running(child):
            break
        time.sleep(0.05)
    else:
        pytest.fail("its child still runs")


def test_one_that_nobody_needs_is_killed_at_once(tmp_path):
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(python("time.sleep(60)"), tmp_path / "m", LIMITS, cancelled)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("free", "expected"), [(8 << 30, 6 << 30), (None, 8 << 30)])
def test_most_of_the_free_memory_may_be_taken(free, expected, monkeypatch):
    monkeypatch.setattr(conversion, "free_bytes", lambda: free)
    assert Limits.of_now().memory_bytes == expected


def test_with_little_memory_it_does_not_begin(monkeypatch):
    monkeypatch.setattr(conversion, "free_bytes", lambda: 1 << 30)
    with pytest.raises(NotConverted, match="only 1024 MiB are free") as caught:
        Limits.of_now()
    assert not caught.value.is_lasting


def test_what_is_missing_is_said_with_the_command(monkeypatch):
    check_installed()
    monkeypatch.setattr(conversion, "MODULES", ("json", "no_such_module_16"))
    with pytest.raises(SetupError, match="no_such_module_16 is not installed") as caught:
        check_installed()
    assert caught.value.hint == 'Run: pip install "unstuck[convert]"'


def test_tools_have_versions():
    assert tool_versions()["tf2onnx"].startswith("1.")
    assert conversion._version("no-such-distribution-16") == "unknown"
