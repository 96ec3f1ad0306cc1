"""Model config files as their users run them: ``check-config``, and servers that are told what to serve by a file."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unstuck.testing import onnx_models

UNSTUCK = [sys.executable, "-m", "unstuck"]
TENSORFLOW_MODEL_SERVER = [str(Path(sys.executable).parent / "tensorflow_model_server")]
PORTS = ["--rest_api_port=auto", "--port=0"]
TIMEOUT_S = 60


def ended(*command: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one model, which needs no TensorFlow."""
    onnx_models.half_plus_two(tmp_path / "half")
    file = tmp_path / "models.config"
    file.write_text(f'model_config_list {{\n config {{ name: "half" base_path: "{tmp_path}/half" }}\n}}\n')
    return file


@pytest.fixture
def launch() -> Iterator[Any]:
    """``launch(command…)``: a server that is ready; ``[what it printed, its URL]``."""
    running: list[subprocess.Popen[str]] = []

    def launched(*command: Any) -> tuple[str, str]:
        process = subprocess.Popen(
            [str(each) for each in (*command, *PORTS)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running.append(process)
        printed = ""
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if line.startswith("Ready."):
                break
        assert "Ready." in printed, printed
        return printed, printed.partition("http://localhost:")[2].split()[0]

    yield launched
    for process in running:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def test_a_file_is_checked_without_serving_it(file):
    right = ended(*UNSTUCK, "check-config", file)
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout == f"half: version 1 of {file.parent}/half (onnx)\n"
    file.write_text(file.read_text().replace("name:", "nam:").replace("}\n}", '\n base_path: "x" }\n}'))
    wrong = ended(*UNSTUCK, "check-config", file)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.splitlines()[0] == f"{file}:2: ModelConfig has no field 'nam'. Did you mean 'name'?"


def test_a_server_with_a_wrong_file_ends_with_one_message(file):
    file.write_text("model_config_list {\n  config { name: 5 }\n}")
    done = ended(*UNSTUCK, "serve", f"--model_config_file={file}", *PORTS)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"unstuck serve: --model_config_file={file}, line 2: ")
    assert done.stderr.count("\n") == 1


def test_the_flags_of_an_image_that_names_a_model_do_not_stand_in_the_way(file, launch):
    """The official image's entry point always gives --model_name and --model_base_path."""
    image = ["--model_name=model", "--model_base_path=/models/model"]
    printed, port = launch(*TENSORFLOW_MODEL_SERVER, *image, f"--model_config_file={file}")
    assert printed.startswith(
        "--model_name and --model_base_path are not used: --model_config_file says what is served."
    )
    assert "\n  half, version 1\n" in printed
    request = urllib.request.Request(
        f"http://localhost:{port}/v1/models/half:predict", json.dumps({"instances": [[1.0]]}).encode()
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        assert json.load(answer) == {"predictions": [[2.5]]}


def test_a_server_without_a_model_waits_for_one(file, launch):
    file.write_text("")
    printed, port = launch(*UNSTUCK, "serve", f"--model_config_file={file}")
    assert "loading no model yet" in printed
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://localhost:{port}/readyz", timeout=TIMEOUT_S)
