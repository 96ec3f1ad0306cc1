"""``unstuck bench`` against servers that are not ours, over REST and gRPC."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import server as corpus
from corpus.served import Refused, Tensors
from corpus.server import Call, Hooks

from unstuck.cli.main import main
from unstuck.testing import models as exports

pytestmark = pytest.mark.slow
DELAY_S = 0.05
QUICK = ("--duration=1", "--warmup=0.2", "--format=json")
Bench = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return {1: exports.mlp(tmp_path_factory.mktemp("mlp"))}


@pytest.fixture(params=["rest", "grpc"])
def serve(request: pytest.FixtureRequest) -> Any:
    return getattr(corpus, request.param)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        status = main(["bench", *arguments, *QUICK])
        return status, json.loads(capsys.readouterr().out)

    return run


def delayed(call: Call, answer: Callable[[], Tensors]) -> Tensors:
    time.sleep(DELAY_S)
    return answer()


def test_a_delay_is_measured(serve: Any, mlp: dict[int, Path], bench: Bench) -> None:
    with serve(mlp, Hooks(around=delayed)) as target:
        status, results = bench(target, "--concurrency=2,6")
    assert status == 0
    few, many = results["levels"]
    for level in (few, many):
        assert DELAY_S * 1e3 <= level["latency_ms"]["p50"] < DELAY_S * 1e3 * 10  # other tests may run as well
        most = level["concurrency"] / DELAY_S
        assert most * 0.2 < level["requests_per_second"] <= most * 1.15
        assert level["failed"] == 0
    assert many["requests_per_second"] > few["requests_per_second"]
    assert results["about"]["model"] == "model, version 1"
    assert results["notes"] == []


def test_an_open_loop(serve: Any, mlp: dict[int, Path], bench: Bench) -> None:
    with serve(mlp, Hooks(around=delayed)) as target:
        status, results = bench(target, "--rate=60", "--arrivals=constant")
        assert status == 0
        (level,) = results["levels"]
        assert level["calls"] == pytest.approx(60, abs=3)
        assert level["requests_per_second"] == pytest.approx(60, rel=0.4)
        for target_ms, met in ((20, False), (3000, True)):
            status, results = bench(target, "--rate=60", f"--target-p99={target_ms}")
            assert (status, results["levels"][0]["meets_target"]) == (0 if met else 1, met)


def test_failures_are_counted_by_status(serve: Any, mlp: dict[int, Path], bench: Bench) -> None:
    def flaky(call: Call, answer: Callable[[], Tensors]) -> Tensors:
        if call.number % 2:
            raise Refused("Too much to do.", 503, "UNAVAILABLE")
        return answer()

    with serve(mlp, Hooks(around=flaky)) as target:
        status, results = bench(target, "--concurrency=2")
    assert status == 1
    (level,) = results["levels"]
    (error,) = level["errors"]
    assert error == ("HTTP 503" if target.startswith("http") else "UNAVAILABLE")
    assert "Too much to do." in level["messages"][error]
    assert level["errors"][error] == pytest.approx(level["calls"] / 2, rel=0.2)
    assert level["answered"] + level["failed"] == level["calls"]


def test_one_answer_to_all_is_noticed(serve: Any, mlp: dict[int, Path], bench: Bench) -> None:
    def constant(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {alias: np.full_like(array, 0.5) for alias, array in outputs.items()}

    with serve(mlp, Hooks(after=constant)) as target:
        status, results = bench(target, "--concurrency=2")
    assert status == 0
    (note,) = results["notes"]
    assert "distinct requests got the same answer" in note
    assert note.endswith(f"unstuck diagnose {target}")


def test_a_server_that_refuses_everything(serve: Any, mlp: dict[int, Path], capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(call: Call, answer: Callable[[], Tensors]) -> Tensors:
        raise Refused("I do not want to.", 400, "INVALID_ARGUMENT")

    with serve(mlp, Hooks(around=refuse)) as target:
        assert main(["bench", target, *QUICK]) == 2
    assert "unstuck bench: The server refuses a request: I do not want to." in capsys.readouterr().err
