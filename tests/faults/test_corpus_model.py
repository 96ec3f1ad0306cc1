"""The corpus' model faults are what they say: each shows under TensorFlow's own loader, and not in its twin."""

from pathlib import Path

import pytest
from corpus.model import FAULTS
from corpus.model_case import ModelCase, check
from corpus.tricky_models import MODELS


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.slow) for case in (*FAULTS, *MODELS)],
)
def test_model_case_is_what_it_says(case: ModelCase, tmp_path: Path) -> None:
    check(case, tmp_path)
    deployment = case.deploy(tmp_path / "deployment")
    for path in (deployment.model, deployment.requests, deployment.training_data):
        assert path is not None
        assert path.exists()


def test_held_out_models_are_of_other_families() -> None:
    for cause in {fault.cause for fault in FAULTS}:
        tuned = {fault.family for fault in FAULTS if fault.cause == cause and not fault.held_out}
        held_out = {fault.family for fault in FAULTS if fault.cause == cause and fault.held_out}
        assert held_out - tuned, cause
        assert sum(fault.quick for fault in FAULTS if fault.cause == cause) == 1
