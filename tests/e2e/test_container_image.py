"""The Dockerfile without Docker: a linter, what its lines say, and the entry point as a process."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
ENTRYPOINT = ROOT / "docker" / "tf_serving_entrypoint.sh"
TIMEOUT_S = 60


def instructions() -> list[tuple[str, str]]:
    """As (name, arguments), continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (name, " ".join(rest.split()))
        for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(at for at, (name, _) in enumerate(found) if name == "FROM") :]


def value_of(name: str) -> str:
    (value,) = [arguments for each, arguments in last_stage() if each == name]
    return value


def test_the_linter_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "./dev setup installs it"
    command = [hadolint, "--failure-threshold=style", str(DOCKERFILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_as_tensorflow_servings() -> None:
    assert set(value_of("EXPOSE").split()) == {"8500", "8501"}
    assert {"MODEL_BASE_PATH=/models", "MODEL_NAME=model"} <= set(value_of("ENV").split())
    assert json.loads(value_of("ENTRYPOINT")) == ["/usr/bin/tf_serving_entrypoint.sh"]
    assert any("/usr/bin/tensorflow_model_server" in arguments for name, arguments in last_stage() if name == "RUN")


def test_what_runs_is_no_root_and_no_shell() -> None:
    user, group = value_of("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert json.loads(value_of("HEALTHCHECK").partition("CMD ")[2]) == ["unstuck", "health"]
    assert re.search(r'^exec tensorflow_model_server "\$@"$', ENTRYPOINT.read_text(), re.MULTILINE)


def test_the_build_leaves_its_tools_behind() -> None:
    first = next(arguments for name, arguments in instructions() if name == "FROM")
    assert first.endswith(" AS build")
    assert any(arguments.startswith("--from=build ") for name, arguments in last_stage() if name == "COPY")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name, arguments in instructions():
        if name == "COPY" and "--from" not in arguments:
            *sources, _ = [each for each in arguments.split() if not each.startswith("--")]
            for source in sources:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] in kept, source


@pytest.fixture
def run_entrypoint(tmp_path: Path):
    """The flags that the entry point gives to the server."""
    server = tmp_path / "tensorflow_model_server"
    server.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([os.getpid(), sys.argv[1:]]))\n")
    server.chmod(0o755)

    def run(*arguments: str, **variables: str) -> list[str]:
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL_BASE_PATH": "/models", "MODEL_NAME": "model"}
        process = subprocess.Popen([ENTRYPOINT, *arguments], stdout=subprocess.PIPE, env={**environment, **variables})
        out, _ = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0
        pid, flags = json.loads(out)
        assert pid == process.pid  # it became the server, which gets the signals
        return flags

    return run


def test_the_entry_points_flags(run_entrypoint) -> None:
    assert set(run_entrypoint()) == {
        *("--port=8500", "--rest_api_port=8501", "--model_name=model", "--model_base_path=/models/model")
    }
    assert "--model_base_path=/srv/a b" in run_entrypoint(MODEL_BASE_PATH="/srv", MODEL_NAME="a b")


@pytest.mark.parametrize("given", [["--rest_api_port=9001"], ["--rest_api_port", "9001"], ["-rest_api_port=9001"]])
def test_a_given_flag_is_not_given_twice(run_entrypoint, given: list[str]) -> None:
    flags = run_entrypoint(*given, "--enable_batching")
    assert flags[-len(given) - 1 :] == [*given, "--enable_batching"]
    assert "--rest_api_port=8501" not in flags
    assert "--port=8500" in flags


def test_a_configuration_file_says_which_models(run_entrypoint) -> None:
    flags = run_entrypoint("--model_config_file=/models/models.config")
    assert set(flags) == {"--port=8500", "--rest_api_port=8501", "--model_config_file=/models/models.config"}
