"""What ``--workers`` costs besides the workers."""

import subprocess
import sys

HEAVY = ("numpy", "tensorflow", "onnxruntime", "grpc", "granian", "uvloop", "prometheus_client")


def test_the_supervisor_imports_nothing_heavy():
    code = (
        "import sys, unstuck.cli.main, unstuck.cli.serve, unstuck.cli.supervise; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
