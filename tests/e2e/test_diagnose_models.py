"""``unstuck diagnose`` as its users run it: on the examples, their broken twins, and a server."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import tabular, text
from unstuck import Client
from unstuck.doctor.findings import CAUSES

MODELS = Path(__file__).parents[2] / "examples" / "models"
UNSTUCK = [sys.executable, "-m", "unstuck"]


def diagnose(*arguments: Any, status: int) -> str:
    """What the command prints, having ended with ``status``."""
    command = [*UNSTUCK, "diagnose", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def read(report: str) -> dict[str, Any]:
    """A JSON report, which must be of the documented shape."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(report, parse_constant=refuse)
    assert list(found) == ["schema", "target", "model", "signature", "healthy", "verdict", "findings"]
    assert {each["cause"] for each in found["findings"]} == set(CAUSES)
    assert all(set(each) == {"check", "cause", "status", "evidence", "why"} for each in found["findings"])
    assert not [each["why"] for each in found["findings"] if "crashed" in each["why"]]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Requests to the examples, and what the right one of two twins answers."""
    made = tmp_path_factory.mktemp("given")
    texts, _ = text.reviews(40, seed=3)
    write(made / "texts.jsonl", [{"instances": [{"text": [each]}]} for each in texts])
    features, _ = tabular.bearings(40, seed=3)
    rows = [{"feature_a": [float(a)], "feature_b": [float(b)]} for a, b in features]
    write(made / "rows.jsonl", [{"instances": [row]} for row in rows])
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of feature_concat."""
    log = tmp_path_factory.mktemp("server") / "out"
    command = [
        *UNSTUCK,
        "serve",
        str(MODELS / "feature_concat"),
        "--rest_api_port=auto",
        "--port=0",
        "--host=127.0.0.1",
    ]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        end = time.monotonic() + 60
        while "Ready" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        found = re.search(r"http://[\w.]+:\d+", log.read_text())
        assert found, log.read_text()
        yield found[0]
        process.terminate()


@pytest.fixture(scope="module")
def golden(server: str, folder: Path) -> Path:
    with Client(server, "feature_concat") as client:
        rows = [json.loads(line)["instances"][0] for line in (folder / "rows.jsonl").read_text().splitlines()[:24]]
        answers = [client.predict({name: [values] for name, values in row.items()}) for row in rows]
    return write(
        folder / "golden.jsonl",
        [
            {
                "inputs": {name: [values] for name, values in row.items()},
                "outputs": {name: np.asarray(values).tolist() for name, values in answer.items()},
            }
            for row, answer in zip(rows, answers, strict=True)
        ],
    )


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_text_that_nobody_splits_is_found_repaired_and_then_healthy(folder: Path, tmp_path: Path) -> None:
    model = ("--model", MODELS / "text_classifier_broken", "--requests", folder / "texts.jsonl")
    evidence, pipeline = tmp_path / "evidence.json", tmp_path / "pipeline.yaml"
    first = diagnose(*(*model, "--format", "json", "--save-evidence", evidence, "--apply-pipeline", pipeline), status=1)
    found = read(first)
    assert found["healthy"] is False
    assert found["verdict"]["cause"] == "preprocessing/missing-tokenization"
    assert found["verdict"]["location"]["input"] == "text"
    assert found["model"] == str(MODELS / "text_classifier_broken" / "1")
    assert found["signature"] == "serving_default"

    assert diagnose("--evidence", evidence, "--format=json", status=1) == first
    assert "Missing tokenization" in diagnose("--evidence", evidence, "--format=html", status=1)
    assert "split" in pipeline.read_text()
    repaired = read(diagnose(*model, "--pipeline_file", pipeline, "--format=json", status=0))
    assert repaired["healthy"] is True
    assert repaired["verdict"] is None


def test_features_joined_in_another_order(folder: Path, golden: Path) -> None:
    said = diagnose(
        *("--model", MODELS / "feature_concat_broken", "--requests", folder / "rows.jsonl", "--golden", golden),
        status=1,
    )
    assert said.startswith("✗ mapping/swapped-features\n")
    assert "feature_a" in said
    assert "How to fix it" in said
    assert max(map(len, said.splitlines())) <= 100


def test_a_healthy_deployment(server: str, folder: Path, golden: Path) -> None:
    target = f"{server}/v1/models/feature_concat"
    found = read(
        diagnose(
            *(target, "--model", MODELS / "feature_concat", "--requests", folder / "rows.jsonl"),
            *("--golden", golden, "--format=json"),
            status=0,
        )
    )
    assert (found["healthy"], found["verdict"], found["target"]) == (True, None, target)
    tested = {each["cause"] for each in found["findings"] if each["status"] == "ruled-out"}
    assert len(tested) > 15


def test_nobody_listens() -> None:
    found = read(diagnose("http://127.0.0.1:9/v1/models/m", "--format=json", status=1))
    assert found["verdict"]["cause"] == "resources/not-serving"
    assert found["model"] is None


def test_a_model_without_its_variables(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "feature_concat" / "1", tmp_path / "m" / "1", ignore=shutil.ignore_patterns("variables"))
    said = " ".join(diagnose("--model", tmp_path / "m", status=1).split())
    assert "The model cannot be loaded: " in said
    assert "Copy the whole version folder" in said


def _wait_until_it_loads_tensorflow(pid: int) -> None:
    maps, deadline = Path(f"/proc/{pid}/maps"), time.monotonic() + 60
    if not maps.exists():
        pytest.skip("there is no /proc to watch the command by")
    while "libtensorflow" not in maps.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_ends_it_quietly(folder: Path) -> None:
    command = [*UNSTUCK, "diagnose", "--model", str(MODELS / "image_classifier")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        _wait_until_it_loads_tensorflow(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == ("", "")
