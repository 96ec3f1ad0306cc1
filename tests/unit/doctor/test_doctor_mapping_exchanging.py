"""Features found in each other's place by their values alone: which takes whose."""

from types import SimpleNamespace

import numpy as np
import pytest

from unstuck.core.dtypes import FLOAT
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.core.tracing import TracedGraph, TracedNode
from unstuck.doctor.checks.mapping.dropped_feature import dropped_feature
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_map import ExampleKeys, Renamed
from unstuck.doctor.evidence.replay import GoldenReplay
from unstuck.doctor.evidence.scales import mismatches
from unstuck.doctor.experiments import feature_profile, profile_comparison
from unstuck.doctor.experiments.exchanging import exchanged
from unstuck.doctor.experiments.model_graph import _valueless
from unstuck.doctor.lab import rows_of

RANDOM = np.random.default_rng(0)


def apart(fits, count=4):
    """Every feature far from every other, but those of ``fits``."""
    return {(one, other): fits.get((one, other), 3.0) for one in range(count) for other in range(count)}


@pytest.mark.parametrize(
    ("fits", "takes"),
    [
        ({}, {}),
        ({(0, 1): 0.5, (1, 0): 0.6}, {0: 1, 1: 0}),
        ({(0, 1): 0.5, (1, 2): 0.5, (2, 3): 0.5, (3, 0): 0.5}, {0: 1, 1: 2, 2: 3, 3: 0}),
        ({(0, 1): 0.5}, {}),
        ({(0, 1): 0.5, (1, 0): 0.6, (2, 0): 0.3}, {0: 1, 1: 0}),
        ({(0, 1): 0.2, (1, 2): 0.5, (2, 1): 0.6}, {1: 2, 2: 1}),
        ({(0, 1): 0.5, (0, 2): 0.6, (1, 0): 0.5, (2, 0): 0.6}, {}),
    ],
    ids=["none", "pair", "cycle", "one way", "a third drifted onto one", "the first did", "drift of several"],
)
def test_cycles_of_features_that_fit_each_others_values(fits, takes):
    assert exchanged(range(4), apart(fits)) == takes


def test_of_features_that_are_all_moved_several_may_fit():
    fits = {(0, 1): 0.5, (0, 2): 0.7, (1, 0): 0.4, (2, 0): 0.6, (2, 1): 0.4, (1, 2): 0.9}
    found = exchanged(range(3), apart(fits, 3))
    assert sorted(found) == sorted(found.values()) == [0, 1, 2]
    assert all(found[one] != one for one in found)


def test_an_exchange_that_hardly_fits_better_is_none():
    assert exchanged(range(2), {(0, 0): 1.5, (1, 1): 1.5, (0, 1): 0.9, (1, 0): 0.9}) == {}


def nothing(kind):
    raise NotRun(f"no {kind.__name__}")


def lab(sent, training):
    specs = {name: TensorSpec(name, f"{name}:0", FLOAT, (None, *values.shape[1:])) for name, values in sent.items()}
    signature = Signature("serving_default", specs, {})
    return SimpleNamespace(
        signature=signature,
        find=nothing,
        requests=[SimpleNamespace(inputs=row, signature="serving_default", error=None) for row in rows_of(sent)],
        training=training,
        question=SimpleNamespace(training_data="file", golden=None, pipeline_file=None, model=None, target=""),
    )


def places(count):
    at = {"longitude": -73.97, "latitude": 40.75, "size": 3.0}
    return {name: RANDOM.normal(mean, 0.03, count).astype(np.float32) for name, mean in at.items()}


@pytest.fixture(autouse=True)
def _no_columns_names(monkeypatch):
    for module in (feature_profile, profile_comparison):
        monkeypatch.setattr(module, "names_of", lambda lab: {})


def test_two_inputs_in_each_others_place_are_not_taken_for_another_scale():
    sent = places(48)
    swapped = sent | {"longitude": sent["latitude"], "latitude": sent["longitude"]}
    found = profile_comparison.run(lab(swapped, places(300)))
    assert {each.input: each.exchanged for each in found.inputs} == {"longitude": True, "latitude": True, "size": False}
    assert [*mismatches(found, None, "double"), *mismatches(found, None, "missing")] == []


def test_an_input_that_holds_anothers_values_alone_is_not_exchanged():
    sent = places(48)
    found = profile_comparison.run(lab(sent | {"longitude": sent["latitude"]}, places(300)))
    assert not any(each.exchanged for each in found.inputs)


def vectors(count):
    return {name: RANDOM.normal(0, 1, (count, 8)).astype(np.float32) for name in ("question", "answer")}


def texts(count):
    kinds = {"title": 40, "body": 60}
    return {name: np.array([b"w%d" % RANDOM.integers(of) for _ in range(count)], object) for name, of in kinds.items()}


@pytest.mark.parametrize("made", [vectors, texts])
def test_whole_inputs_with_one_value_are_copied(made):
    sent, training = made(48), made(300)
    one, other = sent
    (found,) = feature_profile.run(lab(sent | {one: sent[other]}, training)).copied
    assert {found.original, found.copy_} == {one, other}
    assert found.trained_share < 0.1
    assert feature_profile.run(lab(sent, training)).copied == []


def keys(source):
    renamed = [Renamed(wanted="job_title", sent="job", moves=0.3)]
    return ExampleKeys(input="examples", source=source, rows=24, absent=["job_title"], unread=["job"], renamed=renamed)


@pytest.mark.parametrize(
    ("source", "wrong", "status", "fix"),
    [
        ("golden", 22, "fault", "Export again"),
        ("golden", 0, "ruled-out", ""),
        ("requests", 0, "fault", "in the client's"),
        ("requests", 22, "fault", "Export again"),
    ],
)
def test_a_key_by_another_name_is_the_parsers_fault_where_golden_rows_have_it_too(source, wrong, status, fix):
    golden = GoldenReplay(source="golden", rows=24, wrong=wrong, right=24 - wrong)
    (said,) = dropped_feature.run({ExampleKeys: keys(source), GoldenReplay: golden})
    assert said.status == status
    assert fix in (said.fix or "")


def graph(*nodes):
    made = tuple(TracedNode(name, op, "", inputs) for name, op, inputs in (("x", "Placeholder", ()), *nodes))
    return TracedGraph(made, {"x": "x:0"}, {"y": "y:0"})


def test_an_input_of_which_the_shape_alone_is_taken_is_valueless():
    assert _valueless(graph(("i", "Identity", ("x:0",)), ("y", "Shape", ("i:0",)))) == {"x": ["y"]}


def test_what_is_computed_of_an_input_and_lost_is_no_use_of_its_shape():
    computed = ("m", "MatMul", ("x:0", "w:0"))
    assert _valueless(graph(computed, ("y", "ZerosLike", ("m:0",)))) == {}
    assert _valueless(graph(computed, ("s", "Shape", ("x:0",)), ("y", "ZerosLike", ("m:0",)))) == {}
