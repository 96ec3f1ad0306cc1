"""What is looked for of the mapping: arrangements, outputs exchanged, two versions at once, features of tf.Examples."""

import numpy as np
import pytest

from unstuck.doctor.evidence.replay import Explanation
from unstuck.doctor.experiments.arrangement import rearranged_axes
from unstuck.doctor.experiments.example_features import packing, unpacked
from unstuck.doctor.experiments.explaining import Search, other_outputs
from unstuck.proto.wire.example_pb2 import Example

VERSION = Explanation(kind="version", what="version 1 answers", version="1", share=0, telling=0)


def decays(count, seed):
    """Series that rise at once and decay, float64 [count, 32, 2]."""
    random = np.random.default_rng(seed)
    start = random.integers(2, 20, (count, 1, 2))
    after = np.arange(32)[None, :, None] - start
    return np.where(after >= 0, np.exp(-after / 6.0), 0.0) + random.normal(0, 0.02, (count, 32, 2))


def stripes(count, seed):
    """Grey pictures with stripes across, flattened, float64 [count, 144]."""
    random = np.random.default_rng(seed)
    waves = np.sin(np.arange(12) * random.uniform(0.8, 1.6, (count, 1)) + random.uniform(0, 6.3, (count, 1)))
    return (waves[:, :, None] + random.normal(0, 0.1, (count, 12, 12))).reshape(count, 144)


def test_time_reversed_is_recognised_though_mean_and_deviation_are_the_same():
    (found,) = rearranged_axes("series", decays(40, 1)[:, ::-1], decays(200, 2))
    assert "axis 0 reversed" in found.what


def test_a_flat_picture_read_column_by_column_is_recognised():
    turned = stripes(40, 3).reshape(-1, 12, 12).transpose(0, 2, 1).reshape(-1, 144)
    (found,) = rearranged_axes("pixels", turned, stripes(200, 4))
    assert "12 x 12" in found.what


@pytest.mark.parametrize("made", [decays, stripes])
@pytest.mark.parametrize("change", [lambda x: x, lambda x: 0.7 * x, lambda x: x + 1], ids=["same", "weak", "moved"])
def test_other_values_in_the_same_arrangement_are_not_rearranged(made, change):
    for seed in range(10, 20):
        assert list(rearranged_axes("x", change(made(40, seed)), made(200, seed + 50))) == []


def test_outputs_exchanged_all_at_once_are_tried():
    truth = {name: np.full((3, 1), at) for at, name in enumerate("abc")}
    computed = {"a": truth["b"], "b": truth["c"], "c": truth["a"]}
    fits = [
        name for name, each in other_outputs(truth, computed) if all(np.array_equal(each[k], truth[k]) for k in truth)
    ]
    assert fits == ["a, b, c"]


@pytest.mark.parametrize(("every", "is_found"), [(2, True), (3, True), (10, False)])
def test_answers_of_two_versions_are_told_apart(every, is_found):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    own, other = {"y": rows.sum(1)}, {"y": rows @ [1.0, -2.0, 0.5]}
    answers = {"y": np.where(np.arange(40) % every, own["y"], other["y"])}
    search = Search(lambda batch: None, {"x": rows}, answers, own, 1.0)
    assert search.accept_part(other, VERSION) is is_found
    assert not search.accept_part({"y": rows @ [0.3, 0.1, 0.9]}, VERSION)


def serialised(**values):
    example = Example()
    for name, value in values.items():
        feature = example.features.feature[name]
        kept = {int: feature.int64_list, float: feature.float_list, bytes: feature.bytes_list}[type(value)]
        kept.value.append(value)
    return example.SerializeToString()


def test_examples_are_unpacked_and_packed_again():
    rows = np.array([serialised(a=1.5, b=2, c=b"x"), serialised(a=-1.0, b=3, c=b"y")], object)
    features = unpacked({"examples": rows})
    assert features is not None
    assert {name: values.tolist() for name, values in features.items()} == {
        "a": [1.5, -1.0],
        "b": [2, 3],
        "c": [b"x", b"y"],
    }
    again = unpacked(packing(lambda batch: batch, "examples")(features))
    assert again is not None
    assert all(np.array_equal(again[name], features[name]) for name in features)


@pytest.mark.parametrize(
    "values", [np.array([b"plain text", b"more"], object), np.zeros((2, 3)), np.array([b"", b""], object)]
)
def test_what_holds_no_examples_is_left_alone(values):
    assert unpacked({"x": values}) is None
