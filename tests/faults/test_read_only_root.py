"""A server whose file system cannot be written, but for /tmp, as PID 1: as the container image runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from unstuck.testing import models

TIMEOUT_S = 120
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
# The root is bound below a folder, with a /tmp of its own, and the model at /mnt: nothing of this machine changes.
SCRIPT = """
set -eu
model=$1 root=$2
shift 2
mount --make-rprivate /
mount --bind / "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$model" "$root/mnt"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root/mnt"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""
SERVER = """
import os, sys
for folder in ("/", "/mnt", "/root", "/var/tmp"):
    try:
        open(f"{folder}/written-by-a-test", "w")
    except OSError as error:
        assert error.errno == 30, error
    else:
        sys.exit(f"{folder} can be written")
assert os.getpid() == 1
os.execv(sys.executable, [sys.executable, "-m", "unstuck", "serve", "m=/mnt", "--rest_api_port=auto", "--port=auto"])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Its standard output has been read up to where it is ready."""
    if os.geteuid() or subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounts need root, and leave to make namespaces")
    root, model = tmp_path / "root", tmp_path / "model"
    root.mkdir()
    models.half_plus_two(model)
    inner = ["env", "-i", "HOME=/tmp", "XDG_CACHE_HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1", sys.executable, "-c", SERVER]
    command = [*NAMESPACES, "sh", "-c", SCRIPT, "sh", str(model), str(root), *inner]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()  # and with it what it runs
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.slow
def test_it_serves_and_stops(server: "subprocess.Popen[str]") -> None:
    assert server.stdout is not None
    said = ""
    while "Ready." not in said:
        line = server.stdout.readline()
        assert line, said
        said += line
    found = re.search(r"REST +(http://\S+)", said)
    assert found is not None
    request = urllib.request.Request(f"{found[1]}/v1/models/m:predict", b'{"instances": [1.0, 2.0]}')
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        assert json.load(answer) == {"predictions": [2.5, 3.0]}
    (first,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    os.kill(int(first), signal.SIGTERM)
    assert server.wait(TIMEOUT_S) == 0
    assert "Stopped." in server.stdout.read()
