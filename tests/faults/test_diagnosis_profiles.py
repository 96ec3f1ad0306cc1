"""`unstuck diagnose` where the model's own folder says what training was: its pipeline and its profile."""

import pytest
from corpus.with_profile import PIPELINES
from diagnosing import diagnose


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "given"),
    [pytest.param(case, given, id=f"{case.name}: {', '.join(given)}") for case in PIPELINES for given in case.given],
)
def test_the_verdict_is_right(case, given, tmp_path):
    assert diagnose(case, case.build(tmp_path), given).cause == case.cause
