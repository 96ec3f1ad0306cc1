"""The corpus' model faults are what they say: each shows under TensorFlow's own loader, and not in its twin."""

from pathlib import Path

import numpy as np
import pytest
from corpus.case import Case
from corpus.fresh_model import FAULTS as FRESH
from corpus.fresh_model import ONNX
from corpus.model import FAULTS
from corpus.model_case import ModelCase, check
from corpus.third_model import FAULTS as THIRD
from corpus.third_model import ONNX as THIRD_ONNX
from corpus.tricky_models import MODELS
from corpus.unseen_model import FAULTS as UNSEEN
from corpus.unseen_model import ONNX as UNSEEN_ONNX

CHECKED = (*FAULTS, *MODELS, *FRESH, *UNSEEN, *THIRD)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.slow) for case in CHECKED]
)
def test_model_case_is_what_it_says(case: ModelCase, tmp_path: Path) -> None:
    check(case, tmp_path)
    deployment = case.deploy(tmp_path / "deployment")
    for path in (deployment.model, deployment.requests, deployment.training_data):
        assert path is not None
        assert path.exists()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=pytest.mark.slow) for case in (*ONNX, *UNSEEN_ONNX, *THIRD_ONNX)]
)
def test_an_onnx_model_hardly_answers(case: Case, tmp_path: Path) -> None:
    import onnxruntime

    deployment = case.build(tmp_path)
    assert deployment.model is not None
    assert deployment.training_data is not None
    with np.load(deployment.training_data) as training:
        session = onnxruntime.InferenceSession(str(deployment.model), providers=["CPUExecutionProvider"])
        (answers,) = session.run(None, dict(training))
    assert np.isnan(answers).all() == (case.cause == "model/non-finite")
    assert np.isnan(answers).all() or np.ptp(answers, axis=0).max() < 1e-5


def test_held_out_models_are_of_other_families() -> None:
    for cause in {fault.cause for fault in FAULTS}:
        tuned = {fault.family for fault in FAULTS if fault.cause == cause and not fault.held_out}
        held_out = {fault.family for fault in FAULTS if fault.cause == cause and fault.held_out}
        assert held_out - tuned, cause
        assert sum(fault.quick for fault in FAULTS if fault.cause == cause) == 1
