"""The checks of preprocessing on their own cases, and the pipelines that they propose."""

from pathlib import Path

import pytest

from unstuck.core.dtypes import named
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.doctor.check import Case, Check
from unstuck.doctor.checks.preprocessing.constant_input import constant_input
from unstuck.doctor.checks.preprocessing.double_normalization import double_normalization
from unstuck.doctor.checks.preprocessing.missing_normalization import missing_normalization
from unstuck.doctor.checks.preprocessing.missing_tokenization import missing_tokenization
from unstuck.doctor.checks.preprocessing.truncation import truncation
from unstuck.doctor.checks.preprocessing.wrong_encoding import wrong_encoding
from unstuck.doctor.checks.preprocessing.wrong_vocabulary import wrong_vocabulary
from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.evidence.preparation import TOGETHER, Preparation, Trial, Trials
from unstuck.doctor.evidence.profile import Fit
from unstuck.doctor.evidence.samples_of_requests import (
    BEYOND,
    PIXELS,
    RAW,
    RAW_TRIALS,
    SENT,
    TWICE,
    TWICE_BY_GRAPH,
    UNSPLIT,
    comparison,
    facts,
    place,
    trials,
)  # fmt: skip
from unstuck.doctor.findings import Finding
from unstuck.doctor.fixes import pipeline_fix
from unstuck.pipeline.checks import check
from unstuck.pipeline.document import read_pipeline

CHECKS: tuple[Check, ...] = (
    constant_input, missing_tokenization, wrong_vocabulary, missing_normalization, double_normalization,
    wrong_encoding, truncation,
)  # fmt: skip


def run(check_: Check, *evidence: Evidence) -> list[Finding]:
    return check_.run({type(each): each for each in evidence})


@pytest.mark.parametrize(
    ("check_", "case"), [(each, case) for each in CHECKS for case in each.cases], ids=lambda each: each.name
)
def test_case(check_: Check, case: Case):
    found = run(check_, *case.evidence)
    assert {each.status for each in found} == {case.status}, found


def fits(text: str, tmp_path: Path, dtype: str, shape: tuple[int | None, ...]) -> None:
    """Raises where ``text`` is no pipeline for a signature of input ``x``."""
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    kind = named(dtype)
    assert kind is not None
    spec = TensorSpec("x", "x:0", kind, (None, *shape))
    check(read_pipeline(file), {"serving_default": Signature("serving_default", {"x": spec}, {})})


@pytest.mark.parametrize("profile", [PIXELS, RAW], ids=["by 255", "by mean and deviation"])
def test_missing_normalization_proposes_a_pipeline_that_fits(profile: Evidence, tmp_path: Path):
    (found,) = run(missing_normalization, profile, SENT, RAW_TRIALS)
    assert "scale:" in pipeline_fix(found)
    fits(pipeline_fix(found), tmp_path, "float", (4,))


@pytest.mark.parametrize("profile", [TWICE, TWICE_BY_GRAPH], ids=["by 255", "the graph's own"])
def test_double_normalization_proposes_a_pipeline_that_undoes_it(profile: Evidence, tmp_path: Path):
    (found,) = run(double_normalization, profile, SENT, RAW_TRIALS)
    fits(pipeline_fix(found), tmp_path, "float", (4,))


def test_missing_tokenization_proposes_a_pipeline_that_splits(tmp_path: Path):
    (found,) = run(missing_tokenization, UNSPLIT, facts(dtype="string", shape=[-1], sent_shape=[1]))
    assert "split" in pipeline_fix(found)
    fits(pipeline_fix(found), tmp_path, "string", (None,))


def test_narrow_requests_within_trainings_range_are_healthy():
    narrow = comparison(place((0.2, 0.01), (0.0, 1.0), 0.6, 0.0, (0.0, 0.0)), *RAW.inputs[0].fits)
    assert len(narrow.inputs[0].off) == 4
    for each in (missing_normalization, double_normalization):
        assert [finding.status for finding in run(each, narrow, SENT, RAW_TRIALS)] == ["ruled-out"]


def test_standardised_twice_is_told_by_its_place_below_zero():
    twice = comparison(place((-2.7, 0.05), (0.0, 1.0), 0.98, 0.0, (0.0, 0.0)), *RAW.inputs[0].fits)
    (found,) = run(double_normalization, twice, SENT, RAW_TRIALS)
    assert found.status == "fault"
    assert [each.status for each in run(missing_normalization, twice, SENT, RAW_TRIALS)] == ["ruled-out"]


def in_own_units(below: float = 1.0, beyond: float = 1.0) -> Evidence:
    """Columns in units of their own, where training standardised them: few are beyond it."""
    ones = (0.0, 1.0)
    scales = [
        ((below * 0.5, 0.15), 0.0),
        ((below * 1.0, 0.002), 0.0),
        ((below * 16.0, 5.0), beyond),
        ((0.3, 0.06), 0.0),
    ]
    wine = comparison(place((0.5, 0.1), ones, 0.8, 0.0, (0.0, 0.0)), *RAW.inputs[0].fits)
    places = [
        place(sent, ones, 0.8, outside, (0.0, 0.0)).model_copy(update={"name": str(at)})
        for at, (sent, outside) in enumerate(scales)
    ]
    return wine.model_copy(update={"inputs": [wine.inputs[0].model_copy(update={"places": places})]})


def test_columns_in_their_own_units_are_raw_though_most_lie_within_trainings_range():
    (found,) = run(missing_normalization, in_own_units(), SENT, RAW_TRIALS)
    assert found.status == "fault"


def test_columns_below_zero_or_all_within_training_are_not_taken_for_raw_ones():
    for other in (in_own_units(below=-1.0), in_own_units(beyond=0.0)):
        assert [each.status for each in run(missing_normalization, other, SENT, RAW_TRIALS)] == ["ruled-out"]


def test_numbers_that_fit_with_their_bytes_turned_are_another_encoding_and_not_another_scale():
    turned = Preparation(name="with the bytes of each int16 turned", kinds=["swap bytes"], number="int16")
    fits = (Fit(preparation=turned, of="requests", apart=0.05), *RAW.inputs[0].fits)
    profile = comparison(place((400.0, 100.0), (0.0, 1.0), 1.0, 1.0, (0.0, 0.0)), *fits)
    (found,) = run(wrong_encoding, profile, SENT, RAW_TRIALS)
    assert found.status == "fault"
    assert [each.status for each in run(missing_normalization, profile, SENT, RAW_TRIALS)] == ["ruled-out"]


def test_numbers_that_a_change_of_scale_brings_nearer_than_turned_bytes_are_on_another_scale():
    turned = Preparation(name="with the bytes of each float32 turned", kinds=["swap bytes"], number="float32")
    fits = (Fit(preparation=turned, of="requests", apart=0.15), *RAW.inputs[0].fits)
    assert min(fit.apart for fit in RAW.inputs[0].fits) < 0.15
    profile = comparison(place((400.0, 100.0), (0.0, 1.0), 1.0, 1.0, (0.0, 0.0)), *fits)
    assert [each.status for each in run(wrong_encoding, profile, SENT, RAW_TRIALS)] == ["ruled-out"]


def two_off(alone: float, together: float, **of_inputs: object) -> list[Evidence]:
    """Inputs ``x`` and ``z``, both raw, and how far the answers move once one, or both, are put right."""
    mine = RAW.inputs[0].model_copy(update=of_inputs)
    both = RAW.model_copy(update={"inputs": [mine, mine.model_copy(update={"input": "z"})]})
    name = mine.fits[0].preparation.name
    tried = [
        Trial(input=alias, preparation=each, rows=20, changed=moved)
        for alias, each, moved in (("", "as sent", 0.0), ("x", name, alone), ("z", name, 0.0), ("", TOGETHER, together))
    ]
    two = [SENT.inputs[0].model_copy(update={"input": alias}) for alias in ("x", "z")]
    sent = SENT.model_copy(update={"inputs": two})
    return [both, sent, Trials(by="model", unit="reference", trials=tried)]


def test_inputs_that_hide_each_other_are_proven_by_the_answers_to_both_put_right():
    found = run(missing_normalization, *two_off(alone=0.01, together=0.6))
    assert [(each.status, each.location.input) for each in found] == [("fault", "x"), ("fault", "z")]
    assert pipeline_fix(found[0]) == pipeline_fix(found[1])
    assert pipeline_fix(found[0]).count("scale:") == 2


@pytest.mark.parametrize(
    ("alone", "together", "expected"), [(0.01, 0.01, ["suspect"] * 2), (0.5, 0.6, ["fault", "suspect"])]
)
def test_an_input_that_moves_no_answer_beside_those_that_are_right_is_a_suspect(
    alone: float, together: float, expected: list[str]
):
    assert [each.status for each in run(missing_normalization, *two_off(alone, together))] == expected


def test_numbers_that_index_a_table_have_no_scale():
    found = run(missing_normalization, *two_off(alone=0.5, together=0.6, is_index=True))
    assert [each.status for each in found] == ["ruled-out"]


def test_ids_beyond_an_embedding_are_right_where_the_graph_takes_a_few_for_unknown():
    few = BEYOND.model_copy(update={"inputs": [BEYOND.inputs[0].model_copy(update={"unknown": 0.2})]})
    assert [each.status for each in run(wrong_vocabulary, few, trials())] == ["ruled-out"]
    assert [each.status for each in run(wrong_vocabulary, few, trials(refused=4))] == ["fault"]
    assert [each.status for each in run(wrong_vocabulary, BEYOND, trials())] == ["fault"]


def test_exchanged_columns_are_no_matter_of_scale():
    exchanged = RAW.inputs[0].model_copy(update={"exchanged": True})
    profile = RAW.model_copy(update={"inputs": [exchanged]})
    for each in (missing_normalization, double_normalization):
        assert [finding.status for finding in run(each, profile, SENT, RAW_TRIALS)] == ["ruled-out"]
