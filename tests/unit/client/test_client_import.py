"""Importing the client stays cheap: nothing of the server, no framework, and of the transports only the one in use."""

import subprocess
import sys

import pytest

import unstuck

HEAVY = {"tensorflow", "onnxruntime", "granian", "uvloop", "pygrpc_native", "simdjson", "pandas", "pyarrow", "PIL"}
SERVER = {f"unstuck.{name}" for name in ("api", "server", "inference", "lifecycle", "engines", "batching", "config")}


def loaded_by(code: str) -> set[str]:
    timed = f"import sys, time; start = time.perf_counter(); {code}; took = time.perf_counter() - start"
    told = f"{timed}; print('%.0f ms' % (1000 * took), *sys.modules)"
    output = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True, timeout=60).stdout
    amount, unit, *modules = output.split()
    print(f"{code}: {amount} {unit}")
    return set(modules)


def test_importing_unstuck_imports_nothing_else_of_it():
    assert not {name for name in loaded_by("import unstuck") if name.startswith("unstuck.")}


@pytest.mark.parametrize(
    ("code", "transports"),
    [
        ("import unstuck; unstuck.Client", set()),
        ("import unstuck; unstuck.Client('http://localhost', 'm')._connect()", {"httpx"}),
        ("import unstuck; unstuck.Client('grpc://localhost', 'm')._connect()", {"grpc"}),
        ("from unstuck import AsyncClient", set()),
    ],
)
def test_importing_the_client_imports_no_server_and_no_framework(code, transports):
    modules = loaded_by(code)
    assert not modules & (HEAVY | SERVER)
    assert modules & {"httpx", "grpc"} == transports


def test_what_is_not_there_is_an_attribute_error():
    assert unstuck.Client is unstuck.__getattr__("Client")
    with pytest.raises(AttributeError, match="has no attribute 'Cleint'"):
        _ = unstuck.Cleint
