"""Statistics are read from a file, and what is not in it is said."""

import json

import pytest

from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.statistics import read_statistics

FEATURES = {
    "age": {"mean": 3, "std": 2.5, "min": -1, "max": 9, "count": 10, "dtype": "float"},
    "place": {"mean": [1, 2.5], "std": [1, 1], "min": [], "max": [1, "2"]},
    "odd": {"mean": None, "std": True, "min": float("nan"), "max": [float("inf")]},
    "text": {"vocabulary": ["a"]},
    "none": 3,
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps({"version": 1, "features": FEATURES}))
    return path


def test_a_number_or_a_list_of_numbers_is_read_in_the_order_asked_for(file):
    assert read_statistics(file, "age", ("std", "mean")) == (2.5, 3.0)
    assert read_statistics(file, "place", ("mean", "std")) == ([1.0, 2.5], [1.0, 1.0])


@pytest.mark.parametrize(
    ("feature", "name", "says"),
    [
        ("text", "mean", "feature 'text' has no mean; it has vocabulary"),
        ("place", "min", "has as min neither a number nor a list of numbers, but []"),
        ("place", "max", "but [1, '2']"),
        ("odd", "mean", "but None"),
        ("odd", "std", "but True"),
        ("odd", "min", "but nan"),
        ("odd", "max", "but [inf]"),
    ],
)
def test_what_is_no_statistic_is_refused(file, feature, name, says):
    with pytest.raises(PipelineError) as caught:
        read_statistics(file, feature, (name,))
    assert says in caught.value.message
    assert str(file) in caught.value.message


@pytest.mark.parametrize(("feature", "hint"), [("agee", "Did you mean 'age'?"), ("none", ""), ("zzzzzz", "")])
def test_a_feature_that_is_not_there_is_refused_with_the_nearest(file, feature, hint):
    with pytest.raises(PipelineError, match=f"has no feature '{feature}'; it has 'age', 'place', 'odd'") as caught:
        read_statistics(file, feature, ("mean",))
    assert hint in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(PipelineError, match="cannot be read: "):
        read_statistics(file, "age", ("mean",))


@pytest.mark.parametrize("document", [[], 1, None, {}, {"features": []}, {"age": {"mean": 1}}])
def test_a_file_of_another_form_is_refused(file, document):
    file.write_text(json.dumps(document))
    with pytest.raises(PipelineError, match="is not of the form"):
        read_statistics(file, "age", ("mean",))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"none\.json cannot be read"):
        read_statistics(tmp_path / "none.json", "age", ("mean",))
