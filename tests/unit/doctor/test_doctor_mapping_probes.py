"""The experiments of the mapping on made-up requests, training data and endpoints."""

from types import SimpleNamespace

import numpy as np
import pytest

from unstuck.core.dtypes import FLOAT
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.doctor.checks.mapping.dropped_feature import dropped_feature
from unstuck.doctor.checks.mapping.duplicated_feature import duplicated_feature
from unstuck.doctor.checks.mapping.swapped_features import swapped_features
from unstuck.doctor.evidence.answers import CallOutcome, EndpointState
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.experiments import feature_probe, feature_profile
from unstuck.doctor.experiments.request_shapes import turned
from unstuck.doctor.experiments.running import EndpointRunner, ModelRunner
from unstuck.doctor.lab import rows_of

NAMES = ("age", "debt", "income", "rate")


def spec(alias, *shape):
    return TensorSpec(alias, f"{alias}:0", FLOAT, (None, *shape))


SIGNATURE = Signature("serving_default", {name: spec(name, 1) for name in NAMES}, {"y": spec("y", 1)})


def customers(count, seed):
    random = np.random.default_rng(seed)
    columns = {
        "age": random.integers(18, 85, count),
        "debt": random.gamma(2, 6000, count),
        "income": random.lognormal(10.6, 0.5, count),
        "rate": random.beta(2, 3, count),
    }
    return {name: values.astype(np.float32)[:, None] for name, values in columns.items()}


def lab(sent, training, **more):
    def find(kind):
        assert kind is EndpointState
        calls = [CallOutcome(what="predict", code="OK")]
        return EndpointState(url="u", model="m", is_reachable=True, calls=calls)

    requests = [SimpleNamespace(inputs=row, signature="serving_default", error=None) for row in rows_of(sent)]
    question = SimpleNamespace(training_data=None, golden=None, requests="file", model=None, target="u")
    given = {"request_rows": list(rows_of(sent)), "training_rows": list(rows_of(training)), "training": training}
    return SimpleNamespace(signature=SIGNATURE, requests=requests, question=question, find=find, **given, **more)


def profiled(change, function=None):
    sent = customers(40, seed=2)
    return feature_profile.run(lab(sent | change(sent), customers(200, seed=1), endpoint=Served(function or model)))


def verdict(check, profile, **moved):
    return check.run({type(profile): profile} | moved)[0]


def test_requests_like_training_have_nothing_moved_copied_or_constant():
    for seed in range(20):
        found = feature_profile.run(lab(customers(40, seed=100 + seed), customers(200, seed=1)))
        assert (found.moved, found.copied, [each for each in found.columns if each.constant]) == ([], [], [])


def test_two_columns_that_fit_each_others_training_are_swapped():
    found = profiled(lambda sent: {"age": sent["rate"], "rate": sent["age"]})
    assert found.moved[0].features == ["age", "rate"]
    assert verdict(swapped_features, found).status == "fault"


def test_columns_that_make_no_difference_to_the_answers_are_not_proven_to_be_swapped():
    found = profiled(lambda sent: {"age": sent["rate"], "rate": sent["age"]}, lambda batch: {"y": batch["debt"]})
    assert found.moved[0].moves == 0
    assert verdict(swapped_features, found).status == "suspect"


def test_a_swap_that_leaves_one_answer_to_all_is_proven_by_the_answers_once_it_is_undone():
    def saturates(batch):
        return {"y": np.clip(batch["age"] - 10 * batch["rate"], 0, 100) * (batch["rate"] < 1)}

    found = profiled(lambda sent: {"age": sent["rate"], "rate": sent["age"]}, saturates)
    assert found.moved[0].moves > 0.5
    assert verdict(swapped_features, found).status == "fault"


def test_one_column_that_shifted_is_not_swapped():
    assert profiled(lambda sent: {"age": sent["age"] + 40}).moved == []


def test_a_column_that_became_another_one_is_not_swapped_but_copied():
    found = profiled(lambda sent: {"debt": sent["income"]})
    assert found.moved == []
    said = verdict(duplicated_feature, found)
    assert (said.status, said.location.feature) == ("fault", "income, debt")


@pytest.mark.parametrize(("value", "status"), [(0.0, "fault"), (31_000.0, "suspect")])
def test_a_constant_is_a_fault_only_where_it_is_a_default(value, status):
    found = profiled(lambda sent: {"income": np.full_like(sent["income"], value)})
    used = feature_probe.of_endpoint(served(model))
    assert verdict(dropped_feature, found).status == "suspect"
    (said,) = dropped_feature.run({type(found): found, type(used): used})
    assert (said.status, said.location.feature) == (status, "income")


def test_zeros_of_either_sign_are_one_constant():
    found = profiled(lambda sent: {"income": sent["income"] * np.where(sent["age"] > 50, 0.0, -0.0)})
    assert [each.feature for each in found.columns if each.is_default] == ["income"]


def test_too_few_requests_are_not_compared():
    with pytest.raises(NotRun, match="only 4 request rows"):
        feature_profile.run(lab(customers(4, seed=2), customers(200, seed=1)))


def model(batch):
    scale = {"age": 40, "debt": 9000, "income": 40_000, "rate": 0.3}
    weights = {"age": 1.0, "debt": -0.7, "income": 0.8, "rate": 0.5}
    return {"y": np.tanh(sum(weights[name] * batch[name] / scale[name] for name in NAMES) - 1)}


class Served:
    """An endpoint that answers as ``function`` does; ``calls`` are the numbers of rows it was asked at a time."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def predict(self, signature, inputs, timeout_s=0):
        self.calls.append(len(next(iter(inputs.values()))))
        return SimpleNamespace(outputs=self.function(inputs), error=None)


def served(function):
    return lab(customers(40, seed=2), customers(200, seed=1), endpoint=Served(function))


def test_every_feature_of_a_healthy_endpoint_moves_its_answers():
    found = feature_probe.of_endpoint(served(model))
    assert [each.feature for each in found.telling] == list(NAMES)
    assert found.silent == []


def test_a_feature_that_the_endpoint_drops_is_silent():
    found = feature_probe.of_endpoint(served(lambda batch: model(batch | {"debt": np.zeros_like(batch["debt"])})))
    assert [each.feature for each in found.silent] == ["debt"]
    assert dropped_feature.run({type(found): found})[0].location.feature == "debt"


def test_an_endpoint_that_repeats_the_first_row_of_a_batch_is_asked_row_by_row():
    def first(batch):
        return {"y": np.repeat(model(batch)["y"][:1], len(batch["age"]), axis=0)}

    given = served(first)
    found = feature_probe.of_endpoint(given)
    assert [each.feature for each in found.telling] == list(NAMES)
    assert sum(size > 1 for size in given.endpoint.calls) == 1


def test_the_endpoint_is_called_a_bounded_number_of_times():
    endpoint = Served(model)
    runner = EndpointRunner(endpoint, SIGNATURE, calls=5)
    assert runner(customers(5, seed=0)) is not None
    assert runner(customers(1, seed=0)) is None
    assert endpoint.calls == [1] * 5


def test_a_model_that_mixes_the_rows_of_a_batch_is_run_row_by_row():
    mixing = SimpleNamespace(run=lambda signature, batch: {"y": batch["age"] - batch["age"].mean() + len(batch["age"])})
    assert ModelRunner(mixing, SIGNATURE)(customers(6, seed=0))["y"].tolist() == [[1.0]] * 6


@pytest.mark.parametrize(
    ("sent", "declared", "axes"),
    [
        ((1, 3, 8, 8), (None, 8, 8, 3), (0, 2, 3, 1)),
        ((1, 8, 8, 3), (None, 8, 8, 3), None),
        ((1, 8, 8, 3), (None, None, None, 3), None),
        ((4, 7), (None, 9), None),
        ((1, 5, 8, 8), (None, 8, 8, 3), None),
    ],
)
def test_axes_that_fit_in_another_order_are_told(sent, declared, axes):
    assert turned(sent, declared) == axes
