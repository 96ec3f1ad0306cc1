"""The corpus of broken deployments itself, without the diagnosis: it builds, and is broken in the way that it says."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import STAGES, cases
from corpus.case import Case, Deployment
from corpus.client import ask, ask_model

CAUSES = {
    "preprocessing": "constant-input missing-tokenization wrong-vocabulary missing-normalization double-normalization "
    "wrong-encoding truncation",
    "mapping": "swapped-features dropped-feature duplicated-feature wrong-signature wrong-layout batch-broadcast "
    "wrong-version",
    "resources": "memory-limit overload crosstalk stale-response not-serving",
    "model": "disconnected-input dead-activation saturated-activation non-finite degenerate-weights batch-statistics "
    "uninitialized-table output-hides-variation collapsed",
}
CODES = {f"{stage}/{cause}" for stage, names in CAUSES.items() for cause in names.split()}
CONSTANT = {"preprocessing/constant-input", "preprocessing/truncation"}
# Where every request may be refused, or the model may not even load.
REFUSED = {
    "preprocessing/missing-tokenization", "preprocessing/wrong-vocabulary", "preprocessing/wrong-encoding",
    "model/uninitialized-table",
}  # fmt: skip
VISIBLE_SHIFT = 0.25  # of the distribution of answers, as the Kolmogorov-Smirnov distance

ALL_CASES = cases()


def _stage(case: Case) -> str:
    return case.cause.split("/")[0] if case.cause else "healthy"


def _parameters(found: Sequence[Case]) -> list[Any]:
    return [pytest.param(case, id=case.name, marks=[] if case.quick else pytest.mark.slow) for case in found]


def test_every_cause_has_tuned_and_held_out_cases_and_a_quick_one() -> None:
    by_cause = Counter(case.cause for case in ALL_CASES if case.cause)
    assert set(by_cause) == CODES
    assert min(by_cause.values()) >= 3, by_cause
    for cause in CODES:
        own = [case for case in ALL_CASES if case.cause == cause]
        assert 1 <= sum(case.held_out for case in own) < len(own), cause
        assert any(case.quick for case in own), cause
        assert not any(case.quick and case.held_out for case in own), f"{cause}: quick tests are tuned on"


def test_every_stage_has_cases() -> None:
    assert {_stage(case) for case in ALL_CASES} == set(STAGES)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Deployment]:
    """Builds a case once."""
    built: dict[str, Deployment] = {}

    def once(case: Case) -> Deployment:
        if case.name not in built:
            built[case.name] = case.build(tmp_path_factory.mktemp("case"))
        return built[case.name]

    return once


@pytest.mark.parametrize("case", _parameters(ALL_CASES))
def test_a_case_has_the_evidence_that_it_is_given_with(case: Case, build: Callable[[Case], Deployment]) -> None:
    deployment = build(case)
    for name in {name for subset in case.given for name in subset}:
        evidence = deployment.serve if name == "target" else getattr(deployment, name)
        assert evidence is not None, name
        assert name == "target" or evidence.exists(), name
    if deployment.requests is not None and deployment.requests.suffix == ".jsonl":
        lines = [json.loads(line) for line in deployment.requests.read_text().splitlines()]
        assert all(("instances" in line) != ("inputs" in line) for line in lines)


@pytest.mark.parametrize(
    "case",
    _parameters([case for case in ALL_CASES if _stage(case) in ("preprocessing", "mapping")]),
)
def test_a_broken_deployment_shows_it(case: Case, build: Callable[[Case], Deployment]) -> None:
    deployment = build(case)
    answers = _served(deployment)
    refused = [answer for answer in answers if isinstance(answer, str)]
    if refused:
        assert case.cause in REFUSED, refused[0]
        assert len(refused) == len(answers)
        return
    if case.cause in CONSTANT:
        assert np.ptp(_numbers(answers), axis=0).max() < 1e-5
    elif case.cause == "mapping/batch-broadcast":
        rows = _numbers(answers).reshape(_request_count(deployment), -1, _numbers(answers).shape[1])
        assert np.ptp(rows, axis=1).max() < 1e-5
        assert np.ptp(rows[:, 0], axis=0).max() > 1e-2, "the requests should differ"
    else:
        symptoms = (_differs_from_model, _differs_from_meant, _breaks_golden, _shifted)
        assert any(symptom(deployment, answers) for symptom in symptoms)


@pytest.mark.parametrize("case", _parameters([case for case in ALL_CASES if _stage(case) in ("resources", "model")]))
def test_a_model_answers_its_requests_alone(case: Case, build: Callable[[Case], Deployment]) -> None:
    deployment = build(case)
    model = _version(deployment)
    if case.cause in REFUSED or model is None or deployment.requests is None:
        pytest.skip("no model that is meant to answer")
    assert not [answer for answer in ask_model(model, deployment.requests) if isinstance(answer, str)]


@pytest.mark.parametrize("case", _parameters([case for case in ALL_CASES if case.cause is None]))
def test_a_healthy_deployment_answers_as_its_model(case: Case, build: Callable[[Case], Deployment]) -> None:
    deployment = build(case)
    if deployment.requests is None or deployment.requests.suffix != ".jsonl":
        pytest.skip("no requests to send")
    answers = _served(deployment)
    assert not [answer for answer in answers if isinstance(answer, str)]
    prepared = replace(deployment, requests=deployment.meant or deployment.requests)
    assert not _differs_from_model(prepared, answers)
    assert not _breaks_golden(deployment)


def _served(deployment: Deployment) -> list[Any]:
    assert deployment.requests is not None
    if deployment.serve is None:
        assert deployment.model is not None
        return ask_model(deployment.model, deployment.requests)
    with deployment.serve() as target:
        return ask(target, deployment.requests)


def _differs_from_model(deployment: Deployment, answers: Sequence[Any]) -> bool:
    """Whether the endpoint gives other answers than the version that should answer, alone."""
    model = _version(deployment)
    if model is None or deployment.serve is None or deployment.requests is None:
        return False
    return not _same(answers, ask_model(model, deployment.requests))


def _differs_from_meant(deployment: Deployment, answers: Sequence[Any]) -> bool:
    """Whether some answers are far from what the right requests would get."""
    if deployment.meant is None or deployment.model is None:
        return False
    meant = _numbers(ask_model(deployment.model, deployment.meant))
    return bool((np.abs(_numbers(answers) - meant) > 0.05 * np.ptp(meant, axis=0)).mean() > 0.2)


def _breaks_golden(deployment: Deployment, answers: Sequence[Any] = ()) -> bool:
    """Whether the model gives other answers than the golden ones to their inputs."""
    model = _version(deployment)
    if model is None or deployment.golden is None:
        return False
    records = [json.loads(line) for line in deployment.golden.read_text().splitlines()]
    requests = deployment.golden.with_name("golden-requests.jsonl")
    requests.write_text("".join(json.dumps({"inputs": record["inputs"]}) + "\n" for record in records))
    return not _same(ask_model(model, requests), _golden_rows(records))


def _shifted(deployment: Deployment, answers: Sequence[Any]) -> bool:
    """Whether the answers to the requests are of another distribution, or another shape, than the golden ones."""
    if deployment.golden is None:
        return False
    records = [json.loads(line) for line in deployment.golden.read_text().splitlines()]
    sent, right = _numbers(answers), _numbers(_golden_rows(records))
    if sent.shape[1] != right.shape[1]:
        return True
    return max(_distance(a, b) for a, b in zip(sent.T, right.T, strict=True)) > VISIBLE_SHIFT


def _golden_rows(records: Sequence[dict[str, Any]]) -> list[Any]:
    outputs = [record["outputs"] for record in records]
    return [dict(zip(output, row, strict=True)) for output in outputs for row in zip(*output.values(), strict=True)]


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    at = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    if len(left) != len(right) or any(isinstance(row, str) for row in (*left, *right)):
        return False
    a, b = _numbers(left), _numbers(right)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True)


def _numbers(rows: Sequence[Any]) -> np.ndarray:
    """The numeric outputs of each row, by name, flat: [rows, numbers]."""
    arrays = [[np.asarray(value) for _, value in sorted(row.items())] for row in rows]
    return np.array([np.concatenate([v.ravel() for v in row if v.dtype.kind in "biuf"]) for row in arrays], np.float64)


def _request_count(deployment: Deployment) -> int:
    assert deployment.requests is not None
    return len(deployment.requests.read_text().splitlines())


def _version(deployment: Deployment) -> Path | None:
    """The folder of the SavedModel that should answer: of the version that TARGET asks for, else the newest."""
    model = deployment.model
    if model is None or model.suffix == ".onnx" or (model / "saved_model.pb").exists():
        return None if model is None or model.suffix == ".onnx" else model
    newest = max((folder for folder in model.iterdir() if folder.name.isdigit()), key=lambda folder: int(folder.name))
    if deployment.serve is None:
        return newest
    with deployment.serve() as target:
        asked = re.search(r"/versions/(\d+)", target)
    return model / asked[1] if asked else newest
