"""The corpus' resource faults are what they say: what is right alone is wrong together, an old answer is an old one."""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from corpus.case import Case, Deployment
from corpus.client import ask, ask_model
from corpus.resources import CASES

TOGETHER = 8


def _cases(*causes: str) -> list[Any]:
    found = [case for case in CASES if case.cause in {f"resources/{cause}" for cause in causes}]
    return [pytest.param(case, id=case.name, marks=[] if case.quick else pytest.mark.slow) for case in found]


@pytest.mark.parametrize("case", _cases("overload", "crosstalk"))
def test_right_alone_and_wrong_together(case: Case, tmp_path: Path) -> None:
    deployment = case.build(tmp_path)
    right = _right(deployment)
    assert deployment.serve is not None
    with deployment.serve() as target:
        assert all(_same(*pair) for pair in zip(ask(target, _requests(deployment)), right, strict=True))
        wrong = [
            pair for pair in zip(_ask_together(target, deployment, tmp_path), right, strict=True) if not _same(*pair)
        ]
    assert len(wrong) >= 3
    others = [answer for answer, _ in wrong if not isinstance(answer, str) and _is_anothers(answer, right)]
    assert len(others) == (len(wrong) if case.cause == "resources/crosstalk" else 0)


@pytest.mark.parametrize("case", _cases("stale-response"))
def test_an_earlier_answer_comes_again(case: Case, tmp_path: Path) -> None:
    deployment = case.build(tmp_path)
    right = _right(deployment)
    assert deployment.serve is not None
    for _ in range(2):  # each start forgets what the one before had kept
        with deployment.serve() as target:
            answers = ask(target, _requests(deployment))
        assert _same(answers[0], right[0])
        stale = [at for at, (answer, own) in enumerate(zip(answers, right, strict=True)) if not _same(answer, own)]
        assert len(stale) >= len(answers) // 4
        assert all(any(_same(answers[at], earlier) for earlier in right[:at]) for at in stale)


@pytest.mark.parametrize("case", _cases("not-serving"))
def test_no_request_gets_an_answer(case: Case, tmp_path: Path) -> None:
    deployment = case.build(tmp_path)
    assert deployment.serve is not None
    with deployment.serve() as target:
        if target.startswith("grpc"):
            with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
                ask(target, _requests(deployment))
            return
        body = _requests(deployment).read_bytes().splitlines()[0]
        with contextlib.suppress(httpx.TransportError):
            assert httpx.post(f"{target}:predict", content=body, timeout=1).status_code >= 400


def _requests(deployment: Deployment) -> Path:
    assert deployment.requests is not None
    return deployment.requests


def _right(deployment: Deployment) -> list[Any]:
    assert deployment.model is not None
    return ask_model(deployment.model, _requests(deployment))


def _ask_together(target: str, deployment: Deployment, folder: Path) -> list[Any]:
    """The answers where ``TOGETHER`` clients send the requests at a time, in the requests' order."""
    files = []
    for number, line in enumerate(_requests(deployment).read_text().splitlines()):
        files.append(folder / f"request-{number}.jsonl")
        files[-1].write_text(line + "\n")
    with ThreadPoolExecutor(TOGETHER) as pool:
        answered = list(pool.map(lambda file: ask(target, file), files))
    rows = len(_right(deployment)) // len(files)
    return [row for answer in answered for row in (answer if len(answer) == rows else answer * rows)]


def _is_anothers(answer: Any, right: Sequence[Any]) -> bool:
    """Whether one of its outputs at least is another request's."""
    return any(_same(answer, other, together=False) for other in right)


def _same(left: Any, right: Any, together: bool = True) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return False
    pairs = zip(sorted(left.items()), sorted(right.items()), strict=True)
    close = [np.allclose(a, b, rtol=1e-4, atol=1e-7) for (_, a), (_, b) in pairs]
    return all(close) if together else any(close)
