"""The checks of the mapping: their own cases, and what they say of evidence that speaks for several causes."""

import importlib

import numpy as np
import pytest

from unstuck.doctor.evidence.feature_map import EndpointSensitivity, FeatureEffect, ModelWiring, Sensitivity
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.experiments.exchanging import turned
from unstuck.doctor.experiments.feature_profile import apart_of
from unstuck.doctor.experiments.tensor_profile import moved_axes

NAMES = (
    "swapped_features", "dropped_feature", "duplicated_feature", "wrong_signature", "wrong_layout", "wrong_version",
)  # fmt: skip


def checked(name, *evidence):
    module = importlib.import_module(f"unstuck.doctor.checks.mapping.{name}")
    return getattr(module, name).run({type(each): each for each in evidence})


CASES = [
    pytest.param(name, case, id=f"{name}: {case.name}")
    for name in NAMES
    for case in importlib.import_module(f"unstuck.doctor.checks.mapping.{name}").CASES
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_check_decides_its_own_cases(name, case):
    assert {finding.status for finding in checked(name, *case.evidence)} == {case.status}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_said_without_evidence(name):
    (finding,) = checked(name)
    assert finding.status == "not-tested"


def replay(kind="swapped", features=("a", "b"), kind_of=EndpointReplay, **facts):
    best = Explanation(kind=kind, what="…", input="x", features=list(features), share=1.0, telling=20)
    return kind_of(**({"source": "s", "rows": 20, "wrong": 20, "distinct": 20, "explanations": [best]} | facts))


def right(kind):
    return kind(source="golden", rows=20, right=20, distinct=20)


def effects(kind, **moved):
    features = [
        FeatureEffect(feature=name, input=name, is_input=True, trials=12, moved=count, effect=0.5 * bool(count))
        for name, count in moved.items()
    ]
    return kind(source="requests", rows=6, distinct=6, features=features)


def test_an_endpoint_that_gives_the_golden_answers_is_right_whatever_the_local_model_says():
    (finding,) = checked("swapped_features", replay(), right(GoldenAtEndpoint))
    assert finding.status == "ruled-out"


def test_a_rival_explanation_of_another_cause_lowers_the_confidence_and_is_told():
    rival = Explanation(kind="dropped", what="b is zero", share=1.0, telling=20)
    sure, unsure = replay(), replay(explanations=[*replay().explanations, rival])
    assert checked("swapped_features", sure)[0].confidence == 0.97
    (finding,) = checked("swapped_features", unsure)
    assert (finding.status, finding.confidence) == ("fault", 0.7)
    assert "b is zero" in finding.why


def test_the_place_in_the_graph_is_told_only_of_what_the_golden_answers_show():
    wiring = ModelWiring(node="dense/GatherV2", op="GatherV2", order=[1, 0])
    assert checked("swapped_features", replay(kind_of=GoldenReplay), wiring)[0].location.node == "dense/GatherV2"
    assert checked("swapped_features", replay(), wiring)[0].location.node is None
    assert checked("swapped_features", wiring)[0].status == "not-tested"


def test_a_silent_feature_that_a_copy_explains_is_not_also_dropped():
    silent = effects(EndpointSensitivity, a=12, b=0)
    (finding,) = checked("dropped_feature", replay("duplicated"), silent, effects(Sensitivity, a=12, b=12))
    assert finding.status == "ruled-out"


def test_a_silent_feature_is_no_fault_where_the_golden_answers_are_given():
    (finding,) = checked("dropped_feature", effects(EndpointSensitivity, a=12, b=0), right(GoldenAtEndpoint))
    assert finding.status == "ruled-out"


def test_a_silent_feature_is_no_fault_where_the_model_does_not_use_it():
    silent = effects(EndpointSensitivity, a=12, b=0)
    (finding,) = checked("dropped_feature", silent, effects(Sensitivity, a=12, b=0), replay(wrong=9, explanations=[]))
    assert finding.status == "ruled-out"


def test_from_outside_an_input_without_effect_is_dropped_and_perhaps_duplicated():
    silent = effects(EndpointSensitivity, a=12, b=12, c=0)
    (dropped,), (copied,) = checked("dropped_feature", silent), checked("duplicated_feature", silent)
    assert (dropped.status, dropped.location.feature) == ("fault", "c")
    assert (copied.status, copied.location.feature) == ("suspect", "c")


def test_answers_that_never_move_prove_no_dropped_feature():
    (finding,) = checked("dropped_feature", effects(EndpointSensitivity, a=0, b=0))
    assert finding.status == "not-tested"


def test_one_column_twice_in_the_graph_is_a_fault_once_golden_answers_are_missed():
    wiring = ModelWiring(node="g", op="GatherV2", lost=["x[4]"], twice=["x[1]"], order=[0, 1, 2, 3, 1, 5])
    wrong = GoldenReplay(source="golden", rows=20, wrong=18, distinct=20)
    assert [each.status for each in checked("duplicated_feature", wiring)] == ["suspect"]
    assert [each.status for each in checked("duplicated_feature", wiring, right(GoldenReplay))] == ["ruled-out"]
    (finding,) = checked("duplicated_feature", wiring, wrong)
    assert (finding.status, finding.location.node, finding.location.feature) == ("fault", "g", "x[1], x[4]")


RANDOM = np.random.default_rng(0)


def test_samples_of_one_distribution_are_no_farther_apart_than_chance_allows():
    assert max(apart_of(RANDOM.normal(size=40), RANDOM.normal(size=200)) for _ in range(300)) < 1.25
    assert apart_of(RANDOM.normal(2, 1, 40), RANDOM.normal(0, 1, 200)) > 1.25


def pictures(count):
    light = RANDOM.uniform(0.5, 1, (count, 1, 1, 1))
    slope = np.linspace(0, 1, 8)[:, None, None] * np.ones((8, 8, 3))
    return (light * (slope * [0.9, 0.6, 0.3]) + RANDOM.normal(0, 0.05, (count, 8, 8, 3))).astype(np.float32)


def test_pictures_with_their_channels_reversed_are_recognised():
    (found,) = moved_axes("image", pictures(40)[..., ::-1], pictures(200))
    assert (found.is_layout, found.order) == (True, [2, 1, 0])


def test_pictures_lying_on_their_side_are_recognised():
    (found,) = moved_axes("image", pictures(40).transpose(0, 2, 1, 3), pictures(200))
    assert found.is_layout
    assert "[1, 0, 2]" in found.what


def test_pictures_of_one_kind_are_not_rearranged_for_their_channels_levels():
    """Training has green ones and blue ones, by half; the requests are blue."""
    colours = np.array([[0.55, 0.75, 0.1], [0.45, 0.1, 0.6]])
    trained = colours[np.arange(200) // 100][:, None, None] + RANDOM.normal(0, 0.02, (200, 8, 8, 3))
    sent = colours[1] + RANDOM.normal(0, 0.02, (40, 8, 8, 3))
    assert list(moved_axes("image", sent, trained)) == []


def test_columns_that_begin_at_another_place_are_told_by_the_only_turn_that_fits():
    flags = [(RANDOM.random((240, 1)) < share).astype(float) for share in (0.2, 0.5, 0.8)]
    numbers = [RANDOM.normal(centre, 1, (240, 1)) for centre in (5, 40, -30)]
    table = np.hstack([*numbers, *flags])
    trained, sent = table[:200], np.roll(table[200:], 3, axis=1)

    def turn(rows):
        return turned(6, lambda one, other: apart_of(rows[:, one], trained[:, other]))

    assert turn(sent) == {0: 3, 1: 4, 2: 5, 3: 0, 4: 1, 5: 2}
    assert turn(table[200:]) == {}, "as in training"
    assert turn(sent + 3) == {}, "no turn fits all"
    assert turn(np.zeros((40, 6))) == {}


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 0.8 * x, lambda x: x + 0.1], ids=["same", "dark", "light"])
def test_pictures_as_in_training_or_in_other_light_are_not_rearranged(change):
    assert list(moved_axes("image", change(pictures(40)), pictures(200))) == []
