import subprocess
import sys

import pytest

from unstuck import __version__
from unstuck.cli.main import main, tensorflow_model_server


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help(arguments, capsys):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "Usage: unstuck COMMAND" in out
    assert "serve PATH" in out
    assert err == ""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"unstuck {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"]])
def test_a_reader_that_has_gone_is_no_error_to_tell_of(arguments):
    script = f"import sys; from unstuck.cli.main import main; sys.exit(main({arguments}))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


@pytest.mark.parametrize(
    ("command", "says"),
    [("sevre", "There is no command 'sevre'. Did you mean 'serve'?"), ("xyz", "unstuck --help lists the commands.")],
)
def test_an_unknown_command(command, says, capsys):
    assert main([command, "/m"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "unstuck serve: No model to serve. Name its folder"),
        (["/m", "--rest_api_prot=1"], "unstuck serve: Unknown flag --rest_api_prot. Did you mean --rest_api_port?"),
        (["/m", "--use_alts_credentials"], "unstuck serve: --use_alts_credentials cannot be used: ALTS is for"),
        (["/m", "--batching_parameters_file=/f"], "unstuck serve: --batching_parameters_file=/f is given without"),
        (["/m", "--rest_api_port=0", "--port=0"], "unstuck serve: Nothing to listen on: REST and gRPC are off. Give"),
        (["/no/such/folder", "--rest_api_port=auto"], "unstuck serve: /no/such/folder is not a folder. / exists and"),
    ],
)
def test_serve_says_why_it_cannot_start(arguments, says, capsys):
    assert main(["serve", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1


def test_help_of_serve_lists_every_flag(capsys):
    assert main(["serve", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Usage: unstuck serve [NAME=]PATH… [FLAGS]" in out
    for flag in (
        "--model_name=NAME",
        "--model_base_path=PATH",
        "--rest_api_port=PORT",
        "--strict_inputs ",
        "--version",
    ):
        assert f"  {flag}" in out
    assert max(map(len, out.splitlines())) <= 120


def test_versions_of_serve(capsys):
    assert main(["serve", "--version"]) == 0
    out = capsys.readouterr().out
    assert f"Unstuck ModelServer: {__version__}\nTensorFlow Library: " in out


def test_tensorflow_model_server_serves_no_rest_unless_told(monkeypatch, capsys):
    """As TensorFlow Serving: its REST API is off by default, ours is on."""
    monkeypatch.setattr(sys, "argv", ["tensorflow_model_server", "--port=0", "--model_base_path=/no/such/folder"])
    assert tensorflow_model_server() == 1
    assert "tensorflow_model_server: Nothing to listen on: REST and gRPC are off." in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--rest_api_port=8501"])
    assert tensorflow_model_server() == 1
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "modules",
    [
        "unstuck, unstuck.cli.main",
        "unstuck.config.flags, unstuck.codecs.predict_json, unstuck.inference.predict, unstuck.lifecycle.manager",
        "unstuck.engines.tensorflow, unstuck.testing.models",
        "unstuck.engines.onnx, unstuck.testing.onnx_models",
    ],
)
def test_importing_pulls_in_no_framework(modules):
    heavy = "{'tensorflow', 'onnxruntime', 'onnx', 'granian', 'uvloop'}"
    script = f"import {modules}; import sys; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_the_cli_starts_lightly():
    """Not even NumPy, for `unstuck --version`."""
    script = "import unstuck.cli.main, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "False\n"


def test_help_of_serve_imports_no_framework():
    script = "from unstuck.cli.main import main; import sys; main(['serve', '--help']); "
    script += "print(sorted({'tensorflow', 'onnxruntime'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1] == "[]"
