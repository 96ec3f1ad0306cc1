"""``unstuck inspect`` as its users run it: as a process, at a live server, and every request that it prints."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from unstuck.testing import models, onnx_models

INSPECT = [sys.executable, "-m", "unstuck", "inspect"]
SERVED = {
    **{
        name: models.EXPORTS[name]
        for name in ("half_plus_two", "multi_io", "mlp", "vocabulary_lookup", "dtypes", "counter")
    },
    "complex_output": models.complex_output,
    "onnx": onnx_models.multi_io,
    "onnx_dtypes": onnx_models.dtypes,
}
GRPC_PORT = ":8500"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    paths = {name: export(folder / name).parent for name, export in SERVED.items()}
    server = serve(paths)
    assert not server.failures
    return server


def inspect(*arguments):
    command = [*INSPECT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def live(server, name):
    return json.loads(inspect(f"{server.url}/v1/models/{name}", "--json"))


@pytest.mark.parametrize("name", SERVED)
def test_a_live_model_has_the_signatures_of_its_files(server, name):
    (path,) = [model.base_path for model in server.config.models if model.name == name]
    here, there = json.loads(inspect(path, "--json")), live(server, name)
    for found in (here, there):
        for signature in found["signatures"].values():
            del signature["requests"]
    assert here["signatures"] == there["signatures"]
    assert here["version"] == there["version"]
    assert there["facts"] == {"versions": f"{here['version']} AVAILABLE"}


@needs_curl
@pytest.mark.parametrize("name", SERVED)
def test_every_command_works(server, name):
    for signature, each in live(server, name)["signatures"].items():
        command = each["requests"]["curl"]
        if each["takes_examples"] or not command:
            assert command or not each["inputs"] or name == "complex_output"
            continue  # the feature's name is the model's; the shape of the command is tested with the command line's
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert json.loads(done.stdout).keys() & {"predictions", "outputs"}, (signature, command, done.stdout)


@pytest.mark.parametrize("name", SERVED)
def test_every_python_program_works(server, name, capsys):
    for signature, each in live(server, name)["signatures"].items():
        program = each["requests"]["python"]
        assert program or each["takes_examples"] or not each["inputs"] or name == "complex_output"
        exec(compile(program, signature, "exec"), {})
        assert capsys.readouterr().out[:1] == ("{" if program else "")


@pytest.mark.parametrize("name", SERVED)
def test_every_grpc_program_works(server, name, capsys):
    """They are written for the default port, which cannot be known from the REST API's."""
    for signature, each in live(server, name)["signatures"].items():
        program = each["requests"]["grpc"]
        assert f"127.0.0.1{GRPC_PORT}" in program
        program = program.replace(f"127.0.0.1{GRPC_PORT}", server.grpc_address)
        if each["takes_examples"]:
            program = program.replace('"FEATURE"', '"x"')
        exec(compile(program, signature, "exec"), {})
        said = capsys.readouterr().out
        assert "outputs {" in said or "result {" in said, (signature, said)


def test_text_is_utf_8_and_plain_where_it_is_piped(server):
    said = inspect(f"{server.url}/v1/models/onnx")
    assert "Signature serving_default\n" in said
    assert "  input         a: float [-1,2]\n" in said
    assert "\x1b" not in said


def test_a_reader_that_ends_early_is_no_error(server):
    command = f"{' '.join(INSPECT)} {server.url}/v1/models/half_plus_two | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
